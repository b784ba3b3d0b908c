//! From the database to the file.

use std::io::Write;

use storepulse_shared::ids::TenantId;

use super::file::{About, ArchiveWriter};
use super::{Counts, Table, sql};
use crate::db::Db;

/// Writes everything of a tenant; `hear` is told of each table when it is done. `None`: there is no such tenant.
///
/// # Errors
/// The database is away, or the file cannot be written.
pub(crate) async fn write<W: Write + Send>(
    db: &Db,
    tenant: &TenantId,
    out: W,
    mut hear: impl FnMut(Table, u64) + Send,
) -> anyhow::Result<Option<(W, Counts)>> {
    // The snapshot of the data is the older one: whatever it names, its store for example, is in the control tables too.
    let mut data = db.snapshot(tenant).await?;
    let mut control = db.control().await?;
    sql::hold_still(&mut control).await?;
    let schema = sql::schema(&mut control).await?;
    let mut archive = ArchiveWriter::begin(out, &About { tenant: tenant.clone(), schema })?;
    let mut counts = Counts::new();
    for table in Table::ALL.into_iter().filter(|table| !table.is_of_the_living()) {
        archive.table(table)?;
        if table.is_control() {
            sql::read_control(&mut control, tenant, table, |row| archive.row(row)).await?;
        } else {
            sql::read_data(&mut data, table, |row| archive.row(row)).await?;
        }
        let rows = archive.end()?;
        if table == Table::Tenants && rows == 0 {
            return Ok(None);
        }
        counts.insert(table.name(), rows);
        hear(table, rows);
    }
    data.rollback().await?;
    Ok(Some((archive.finish()?, counts)))
}
