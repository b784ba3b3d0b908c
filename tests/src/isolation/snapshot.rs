//! Everything that the database holds of one store, and of its tenant, as text: equal before and after, or somebody
//! else has written there.

use std::collections::BTreeMap;

use super::case::Case;
use super::place::Place;
use super::session::{Session, quote};
use super::world::World;

/// Rows by table, sorted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    of: String,
    tables: BTreeMap<String, Vec<String>>,
}

/// Tables with tenants, and whether they have stores.
const TABLES: &str = "select c.oid::regclass::text, bool_or(a.attname = 'store_id')::text
    from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    group by c.oid having bool_or(a.attname = 'tenant_id') order by 1";

/// Everything that is not of this tenant, by table.
///
/// # Errors
/// The server refused.
pub async fn of_all_but(admin: &mut Session, tenant: &str) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let (mut tables, tenant) = (BTreeMap::new(), quote(tenant));
    for row in admin.run(TABLES).await?.rows {
        let [Some(table), _] = row.as_slice() else { continue };
        let rows = format!(
            "select row_to_json(whole)::text from {table} whole where tenant_id <> {tenant} order by 1"
        );
        tables.insert(table.clone(), admin.run(&rows).await?.column());
    }
    Ok(tables)
}

impl Snapshot {
    /// Reads it as the superuser, who sees all. When a key was last used is its owner's doing.
    pub(super) async fn take(world: &World, place: &Place) -> anyhow::Result<Self> {
        let mut admin = Session::open(&world.db.admin).await?;
        let mut tables = BTreeMap::new();
        for row in admin.run(TABLES).await?.rows {
            let [Some(table), Some(has_stores)] = row.as_slice() else { continue };
            let tenant = quote(place.tenant.as_str());
            let store = quote(place.store.as_str());
            // That a sibling's key was turned away stands in the audit of their tenant.
            let of_store = match (has_stores.as_str(), table.as_str()) {
                ("true", _) => format!("and store_id = {store}"),
                (_, "audit_entries") => "and action <> 'request.refused'".to_owned(),
                _ => String::new(),
            };
            let rows = format!(
                "select (to_jsonb(whole) - 'last_used_at')::text from {table} whole where tenant_id = {tenant} {of_store} order by 1"
            );
            tables.insert(table.clone(), admin.run(&rows).await?.column());
        }
        admin.close().await?;
        Ok(Self { of: place.name(), tables })
    }

    /// A case for every table: nothing in it has changed since.
    pub(super) fn compare(&self, after: &Self, meanwhile: &str) -> Vec<Case> {
        let case = |(table, rows): (&String, &Vec<String>)| {
            let now = after.tables.get(table).map(Vec::as_slice).unwrap_or_default();
            let changed = || {
                let row = rows.iter().zip(now).find(|(before, now)| before != now);
                format!("{} rows, now {}; first change: {row:?}", rows.len(), now.len())
            };
            let name = format!("{table} of {} is untouched by {meanwhile}", self.of);
            Case::holds(name, rows.as_slice() == now, changed)
        };
        self.tables.iter().map(case).collect()
    }
}
