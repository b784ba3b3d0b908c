//! What there is to attack: the tables, views and partitions of the schema, from the catalogue, so that a new one is
//! attacked from the day of its migration.

use crate::isolation::catalogue::expected;
use crate::isolation::session::Session;

/// A table, view or partition.
#[derive(Debug)]
pub(in crate::isolation) struct Relation {
    pub name: String,
    pub is_view: bool,
    pub is_partition: bool,
    pub columns: Vec<String>,
    /// Columns that hold text.
    pub texts: Vec<String>,
}

/// All of them.
#[derive(Debug)]
pub(in crate::isolation) struct Schema(Vec<Relation>);

const RELATIONS: &str = "select c.oid::regclass::text, (c.relkind = 'v')::text, c.relispartition::text,
        string_agg(a.attname, ',' order by a.attnum),
        coalesce(string_agg(a.attname, ',') filter (where a.atttypid = 'text'::regtype), '')
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
    group by c.oid order by 1";

impl Schema {
    pub(in crate::isolation) async fn read(admin: &mut Session) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for row in admin.run(RELATIONS).await?.rows {
            let mut columns = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || columns.next().unwrap_or_default();
            let names = |list: String| list.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
            all.push(Relation {
                name: next(),
                is_view: next() == "true",
                is_partition: next() == "true",
                columns: names(next()),
                texts: names(next()),
            });
        }
        let schema = Self(all);
        anyhow::ensure!(schema.tables().count() > 0, "there is nothing to attack");
        anyhow::ensure!(schema.all().any(|relation| relation.is_partition), "there are no partitions");
        Ok(schema)
    }

    /// Everything.
    pub(in crate::isolation) fn all(&self) -> impl Iterator<Item = &Relation> {
        self.0.iter()
    }

    /// What holds tenants' rows, and is not itself a part of that.
    pub(in crate::isolation) fn with_tenants(&self) -> impl Iterator<Item = &Relation> {
        self.all().filter(|relation| !relation.is_partition && relation.has("tenant_id"))
    }

    /// The tables among them.
    pub(in crate::isolation) fn tables(&self) -> impl Iterator<Item = &Relation> {
        self.with_tenants().filter(|relation| !relation.is_view)
    }
}

impl Relation {
    /// Whether it has this column.
    pub(in crate::isolation) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c == column)
    }

    /// Whether the explicit list lets a role do this to it.
    pub(in crate::isolation) fn allows(&self, role: &str, privilege: &str) -> bool {
        expected::allows(role, &self.name, privilege)
    }

    /// All rows, each as one text.
    pub(in crate::isolation) fn select_all(&self) -> String {
        format!("select row_to_json(whole)::text from {} whole", self.name)
    }
}
