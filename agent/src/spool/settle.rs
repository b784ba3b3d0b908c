//! What becomes of a batch once the cloud has answered.
//!
//! An ack keeps it for a while; a refusal closes its number, and its content goes on under new ones, in halves, until
//! only what is poisonous is left, which is quarantined. What is sent again keeps its number; what gets a new number had
//! its old one closed before. The content of a replay was told as a loss when it was first quarantined, and is not told
//! again whatever becomes of it.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::decode::decode;
use storepulse_shared::batch::{Batch, Lane, Loss};
use storepulse_shared::gzip;
use storepulse_shared::ids::{BatchId, Epoch};
use storepulse_shared::limits::INFLATED_BYTES_MAX;
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, state, unsigned};
use super::epochs::parse_epoch;
use super::split::split;

/// How long a batch that always fails while others pass is left alone.
const DEFERRED_MS: i64 = 3600 * 1000;
/// Halvings after which a family of which nothing was ever taken is quarantined as it is: the fault is not in one sample.
const BLIND_HALVINGS_MAX: i64 = 3;

/// What the uplink made of an answer.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The cloud has it.
    Acked {
        /// The contiguous ends that the answer told.
        through: Vec<(Epoch, u64)>,
        /// [`super::Outgoing::acks_before`]
        acks_before: i64,
    },
    /// It is too large; its number is closed. Its content goes on in halves.
    TooLarge,
    /// It was refused as a whole; its number is closed. Its content goes on in halves, the poison stays.
    Refused {
        /// Why.
        why: String,
    },
    /// Its number holds another body: somebody else uses our epoch.
    Conflict,
    /// Its number was closed before, and we do not know why: its content goes on under a new one.
    Renumber,
    /// It fails while others pass: it is left alone for a while.
    Deferred,
}

/// Why something from a damaged spool is quarantined, where its number is closed: its content may have gone on under others
/// before the damage, and may be at the cloud already.
const CLOSED_BEFORE: &str =
    "410: its number had been closed before the spool was damaged, or was told as lost";
/// Why something is quarantined, where the cloud has found it too large and it is one thing only.
const INDIVISIBLE: &str = "413: too large, and it cannot be cut further";

impl Core {
    /// Records what became of a batch. One that is no longer here, because it was evicted or the spool was replaced while it
    /// was on its way, needs nothing; its row may be another batch's.
    pub(super) fn settle(&mut self, id: i64, settlement: &Settlement, now_ms: i64) -> Result<(), SpoolError> {
        let Some(sent) = self.handed_out.get(&id).copied() else { return Ok(()) };
        if self.number_of(id)? != Some(sent) {
            self.handed_out.remove(&id);
            return Ok(());
        }
        match settlement {
            Settlement::Acked { through, acks_before } => self.ack(id, through, *acks_before, now_ms),
            Settlement::TooLarge => {
                self.note_closed(id, now_ms)?;
                self.halve(id, 0, INDIVISIBLE, now_ms)
            }
            Settlement::Refused { why } => {
                self.note_closed(id, now_ms)?;
                self.refuse(id, why, now_ms)
            }
            Settlement::Renumber => {
                self.note_closed(id, now_ms)?;
                if self.is_adopted(id)? {
                    self.quarantine(id, CLOSED_BEFORE, now_ms)
                } else {
                    self.renumber(id)
                }
            }
            Settlement::Conflict => self.resolve_conflict(id, now_ms),
            Settlement::Deferred => self.defer(id, now_ms),
        }
    }

    /// The number of the batch that a row holds now.
    fn number_of(&self, id: i64) -> Result<Option<BatchId>, SpoolError> {
        let row: Option<(String, i64)> = self
            .db()
            .prepare_cached(
                "select e.epoch, b.seq from batches b join epochs e on e.no = b.epoch_no where b.id = ?1",
            )?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(epoch, seq)| Ok(BatchId { epoch: parse_epoch(&epoch)?, seq: unsigned(seq) })).transpose()
    }

    fn ack(
        &mut self,
        id: i64,
        through: &[(Epoch, u64)],
        acks_before: i64,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        self.acks += 1;
        let bytes: Option<i64> = self
            .db()
            .prepare_cached(
                "update batches set state = 2, answered_ms = ?2, acked_no = ?3, deferred_until = null
                where id = ?1 and state = 1 returning bytes",
            )?
            .query_row(params![id, now_ms, self.acks], |row| row.get(0))
            .optional()?;
        self.acked_bytes += unsigned(bytes.unwrap_or_default());
        self.note_losses_acked(id)?;
        self.change(
            "update epochs set after_told = 1
            where no = (select epoch_no from batches where id = ?1) and after_told = 0 and after_reset_no <= ?2",
            params![id, acks_before],
        )?;
        for (epoch, through) in through {
            self.note_through(*epoch, *through, acks_before, now_ms)?;
        }
        self.make_room(0, now_ms)
    }

    /// Goes on in halves, unless nothing of the whole family has ever been taken.
    fn refuse(&mut self, id: i64, why: &str, now_ms: i64) -> Result<(), SpoolError> {
        let (origin, depth): (i64, i64) = self
            .db()
            .prepare_cached("select coalesce(origin, id), depth from batches where id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let is_blind = depth >= BLIND_HALVINGS_MAX
            && !self
                .db()
                .prepare_cached("select 1 from batches where origin = ?1 and state = 2")?
                .exists([origin])?;
        if is_blind { self.quarantine(id, why, now_ms) } else { self.halve(id, 1, why, now_ms) }
    }

    /// Cuts a batch in two under new numbers; what cannot be cut is quarantined.
    fn halve(&mut self, id: i64, deeper: i64, why: &str, now_ms: i64) -> Result<(), SpoolError> {
        let lane = self.sealed_row(id)?.lane;
        let text = self.inflated(id)?;
        let Some((first, second)) = split(decoded(&text)?) else {
            return self.quarantine(id, why, now_ms);
        };
        let first_id = self.add_sealed(lane, &first, now_ms)?;
        let second_id = self.add_sealed(lane, &second, now_ms)?;
        self.date_like(&[first_id, second_id], id)?;
        for half in [first_id, second_id] {
            self.change(
                "update batches set origin = (select coalesce(origin, id) from batches where id = ?1),
                    depth = (select depth from batches where id = ?1) + ?3
                where id = ?2",
                params![id, half, deeper],
            )?;
        }
        let of_first: Vec<String> = first.losses.iter().map(|loss| loss.id.to_string()).collect();
        self.change("update losses set batch_id = ?2 where batch_id = ?1", params![id, second_id])?;
        for loss in of_first {
            self.change("update losses set batch_id = ?2 where id = ?1", params![loss, first_id])?;
        }
        self.remove(id)
    }

    /// The text of a sealed batch.
    pub(super) fn inflated(&self, id: i64) -> Result<Vec<u8>, SpoolError> {
        let body: Vec<u8> = self
            .db()
            .prepare_cached("select body from bodies where batch_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        gzip::inflate(&body, INFLATED_BYTES_MAX).map_err(|e| SpoolError::Damaged(format!("a body: {e}")))
    }

    /// Keeps a batch that cannot be delivered, and tells the cloud so, unless it has been told before.
    fn quarantine(&mut self, id: i64, why: &str, now_ms: i64) -> Result<(), SpoolError> {
        self.change(
            "update batches set state = 3, answered_ms = ?2, refusal = ?3, deferred_until = null where id = ?1",
            params![id, now_ms, why],
        )?;
        if self.is_replay(id)? {
            tracing::error!(why, "a replay is quarantined again");
            return Ok(());
        }
        let evicted = self.loss_of(id, "quarantined", now_ms)?;
        tracing::error!(samples = evicted.samples, why, "a batch is quarantined");
        self.record_loss(evicted, now_ms)
    }

    fn defer(&mut self, id: i64, now_ms: i64) -> Result<(), SpoolError> {
        self.change(
            "update batches set deferred_until = ?2, failing_since = coalesce(failing_since, ?3)
            where id = ?1 and state = 1",
            params![id, now_ms + DEFERRED_MS, now_ms],
        )?;
        Ok(())
    }

    /// Somebody else, a clone of this box perhaps, has used our epoch. We leave it to them: a new epoch takes the body
    /// that was refused and everything that was never sent; what was sent and not answered stays where it is.
    fn resolve_conflict(&mut self, id: i64, now_ms: i64) -> Result<(), SpoolError> {
        let row = self.sealed_row(id)?;
        let text =
            format!("number {} holds another body: another box sends under this one's identity", row.batch);
        if row.forwarded {
            self.renumber(id)?;
        } else {
            self.seal_all(now_ms)?;
            self.begin_epoch(now_ms)?;
            self.name_epochs()?;
            let never_sent: Vec<(i64, i64)> = self
                .db()
                .prepare_cached("select id, seq from batches where epoch_no = ?1 and state = ?2 and sent = 0 order by seq")?
                .query_map(params![row.epoch_no, state::SEALED], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            self.renumber(id)?;
            let mut given_up = SeqSet::new();
            for (id, seq) in never_sent {
                self.renumber(id)?;
                given_up.insert(unsigned(seq));
            }
            if !given_up.is_empty() {
                let loss = Loss {
                    id: self.next_loss()?,
                    lane: Lane::Critical,
                    from: now_ms,
                    to: now_ms,
                    samples: 0,
                    events: 0,
                    reason: "renumbered".to_owned(),
                    seqs: [(row.batch.epoch, given_up)].into(),
                };
                self.record_loss(loss, now_ms)?;
            }
        }
        self.append_own_event("agent.possible_clone", text, now_ms)
    }

    /// Gives a sealed batch the next number of the running epoch; its body stays the same. Its old number was closed, or
    /// is told as a loss.
    fn renumber(&mut self, id: i64) -> Result<(), SpoolError> {
        let seq = integer(self.next_seq()?);
        let (epoch_no, old_seq): (i64, i64) = self
            .db()
            .prepare_cached("select epoch_no, seq from batches where id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.settle_number(epoch_no, unsigned(old_seq))?;
        self.change(
            "update batches set epoch_no = ?2, seq = ?3, sent = 0, deferred_until = null, failing_since = null
            where id = ?1",
            params![id, self.epoch.no, seq],
        )?;
        self.change("update bodies set header = null where batch_id = ?1", [id])?;
        self.change("update epochs set sealed = max(sealed, ?2) where no = ?1", params![self.epoch.no, seq])?;
        self.relabel(id)
    }
}

/// What stands in a text that was sealed.
pub(super) fn decoded(text: &[u8]) -> Result<Batch<'_>, SpoolError> {
    decode(text).map_err(|e| SpoolError::Damaged(format!("a body: {e}")))
}
