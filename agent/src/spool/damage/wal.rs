//! Whether a write-ahead log holds all that was committed into it.
//!
//! SQLite ends the recovery of a WAL at the first frame whose checksum is wrong and takes what comes after it for leftovers,
//! so commits can vanish without an error. Here the file is read before SQLite touches it. Formats:
//! <https://www.sqlite.org/fileformat2.html#walformat> and <https://www.sqlite.org/walformat.html> (the wal-index).
//!
//! A frame that is wrong, with commits of the same round after it, is damage if there are two: each commit was synced
//! before the next began, so a power cut can tear the last one only. Where the wal-index is still there from a process that
//! was killed, it says which frame was the last one committed.

use std::io::Read as _;
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Big-endian words in the checksum if the last bit is set.
const MAGIC: u32 = 0x377f_0682;

/// What a WAL turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wal {
    /// There is no file, or an empty one.
    Absent,
    /// It holds so many frames up to its last commit.
    Sound(u32),
    /// Commits are missing.
    Damaged,
}

/// Reads a WAL and the wal-index beside it.
pub(super) fn look(wal: &Path, shm: &Path) -> std::io::Result<Wal> {
    let mut bytes = Vec::new();
    match std::fs::File::open(wal) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Wal::Absent),
        Err(error) => return Err(error),
    };
    let index = std::fs::read(shm).unwrap_or_default();
    Ok(judge(&bytes, &index))
}

fn judge(wal: &[u8], index: &[u8]) -> Wal {
    if wal.is_empty() {
        return Wal::Absent;
    }
    let Some(round) = Round::read(wal) else { return Wal::Damaged };
    let read = round.frames(wal);
    let is_indexed = |index: &Index| index.salts == round.salts && index.last_commit > read.last_commit;
    if read.commits_after >= 2 || Index::read(index).as_ref().is_some_and(is_indexed) {
        return Wal::Damaged;
    }
    Wal::Sound(read.last_commit)
}

/// The header: which frames belong to the running round of the file.
struct Round {
    is_big_endian: bool,
    page_bytes: usize,
    salts: [u32; 2],
    checksum: [u32; 2],
}

/// What the frames of a round say.
struct Frames {
    /// The last valid frame that commits.
    last_commit: u32,
    /// Commits of the same round after the first frame that is not valid.
    commits_after: u32,
}

impl Round {
    fn read(wal: &[u8]) -> Option<Self> {
        let magic = big_endian(wal, 0)?;
        let page_bytes = big_endian(wal, 8)? as usize;
        if magic & !1 != MAGIC || !page_bytes.is_power_of_two() || !(512..=65_536).contains(&page_bytes) {
            return None;
        }
        let is_big_endian = magic & 1 == 1;
        let checksum = add(is_big_endian, [0, 0], wal.get(..24)?);
        let salts = [big_endian(wal, 16)?, big_endian(wal, 20)?];
        let is_whole = checksum == [big_endian(wal, 24)?, big_endian(wal, 28)?];
        is_whole.then_some(Self { is_big_endian, page_bytes, salts, checksum })
    }

    fn frames(&self, wal: &[u8]) -> Frames {
        let mut found = Frames { last_commit: 0, commits_after: 0 };
        let mut checksum = Some(self.checksum);
        let frames = wal[HEADER_BYTES..].chunks_exact(FRAME_HEADER_BYTES + self.page_bytes);
        for (no, frame) in (1..).zip(frames) {
            let word = |at| big_endian(frame, at).unwrap_or_default();
            let is_ours = [word(8), word(12)] == self.salts;
            let commits = word(4) != 0;
            checksum = checksum.filter(|_| is_ours).and_then(|sum| {
                let sum = add(self.is_big_endian, sum, &frame[..8]);
                let sum = add(self.is_big_endian, sum, &frame[FRAME_HEADER_BYTES..]);
                (sum == [word(16), word(20)]).then_some(sum)
            });
            match checksum {
                Some(_) if commits => found.last_commit = no,
                None if commits && is_ours => found.commits_after += 1,
                _ => {}
            }
        }
        found
    }
}

/// The first words of the wal-index.
struct Index {
    last_commit: u32,
    salts: [u32; 2],
}

impl Index {
    /// There are two copies, which differ while somebody writes.
    fn read(index: &[u8]) -> Option<Self> {
        let (first, second) = (index.get(..48)?, index.get(48..96)?);
        let is_ready = first == second && first[12] == 1;
        let native = |at: usize| Some(u32::from_ne_bytes(first.get(at..at + 4)?.try_into().ok()?));
        // The salts are kept as they stand in the WAL.
        is_ready.then_some(Self {
            last_commit: native(16)?,
            salts: [big_endian(first, 32)?, big_endian(first, 36)?],
        })
    }
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Goes on with the checksum over whole pairs of words.
fn add(is_big_endian: bool, mut sum: [u32; 2], bytes: &[u8]) -> [u32; 2] {
    let word = |four: &[u8]| {
        let four = <[u8; 4]>::try_from(four).unwrap_or_default();
        if is_big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    for pair in bytes.chunks_exact(8) {
        sum[0] = sum[0].wrapping_add(word(&pair[..4])).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(word(&pair[4..])).wrapping_add(sum[0]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 512;
    const SALTS: [u32; 2] = [7, 9];

    /// A WAL of frames that each commit, as SQLite writes it on this kind of machine.
    fn wal(frames: u32) -> Vec<u8> {
        let mut wal = Vec::new();
        for word in [MAGIC, 3_007_000, 512, 0, SALTS[0], SALTS[1]] {
            wal.extend(word.to_be_bytes());
        }
        let mut sum = add(false, [0, 0], &wal);
        wal.extend(sum.iter().flat_map(|word| word.to_be_bytes()));
        for no in 1..=frames {
            let mut frame: Vec<u8> = [no, no].iter().flat_map(|word| word.to_be_bytes()).collect();
            let page = vec![no as u8; PAGE];
            sum = add(false, add(false, sum, &frame), &page);
            for word in [SALTS[0], SALTS[1], sum[0], sum[1]] {
                frame.extend(word.to_be_bytes());
            }
            frame.extend(page);
            wal.extend(frame);
        }
        wal
    }

    fn index(last_commit: u32) -> Vec<u8> {
        let mut copy = vec![0; 48];
        copy[12] = 1;
        copy[16..20].copy_from_slice(&last_commit.to_ne_bytes());
        copy[32..36].copy_from_slice(&SALTS[0].to_be_bytes());
        copy[36..40].copy_from_slice(&SALTS[1].to_be_bytes());
        [copy.clone(), copy].concat()
    }

    fn frame_at(no: usize) -> usize {
        HEADER_BYTES + (no - 1) * (FRAME_HEADER_BYTES + PAGE)
    }

    #[test]
    fn a_whole_wal_is_sound() {
        assert_eq!(judge(&[], &[]), Wal::Absent);
        assert_eq!(judge(&wal(0), &[]), Wal::Sound(0));
        assert_eq!(judge(&wal(5), &index(5)), Wal::Sound(5));
        assert_eq!(judge(&wal(5), &index(3)), Wal::Sound(5), "an index from before");
    }

    #[test]
    fn a_flipped_bit_before_other_commits_is_damage_and_in_the_last_one_it_may_be_a_power_cut() {
        let mut flipped = wal(5);
        flipped[frame_at(3) + 100] ^= 1;
        assert_eq!(judge(&flipped, &[]), Wal::Damaged);
        let mut torn = wal(5);
        torn[frame_at(5) + 100] ^= 1;
        assert_eq!(judge(&torn, &[]), Wal::Sound(4));
        assert_eq!(judge(&torn, &index(5)), Wal::Damaged, "the index knows that it had been committed");
    }

    #[test]
    fn a_wal_that_was_cut_is_damage_if_the_index_is_there() {
        let whole = wal(5);
        let cut = &whole[..frame_at(4) + 50];
        assert_eq!(judge(cut, &index(5)), Wal::Damaged);
        assert_eq!(judge(cut, &[]), Wal::Sound(3));
    }

    #[test]
    fn frames_of_an_earlier_round_are_no_damage() {
        let mut old = wal(5);
        for no in 3..=5 {
            old[frame_at(no) + 8] ^= 1;
        }
        assert_eq!(judge(&old, &[]), Wal::Sound(2));
    }

    #[test]
    fn a_header_that_is_wrong_is_damage() {
        let mut wrong = wal(2);
        wrong[17] ^= 1;
        assert_eq!(judge(&wrong, &[]), Wal::Damaged);
        assert_eq!(judge(&vec![0; 4_000], &[]), Wal::Damaged);
    }
}
