//! A store in the world of the suite: its key, its spool's epochs, and the texts that give it away.

use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Batch, Clock, Lane, encode};
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch, StoreId, TenantId};
use storepulse_shared::key::StoreKey;

use super::canary::Canary;
use super::keys;
use super::wire::Request;
use crate::store::Store;

/// The way of batches.
pub(super) const BATCH_PATH: &str = "/v1/metrics/batch";

/// One store of one tenant.
#[derive(Debug, Clone)]
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// The store.
    pub store: StoreId,
    /// Its key.
    pub key: StoreKey,
    /// The opening of its spool that has sent batches 1 and 2 and closed 3.
    pub epoch: Epoch,
    /// The opening before that, of which the cloud knows only what `after` said.
    pub earlier: Epoch,
    /// The epoch that the cloud made for its flat bodies.
    pub flat_epoch: Option<Epoch>,
    /// Stands in all its texts.
    pub word: String,
    /// The whole part of all its values.
    pub base: f64,
    /// How many series it has that others have not: another number in each tenant.
    pub more_series: u32,
}

impl Place {
    /// Tenants' bases differ by ten thousands, those of their stores by ones.
    pub(super) fn new(store: &Store, base: u32) -> Self {
        Self {
            word: format!("canary-{}-{}", store.tenant, store.id),
            tenant: store.tenant.clone(),
            store: store.id.clone(),
            key: store.key.clone(),
            epoch: Epoch::random(),
            earlier: Epoch::random(),
            flat_epoch: None,
            base: f64::from(base),
            more_series: base / 10_000 % 10,
        }
    }

    /// `la-villa/T01`
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.tenant, self.store)
    }

    /// What is nowhere but in this store's data.
    #[must_use]
    pub fn canaries(&self) -> Vec<Canary> {
        let texts = [
            self.word.clone(),
            format!("{}.", self.base),
            self.epoch.to_string(),
            self.earlier.to_string(),
            self.flat_epoch.map(|epoch| epoch.to_string()).unwrap_or_default(),
            self.key.id().unwrap_or_default().to_owned(),
            keys::hex(&self.key),
        ];
        let texts = texts.into_iter().filter(|text| !text.is_empty());
        texts.map(|text| Canary { of: self.name(), text }).collect()
    }

    /// The value of its `Authorization`.
    #[must_use]
    pub fn bearer(&self) -> String {
        keys::bearer(&self.key)
    }

    /// A request of its agent.
    pub(super) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target).with("host", "storepulse.example").with("authorization", &self.bearer())
    }

    /// Sends a batch under this number, as its agent would.
    pub(super) fn post(
        &self,
        id: BatchId,
        batch: &Batch<'_>,
        more: impl FnOnce(&mut BatchHeader),
    ) -> Request {
        let body = gzip::compress(&encode::encode(batch));
        let mut header = header(id, BodyDigest::of(&body));
        header.samples = u32::try_from(batch.samples()).unwrap_or(u32::MAX);
        more(&mut header);
        let mut request = self
            .request("POST", BATCH_PATH)
            .with("content-encoding", "gzip")
            .with("user-agent", &format!("storepulse-agent/{} ({})", self.word, self.word))
            .with("storepulse-batch", &header.to_string());
        request.body = body;
        request
    }

    /// Closes this number.
    pub(super) fn delete(&self, id: BatchId) -> Request {
        let header = header(id, BodyDigest([0; 8]));
        self.request("DELETE", BATCH_PATH).with("storepulse-batch", &header.to_string())
    }

    /// Sends a body in the flat form.
    pub(super) fn post_flat(&self, idempotency_key: &str, body: &str) -> Request {
        let mut request = self.request("POST", BATCH_PATH).with("idempotency-key", idempotency_key);
        request.body = body.as_bytes().to_vec();
        request
    }
}

/// A number of an epoch.
pub(super) fn number(epoch: Epoch, seq: u64) -> BatchId {
    BatchId { epoch, seq }
}

fn header(batch: BatchId, digest: BodyDigest) -> BatchHeader {
    BatchHeader {
        batch,
        lane: Lane::Critical,
        samples: 0,
        sealed: batch.seq,
        digest,
        offset_ms: 0,
        clock: Clock::Ok,
        resumed: false,
        after: None,
    }
}
