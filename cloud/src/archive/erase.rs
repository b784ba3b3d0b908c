//! Away with everything of a tenant but a mark, the audit, and the number that its series have come to.

use anyhow::Context as _;
use serde_json::json;
use storepulse_shared::ids::TenantId;

use super::{Counts, Table, sql};
use crate::audit::{self, Actor, Deed};
use crate::db::Db;

/// What the mark is called.
const COMPANY: &str = "(erased)";

/// Erases a tenant that is inactive; `hear` is told of each store and table. Interrupted, it is simply run again.
///
/// # Errors
/// There is no such tenant, it is not inactive, or the database is away.
pub(crate) async fn erase(
    db: &Db,
    tenant: &TenantId,
    actor: &Actor,
    mut hear: impl FnMut(&str, u64) + Send,
) -> anyhow::Result<Counts> {
    let mut control = db.control().await?;
    let found = sql::lock_tenant(&mut control, tenant).await?;
    let (status, _) = found.with_context(|| format!("tenant {tenant} does not exist"))?;
    anyhow::ensure!(
        status == "inactive",
        "tenant {tenant} is {status}: only an inactive one can be erased, `tenant status --tenant {tenant} suspended`, then `… inactive`, makes it so"
    );
    let deed = Deed { action: "tenant.erasing", subject: &format!("tenant:{tenant}"), detail: json!({}) };
    audit::record(&mut control, tenant, actor, deed).await?;
    control.commit().await?;

    let mut counts = Counts::new();
    let mut add = |what: &'static str, rows: u64| *counts.entry(what).or_default() += rows;
    let mut data = db.tenant(tenant).await?;
    let stores = sql::stores(&mut data).await?;
    data.rollback().await?;
    // The many rows store by store, so that no transaction is long.
    for store in stores {
        let mut data = db.tenant(tenant).await?;
        let days = sql::delete_days(&mut data, &store).await?;
        let batches = sql::delete_inbox(&mut data, &store).await?;
        data.commit().await?;
        add(Table::SeriesDays.name(), days);
        add(Table::SampleBatches.name(), batches);
        hear(&store, days + batches);
    }
    let mut data = db.tenant(tenant).await?;
    for table in Table::ALL.into_iter().rev() {
        // The counter stays: an id of a series that somebody may still remember never becomes another one's.
        let stays = matches!(table, Table::SampleBatches | Table::SeriesDays | Table::SeriesCounters);
        if !table.is_control() && !stays {
            let rows = sql::delete_data(&mut data, table).await?;
            add(table.name(), rows);
            hear(table.name(), rows);
        }
    }
    data.commit().await?;
    let mut control = db.control().await?;
    for table in [
        Table::OperatorEntries,
        Table::StoreKeys,
        Table::AgentSettings,
        Table::StoreSettings,
        Table::Stores,
        Table::TenantSettings,
    ] {
        let rows = sql::delete_control(&mut control, tenant, table).await?;
        add(table.name(), rows);
        hear(table.name(), rows);
    }
    sql::mark(&mut control, tenant, COMPANY).await?;
    for chain in [Some(tenant), None] {
        let (subject, detail) = (format!("tenant:{tenant}"), json!({ "rows": counts }));
        let deed = Deed { action: "tenant.erased", subject: &subject, detail };
        match chain {
            Some(tenant) => audit::record(&mut control, tenant, actor, deed).await?,
            None => audit::record_of_operators(&mut control, actor, deed).await?,
        }
    }
    control.commit().await?;
    Ok(counts)
}
