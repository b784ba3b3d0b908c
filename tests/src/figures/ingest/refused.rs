//! What a refusal costs: processor time of a batch answered 429, beside one that is stored.
//!
//! Both are batches of 94 samples over HTTPS, one after the other on eight connections, of eight stores each. The tenant that
//! is refused has used its allowance up for the day. The time is that of the service and PostgreSQL together; the senders' own
//! is not counted.

#![expect(clippy::disallowed_methods, reason = "limits are set from outside the service")]

use std::path::Path;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::super::figure::Figure;
use super::super::rounds;
use super::Rig;
use super::sender::Senders;
use crate::store::{self, Store};

const ROUNDS: usize = 5;
/// Batches that each of the eight sends in a turn.
const TURN_STORED: usize = 300;
const TURN_REFUSED: usize = 1_500;
const SAMPLES: usize = 94;
const RATIO_MAX: f64 = 0.05;

/// In microseconds a batch.
pub(in crate::figures) async fn measure(rig: &Rig, dir: &Path) -> anyhow::Result<Figure> {
    let mut stored = Senders::connect(rig, SAMPLES)?;
    stored.send(stored.pool_len()).await?;
    let limits = r#"{"tenant": {"requests": ["1/24h"]}}"#;
    let stores = limited_tenant(rig, "refused", 8, limits, dir).await?;
    let mut refused = Senders::of(rig, &stores)?;
    refused.pool.clone_from(&stored.pool);
    refused.send_refused(1).await?;
    let value = async || {
        rig.checkpoint().await?;
        let begun = rig.clocks()?;
        let sent = refused.send_refused(TURN_REFUSED).await?;
        let ended = rig.clocks()?;
        anyhow::ensure!(sent.taken == 0, "{} of the refused were taken", sent.taken);
        Ok(micros_each(begun, ended, sent.refused))
    };
    let limit = async || {
        rig.checkpoint().await?;
        let begun = rig.clocks()?;
        let each = TURN_STORED;
        stored.send(each).await?;
        Ok(micros_each(begun, rig.clocks()?, each * stored.all.len()))
    };
    Ok(rounds::alternate(ROUNDS, value, limit).await?.ratio_at_most(RATIO_MAX).binding())
}

#[expect(clippy::cast_precision_loss, reason = "counts of this run are far below 2^52")]
fn micros_each(begun: super::rig::Clocks, ended: super::rig::Clocks, count: usize) -> f64 {
    // Of backends that end meanwhile the kernel keeps only hundredths of a second.
    let server = ended.server.saturating_sub(begun.server);
    let taken = ended.service - begun.service + server;
    taken.as_secs_f64() * 1e6 / count as f64
}

/// A tenant of its own with so many stores, and these limits.
pub(super) async fn limited_tenant(
    rig: &Rig,
    tenant: &str,
    stores: usize,
    limits: &str,
    dir: &Path,
) -> anyhow::Result<Vec<Store>> {
    let ids: Vec<String> = (1..=stores).map(|no| format!("T{no:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let made = store::onboard(&rig.db, tenant, &ids, &rig.cloud_url(), Some(&rig.ca()), dir).await?;
    let mut admin = PgConnection::connect_with(&rig.db.admin).await?;
    sqlx::query("update tenants set limits = $2::jsonb where tenant_id = $1")
        .bind(tenant)
        .bind(limits)
        .execute(&mut admin)
        .await?;
    admin.close().await?;
    Ok(made)
}
