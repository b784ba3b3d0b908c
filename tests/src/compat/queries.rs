//! Every query that a version of the service has, with what PostgreSQL makes of it: parameters and columns by their types.
//!
//! The version before runs on the schema of this one while an upgrade goes on, so each of its queries must still be understood there,
//! and mean the same.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

/// A query and its types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Query {
    /// The text.
    pub query: String,
    /// Types of the parameters.
    pub parameters: Vec<String>,
    /// Names and types of the columns.
    pub columns: Vec<(String, String)>,
}

/// The texts that `cloud/.sqlx` has.
///
/// # Errors
/// The folder or a file of it cannot be read.
pub fn committed() -> anyhow::Result<Vec<String>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloud/.sqlx");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        let described: serde_json::Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        texts.push(described["query"].as_str().context("a file of .sqlx without a query")?.to_owned());
    }
    texts.sort();
    Ok(texts)
}

/// The queries of the version before.
///
/// # Errors
/// The file is not there, or not understood.
pub fn previous() -> anyhow::Result<Vec<Query>> {
    let path = super::folder()?.join("queries.jsonl");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// What a migrated database makes of each text: its types, or why it does not understand it.
///
/// # Errors
/// The database is away.
pub async fn understood(
    admin: &PgConnectOptions,
    texts: &[String],
) -> anyhow::Result<Vec<Result<Query, String>>> {
    let mut connection = PgConnection::connect_with(admin).await?;
    let mut all = Vec::new();
    for text in texts {
        let prepared = connection.prepare(AssertSqlSafe(text.clone()).into_sql_str()).await;
        all.push(prepared.map_err(|error| error.to_string()).map(|statement| {
            let parameters = match statement.parameters() {
                Some(Either::Left(types)) => types.iter().map(|of| of.name().to_owned()).collect(),
                _ => Vec::new(),
            };
            let of = |column: &sqlx::postgres::PgColumn| {
                (column.name().to_owned(), column.type_info().name().to_owned())
            };
            let columns = statement.columns().iter().map(of).collect();
            Query { query: text.clone(), parameters, columns }
        }));
    }
    connection.close().await?;
    Ok(all)
}
