//! Taking batches in the cloud: processor time per sample, of the service and PostgreSQL together.
//!
//! Eight stores of one tenant send over TLS, a connection each, one batch after the other, as agents do; what the senders
//! themselves burn is not counted. The limit is a loop of the very statement that the service runs, without HTTP, receipts'
//! look-up, decoding and series: eight connections as the same role, under the same policies, in the same transactions,
//! with the arrays that the service had stored for the same batches. There the client's time does count, since somebody
//! has to hand the arrays over. Both write into the same partition of one durable database, each turn after a checkpoint,
//! so that neither pays for the pages of the other.

pub(super) mod ack;
mod bare_loop;
pub(super) mod compaction;
pub(super) mod disk;
pub(super) mod neighbour;
pub(super) mod refused;
mod rig;
pub(super) mod sender;

use std::fmt;
use std::time::Duration;

use self::bare_loop::Loops;
pub(super) use self::rig::Rig;
use self::sender::Senders;
use super::figure::Figure;
use super::rounds::{self, median};
use super::{progress, report};

const ROUNDS: usize = 5;
/// Batches that each of the eight sends in a turn.
const TURN_BATCHES: usize = 400;
/// The service and the server may take this much of the bare loop's time.
const RATIO_MAX: f64 = 1.0 / 0.7;

pub(super) const SIZES: [usize; 3] = [64, 100, 1_000];

pub(super) async fn measure(size: usize, rig: &Rig) -> anyhow::Result<Figure> {
    let mut senders = Senders::connect(rig, size)?;
    // The service makes the series and stores each batch once; the loop takes the arrays from there.
    senders.send(senders.pool_len()).await?;
    let mut loops = Loops::connect(rig, &senders).await?;
    let (mut of_service, mut of_loop) = (Split::default(), Split::default());
    let value = async || {
        rig.checkpoint().await?;
        let begun = rig.clocks()?;
        let sent = senders.send(TURN_BATCHES).await?;
        let ended = rig.clocks()?;
        Ok(of_service.add(ended.service - begun.service, ended.server - begun.server, sent.samples))
    };
    let limit = async || {
        rig.checkpoint().await?;
        let begun = rig.clocks()?;
        let samples = loops.insert(TURN_BATCHES).await?;
        let ended = rig.clocks()?;
        Ok(of_loop.add(ended.client - begun.client, ended.server - begun.server, samples))
    };
    let figure = rounds::alternate(ROUNDS, value, limit).await?;
    progress::say(&format!("    service {of_service}  beside  client {of_loop}"))?;
    let figure = figure.ratio_at_most(RATIO_MAX).binding();
    Ok(if size == 1_000 { figure.at_most(1.0) } else { figure })
}

/// Microseconds of each turn, by who took them.
#[derive(Default)]
struct Split {
    program: Vec<f64>,
    server: Vec<f64>,
}

impl Split {
    /// Takes a turn in, and returns what it came to in all, per sample.
    #[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
    fn add(&mut self, program: Duration, server: Duration, samples: usize) -> f64 {
        let a_sample = |taken: Duration| taken.as_secs_f64() * 1e6 / samples as f64;
        self.program.push(a_sample(program));
        self.server.push(a_sample(server));
        a_sample(program + server)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |turns: &[f64]| report::number(median(turns.to_vec()));
        write!(f, "{} + PostgreSQL {}", of(&self.program), of(&self.server))
    }
}
