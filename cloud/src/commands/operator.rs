//! `operator`: the keys of those who manage tenants over HTTP. A key is shown once, when it is issued.

use std::io::Write;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use storepulse_shared::key::OperatorKey;

use crate::audit::{self, Actor, Deed};
use crate::config::DatabaseArgs;
use crate::db::Db;
use crate::entry;
use crate::operator::sql;

#[derive(Args)]
pub(crate) struct OperatorArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a key and print it; it cannot be shown again
    Issue {
        /// Whose it is: a-z, 0-9, '.' and '-'
        name: String,
    },
    /// List the keys, without the keys
    List,
    /// Revoke a key by its id; it opens nothing within five seconds
    Revoke {
        /// The key's public part, as `list` shows it
        credential_id: String,
    },
}

pub(crate) async fn run(db: &Db, args: OperatorArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match args.action {
        Action::Issue { name } => {
            let key = issue(db, &name).await?;
            writeln!(out, "{}", key.expose())?;
        }
        Action::List => {
            let mut tx = db.control().await?;
            for it in sql::list(&mut tx).await? {
                let state = it.revoked_at.map_or_else(|| "active".to_owned(), |at| format!("revoked {at}"));
                writeln!(out, "{}  {}  {}  {state}", it.credential_id, it.name, it.created_at)?;
            }
        }
        Action::Revoke { credential_id } => {
            let name = revoke(db, &credential_id).await?;
            writeln!(out, "revoked {credential_id} of {name}")?;
        }
    }
    Ok(())
}

/// Makes a key for an operator.
///
/// # Errors
/// The name cannot be one, or the database refused.
pub async fn issue(db: &Db, name: &str) -> anyhow::Result<OperatorKey> {
    let is_name = name.len() <= 50
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.chars().all(|c| is_edge(c) || c == '.' || c == '-');
    anyhow::ensure!(
        is_name,
        "{name:.60?} cannot name an operator: 1 to 50 of a-z, 0-9, '.' and '-', with a letter or digit at both ends"
    );
    let key = OperatorKey::issue();
    let mut tx = db.control().await?;
    sql::add(&mut tx, name, &key).await?;
    let subject = format!("operator:{name}/{}", key.id());
    let deed = Deed { action: "operator.key_issued", subject: &subject, detail: json!({}) };
    audit::record_of_operators(&mut tx, &Actor::command_line(), deed).await?;
    tx.commit().await?;
    Ok(key)
}

/// Revokes an operator's key; returns whose it was.
///
/// # Errors
/// There is no such active key.
pub async fn revoke(db: &Db, credential_id: &str) -> anyhow::Result<String> {
    let mut tx = db.control().await?;
    let name = sql::revoke(&mut tx, credential_id).await?;
    let name = name.with_context(|| {
        format!("there is no active key {credential_id:.60?}; `operator list` shows which there are")
    })?;
    entry::sql::end_all_of(&mut tx, credential_id).await?;
    let subject = format!("operator:{name}/{credential_id}");
    let deed = Deed { action: "operator.key_revoked", subject: &subject, detail: json!({}) };
    audit::record_of_operators(&mut tx, &Actor::command_line(), deed).await?;
    tx.commit().await?;
    Ok(name)
}

const fn is_edge(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}
