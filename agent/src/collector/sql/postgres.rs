//! PostgreSQL, in transactions that it holds to reading.
//!
//! What is sent: `begin transaction read only` with limits for this transaction alone, the clock, the query (prepared, so
//! that it is one statement and its columns are known before it runs), `rollback`. The session is begun with
//! `default_transaction_read_only`; nothing is set for longer than a transaction otherwise, since behind a pool of
//! connections it would stay with whoever comes next.
//!
//! Before sqlx connects, the server is asked whether it speaks TLS (`SSLRequest`, eight bytes, answered by one). sqlx makes
//! room for whatever length it is told, and what another protocol says can be read as gigabytes: "SSH-2.0" is a message of
//! 1.4 GB, and a small box ends a process that asks for that.

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _,
    Statement as _, TypeInfo as _, ValueRef as _,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::fault::{Fault, FaultKind};
use super::super::link;
use super::answer::{Answer, Cell, Class, Clock, check_columns};
use super::moment::Moment;
use super::query::{Query, ROWS_MAX};
use super::server::{fault, password, target};
use super::settings::{Settings, Tls};
use super::wire;

/// How many times the limit of a statement a transaction may be idle; then we are gone, and the server must not wait for us.
const IDLE: u128 = 3;

/// Does this server speak TLS? Anyone may ask.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Whether a PostgreSQL answers there.
async fn greet(settings: &Settings) -> Result<(), Fault> {
    let (host, port) = target(settings);
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut stream = link::connect(&target, settings.timeout).await?;
    let mut answer = [0; 64];
    let asked = async {
        stream.write_all(&SSL_REQUEST).await?;
        stream.read(&mut answer).await
    };
    match asked.await {
        Err(error) => Err(Fault::new(FaultKind::Refused, format!("{target}: {error}"))),
        Ok(0) => Err(Fault::new(FaultKind::Refused, format!("{target} closes the connection"))),
        Ok(1) if matches!(answer[0], b'S' | b'N') => Ok(()),
        Ok(_) if answer[0] == b'E' => {
            Err(Fault::new(FaultKind::Refused, format!("{target} takes no connection now")))
        }
        Ok(_) => Err(Fault::new(FaultKind::Framing, format!("{target} is not a PostgreSQL server"))),
    }
}

pub(super) async fn connect(settings: &Settings) -> Result<PgConnection, Fault> {
    greet(settings).await?;
    let (host, port) = target(settings);
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(host)
        .port(port)
        .username(settings.user.as_deref().unwrap_or_default())
        .password(&password(settings)?)
        .database(settings.database.as_deref().unwrap_or_default())
        .application_name("storepulse-agent")
        .options([("default_transaction_read_only", "on")])
        .ssl_mode(match settings.tls {
            Tls::Disable => PgSslMode::Disable,
            Tls::Require => PgSslMode::Require,
            Tls::Verify => PgSslMode::VerifyFull,
        });
    if let Some(file) = &settings.ca_file {
        options = options.ssl_root_cert(file);
    }
    options.disable_statement_logging().connect().await.map_err(|error| fault(&error))
}

pub(super) async fn ask(
    connection: &mut PgConnection,
    sql: &str,
    query: &Query,
    settings: &Settings,
) -> Result<Answer, Fault> {
    let failed = |error: sqlx::Error| fault(&error);
    sqlx::raw_sql(AssertSqlSafe(begin(settings))).execute(&mut *connection).await.map_err(failed)?;
    let clock = clock(connection, settings).await?;
    let statement = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map_err(failed)?;
    let named = |column: &sqlx::postgres::PgColumn| class(column.type_info().name());
    let columns: Vec<_> = statement.columns().iter().map(|column| (column.name(), named(column))).collect();
    check_columns(query, &columns)?;
    let mut found = statement.query().fetch(&mut *connection);
    let mut rows = Vec::new();
    while rows.len() <= ROWS_MAX {
        let Some(row) = found.try_next().await.map_err(failed)? else { break };
        rows.push((0..row.len()).map(|at| cell(&row, at)).collect());
    }
    drop(found);
    if rows.len() > ROWS_MAX {
        // More is on its way, and would have to be read.
        return Err(Fault::new(FaultKind::TooLarge, format!("more than {ROWS_MAX} rows")));
    }
    sqlx::raw_sql("rollback").execute(&mut *connection).await.map_err(failed)?;
    Ok(Answer { columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(), rows, clock })
}

/// Nothing of it comes from outside but the zone, whose letters were checked.
fn begin(settings: &Settings) -> String {
    let limit = settings.statement_timeout.as_millis().max(1);
    let zone = match &settings.timezone {
        None => String::new(),
        Some(zone) if settings.east().is_some() && zone != "UTC" => {
            format!("; set local time zone interval '{zone}' hour to minute")
        }
        Some(zone) => format!("; set local time zone '{zone}'"),
    };
    format!(
        "begin transaction read only; set local statement_timeout = {limit}; set local lock_timeout = {limit}; set local idle_in_transaction_session_timeout = {}{zone}",
        limit * IDLE
    )
}

/// The server's clock, in UTC and in the zone of the session.
async fn clock(connection: &mut PgConnection, settings: &Settings) -> Result<Clock, Fault> {
    let statement = connection
        .prepare("select clock_timestamp() as utc, clock_timestamp()::timestamp as local".into_sql_str())
        .await
        .map_err(|error| fault(&error))?;
    let row = statement.query().fetch_one(&mut *connection).await.map_err(|error| fault(&error))?;
    let (Cell::Time(Moment::Instant(utc)), Cell::Time(Moment::Local(local))) = (cell(&row, 0), cell(&row, 1))
    else {
        return Err(Fault::new(FaultKind::Parse, "the server does not tell its time"));
    };
    Ok(Clock { utc, local: settings.timezone.as_ref().map(|_| local) })
}

fn class(name: &str) -> Class {
    match name {
        "BOOL" | "INT2" | "INT4" | "INT8" | "FLOAT4" | "FLOAT8" | "NUMERIC" => Class::Number,
        "TIMESTAMP" | "TIMESTAMPTZ" | "DATE" => Class::Time,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" => Class::Text,
        _ => Class::Other,
    }
}

fn cell(row: &PgRow, at: usize) -> Cell {
    let Ok(value) = row.try_get_raw(at) else { return Cell::Unfit };
    if value.is_null() {
        return Cell::Null;
    }
    let kind = value.type_info().into_owned();
    let Ok(bytes) = value.as_bytes() else { return Cell::Unfit };
    let number = |n: Option<f64>| n.map_or(Cell::Unfit, Cell::Number);
    let time = |kind: fn(f64) -> Moment, s: Option<f64>| s.map_or(Cell::Unfit, |s| Cell::Time(kind(s)));
    match kind.name() {
        "BOOL" | "INT2" | "INT4" | "INT8" => number(wire::integer_be(bytes)),
        "FLOAT4" | "FLOAT8" => number(wire::float_be(bytes)),
        "NUMERIC" => number(wire::numeric(bytes).ok().map(|(n, _)| n)),
        "TIMESTAMP" => time(Moment::Local, wire::timestamp(bytes)),
        "TIMESTAMPTZ" => time(Moment::Instant, wire::timestamp(bytes)),
        "DATE" => time(Moment::Local, wire::date(bytes)),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" => Cell::text(bytes),
        _ => Cell::Unfit,
    }
}
