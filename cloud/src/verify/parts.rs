//! Every part of every day of a store's series: its checksum, its numbers, what its row says of them, its neighbours.

use futures_util::TryStreamExt as _;
use storepulse_shared::ids::StoreId;
use time::Date;

use super::finding::Check;
use super::sql::parts as sql;
use super::{About, Heard};
use crate::db::TenantTx;
use crate::samples::{SeriesSamples, StoredPart, day_of};

/// Series whose parts are read, and sorted by the server, at once.
const SERIES_AT_ONCE: i64 = 50;

/// Looks at all of them; returns how many samples they have.
pub(super) async fn verify<H: FnMut(Heard<'_>) + Send>(
    tx: &mut TenantTx,
    store: &StoreId,
    of: &mut About<'_, H>,
) -> Result<i64, sqlx::Error> {
    let (mut samples, mut after) = (0, 0);
    loop {
        let series = sql::series_after(tx, store, after, SERIES_AT_ONCE).await?;
        let Some(last) = series.last() else { return Ok(samples) };
        after = *last;
        let mut before = None;
        let mut buffer = SeriesSamples::new();
        let tenant = tx.tenant().to_owned();
        let mut parts = sql::of_series(tx, &tenant, &series);
        while let Some(part) = parts.try_next().await? {
            of.report.totals.parts += 1;
            of.report.totals.compacted += u64::from(part.n.unsigned_abs());
            samples += i64::from(part.n);
            let name = format!("series {}, {} part {}", part.series_id, part.day, part.part);
            let place = (part.series_id, part.day, part.t_last);
            if let Some(overlap) = overlap(before, &part) {
                of.found(Check::Overlap, format!("{name} {overlap}"));
            }
            if let Err(fault) = look(part, &mut buffer) {
                of.found(Check::Part, format!("{name}: {fault}"));
            }
            before = Some(place);
        }
        of.report.progress();
    }
}

/// Parts come in the order of their first times.
fn overlap(before: Option<(i32, Date, i64)>, part: &StoredPart) -> Option<String> {
    let (series, day, t_last) = before?;
    let overlaps = series == part.series_id && day == part.day && part.t_first <= t_last;
    overlaps.then(|| format!("begins at {}, the one before ends at {t_last}", part.t_first))
}

/// What is wrong with a part by itself.
fn look(part: StoredPart, samples: &mut SeriesSamples) -> Result<(), String> {
    let (n, t_first, t_last, day) = (part.n, part.t_first, part.t_last, part.day);
    samples.clear();
    part.read(i64::MIN, i64::MAX, samples).map_err(|error| error.to_string())?;
    let found = (samples.len(), samples.first().map(|s| s.0), samples.last().map(|s| s.0));
    let told = (usize::try_from(n).unwrap_or_default(), Some(t_first), Some(t_last));
    if found != told {
        return Err(format!(
            "holds {} samples from {:?} to {:?}, its row says {n} from {t_first} to {t_last}",
            found.0,
            found.1.unwrap_or_default(),
            found.2.unwrap_or_default()
        ));
    }
    if !samples.is_sorted_by(|a, b| a.0 < b.0) {
        return Err("its times do not ascend".to_owned());
    }
    if day_of(t_first) != day || day_of(t_last) != day {
        return Err(format!("its times are of {} to {}", day_of(t_first), day_of(t_last)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::day::Packer;

    const DAY: i64 = 1_763_683_200_000;

    fn stored(samples: &[(i64, f64)]) -> StoredPart {
        let part = Packer::default().parts(samples).next().unwrap();
        StoredPart {
            series_id: 7,
            day: day_of(samples[0].0),
            part: 1,
            n: part.n,
            checksum: part.checksum,
            t_first: part.t_first,
            t_last: part.t_last,
            clock: None,
            times: part.times,
            vals: part.vals,
        }
    }

    fn fault(change: impl FnOnce(&mut StoredPart)) -> String {
        let mut part = stored(&[(DAY, 1.0), (DAY + 60_000, 2.5), (DAY + 120_000, -3.0)]);
        change(&mut part);
        look(part, &mut SeriesSamples::new()).err().unwrap_or_default()
    }

    #[test]
    fn a_part_is_what_its_row_says_or_that_is_told() {
        assert_eq!(fault(|_| ()), "");
        assert!(fault(|p| p.vals[0] ^= 1).contains("checksum"));
        assert!(fault(|p| p.n = 2).contains("damaged") || fault(|p| p.n = 2).contains("its row says 2"));
        assert!(fault(|p| p.t_last += 1).contains("its row says 3"));
        assert!(fault(|p| p.t_first -= 1).contains("its row says 3"));
        assert!(fault(|p| p.day = day_of(DAY - 1)).contains("its times are of"));
        let backwards = stored(&[(DAY + 5, 1.0), (DAY + 7, 2.0), (DAY + 6, 2.0)]);
        assert!(look(backwards, &mut SeriesSamples::new()).unwrap_err().contains("do not ascend"));
    }

    #[test]
    fn parts_of_one_day_that_touch_are_told() {
        let part = stored(&[(DAY + 10, 1.0), (DAY + 20, 2.0)]);
        assert_eq!(overlap(None, &part), None);
        assert_eq!(overlap(Some((7, part.day, DAY + 9)), &part), None);
        assert!(overlap(Some((7, part.day, DAY + 10)), &part).is_some());
        assert_eq!(overlap(Some((8, part.day, DAY + 10)), &part), None);
    }
}
