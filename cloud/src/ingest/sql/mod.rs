//! The SQL of ingest, by table.

pub(super) mod idempotency;
pub(super) mod receipts;
pub(super) mod records;
pub(super) mod series;
