//! Measuring two things beside each other.

use super::figure::Figure;
use super::progress;

/// Runs both in turn, the one that goes first changing every time, and tells the medians: of the values, of the limits, and
/// of each round's ratio, since what the machine does meanwhile meets both of one round. A first turn of each is not
/// counted: caches and files are cold.
pub(super) async fn alternate(
    rounds: usize,
    mut value: impl AsyncFnMut() -> anyhow::Result<f64>,
    mut limit: impl AsyncFnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Figure> {
    value().await?;
    limit().await?;
    let (mut values, mut limits) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for round in 0..rounds {
        if round % 2 == 0 {
            values.push(value().await?);
            limits.push(limit().await?);
        } else {
            limits.push(limit().await?);
            values.push(value().await?);
        }
    }
    progress::rounds(&values, &limits)?;
    let ratios = values.iter().zip(&limits).map(|(value, limit)| value / limit).collect();
    Ok(Figure { limit: Some(median(limits)), ratio: Some(median(ratios)), ..Figure::new(median(values)) })
}

/// The middle one; of an even number, the upper of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_turn_is_not_counted_and_the_middle_is_taken() {
        let mut n = 0.0;
        let value = async || {
            n += 1.0;
            Ok(n)
        };
        let figure = alternate(3, value, async || Ok(6.0)).await.unwrap();
        assert_eq!((figure.value, figure.limit, figure.ratio), (3.0, Some(6.0), Some(0.5)));
    }
}
