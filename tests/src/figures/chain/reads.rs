//! What a reader waits for: over HTTPS, with a store's key, each time another series; the slowest but five of a hundred.

use super::super::figure::Figure;
use super::{Chain, timed};

/// Requests that are measured, after one that is not.
const REQUESTS: usize = 100;
/// Samples of a series in a day, and hours of a month.
const OF_A_DAY: usize = 1_440;

/// A day of a series that is compacted.
pub(in crate::figures) async fn day(chain: &Chain) -> anyhow::Result<Figure> {
    let days = chain.size.days;
    let figure = a_day(chain, || rand::random_range(0..days - 1)).await?;
    Ok(figure.at_most(5.0).binding())
}

/// The day that is not.
pub(in crate::figures) async fn hot_day(chain: &Chain) -> anyhow::Result<Figure> {
    let last = chain.size.days - 1;
    Ok(a_day(chain, || last).await?.at_most(60.0).binding())
}

/// A whole month of a series, an average an hour.
pub(in crate::figures) async fn month_by_hour(chain: &Chain) -> anyhow::Result<Figure> {
    Ok(slow(&hours(chain, chain.size.days).await?).at_most(20.0).binding())
}

async fn a_day(chain: &Chain, mut which: impl FnMut() -> i64) -> anyhow::Result<Figure> {
    let mut taken = Vec::with_capacity(REQUESTS);
    for n in 0..=REQUESTS {
        let (hand, store, device, metric) = chain.somewhere()?;
        // The connection is there: a dashboard keeps one.
        hand.get("/health").await?;
        let (from, to) = chain.day(which());
        let path =
            format!("/v1/stores/{}/metrics?device={device}&metric={metric}&from={from}&to={to}", store.id);
        let (ms, answer) = timed(&hand, &path).await?;
        let samples = answer.json["series"][0]["samples"].as_array().map_or(0, Vec::len);
        anyhow::ensure!(samples == OF_A_DAY, "{path}: {samples} samples instead of {OF_A_DAY}");
        if n > 0 {
            taken.push(ms);
        }
    }
    Ok(slow(&taken))
}

/// Milliseconds of requests for the averages of hours of so many days.
pub(super) async fn hours(chain: &Chain, days: i64) -> anyhow::Result<Vec<f64>> {
    let mut taken = Vec::with_capacity(REQUESTS);
    for n in 0..=REQUESTS {
        let (hand, store, device, metric) = chain.somewhere()?;
        hand.get("/health").await?;
        let (from, to) = (chain.day(0).0, chain.day(days - 1).1);
        let path = format!(
            "/v1/stores/{}/metrics?device={device}&metric={metric}&from={from}&to={to}&step=1h&agg=avg",
            store.id
        );
        let (ms, answer) = timed(&hand, &path).await?;
        let text = answer.json.to_string();
        anyhow::ensure!(text.len() > usize::try_from(days)? * 24 * 8, "{path}: {text:.300}");
        if n > 0 {
            taken.push(ms);
        }
    }
    Ok(taken)
}

/// 95 of 100 are faster.
pub(super) fn slow(taken: &[f64]) -> Figure {
    let mut sorted = taken.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Figure::new(sorted.get(sorted.len() * 95 / 100).copied().unwrap_or(f64::NAN))
}
