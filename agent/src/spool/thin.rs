//! Thinning: one tick in so many milliseconds is kept, the others are gone.
//!
//! The last tick of each stretch stays, under its own time; where a series has no value in it, its last value within the
//! stretch takes the place, since a count or a state is what it last was.

use storepulse_shared::batch::{Batch, Frame};

/// The same batch with at most one tick of each frame in every stretch of `step_ms`. Events and losses stay.
pub(super) fn thin(mut batch: Batch<'_>, step_ms: i64) -> Batch<'_> {
    for frame in &mut batch.frames {
        thin_frame(frame, step_ms);
    }
    batch
}

fn thin_frame(frame: &mut Frame<'_>, step_ms: i64) {
    let stretch = |at: usize| frame.times[at].div_euclid(step_ms);
    // Where each stretch ends.
    let ends: Vec<usize> = (1..=frame.times.len())
        .filter(|end| *end == frame.times.len() || stretch(*end) != stretch(*end - 1))
        .collect();
    for column in &mut frame.columns {
        let mut begin = 0;
        column.values = ends
            .iter()
            .map(|end| {
                let stretch = &column.values[begin..*end];
                begin = *end;
                stretch.iter().rev().copied().find(|value| !value.is_nan()).unwrap_or(f64::NAN)
            })
            .collect();
    }
    frame.times = ends.iter().map(|end| frame.times[end - 1]).collect();
}

#[cfg(test)]
mod tests {
    use storepulse_shared::batch::Column;

    use super::*;

    fn frame(times: &[i64], values: &[f64]) -> Batch<'static> {
        let columns = vec![Column { series: "m".into(), values: values.to_vec() }];
        let frame = Frame { device: "d".into(), kind: "host".into(), times: times.to_vec(), columns };
        Batch { frames: vec![frame], ..Batch::default() }
    }

    #[test]
    fn the_last_tick_of_every_stretch_stays() {
        let thinned = thin(frame(&[0, 10, 59, 60, 119, 300], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), 60);
        assert_eq!(thinned, frame(&[59, 119, 300], &[2.0, 4.0, 5.0]));
        assert_eq!(thin(thinned.clone(), 60), thinned);
    }

    #[test]
    fn a_series_without_a_value_in_the_last_tick_keeps_its_last_one_of_the_stretch() {
        let thinned = thin(frame(&[1, 2, 3, 61], &[7.0, 8.0, f64::NAN, f64::NAN]), 60);
        assert_eq!(thinned.frames[0].times, [3, 61]);
        assert_eq!(thinned.frames[0].columns[0].values[0].to_bits(), 8.0_f64.to_bits());
        assert!(thinned.frames[0].columns[0].values[1].is_nan());
    }

    #[test]
    fn times_before_1970_have_stretches_too() {
        assert_eq!(thin(frame(&[-61, -60, -1, 0], &[1.0, 2.0, 3.0, 4.0]), 60).frames[0].times, [-61, -1, 0]);
    }
}
