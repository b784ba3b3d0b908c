//! How the samples of one batch stand in a row of the inbox.
//!
//! `vals` is run after run, a run being the values of one series; `series_ids` names the runs. Runs that share their times are
//! a group: `group_runs` says how many runs each group has, `run_lengths` how many times, and `t_offsets` has those times,
//! group after group, in milliseconds after the row's `t_min`. In rows without `group_runs`, which were written before there
//! were groups, every run has times of its own.

/// The runs of a row, in their order: series, times after `t_min`, values.
pub(crate) fn runs<'a>(
    mut series_ids: &'a [i32],
    group_runs: Option<&'a [i16]>,
    run_lengths: &'a [i32],
    mut t_offsets: &'a [i32],
    mut vals: &'a [f64],
) -> impl Iterator<Item = (i32, &'a [i32], &'a [f64])> {
    run_lengths.iter().enumerate().flat_map(move |(group, length)| {
        let length = usize::try_from(*length).unwrap_or_default();
        let count = group_runs.map_or(1, |runs| usize::try_from(runs[group]).unwrap_or_default());
        let times = split_off(&mut t_offsets, length);
        let values = split_off(&mut vals, count * length);
        let ids = split_off(&mut series_ids, count).iter();
        ids.zip(values.chunks_exact(length.max(1))).map(move |(id, values)| (*id, times, values))
    })
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
        let runs: Vec<_> = row.collect();
        let expected = [(1, &[0, 10][..], &[1.0, 2.0][..]), (2, &[0, 10], &[9.0, 8.0]), (1, &[20], &[3.0])];
        assert_eq!(runs, expected);
    }

    #[test]
    fn runs_that_were_written_before_there_were_groups_have_times_of_their_own() {
        let runs: Vec<_> = runs(&[2, 1], None, &[2, 1], &[0, 1, 0], &[5.0, 6.0, 7.0]).collect();
        assert_eq!(runs, [(2, &[0, 1][..], &[5.0, 6.0][..]), (1, &[0], &[7.0])]);
        assert_eq!(super::runs(&[], Some(&[]), &[], &[], &[]).count(), 0);
    }
}
