//! What a power cut leaves of a file.
//!
//! Between two syncs a disk owes nothing: what was written since the last one may have reached the platter in any order,
//! in part, or not at all. A write reaches it in pieces, one for each sector of [`SECTOR_BYTES`] that it touches. A piece
//! arrives, stays away, or, rarely, arrives as garbage because the power went while it was being written. Bytes that nobody
//! wrote stay as they were, also within such a sector: that is what `SQLITE_IOCAP_POWERSAFE_OVERWRITE` says of a disk,
//! and what SQLite's own file system claims of every disk. Where a file grew, its length may have arrived without its bytes.

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, RngExt as _};

/// What a disk writes as one.
const SECTOR_BYTES: usize = 512;
/// One piece in so many of a torn write is garbage.
const GARBAGE_ONE_IN: u32 = 16;

/// A change of a file that has not been synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Bytes at an offset.
    Write { at: usize, bytes: Vec<u8> },
    /// The file ends here.
    Truncate { len: usize },
}

impl Change {
    /// Makes the change, whole.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => put(content, *at, bytes),
            Self::Truncate { len } => content.resize(*len, 0),
        }
    }
}

/// How the changes of a file fare.
enum Luck {
    /// None arrived.
    Nothing,
    /// They arrived in order, up to one that is torn.
    InOrder,
    /// Each fared on its own, in any order.
    EachItsOwn,
}

/// What stands on the platter afterwards, given what stood there at the last sync.
pub(super) fn remains(mut platter: Vec<u8>, unsynced: &[Change], rng: &mut StdRng) -> Vec<u8> {
    let luck = match rng.random_range(0..5) {
        0 => Luck::Nothing,
        1 | 2 => Luck::InOrder,
        _ => Luck::EachItsOwn,
    };
    match luck {
        Luck::Nothing => {}
        Luck::InOrder => {
            let whole = rng.random_range(0..=unsynced.len());
            unsynced[..whole].iter().for_each(|change| change.apply(&mut platter));
            if let Some(change) = unsynced.get(whole) {
                tear(&mut platter, change, rng);
            }
        }
        Luck::EachItsOwn => {
            let mut order: Vec<&Change> = unsynced.iter().collect();
            order.shuffle(rng);
            for change in order {
                match rng.random_range(0..3) {
                    0 => {}
                    1 => change.apply(&mut platter),
                    _ => tear(&mut platter, change, rng),
                }
            }
        }
    }
    platter
}

/// Lets some pieces of a change arrive.
fn tear(platter: &mut Vec<u8>, change: &Change, rng: &mut StdRng) {
    let Change::Write { at, bytes } = change else { return };
    let (mut at, mut rest) = (*at, bytes.as_slice());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
        if rng.random_ratio(1, GARBAGE_ONE_IN) {
            let mut garbage = piece.to_vec();
            rng.fill_bytes(&mut garbage);
            put(platter, at, &garbage);
        } else if rng.random() {
            put(platter, at, piece);
        } else if at + piece.len() > platter.len() && rng.random() {
            // The length arrived, the bytes did not.
            platter.resize(at + piece.len(), 0);
        }
        (at, rest) = (at + piece.len(), after);
    }
}

/// Writes into a content that grows as far as needed.
pub(super) fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;

    const CUTS: u64 = 2_000;

    fn cuts(platter: &[u8], unsynced: &[Change]) -> impl Iterator<Item = Vec<u8>> {
        (0..CUTS).map(|seed| remains(platter.to_vec(), unsynced, &mut StdRng::seed_from_u64(seed)))
    }

    #[test]
    fn bytes_that_nobody_wrote_stay_as_they_were() {
        let writes = [
            Change::Write { at: 100, bytes: vec![1; 1_000] },
            Change::Write { at: 3_000, bytes: vec![2; 24] },
        ];
        for left in cuts(&[7; 4_096], &writes) {
            assert_eq!(left.len(), 4_096);
            let untouched = left[..100].iter().chain(&left[1_100..3_000]).chain(&left[3_024..]);
            assert!(untouched.copied().all(|byte| byte == 7));
        }
    }

    #[test]
    fn a_write_arrives_stays_away_or_is_torn_and_a_later_one_may_arrive_alone() {
        let sectors = |byte| vec![byte; 2 * SECTOR_BYTES];
        let writes =
            [Change::Write { at: 0, bytes: sectors(1) }, Change::Write { at: 4_096, bytes: sectors(2) }];
        let fates: BTreeSet<[u8; 4]> = cuts(&[0; 8_192], &writes)
            .map(|left| [left[0], left[SECTOR_BYTES], left[4_096], left[4_096 + SECTOR_BYTES]])
            .collect();
        for fate in [[0, 0, 0, 0], [1, 1, 2, 2], [1, 1, 0, 0], [0, 0, 2, 2], [0, 1, 0, 0], [1, 1, 2, 0]] {
            assert!(fates.contains(&fate), "{fate:?} never happened");
        }
        assert!(fates.iter().flatten().any(|byte| *byte > 2), "nothing was ever garbage");
    }

    #[test]
    fn a_file_may_have_grown_without_its_bytes_and_a_truncation_may_be_undone() {
        let growth = [Change::Write { at: 512, bytes: vec![1; 512] }];
        assert!(cuts(&[7; 512], &growth).any(|left| left.len() == 1_024 && left[512..] == [0; 512]));
        let lengths: BTreeSet<usize> =
            cuts(&[7; 512], &[Change::Truncate { len: 0 }]).map(|left| left.len()).collect();
        assert_eq!(lengths, BTreeSet::from([0, 512]));
    }
}
