//! `cargo torture power-cuts`: the power of the agent and its disk goes at a random step of the disk, in the middle of
//! whatever the agent is doing. What the disk had not been told to sync is dropped, reordered and torn; see
//! [`crate::fault_vfs`]. The last start is on an ordinary disk: what was left is an ordinary database.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::rounds::{Blow, wait_ms};
use crate::fault_vfs::CUT;
use crate::roles::PowerCut;
use crate::scene::Shop;

/// Steps until a cut while an agent has never come up; making a spool takes about a hundred.
const CREATION_STEPS: std::ops::RangeInclusive<u64> = 1..=120;
/// Steps until any other cut; drawn so that each order of magnitude is as likely as the next, because opening a spool takes
/// few steps and filling its WAL many.
const STEPS_MAX: f64 = 6_000.0;
/// One cut in so many counts only the steps of the database file, so that it strikes in a checkpoint.
const AT_CHECKPOINT_ONE_IN: u32 = 8;
/// Steps of the database file until such a cut; a checkpoint takes about a hundred.
const CHECKPOINT_STEPS: std::ops::RangeInclusive<u64> = 1..=150;
/// One cut in so many comes after an orderly stop: its deletion of the WAL is not synced.
const AFTER_STOP_ONE_IN: u32 = 12;
/// How long an agent runs before such a stop, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 100..1_000;
/// What an agent says once its spool is open.
const RUNNING: &str = "agent running";

/// The power goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct PowerCuts;

impl Blow for PowerCuts {
    const NAME: &str = "power cuts";

    async fn strike(self, shop: &mut Shop, rng: &mut StdRng) -> anyhow::Result<Option<Duration>> {
        if !shop.agent.said().contains(RUNNING) {
            let at_step = rng.random_range(CREATION_STEPS);
            shop.lose_power(PowerCut { at_step, at_checkpoint: false, seed: rng.random() }).await?;
            return Ok(None);
        }
        if rng.random_ratio(1, AFTER_STOP_ONE_IN) {
            shop.lose_power_after_stop(wait_ms(rng, LIFE_MS), rng.random()).await?;
            return Ok(None);
        }
        let at_checkpoint = rng.random_ratio(1, AT_CHECKPOINT_ONE_IN);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to STEPS_MAX")]
        let at_step = if at_checkpoint {
            rng.random_range(CHECKPOINT_STEPS)
        } else {
            rng.random_range(0.0..STEPS_MAX.ln()).exp() as u64
        };
        shop.lose_power(PowerCut { at_step, at_checkpoint, seed: rng.random() }).await?;
        Ok(None)
    }

    fn struck(log: &str) -> BTreeMap<&'static str, u32> {
        let (mut ran, mut running) = (false, false);
        let mut struck = BTreeMap::new();
        for line in log.lines() {
            if let Some(step) = line.strip_prefix(CUT) {
                *struck.entry(place(step, ran, running)).or_default() += 1;
                running = false;
            } else if line.contains(RUNNING) {
                (ran, running) = (true, true);
            }
        }
        struck
    }
}

/// What the agent was doing when it took its disk's last step.
fn place(step: &str, ran: bool, running: bool) -> &'static str {
    if step.starts_with("after") {
        "stopped"
    } else if !ran {
        "creation"
    } else if !running {
        "opening"
    } else if step.contains("spool.db-wal") {
        "commit"
    } else {
        "checkpoint"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_what_the_cuts_struck() {
        let log = "power cut: create spool.db at step 1\n\
            INFO agent running version=0\n\
            power cut: sync spool.db-wal at step 400\n\
            power cut: write spool.db-wal at step 9\n\
            INFO agent running version=0\n\
            power cut: write spool.db at step 2000\n\
            INFO agent running version=0\n\
            power cut: after the agent's end\n";
        let struck = PowerCuts::struck(log);
        assert_eq!(
            struck.into_iter().collect::<Vec<_>>(),
            [("checkpoint", 1), ("commit", 1), ("creation", 1), ("opening", 1), ("stopped", 1)]
        );
    }
}
