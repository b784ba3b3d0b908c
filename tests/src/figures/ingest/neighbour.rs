//! A noisy neighbour: how long others wait for their acks while one tenant sends a hundred times its limit, beside the same
//! others while the machine is as busy with something else.
//!
//! The others are eight stores of another tenant that keep to a timetable of 30 % of what the cloud can. The noisy one sends
//! 2,000 batches a second over four connections and may send 20. What that costs (senders, service and PostgreSQL) is measured
//! first, alone; in the other windows threads that do nothing useful take as much. Not one batch of the others may be refused:
//! the measurement fails otherwise.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::figure::Figure;
use super::super::{progress, rounds};
use super::Rig;
use super::ack::{Timetable, full_pace, percentile_99_ms};
use super::refused::limited_tenant;
use super::sender::{Flood, Senders};

/// Windows of each kind, alternating.
const ROUNDS: usize = 10;
/// Acks that each of the eight waits for in a window.
const WINDOW_ACKS: usize = 150;
const SAMPLES: usize = 94;
const LOAD: f64 = 0.3;
const LIMIT_PER_S: u32 = 20;
const TIMES: u32 = 100;
const CONNECTIONS: u32 = 4;
const CALIBRATION: Duration = Duration::from_secs(3);
const RATIO_MAX: f64 = 1.5;

/// In milliseconds, the 99th percentile.
pub(in crate::figures) async fn measure(rig: &Rig, dir: &Path) -> anyhow::Result<Figure> {
    let mut others = Senders::connect(rig, SAMPLES)?;
    others.send(others.pool_len()).await?;
    let limits = format!(r#"{{"tenant": {{"requests": ["{LIMIT_PER_S}/1s"]}}}}"#);
    let stores = limited_tenant(rig, "noisy", CONNECTIONS as usize, &limits, dir).await?;
    let mut noisy = Senders::of(rig, &stores)?;
    noisy.pool.clone_from(&others.pool);
    let every = Duration::from_secs(1) * CONNECTIONS / (LIMIT_PER_S * TIMES);

    let begun = (rig.clocks()?, Instant::now());
    let flood = noisy.flood(every);
    tokio::time::sleep(CALIBRATION).await;
    let (cores, passed) = (rig.clocks()?.since(begun.0), begun.1.elapsed().as_secs_f64());
    let cores = cores.as_secs_f64() / passed;
    let told = flood.end(&mut noisy).await?;
    progress::say(&format!(
        "    the noisy one takes {cores:.2} processors, sends {}",
        told.in_words(passed)
    ))?;

    let timetable = Timetable::of(full_pace(&mut others).await?, LOAD);
    let noisy = Cell::new(Some(noisy));
    let others = Cell::new(Some(others));
    let value = async || {
        rig.checkpoint().await?;
        let (mut noisy_now, mut others_now) = (taken(&noisy)?, taken(&others)?);
        let begun = Instant::now();
        let flood: Flood = noisy_now.flood(every);
        let waits = others_now.send_by(timetable, WINDOW_ACKS).await;
        let told = flood.end(&mut noisy_now).await?;
        let times = told.per_second(begun.elapsed().as_secs_f64()) / f64::from(LIMIT_PER_S);
        anyhow::ensure!(times > 0.8 * f64::from(TIMES), "the noisy one sent only {times:.0} times its limit");
        noisy.set(Some(noisy_now));
        others.set(Some(others_now));
        Ok(percentile_99_ms(waits?))
    };
    let limit = async || {
        rig.checkpoint().await?;
        let mut others_now = taken(&others)?;
        let burner = Burner::start(cores);
        let waits = others_now.send_by(timetable, WINDOW_ACKS).await;
        burner.end();
        others.set(Some(others_now));
        Ok(percentile_99_ms(waits?))
    };
    Ok(rounds::alternate(ROUNDS, value, limit).await?.ratio_at_most(RATIO_MAX).binding())
}

fn taken(of: &Cell<Option<Senders>>) -> anyhow::Result<Senders> {
    of.take().ok_or_else(|| anyhow::anyhow!("a window before this one failed"))
}

/// Threads that take so much processor time and do nothing with it.
struct Burner {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Burner {
    const TURN: Duration = Duration::from_millis(2);

    fn start(cores: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut left = cores;
        while left > 0.0 {
            let (busy, stop) = (Self::TURN.mul_f64(left.min(1.0)), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    while begun.elapsed() < busy {
                        std::hint::spin_loop();
                    }
                    std::thread::sleep(Self::TURN.saturating_sub(begun.elapsed()));
                }
            }));
            left -= 1.0;
        }
        Self { stop, threads }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // It cannot panic.
            let _ = thread.join();
        }
    }
}
