//! `signing_keys`.

use time::OffsetDateTime;

use super::KeyPair;
use crate::db::ControlTx;

pub(super) async fn lock(tx: &mut ControlTx) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended('storepulse signing keys', 0))::text as "locked""#
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

/// When the newest was made.
pub(super) async fn newest(tx: &mut ControlTx) -> Result<Option<OffsetDateTime>, sqlx::Error> {
    sqlx::query_scalar!("select max(created_at) from signing_keys").fetch_one(tx.connection()).await
}

/// All, newest first.
pub(super) async fn keys(tx: &mut ControlTx) -> Result<Vec<(OffsetDateTime, KeyPair)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select key_id, private_key, public_key, created_at from signing_keys order by created_at desc, key_id"
    );
    let rows = rows.fetch_all(tx.connection()).await?;
    let pairs = rows.into_iter().map(|row| {
        (row.created_at, KeyPair { key_id: row.key_id, private: row.private_key, public: row.public_key })
    });
    Ok(pairs.collect())
}

pub(super) async fn insert(tx: &mut ControlTx, pair: &KeyPair) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into signing_keys (key_id, private_key, public_key) values ($1, $2, $3)",
        pair.key_id,
        pair.private,
        pair.public,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Those that are older than this one.
pub(super) async fn delete_before(tx: &mut ControlTx, at: OffsetDateTime) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from signing_keys where created_at < $1", at).execute(tx.connection()).await?;
    Ok(())
}
