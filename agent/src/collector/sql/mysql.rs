//! MySQL and MariaDB, in transactions that they hold to reading.
//!
//! What is sent: once a session, how long a statement may take (`max_statement_time` is MariaDB's, `max_execution_time`
//! MySQL's) and that transactions read; then for each query `start transaction read only`, the clock, the query (prepared, so
//! that it is one statement and its columns are known before it runs) and `rollback`. The session keeps the server's own
//! zone, so that `current_date` is the shop's day; times have no zone here and are compared with the server's `now()`.

use futures_util::TryStreamExt as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Executor as _, Row as _, SqlSafeStr as _,
    Statement as _, TypeInfo as _, ValueRef as _,
};

use super::super::fault::{Fault, FaultKind};
use super::answer::{Answer, Cell, Class, Clock, check_columns};
use super::moment::Moment;
use super::query::{Query, ROWS_MAX};
use super::server::{fault, password, resolve, target};
use super::settings::{Settings, Tls};
use super::wire;

/// The server does not know this variable.
const UNKNOWN_VARIABLE: u16 = 1_193;

pub(super) async fn connect(settings: &Settings) -> Result<MySqlConnection, Fault> {
    resolve(settings).await?;
    let (host, port) = target(settings);
    let mut options = MySqlConnectOptions::new()
        .host(host)
        .port(port)
        .username(settings.user.as_deref().unwrap_or_default())
        .password(&password(settings)?)
        .database(settings.database.as_deref().unwrap_or_default())
        .timezone(settings.timezone.as_deref().map(|zone| zone.replace("UTC", "+00:00")))
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .ssl_mode(match settings.tls {
            Tls::Disable => MySqlSslMode::Disabled,
            Tls::Require => MySqlSslMode::Required,
            Tls::Verify => MySqlSslMode::VerifyIdentity,
        });
    if let Some(file) = &settings.ca_file {
        options = options.ssl_ca(file);
    }
    let failed = |error: sqlx::Error| fault(&error);
    let mut connection = options.disable_statement_logging().connect().await.map_err(failed)?;
    sqlx::raw_sql("set session transaction read only").execute(&mut connection).await.map_err(failed)?;
    let limit = settings.statement_timeout;
    let mariadb = format!("set session max_statement_time = {:.3}", limit.as_secs_f64().max(0.001));
    match sqlx::raw_sql(AssertSqlSafe(mariadb)).execute(&mut connection).await {
        Ok(_) => {}
        Err(error) if is_unknown_variable(&error) => {
            let mysql = format!("set session max_execution_time = {}", limit.as_millis().max(1));
            sqlx::raw_sql(AssertSqlSafe(mysql)).execute(&mut connection).await.map_err(failed)?;
        }
        Err(error) => return Err(fault(&error)),
    }
    Ok(connection)
}

fn is_unknown_variable(error: &sqlx::Error) -> bool {
    let told = error.as_database_error().and_then(|told| told.try_downcast_ref::<MySqlDatabaseError>());
    told.is_some_and(|told| told.number() == UNKNOWN_VARIABLE)
}

pub(super) async fn ask(connection: &mut MySqlConnection, sql: &str, query: &Query) -> Result<Answer, Fault> {
    let failed = |error: sqlx::Error| fault(&error);
    sqlx::raw_sql("start transaction read only").execute(&mut *connection).await.map_err(failed)?;
    let clock = clock(connection).await?;
    let statement = connection.prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await.map_err(failed)?;
    let named = |column: &sqlx::mysql::MySqlColumn| class(column.type_info().name());
    let mut columns: Vec<(String, Class)> =
        statement.columns().iter().map(|column| (column.name().to_owned(), named(column))).collect();
    let told = |columns: &[(String, Class)]| {
        let columns: Vec<_> = columns.iter().map(|(name, class)| (name.as_str(), *class)).collect();
        check_columns(query, &columns)
    };
    // The columns of a `show` may be told only when it runs.
    if !columns.is_empty() {
        told(&columns)?;
    }
    let mut found = statement.query().fetch(&mut *connection);
    let mut rows = Vec::new();
    while rows.len() <= ROWS_MAX {
        let Some(row) = found.try_next().await.map_err(failed)? else { break };
        if columns.is_empty() {
            columns = row.columns().iter().map(|column| (column.name().to_owned(), named(column))).collect();
            told(&columns)?;
        }
        rows.push((0..row.len()).map(|at| cell(&row, at)).collect());
    }
    drop(found);
    if rows.len() > ROWS_MAX {
        return Err(Fault::new(FaultKind::TooLarge, format!("more than {ROWS_MAX} rows")));
    }
    sqlx::raw_sql("rollback").execute(&mut *connection).await.map_err(failed)?;
    Ok(Answer { columns: columns.into_iter().map(|(name, _)| name).collect(), rows, clock })
}

/// The server's clock, in UTC and in the zone of the session.
async fn clock(connection: &mut MySqlConnection) -> Result<Clock, Fault> {
    let statement = connection
        .prepare("select utc_timestamp(6) as utc, now(6) as local".into_sql_str())
        .await
        .map_err(|error| fault(&error))?;
    let row = statement.query().fetch_one(&mut *connection).await.map_err(|error| fault(&error))?;
    let (Cell::Time(Moment::Local(utc)), Cell::Time(Moment::Local(local))) = (cell(&row, 0), cell(&row, 1))
    else {
        return Err(Fault::new(FaultKind::Parse, "the server does not tell its time"));
    };
    Ok(Clock { utc, local: Some(local) })
}

fn class(name: &str) -> Class {
    match name {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" | "FLOAT" | "DOUBLE"
        | "DECIMAL" | "BIT" => Class::Number,
        _ if name.ends_with("INT UNSIGNED") => Class::Number,
        "DATETIME" | "TIMESTAMP" | "DATE" => Class::Time,
        // The longer ones have no limit that is worth the name.
        "CHAR" | "VARCHAR" | "ENUM" => Class::Text,
        // `select null as n`.
        "NULL" => Class::Any,
        _ => Class::Other,
    }
}

fn cell(row: &MySqlRow, at: usize) -> Cell {
    let Ok(value) = row.try_get_raw(at) else { return Cell::Unfit };
    if value.is_null() {
        return Cell::Null;
    }
    let kind = value.type_info().into_owned();
    // Whatever the type: the value as it came.
    let Ok(bytes) = row.try_get_unchecked::<&[u8], _>(at) else { return Cell::Unfit };
    let number = |n: Option<f64>| n.map_or(Cell::Unfit, Cell::Number);
    match kind.name() {
        "FLOAT" | "DOUBLE" => number(wire::float_le(bytes)),
        "DECIMAL" => number(std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok())),
        "BIT" => number(wire::bits(bytes)),
        "YEAR" => number(wire::integer_le(bytes, true)),
        "DATETIME" | "TIMESTAMP" | "DATE" => match wire::datetime(bytes) {
            Ok((seconds, _)) => Cell::Time(Moment::Local(seconds)),
            Err(_) => Cell::Unfit,
        },
        name => match class(name) {
            Class::Number => number(wire::integer_le(bytes, name.ends_with("UNSIGNED"))),
            Class::Text => Cell::text(bytes),
            _ => Cell::Unfit,
        },
    }
}
