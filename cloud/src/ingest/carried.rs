//! Batches that a person carried here in a file: the same flow as over HTTP, and the same receipts.
//!
//! Whoever calls has proved whose they are: the file is sealed with a key of the store.

use storepulse_shared::answer::Ack;
use storepulse_shared::export::ExportedBatch;
use storepulse_shared::gzip;
use storepulse_shared::limits::BODY_BYTES_MAX;
use storepulse_shared::request::{BodyError, RequestHead};

use super::sql::receipts::Sender;
use super::take::{Received, take_batch};
use crate::app::App;
use crate::auth::StoreAuth;
use crate::problem::ApiError;

/// Takes a carried batch, once.
pub(crate) async fn take_carried(app: &App, auth: &StoreAuth, batch: ExportedBatch) -> Result<Ack, ApiError> {
    let ExportedBatch { header, body } = batch;
    let gzipped = body.starts_with(&gzip::MAGIC);
    let head = RequestHead { batch: Some(header.clone()), gzipped, idempotency_key: None };
    head.check_arrival(&body)?;
    let received = if body.len() > BODY_BYTES_MAX {
        Err(BodyError::TooLong(body.len()))
    } else {
        // The agent's version and host are not in a file; what the stream's row knows of them stays.
        Ok(Received { bytes: body.into(), head, sender: Sender::default() })
    };
    take_batch(app, auth, &header, &received).await
}
