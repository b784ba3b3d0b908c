//! Bytes a sample on the wire: what the spool hands to the uplink for the reference store.
//!
//! Body and header stand apart. What TLS and HTTP add is not counted: HTTP/2 sends a header that it has sent before in a
//! few bytes, so that most of `StorePulse-Batch` and all of the key stay, and little else.
//! The limit of the body is the same numbers bare, compressed the same way.

use std::path::Path;
use std::time::Duration;

use storepulse_agent::spool::{Limits, Next, Outgoing, Reach, Settlement, Spool, Wish};
use storepulse_shared::batch::header::NAME;
use storepulse_shared::batch::{Batch, Clock, Lane};
use storepulse_shared::gzip;

use super::codec::numbers;
use super::figure::Figure;
use super::reference::{EPOCH_MS, ReferenceStore};

/// Samples that are sent, half a day of the store; but not more than so many batches, of which each is three commits.
const SAMPLES: usize = 100_000;
const BATCHES_MAX: usize = 300;
const LIMITS: Limits = Limits { bytes_max: 4 << 30, batch_samples_max: 20_000 };

pub(super) const SIZES: [usize; 3] = [94, 600, 3_600];

/// What one size came to.
#[derive(Default)]
struct Sent {
    samples: usize,
    body: usize,
    header: usize,
    bare: usize,
}

pub(super) async fn body(size: usize, dir: &Path) -> anyhow::Result<Figure> {
    let most = match size {
        94 => 6.0,
        600 => 2.3,
        _ => 1.4,
    };
    let sent = send(size, dir).await?;
    let figure = Figure::new(bytes_a_sample(sent.body, sent.samples));
    Ok(figure.beside(bytes_a_sample(sent.bare, sent.samples)).at_most(most).binding())
}

pub(super) async fn header(size: usize, dir: &Path) -> anyhow::Result<Figure> {
    let sent = send(size, dir).await?;
    Ok(Figure::new(bytes_a_sample(sent.header, sent.samples)))
}

async fn send(size: usize, dir: &Path) -> anyhow::Result<Sent> {
    let (spool, writer) = Spool::open(dir, LIMITS, EPOCH_MS)?;
    let mut sent = Sent::default();
    for batch in ReferenceStore::open(EPOCH_MS).batches((SAMPLES / size).min(BATCHES_MAX), size) {
        spool.append(Lane::Normal, batch.frames.clone(), EPOCH_MS).await?;
        let outgoing = next(&spool).await?;
        sent.note(&batch, &outgoing)?;
        let through = vec![(outgoing.batch.epoch, outgoing.batch.seq)];
        let acked = Settlement::Acked { through, acks_before: outgoing.acks_before };
        spool.settle(outgoing.id, acked, EPOCH_MS).await?;
    }
    drop(spool);
    writer.join();
    Ok(sent)
}

async fn next(spool: &Spool) -> anyhow::Result<Outgoing> {
    // Everything open is due at once.
    let wish = Wish {
        age: [Duration::ZERO; 3],
        clock: Clock::Ok,
        in_flight: Vec::new(),
        reach: Some(Reach::Backlog),
    };
    match spool.next(wish, EPOCH_MS).await? {
        Next::Send(outgoing) => Ok(*outgoing),
        Next::Idle(_) => anyhow::bail!("the spool has nothing to send"),
    }
}

impl Sent {
    fn note(&mut self, batch: &Batch<'_>, outgoing: &Outgoing) -> anyhow::Result<()> {
        self.samples += batch.samples();
        self.body += outgoing.body.len();
        self.header += NAME.len() + outgoing.header.len();
        self.bare += gzip::compress(&serde_json::to_vec(&numbers(batch))?).len();
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
pub(super) fn bytes_a_sample(bytes: usize, samples: usize) -> f64 {
    bytes as f64 / samples as f64
}
