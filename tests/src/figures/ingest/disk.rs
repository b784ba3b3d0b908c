//! Bytes a sample in the cloud while hot: how much the inbox and `streams` grow, with indexes and TOAST.
//!
//! The batches come through the service. The WAL is not counted, nor are series, which are made once.

#![expect(clippy::disallowed_methods, reason = "sizes are no business of the service")]

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::super::figure::Figure;
use super::super::wire::bytes_a_sample;
use super::Rig;
use super::sender::Senders;

/// Batches that each of the eight stores sends.
const BATCHES: usize = 500;

pub(in crate::figures) const SIZES: [usize; 2] = [94, 1_000];

pub(in crate::figures) async fn measure(size: usize, rig: &Rig) -> anyhow::Result<Figure> {
    let mut senders = Senders::connect(rig, size)?;
    senders.send(senders.pool_len()).await?;
    let before = bytes(rig).await?;
    let sent = senders.send(BATCHES).await?;
    let grown = usize::try_from(bytes(rig).await? - before)?;
    let figure = Figure::new(bytes_a_sample(grown, sent.samples));
    let most = if size == 94 { 18.0 } else { 4.0 };
    Ok(figure.beside(bytes_a_sample(sent.bytes, sent.samples)).at_most(most).binding())
}

/// Of every partition, since midnight may pass.
async fn bytes(rig: &Rig) -> anyhow::Result<i64> {
    let mut admin = PgConnection::connect_with(&rig.db.admin).await?;
    let bytes = sqlx::query_scalar(
        "select (pg_total_relation_size('streams')
            + (select sum(pg_total_relation_size(inhrelid)) from pg_inherits
                where inhparent = 'sample_batches'::regclass))::bigint",
    );
    let bytes = bytes.fetch_one(&mut admin).await?;
    admin.close().await?;
    Ok(bytes)
}
