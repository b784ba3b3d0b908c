//! `sign_ups`: of no tenant yet, so on the control tables.

use std::time::Duration;

use uuid::Uuid;

use crate::db::ControlTx;

/// Nobody else signs up until this transaction ends.
pub(super) async fn lock(tx: &mut ControlTx) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended('storepulse sign-ups', 0))::text as "locked""#
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

/// Deletes what has been over for a week.
pub(super) async fn forget_old(tx: &mut ControlTx) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from sign_ups where expires_at < now() - interval '7 days'")
        .execute(tx.connection())
        .await?;
    Ok(())
}

pub(super) async fn count_open(tx: &mut ControlTx) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "open!" from sign_ups where confirmed_at is null and expires_at > now()"#
    )
    .fetch_one(tx.connection())
    .await
}

/// Within a day.
pub(super) async fn count_of(tx: &mut ControlTx, email: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "recent!" from sign_ups where email = $1 and created_at > now() - interval '1 day'"#,
        email,
    )
    .fetch_one(tx.connection())
    .await
}

/// Id, company, e-mail, language.
pub(super) async fn insert(
    tx: &mut ControlTx,
    (wanted_id, company, email, language): (&str, &str, &str, &str),
    good_for: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into sign_ups (sign_up_id, wanted_id, company, email, language, expires_at)
        values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))",
        Uuid::new_v4(),
        wanted_id,
        company,
        email,
        language,
        good_for.as_secs_f64(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A mail that waits.
pub(super) struct DueRow {
    pub sign_up_id: Uuid,
    pub wanted_id: String,
    pub company: String,
    pub email: String,
    pub language: String,
    pub attempts: i32,
}

/// Takes what is due; nobody else takes it for five minutes.
pub(super) async fn take_due(tx: &mut ControlTx, limit: i64) -> Result<Vec<DueRow>, sqlx::Error> {
    sqlx::query_as!(
        DueRow,
        "update sign_ups set due_at = now() + interval '5 minutes', attempts = attempts + 1
        where sign_up_id in (
            select sign_up_id from sign_ups
            where mailed_at is null and confirmed_at is null and due_at <= now() and expires_at > now()
            order by due_at limit $1 for update skip locked)
        returning sign_up_id, wanted_id, company, email, language, attempts",
        limit,
    )
    .fetch_all(tx.connection())
    .await
}

/// Another token; `false` if it is over.
pub(super) async fn renew(tx: &mut ControlTx, sign_up: Uuid, hash: &[u8; 32]) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update sign_ups set token_hash = $2 where sign_up_id = $1 and confirmed_at is null and expires_at > now()",
        sign_up,
        hash.as_slice(),
    );
    Ok(done.execute(tx.connection()).await?.rows_affected() == 1)
}

/// When it is tried again; `None`: it is not.
pub(super) async fn note_mail(
    tx: &mut ControlTx,
    sign_up: Uuid,
    retry_s: Option<f64>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update sign_ups set mailed_at = case when $2::float8 is null then now() end,
            due_at = now() + make_interval(secs => coalesce($2, 0))
        where sign_up_id = $1",
        sign_up,
        retry_s,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A link that is good.
pub(super) struct OpenRow {
    pub sign_up_id: Uuid,
    pub wanted_id: String,
    pub company: String,
    pub email: String,
    pub language: String,
    pub is_confirmed: bool,
}

pub(super) async fn find_open(tx: &mut ControlTx, hash: &[u8; 32]) -> Result<Option<OpenRow>, sqlx::Error> {
    sqlx::query_as!(
        OpenRow,
        r#"select sign_up_id, wanted_id, company, email, language, confirmed_at is not null as "is_confirmed!"
        from sign_ups where token_hash = $1 and expires_at > now()"#,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// The same, held until this transaction ends.
pub(super) async fn lock_open(tx: &mut ControlTx, hash: &[u8; 32]) -> Result<Option<OpenRow>, sqlx::Error> {
    sqlx::query_as!(
        OpenRow,
        r#"select sign_up_id, wanted_id, company, email, language, confirmed_at is not null as "is_confirmed!"
        from sign_ups where token_hash = $1 and expires_at > now() for no key update"#,
        hash.as_slice(),
    )
    .fetch_optional(tx.connection())
    .await
}

/// With the id that the tenant has got.
pub(super) async fn set_confirmed(
    tx: &mut ControlTx,
    sign_up: Uuid,
    tenant: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update sign_ups set confirmed_at = now(), wanted_id = $2 where sign_up_id = $1",
        sign_up,
        tenant,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
