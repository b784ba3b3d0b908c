//! `cargo torture kills`: SIGKILL of the agent at a random moment. The kernel still has all it has written.

use std::time::Duration;

use rand::rngs::StdRng;

use super::rounds::{Blow, wait_ms};
use crate::scene::Shop;

/// How long an agent lives, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 50..1_500;

/// SIGKILL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kills;

impl Blow for Kills {
    const NAME: &str = "kills";

    async fn strike(self, shop: &mut Shop, rng: &mut StdRng) -> anyhow::Result<Option<Duration>> {
        shop.agent.restart().await?;
        tokio::time::sleep(wait_ms(rng, LIFE_MS)).await;
        shop.kill()?;
        Ok(None)
    }
}
