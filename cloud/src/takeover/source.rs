//! The old table, which is only ever read: by statements that each take a piece of it and no longer than a moment, so that no
//! lock on it is held which anybody could have to wait for.
//!
//! The number of the transaction that wrote a row is its `xmin`, 32 bits of it. Below `pg_snapshot_xmin` every transaction and
//! subtransaction has ended, so what a statement sees of the rows below it is all that there will ever be of them.

use std::ops::Range;

use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use super::rows::Group;

/// Oldest server that reads a range of blocks without reading all (14.0).
const VERSION_MIN: i32 = 140_000;
/// How far ahead of where a takeover began a number of a transaction may lie; what seems farther ahead lies behind.
pub(super) const AHEAD: i64 = 1 << 30;
/// Numbers of transactions that can be told apart in a row.
const NUMBERS: i64 = 1 << 32;

/// The table of an older system.
pub(super) struct Source {
    connection: PgConnection,
    /// Quoted by the server, with its schema.
    table: String,
    /// Which it is, wherever it is reached.
    pub(super) id: String,
    oid: i64,
}

/// How far the old server is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Horizon {
    /// Below it every transaction has ended.
    pub(super) ended: i64,
    /// The first number that is not taken yet.
    pub(super) next: i64,
    pub(super) blocks: i64,
    pub(super) filenode: i64,
}

/// Rows by what they say of themselves, as the comparison counts them.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) store: String,
    pub(super) device: String,
    pub(super) metric: String,
    pub(super) rows: i64,
    pub(super) total: f64,
    /// Of these and beyond them: rows that are not read yet.
    pub(super) newer: i64,
}

/// A connection to a table that is not in our schema: its queries cannot be checked against it. All that is put into their text is
/// whole numbers, and the table's name as the server itself has quoted it.
#[expect(clippy::disallowed_methods, reason = "there is no schema of ours to prove them against")]
fn query(text: String) -> sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    sqlx::query(AssertSqlSafe(text))
}

impl Source {
    /// Logs in and finds the table.
    ///
    /// # Errors
    /// It is not there, not a table that can be read so, or lacks a column; each says what to do.
    pub(super) async fn open(login: &PgConnectOptions, table: &str) -> anyhow::Result<Self> {
        let login = login.clone().application_name("storepulse-cloud-takeover").disable_statement_logging();
        let mut connection =
            PgConnection::connect_with(&login).await.context("the older system's database")?;
        for setting in [
            // A policy of the table must not hide rows: reading fails instead.
            "set row_security = off",
            "set default_transaction_read_only = on",
            "set timezone = 'UTC'",
            "set lock_timeout = '5s'",
            "set jit = off",
        ] {
            query(setting.to_owned()).execute(&mut connection).await?;
        }
        let found = query(
            "select current_setting('server_version_num')::int, c.oid::bigint, c.relkind::text,
                format('%I.%I', n.nspname, c.relname),
                exists (select from pg_inherits i where i.inhparent = c.oid),
                (select system_identifier from pg_control_system()) || '/' ||
                    (select oid from pg_database where datname = current_database()) || '/' || c.oid
            from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)"
                .to_owned(),
        );
        let found = found.bind(table.to_owned()).fetch_optional(&mut connection).await?;
        let found = found.with_context(|| {
            format!("table {table:?} is not there: give its name with --table, with its schema if need be")
        })?;
        let version: i32 = found.try_get(0)?;
        anyhow::ensure!(
            version >= VERSION_MIN,
            "the older system runs PostgreSQL {version}; 14 or newer is needed: take its table over from a copy in a newer one"
        );
        let (kind, has_children): (String, bool) = (found.try_get(2)?, found.try_get(4)?);
        anyhow::ensure!(
            kind == "r" && !has_children,
            "{table} is not one plain table (kind {kind:?}): take each of its partitions over by its own name"
        );
        let mut source =
            Self { connection, table: found.try_get(3)?, id: found.try_get(5)?, oid: found.try_get(1)? };
        source.check_columns().await?;
        Ok(source)
    }

    /// The table's name for people, and for statements.
    pub(super) fn name(&self) -> &str {
        &self.table
    }

    async fn check_columns(&mut self) -> anyhow::Result<()> {
        let columns = query(
            "select w.name, a.atttypid::regtype::text, coalesce(a.atttypid = any (w.types), false)
            from (values ('store_id', null::regtype[]), ('device_id', null), ('metric', null),
                ('value', '{smallint,integer,bigint,real,double precision,numeric}'),
                ('timestamp', '{timestamptz,timestamp}')) as w (name, types)
            left join pg_attribute a on a.attrelid = $1::bigint::oid and a.attname = w.name and not a.attisdropped"
                .to_owned(),
        );
        for column in columns.bind(self.oid).fetch_all(&mut self.connection).await? {
            let (name, of, fits): (String, Option<String>, bool) =
                (column.try_get(0)?, column.try_get(1)?, column.try_get(2)?);
            let needs_type = matches!(name.as_str(), "value" | "timestamp");
            let of = of.with_context(|| {
                format!("{} has no column {name:?}; it needs store_id, device_id, metric, value, timestamp: rename its own", self.table)
            })?;
            anyhow::ensure!(
                fits || !needs_type,
                "column {name:?} of {} is {of}: value must be a number and timestamp a timestamp; change its type first",
                self.table
            );
        }
        Ok(())
    }

    /// How far the server is now. Rows of transactions below `ended` lie in these blocks.
    pub(super) async fn horizon(&mut self) -> anyhow::Result<Horizon> {
        let now = query(
            "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                pg_relation_size($1::bigint::oid) / current_setting('block_size')::bigint,
                pg_relation_filenode($1::bigint::oid)::bigint"
                .to_owned(),
        );
        let now = now.bind(self.oid).fetch_one(&mut self.connection).await?;
        Ok(Horizon {
            ended: now.try_get(0)?,
            next: now.try_get(1)?,
            blocks: now.try_get::<Option<i64>, _>(2)?.context("the old table is not there any more")?,
            filenode: now.try_get::<Option<i64>, _>(3)?.unwrap_or_default(),
        })
    }

    /// What transactions of these numbers have written into these blocks, and the file in which they lie.
    pub(super) async fn read(
        &mut self,
        origin: i64,
        numbers: Range<i64>,
        blocks: Range<i64>,
    ) -> anyhow::Result<(Vec<Group>, i64)> {
        let text = format!(
            "select store, device, metric, fault, count(*), min(place)::text, min(at), max(at),
                array_agg(at) filter (where fault is null), array_agg(value) filter (where fault is null)
            {} where number >= {} and number < {} group by store, device, metric, fault",
            self.rows(origin, blocks),
            numbers.start,
            numbers.end
        );
        let rows = query(text).fetch_all(&mut self.connection).await;
        let rows = rows.with_context(|| format!("reading {}", self.table))?;
        let groups = rows.iter().map(group).collect::<Result<_, _>>()?;
        Ok((groups, self.horizon().await?.filenode))
    }

    /// Counts the rows in these blocks: those below the number, and those from it on.
    pub(super) async fn count(
        &mut self,
        origin: i64,
        below: i64,
        blocks: Range<i64>,
    ) -> anyhow::Result<Vec<Counted>> {
        let text = format!(
            "select store, device, metric, count(*) filter (where number < {below}),
                coalesce(sum(value) filter (where fault is null and number < {below}), 0),
                count(*) filter (where number >= {below})
            {} group by store, device, metric",
            self.rows(origin, blocks)
        );
        let rows = query(text).fetch_all(&mut self.connection).await;
        let rows = rows.with_context(|| format!("counting {}", self.table))?;
        let of = |row: &PgRow| {
            Ok(Counted {
                store: row.try_get(0)?,
                device: row.try_get(1)?,
                metric: row.try_get(2)?,
                rows: row.try_get(3)?,
                total: row.try_get(4)?,
                newer: row.try_get(5)?,
            })
        };
        rows.iter().map(of).collect()
    }

    /// The rows in these blocks, with what is wrong with them and the number of the transaction that wrote them.
    fn rows(&self, origin: i64, blocks: Range<i64>) -> String {
        let (last, mask) = (origin + AHEAD - 1, NUMBERS - 1);
        format!(
            "from (
                select store, device, metric, value, at, place, number, case
                    when store = '' then 'store_missing' when device = '' then 'device_missing'
                    when metric = '' then 'metric_missing' when value is null then 'value_null'
                    when value in ('NaN', 'Infinity', '-Infinity') then 'value_not_finite'
                    when time is null then 'time_null' when not isfinite(time) then 'time_not_finite' end as fault
                from (
                    select left(coalesce(store_id::text, ''), 60) as store,
                        left(coalesce(device_id::text, ''), 100) as device,
                        left(coalesce(metric::text, ''), 520) as metric,
                        value::double precision as value, \"timestamp\"::timestamptz as time,
                        case when isfinite(\"timestamp\") then
                            round(greatest(-9e18, least(9e18, date_part('epoch', \"timestamp\"::timestamptz) * 1e6)))::bigint / 1000
                        end as at,
                        ctid as place,
                        -- Below 3: of the time before all transactions.
                        case when xmin::text::bigint < 3 then 0
                            else {last} - (({last} - xmin::text::bigint) & {mask}) end as number
                    from only {} where ctid >= '({},0)' and ctid < '({},0)'
                ) as seen
            ) as judged",
            self.table, blocks.start, blocks.end
        )
    }
}

fn group(row: &PgRow) -> Result<Group, sqlx::Error> {
    let times: Option<Vec<i64>> = row.try_get(8)?;
    let values: Option<Vec<f64>> = row.try_get(9)?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get(6)?, row.try_get(7)?);
    Ok(Group {
        store: row.try_get(0)?,
        device: row.try_get(1)?,
        metric: row.try_get(2)?,
        fault: row.try_get(3)?,
        rows: row.try_get(4)?,
        example: row.try_get(5)?,
        span: first.zip(last),
        samples: times.unwrap_or_default().into_iter().zip(values.unwrap_or_default()).collect(),
    })
}
