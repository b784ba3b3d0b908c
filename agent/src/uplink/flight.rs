//! One request on its way: a batch out, an answer back, and when it left.

use storepulse_shared::key::StoreKey;

use super::client::Client;
use super::outcome::{Outcome, judge};
use crate::spool::Outgoing;
use crate::time::Reading;

/// What came of a request.
#[derive(Debug)]
pub(super) struct Landed {
    pub batch: Outgoing,
    pub outcome: Outcome,
    /// What the clock showed when it left.
    pub asked: Reading,
}

/// Sends a batch, or asks to have its number closed.
pub(super) async fn fly(client: Client, key: StoreKey, batch: Outgoing, asked: Reading) -> Landed {
    let answered =
        if batch.close { client.close(&batch, &key).await } else { client.send(&batch, &key).await };
    let outcome = match answered.map(|answer| judge(&answer, batch.batch)) {
        Ok(Outcome::Closed) if batch.close => {
            Outcome::Refused("it failed for a day while others passed; its number is closed".to_owned())
        }
        Ok(outcome) => outcome,
        Err(failure) => Outcome::Failing(failure),
    };
    Landed { batch, outcome, asked }
}
