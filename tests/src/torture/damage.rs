//! `cargo torture damage`: SIGKILL of the agent, and damage to what it leaves on its disk: flipped bits, truncation, zeroed
//! pages, in the database and its write-ahead log, and a log that is gone.
//!
//! Samples may be lost here, but never in silence: what is absent must lie within a range that the agent has told, and
//! nothing is stored twice. Collection must be back at once. The wal-index stays, as it does when a process is killed.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use storepulse_agent::spool::FILE;

use super::rounds::{Blow, wait_ms};
use crate::scene::Shop;

/// How long an agent lives, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 200..1_500;
/// Bytes of a page of the database.
const PAGE_BYTES: u64 = 4_096;
/// Bits flipped at once, at most.
const BITS_MAX: u32 = 8;
/// How long it may take from the start of the process until a sample is durable again.
const BACK_MAX: Duration = Duration::from_secs(1);

/// Lines of an agent's log that are told of one that was late.
const LINES_TOLD: usize = 20;

/// Damage on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damage;

impl Blow for Damage {
    const NAME: &str = "damages";
    const LOSSES_ARE_TOLD: bool = true;

    async fn strike(self, shop: &mut Shop, rng: &mut StdRng) -> anyhow::Result<Option<Duration>> {
        let was_there = damage(&shop.agent.spool_dir(), rng)?;
        let begun = Instant::now();
        shop.agent.restart().await?;
        let back = shop.until_a_push_is_answered(begun).await?;
        if Self::is_late(back) {
            let said = shop.agent.said();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_TOLD)..];
            writeln!(stderr(), "  late, after {} ms:\n{}", back.as_millis(), last.join("\n"))?;
        }
        tokio::time::sleep(wait_ms(rng, LIFE_MS)).await;
        shop.kill()?;
        Ok(was_there.then_some(back))
    }

    fn is_late(back: Duration) -> bool {
        back > BACK_MAX
    }
}

/// Damages one of the files; `false` if there is none yet.
fn damage(dir: &Path, rng: &mut StdRng) -> anyhow::Result<bool> {
    let (database, wal) = (dir.join(FILE), dir.join(format!("{FILE}-wal")));
    if !database.exists() {
        return Ok(false);
    }
    let file = if wal.exists() && rng.random() { &wal } else { &database };
    match rng.random_range(0..4) {
        0 => flip_bits(file, rng)?,
        1 => truncate(file, rng)?,
        2 => zero_a_page(file, rng)?,
        _ if wal.exists() => fs::remove_file(&wal)?,
        _ => flip_bits(&database, rng)?,
    }
    Ok(true)
}

fn flip_bits(path: &Path, rng: &mut StdRng) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    for _ in 0..rng.random_range(1..=BITS_MAX) {
        if len == 0 {
            break;
        }
        let at = rng.random_range(0..len);
        let mut byte = [0];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut byte)?;
        byte[0] ^= 1 << rng.random_range(0..8);
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&byte)?;
    }
    Ok(())
}

fn truncate(path: &Path, rng: &mut StdRng) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let len = file.metadata()?.len();
    Ok(file.set_len(rng.random_range(0..=len))?)
}

fn zero_a_page(path: &Path, rng: &mut StdRng) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let pages = file.metadata()?.len() / PAGE_BYTES;
    if pages > 0 {
        file.seek(SeekFrom::Start(rng.random_range(0..pages) * PAGE_BYTES))?;
        file.write_all(&[0; PAGE_BYTES as usize])?;
    }
    Ok(())
}
