//! Cutting a batch in two, for a cloud that finds it too large.

use storepulse_shared::batch::{Batch, Column, Frame};

/// Two batches that together hold what one did: about half of the samples each; where there is one sample at most, the
/// samples and the rest; then half of the events, then half of the losses. `None` if there is one thing only.
pub(super) fn split(batch: Batch<'_>) -> Option<(Batch<'_>, Batch<'_>)> {
    let total: usize = batch.frames.iter().map(cells).sum();
    let Batch { frames, mut events, mut losses, recovers } = batch;
    let mut first = Batch { recovers, ..Batch::default() };
    let mut second = Batch { recovers, ..Batch::default() };
    if total > 1 {
        let mut taken = 0;
        for frame in frames {
            let wanted = (total / 2).saturating_sub(taken);
            taken += cells(&frame);
            let (before, after) = split_frame(frame, wanted);
            first.frames.extend(before);
            second.frames.extend(after);
        }
    } else if total == 1 && !(events.is_empty() && losses.is_empty()) {
        second.frames = frames;
    } else if events.len() > 1 {
        second.events = events.split_off(events.len() / 2);
    } else if !events.is_empty() && !losses.is_empty() {
        second.events = std::mem::take(&mut events);
    } else if losses.len() > 1 {
        second.losses = losses.split_off(losses.len() / 2);
    } else {
        return None;
    }
    first.events = events;
    first.losses = losses;
    Some((first, second))
}

fn cells(frame: &Frame<'_>) -> usize {
    frame.times.len() * frame.columns.len()
}

/// About `wanted` cells before, the rest after: cut between ticks, or between series where there is one tick only.
fn split_frame<'a>(mut frame: Frame<'a>, wanted: usize) -> (Option<Frame<'a>>, Option<Frame<'a>>) {
    if wanted == 0 {
        return (None, Some(frame));
    }
    if wanted >= cells(&frame) {
        return (Some(frame), None);
    }
    let mut after = Frame {
        device: frame.device.clone(),
        kind: frame.kind.clone(),
        times: Vec::new(),
        columns: Vec::new(),
    };
    if frame.times.len() == 1 {
        after.times.clone_from(&frame.times);
        after.columns = frame.columns.split_off(wanted);
    } else {
        let ticks = (wanted / frame.columns.len()).clamp(1, frame.times.len() - 1);
        after.times = frame.times.split_off(ticks);
        after.columns = frame
            .columns
            .iter_mut()
            .map(|column| Column { series: column.series.clone(), values: column.values.split_off(ticks) })
            .collect();
    }
    (Some(frame), Some(after))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use storepulse_shared::batch::Event;

    use super::*;

    fn frame(device: &str, ticks: usize, series: usize) -> Frame<'static> {
        let columns = (0..series).map(|s| Column {
            series: format!("m{s}").into(),
            values: (0..ticks).map(|t| (s * 1_000 + t) as f64).collect(),
        });
        Frame {
            device: device.to_owned().into(),
            kind: "host".into(),
            times: (0..ticks).map(|t| t as i64 * 10).collect(),
            columns: columns.collect(),
        }
    }

    fn event(n: i64) -> Event<'static> {
        Event { device: "d".into(), t: n, kind: "k".into(), text: "".into() }
    }

    /// Every sample by device, series and time.
    fn samples(batches: &[Batch<'_>]) -> BTreeMap<(String, String, i64), u64> {
        let mut all = BTreeMap::new();
        for frame in batches.iter().flat_map(|b| &b.frames) {
            for column in &frame.columns {
                for (time, value) in frame.times.iter().zip(&column.values) {
                    let key = (frame.device.to_string(), column.series.to_string(), *time);
                    assert_eq!(all.insert(key, value.to_bits()), None, "a sample is there twice");
                }
            }
        }
        all
    }

    /// Cuts until nothing can be cut, and returns the pieces.
    fn cut_up(batch: Batch<'static>) -> Vec<Batch<'static>> {
        match split(batch.clone()) {
            Some((first, second)) => {
                assert!(!first.is_empty() && !second.is_empty(), "an empty half: {batch:?}");
                let mut pieces = cut_up(first);
                pieces.extend(cut_up(second));
                pieces
            }
            None => vec![batch],
        }
    }

    #[test]
    fn the_pieces_hold_what_the_whole_held() {
        let whole = Batch {
            frames: vec![frame("a", 7, 3), frame("b", 1, 5), frame("c", 1, 1)],
            events: (0..5).map(event).collect(),
            losses: Vec::new(),
            recovers: Some("0b37f9c2-7a52-4a4e-9a63-0d3a8f7d9c11/17".parse().unwrap()),
        };
        let pieces = cut_up(whole.clone());
        assert!(pieces.iter().all(|piece| piece.recovers == whole.recovers));
        assert_eq!(samples(&pieces), samples(std::slice::from_ref(&whole)));
        let events: usize = pieces.iter().map(|p| p.events.len()).sum();
        assert_eq!(events, 5);
        assert!(pieces.iter().all(|p| p.samples() <= 1 && p.events.len() <= 1), "{pieces:#?}");
    }

    #[test]
    fn the_halves_are_about_equal() {
        let (first, second) =
            split(Batch { frames: vec![frame("a", 100, 4), frame("b", 100, 4)], ..Batch::default() })
                .unwrap();
        assert_eq!((first.samples(), second.samples()), (400, 400));
    }
}
