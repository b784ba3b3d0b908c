//! From the file to the database.

use std::io::{Read, Seek};

use serde::Deserialize;
use serde_json::json;
use storepulse_shared::ids::TenantId;
use time::{Date, Duration};

use super::file::{About, ArchiveReader, Item};
use super::{Counts, Table, sql};
use crate::audit::{self, Actor, Deed};
use crate::db::Db;
use crate::tenant::profile;

/// Bytes of rows, and rows, that one transaction takes.
const CHUNK_BYTES: usize = 4 << 20;
const CHUNK_ROWS: usize = 5_000;
/// What a tenant is called until all of it is there.
const COMPANY: &str = "(being restored)";

/// What all of the file comes to before any of it is believed.
#[derive(Debug, Default)]
struct Proved {
    tenant_row: String,
    audit_head: Option<String>,
    received: Option<(Date, Date)>,
    days: Option<(Date, Date)>,
}

/// What was restored.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Whose it is.
    pub tenant: TenantId,
    /// The domain of its own that the archive knows and that is another tenant's by now, whose it stays.
    pub domain_taken: Option<String>,
}

/// The columns that decide where a row goes.
#[derive(Deserialize)]
struct Placed {
    tenant_id: TenantId,
    received_day: Option<String>,
    day: Option<String>,
    hash: Option<String>,
}

/// Restores an archive into a database that does not have the tenant, or only its mark, or what an interrupted run has left;
/// `hear` is told of each table.
///
/// # Errors
/// The archive is not whole or altered, of another schema or not of one tenant; the tenant is there; the database is away.
pub(crate) async fn restore<F: Read + Seek + Send>(
    db: &Db,
    mut file: F,
    actor: &Actor,
    mut hear: impl FnMut(Table, u64) + Send,
) -> anyhow::Result<Restored> {
    let (about, proved) = prove(&mut file)?;
    let tenant = &about.tenant;
    begin(db, &about, actor, &proved).await?;
    for (first, last) in proved.received.map(by_year).into_iter().flatten() {
        db.make_partitions_of(first, last).await?;
    }
    if let Some((first, last)) = proved.days {
        db.make_months(first, last).await?;
    }
    file.rewind()?;
    let mut reader = ArchiveReader::open(&mut file)?;
    let (mut chunk, mut rows, mut counts) = (String::new(), 0, Counts::new());
    while let Some(item) = reader.next()? {
        let (table, is_end) = match item {
            Item::Row(table, row) => {
                chunk.push(if rows == 0 { '[' } else { ',' });
                chunk.push_str(&row);
                rows += 1;
                (table, false)
            }
            Item::End(table, _) => (table, true),
        };
        if rows > 0 && (is_end || rows >= CHUNK_ROWS || chunk.len() >= CHUNK_BYTES) {
            chunk.push(']');
            *counts.entry(table.name()).or_default() += put(db, tenant, table, &chunk).await?;
            (chunk, rows) = (String::new(), 0);
        }
        if is_end {
            hear(table, counts.get(table.name()).copied().unwrap_or_default());
        }
    }
    let mut control = db.control().await?;
    sql::lock_tenant(&mut control, tenant).await?;
    profile::lock_domains(&mut control).await?;
    let domain_taken = sql::describe(&mut control, tenant, &proved.tenant_row).await?;
    let subject = format!("tenant:{tenant}");
    let detail = json!({ "rows": counts, "audit_head": proved.audit_head, "domain_taken": domain_taken });
    audit::record(&mut control, tenant, actor, Deed { action: "tenant.restored", subject: &subject, detail })
        .await?;
    control.commit().await?;
    Ok(Restored { tenant: about.tenant, domain_taken })
}

/// Makes sure that there is room for it, and leaves the mark by which an interrupted run is known.
async fn begin(db: &Db, about: &About, actor: &Actor, proved: &Proved) -> anyhow::Result<()> {
    let tenant = &about.tenant;
    let mut control = db.control().await?;
    let schema = sql::schema(&mut control).await?;
    anyhow::ensure!(
        schema == about.schema,
        "the archive is of schema {}, this database has {schema}: restore it with that version and migrate then",
        about.schema
    );
    let is_ours = match sql::lock_tenant(&mut control, tenant).await? {
        None => true,
        Some((status, is_empty)) => {
            status == "inactive" && (is_empty || sql::is_called(&mut control, tenant, COMPANY).await?)
        }
    };
    anyhow::ensure!(
        is_ours,
        "tenant {tenant} is in this database already: nothing was changed; erase it first, or restore into another database"
    );
    sql::mark(&mut control, tenant, COMPANY).await?;
    let subject = format!("tenant:{tenant}");
    let detail = json!({ "audit_head": proved.audit_head });
    audit::record(
        &mut control,
        tenant,
        actor,
        Deed { action: "tenant.restoring", subject: &subject, detail },
    )
    .await?;
    Ok(control.commit().await?)
}

async fn put(db: &Db, tenant: &TenantId, table: Table, rows: &str) -> anyhow::Result<u64> {
    match table {
        // The row is there, and described at the end; the audit goes on from the entry that names its head.
        Table::Tenants | Table::AuditEntries => Ok(0),
        table if table.is_of_the_living() => Ok(0),
        table if table.is_control() => {
            let mut tx = db.control().await?;
            let done = sql::insert_control(&mut tx, tenant, table, rows).await?;
            tx.commit().await?;
            Ok(done)
        }
        table => {
            let mut tx = db.tenant(tenant).await?;
            let done = sql::insert_data(&mut tx, table, rows).await?;
            tx.commit().await?;
            Ok(done)
        }
    }
}

/// Reads it through: it is whole, and every row is of the tenant that it names.
fn prove(file: impl Read) -> anyhow::Result<(About, Proved)> {
    let mut reader = ArchiveReader::open(file)?;
    let about = reader.about().clone();
    let mut proved = Proved::default();
    while let Some(item) = reader.next()? {
        let Item::Row(table, row) = item else { continue };
        let placed: Placed = serde_json::from_str(&row)?;
        anyhow::ensure!(
            placed.tenant_id == about.tenant,
            "the archive is of tenant {}, and has a row of {} in {}: it is refused",
            about.tenant,
            placed.tenant_id,
            table.name()
        );
        match table {
            Table::Tenants => proved.tenant_row = row,
            Table::AuditEntries => proved.audit_head = placed.hash,
            Table::SampleBatches => widen(&mut proved.received, placed.received_day.as_deref())?,
            Table::SeriesDays => widen(&mut proved.days, placed.day.as_deref())?,
            _ => {}
        }
    }
    anyhow::ensure!(!proved.tenant_row.is_empty(), "the archive has no tenant in it");
    Ok((about, proved))
}

fn widen(span: &mut Option<(Date, Date)>, day: Option<&str>) -> anyhow::Result<()> {
    let day =
        Date::parse(day.unwrap_or_default(), time::macros::format_description!("[year]-[month]-[day]"))?;
    *span = Some(span.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
    Ok(())
}

/// Pieces for which partitions can be made in one call.
fn by_year((first, last): (Date, Date)) -> Vec<(Date, Date)> {
    let mut pieces = Vec::new();
    let mut from = first;
    while from <= last {
        let to = (from + Duration::days(364)).min(last);
        pieces.push((from, to));
        from = to + Duration::days(1);
    }
    pieces
}
