//! Sealing: from open samples in the spool to a durable compressed batch, in samples per second of processor time.
//!
//! The samples were appended before, and that is not counted. The limit is what no seal can do without: encoding the same
//! batches, compressing the text, and one durable commit of it, into a plain SQLite table. On a disk that syncs slowly that
//! commit is most of it on both sides, since waiting for a disk costs the kernel time too.

use std::path::Path;

use rusqlite::Connection;
use storepulse_agent::spool::{Limits, Spool};
use storepulse_shared::batch::encode::encode;
use storepulse_shared::batch::{Batch, Lane};
use storepulse_shared::gzip;

use super::figure::Figure;
use super::reference::{EPOCH_MS, ReferenceStore};
use super::rounds;
use crate::cpu;

const ROUNDS: usize = 7;
/// Batches of one turn.
const BATCHES: usize = 100;
/// Nothing is sealed before we say so.
const LIMITS: Limits = Limits { bytes_max: 4 << 30, batch_samples_max: 20_000 };

pub(super) const SIZES: [usize; 1] = [600];

pub(super) async fn measure(size: usize, dir: &Path) -> anyhow::Result<Figure> {
    let batches = ReferenceStore::open(EPOCH_MS).batches(BATCHES, size);
    let samples = batches.iter().map(Batch::samples).sum();
    let (spool, writer) = Spool::open(&dir.join("spool"), LIMITS, EPOCH_MS)?;
    let plain = open_plain(&dir.join("plain.db"))?;
    let value = async || {
        let mut seconds = 0.0;
        for batch in &batches {
            spool.append(Lane::Normal, batch.frames.clone(), EPOCH_MS).await?;
            let begun = cpu::own()?;
            spool.seal_all(EPOCH_MS).await?;
            seconds += (cpu::own()? - begun).as_secs_f64();
        }
        Ok(per_second(samples, seconds))
    };
    let limit = async || {
        let begun = cpu::own()?;
        for batch in &batches {
            let body = gzip::compress(&encode(batch));
            plain.prepare_cached("insert into bodies (body) values (?1)")?.execute([body])?;
        }
        Ok(per_second(samples, (cpu::own()? - begun).as_secs_f64()))
    };
    let figure = rounds::alternate(ROUNDS, value, limit).await?;
    drop(spool);
    writer.join();
    Ok(figure.at_least(1e6, "1M").binding())
}

fn open_plain(path: &Path) -> anyhow::Result<Connection> {
    let db = Connection::open(path)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.execute_batch("create table bodies (id integer primary key, body blob not null)")?;
    Ok(db)
}

#[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
fn per_second(samples: usize, seconds: f64) -> f64 {
    samples as f64 / seconds
}
