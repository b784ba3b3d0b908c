//! `operators`.

use storepulse_shared::key::OperatorKey;
use time::OffsetDateTime;

use crate::db::ControlTx;

/// A credential as it is listed; the key itself is nowhere.
#[derive(Debug)]
pub(crate) struct Credential {
    pub credential_id: String,
    pub name: String,
    pub created_at: OffsetDateTime,
    pub revoked_at: Option<OffsetDateTime>,
}

/// Stores the hash of a key.
pub(crate) async fn add(tx: &mut ControlTx, name: &str, key: &OperatorKey) -> Result<(), sqlx::Error> {
    let hash = key.hash();
    sqlx::query!(
        "insert into operators (credential_id, name, hash) values ($1, $2, $3)",
        key.id(),
        name,
        hash.as_slice(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// All of them, newest first.
pub(crate) async fn list(tx: &mut ControlTx) -> Result<Vec<Credential>, sqlx::Error> {
    sqlx::query_as!(
        Credential,
        "select credential_id, name, created_at, revoked_at from operators order by created_at desc, credential_id",
    )
    .fetch_all(tx.connection())
    .await
}

/// Revokes an active key by its public part; returns whose it was.
pub(crate) async fn revoke(tx: &mut ControlTx, credential_id: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "update operators set revoked_at = now() where credential_id = $1 and revoked_at is null returning name",
        credential_id,
    )
    .fetch_optional(tx.connection())
    .await
}
