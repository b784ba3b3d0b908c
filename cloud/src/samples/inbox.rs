//! How the samples of one batch stand in a row of the inbox.
//!
//! `vals` is run after run, a run being the values of one series; `series_ids` names the runs. Runs that share their times are
//! a group: `group_runs` says how many runs each group has, `run_lengths` how many times, and `t_offsets` has those times,
//! group after group, in milliseconds after the row's `t_min`. In rows without `group_runs`, which were written before there
//! were groups, every run has times of its own.

use super::packed::Damaged;

/// The runs of a row, in their order: series, times after `t_min`, values.
///
/// # Errors
/// The arrays do not fit each other, as they do in every row that the service has written.
pub(crate) fn runs<'a>(
    mut series_ids: &'a [i32],
    group_runs: Option<&'a [i16]>,
    run_lengths: &'a [i32],
    mut t_offsets: &'a [i32],
    mut vals: &'a [f64],
) -> Result<impl Iterator<Item = (i32, &'a [i32], &'a [f64])>, Damaged> {
    let groups = move || {
        run_lengths.iter().enumerate().map(move |(group, length)| {
            let runs = group_runs.map_or(Some(1), |runs| runs.get(group).copied());
            Some((usize::try_from(runs?).ok()?, usize::try_from(*length).ok()?))
        })
    };
    let (mut all_runs, mut all_times, mut all_values) = (0_usize, 0_usize, 0_usize);
    for group in groups() {
        let (runs, length) = group.ok_or(Damaged("groups without a size"))?;
        all_runs = all_runs.saturating_add(runs);
        all_times = all_times.saturating_add(length);
        all_values = all_values.saturating_add(runs.saturating_mul(length));
    }
    if (all_runs, all_times, all_values) != (series_ids.len(), t_offsets.len(), vals.len()) {
        return Err(Damaged("its arrays do not fit each other"));
    }
    Ok(groups().flatten().flat_map(move |(count, length)| {
        let times = split_off(&mut t_offsets, length);
        let values = split_off(&mut vals, count * length);
        let ids = split_off(&mut series_ids, count).iter();
        ids.zip(values.chunks_exact(length.max(1))).map(move |(id, values)| (*id, times, values))
    }))
}

fn split_off<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (first, after) = rest.split_at(count);
    *rest = after;
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_group_share_its_times() {
        let row = runs(&[1, 2, 1], Some(&[2, 1]), &[2, 1], &[0, 10, 20], &[1.0, 2.0, 9.0, 8.0, 3.0]);
        let runs: Vec<_> = row.unwrap().collect();
        let expected = [(1, &[0, 10][..], &[1.0, 2.0][..]), (2, &[0, 10], &[9.0, 8.0]), (1, &[20], &[3.0])];
        assert_eq!(runs, expected);
    }

    #[test]
    fn runs_that_were_written_before_there_were_groups_have_times_of_their_own() {
        let row = runs(&[2, 1], None, &[2, 1], &[0, 1, 0], &[5.0, 6.0, 7.0]);
        let runs: Vec<_> = row.unwrap().collect();
        assert_eq!(runs, [(2, &[0, 1][..], &[5.0, 6.0][..]), (1, &[0], &[7.0])]);
        assert_eq!(super::runs(&[], Some(&[]), &[], &[], &[]).unwrap().count(), 0);
    }

    #[test]
    fn arrays_that_do_not_fit_are_damage() {
        let row = |ids: &[i32], groups: &[i16], lengths: &[i32], offsets: &[i32], vals: &[f64]| {
            runs(ids, Some(groups), lengths, offsets, vals).map(Iterator::count)
        };
        assert_eq!(row(&[1, 2], &[2], &[1], &[0], &[1.0, 2.0]), Ok(2));
        for damaged in [
            row(&[1], &[2], &[1], &[0], &[1.0, 2.0]),
            row(&[1, 2], &[2], &[2], &[0], &[1.0, 2.0]),
            row(&[1, 2], &[2], &[1], &[0], &[1.0]),
            row(&[1, 2], &[], &[1], &[0], &[1.0, 2.0]),
            row(&[1, 2], &[2], &[-1], &[0], &[1.0, 2.0]),
            row(&[1, 2], &[-2], &[1], &[0], &[1.0, 2.0]),
        ] {
            assert!(damaged.is_err());
        }
    }
}
