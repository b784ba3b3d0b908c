//! A spool with 256 MiB of sealed bodies, as fast as the spool can take them.
//!
//! They come as another agent's batches that are forwarded, each under a number of its own, because making as many samples
//! one by one would take minutes. The bodies are of the reference store and as large as it seals them while the link is
//! away: more than a hundred thousand rows, as many as such a spool can have in a shop.

use std::path::Path;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use storepulse_agent::spool::{Forwarded, Limits, PushVerdict, Pushed, Sender, Spool};
use storepulse_agent::time::now_ms;
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Clock, Lane};
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch};
use tokio::task::JoinSet;

use super::super::progress;
use super::super::reference::ReferenceStore;

/// Bodies together.
pub(super) const BACKLOG_BYTES: usize = 256 << 20;
const LIMITS: Limits = Limits { bytes_max: 768 << 20, batch_samples_max: 5_000 };
/// What the reference store has to say in ten minutes.
const SAMPLES: usize = 1_320;
/// Different bodies.
const POOL: usize = 64;
/// Handed in together, so that they share a commit.
const AT_ONCE: u64 = 256;
/// How far back they reach.
const BACK_MS: i64 = 3 * 24 * 3_600_000;

pub(in crate::figures) async fn fill(dir: &Path) -> anyhow::Result<()> {
    progress::say("    filling a spool with 256 MiB …")?;
    let now = now_ms();
    let batches = ReferenceStore::open(now - BACK_MS).batches(POOL, SAMPLES);
    let bodies: Vec<_> =
        batches.iter().map(|batch| (gzip::compress(&encode(batch)), batch.span(), batch.samples())).collect();
    let (spool, writer) = Spool::open(dir, LIMITS, now)?;
    let (epoch, mut seq, mut bytes) = (Epoch::random(), 0, 0);
    let mut bodies = bodies.iter().cycle();
    while bytes < BACKLOG_BYTES {
        let mut calls = JoinSet::new();
        let sealed = seq + AT_ONCE;
        for (body, span, samples) in bodies.by_ref().take(usize::try_from(AT_ONCE)?) {
            (seq, bytes) = (seq + 1, bytes + body.len());
            let header = BatchHeader {
                batch: BatchId { epoch, seq },
                lane: Lane::Normal,
                samples: u32::try_from(*samples)?,
                sealed,
                digest: BodyDigest::of(body),
                offset_ms: 0,
                clock: Clock::Ok,
                resumed: true,
                after: None,
            };
            let content = Forwarded::Batch {
                header_text: header.to_string(),
                header,
                body: body.clone(),
                span: *span,
                recovers: None,
                named: Vec::new(),
            };
            let (spool, pushed) = (spool.clone(), Pushed { sender: Sender(Vec::new()), content });
            calls.spawn(async move { spool.push(pushed, now).await });
        }
        while let Some(pushed) = calls.join_next().await {
            anyhow::ensure!(matches!(pushed??, PushVerdict::Ack(_)), "the spool did not take a batch");
        }
    }
    drop(spool);
    writer.join();
    progress::say(&format!("    {seq} batches")).map_err(Into::into)
}

/// Has the kernel forget what it holds of the files in a folder, as after a boot.
pub(super) fn forget_pages(dir: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // A killed agent leaves its socket.
        if !entry.file_type()?.is_file() {
            continue;
        }
        let file = std::fs::File::open(entry.path())?;
        // Only what is on disk already can be forgotten.
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
