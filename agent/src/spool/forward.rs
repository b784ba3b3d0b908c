//! What others push to us: batches of other agents, forwarded unchanged, and flat bodies, which become our own samples.
//!
//! An epoch belongs to the sender that first used it. Nobody may name our own epochs or another sender's, so no sender
//! can acknowledge, close or imitate what is not theirs.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::answer::{Ack, Pace, Success};
use storepulse_shared::batch::header::BatchHeader;
use storepulse_shared::batch::{Frame, Lane, Loss};
use storepulse_shared::ids::{BatchId, Epoch};
use storepulse_shared::limits::IDEMPOTENCY_KEPT;
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, slot, unsigned};
use super::epochs::{numbers_text, parse_numbers};

/// Bytes of the spool for each remembered `Idempotency-Key`: a spool of 8 MiB remembers 2,048.
const BYTES_PER_KEY: u64 = 4_096;

/// Whose batches were found in a damaged spool without their epoch's row: it belongs to whoever goes on with it.
pub(super) const UNKNOWN_SENDER: &[u8] = &[0xff];

/// Who pushes: the SHA-256 of the push token, or nothing for a sender on this box without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(pub Vec<u8>);

/// What is pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// By whom.
    pub sender: Sender,
    /// What.
    pub content: Forwarded,
}

/// Something pushed, decoded and checked.
#[derive(Debug, Clone)]
pub enum Forwarded {
    /// Another agent's batch, kept as it is.
    Batch {
        /// Its header.
        header: BatchHeader,
        /// The same, verbatim.
        header_text: String,
        /// Its body as sent.
        body: Vec<u8>,
        /// First and last time of its samples.
        span: Option<(i64, i64)>,
        /// Epochs that its losses name, and what it recovers.
        named: Vec<Epoch>,
        /// The batch whose content it is, if it is a replay.
        recovers: Option<BatchId>,
    },
    /// A number that is to be closed: its batch cannot be understood, or its sender asks for it.
    Closing {
        /// The header of the batch.
        header: BatchHeader,
    },
    /// Flat rows.
    Flat {
        /// As frames.
        frames: Vec<Frame<'static>>,
        /// How many rows there were.
        rows: u64,
        /// The lane of pushed samples.
        lane: Lane,
        /// `Idempotency-Key` and the SHA-256 of the body.
        idempotency: Option<(String, Vec<u8>)>,
    },
}

/// What to answer.
#[derive(Debug, Clone)]
pub enum PushVerdict {
    /// 200.
    Ack(Box<Ack>),
    /// 403: an epoch that is ours, or another sender's.
    NotYours(Epoch),
    /// 409: the number holds another body.
    Conflict(BatchId),
    /// 410: the number is closed.
    Closed(BatchId),
    /// 409: the key was used with another body.
    KeyReused,
}

impl Core {
    /// Stores what is pushed, once.
    pub(super) fn push(&mut self, pushed: &Pushed, now_ms: i64) -> Result<PushVerdict, SpoolError> {
        match &pushed.content {
            Forwarded::Batch { header, header_text, body, span, named, recovers } => {
                let named = named.iter().chain(header.after.as_ref().map(|after| &after.epoch));
                for epoch in named.chain([&header.batch.epoch]) {
                    if !self.may_name(&pushed.sender, *epoch)? {
                        return Ok(PushVerdict::NotYours(*epoch));
                    }
                }
                let verdict = self.push_batch(&pushed.sender, header, header_text, body, *span, now_ms)?;
                if let (PushVerdict::Ack(ack), Some(recovers)) = (&verdict, recovers)
                    && !ack.duplicate
                {
                    self.note_replay(header.batch, *recovers)?;
                }
                Ok(verdict)
            }
            Forwarded::Closing { header } => {
                if !self.may_name(&pushed.sender, header.batch.epoch)? {
                    return Ok(PushVerdict::NotYours(header.batch.epoch));
                }
                self.close_number(&pushed.sender, header, now_ms)
            }
            Forwarded::Flat { frames, rows, lane, idempotency } => {
                self.push_flat(&pushed.sender, frames, *rows, *lane, idempotency.as_ref(), now_ms)
            }
        }
    }

    fn may_name(&self, sender: &Sender, epoch: Epoch) -> Result<bool, SpoolError> {
        let owner: Option<Option<Vec<u8>>> = self
            .db()
            .prepare_cached("select sender from epochs where epoch = ?1")?
            .query_row([epoch.to_string()], |row| row.get(0))
            .optional()?;
        Ok(owner.is_none_or(|owner| owner.is_some_and(|owner| owner == sender.0 || owner == UNKNOWN_SENDER)))
    }

    fn push_batch(
        &mut self,
        sender: &Sender,
        header: &BatchHeader,
        header_text: &str,
        body: &[u8],
        span: Option<(i64, i64)>,
        now_ms: i64,
    ) -> Result<PushVerdict, SpoolError> {
        let mut stream = self.sender_stream(sender, header.batch.epoch, now_ms)?;
        if stream.void.contains(header.batch.seq) {
            return Ok(PushVerdict::Closed(header.batch));
        }
        let duplicate = !stream.received.insert(header.batch.seq);
        if duplicate && !header.resumed && self.holds_another_body(stream.no, header)? {
            return Ok(PushVerdict::Conflict(header.batch));
        }
        if !duplicate {
            self.make_room(body.len(), now_ms)?;
            self.add_forwarded(stream.no, header, header_text, body, span, now_ms)?;
            self.keep_sender_stream(&stream, header)?;
        }
        Ok(PushVerdict::Ack(Box::new(ack(
            header.batch,
            u64::from(header.samples),
            duplicate,
            BTreeMap::from([(header.batch.epoch, stream.through()?)]),
            self.dates.true_time(now_ms),
        ))))
    }

    /// Closes a number of a sender, unless its batch has been committed, and sees to it that the cloud does the same.
    fn close_number(
        &mut self,
        sender: &Sender,
        header: &BatchHeader,
        now_ms: i64,
    ) -> Result<PushVerdict, SpoolError> {
        let mut stream = self.sender_stream(sender, header.batch.epoch, now_ms)?;
        if stream.received.contains(header.batch.seq) {
            let through = BTreeMap::from([(header.batch.epoch, stream.through()?)]);
            return Ok(PushVerdict::Ack(Box::new(ack(
                header.batch,
                u64::from(header.samples),
                true,
                through,
                self.dates.true_time(now_ms),
            ))));
        }
        if stream.void.insert(header.batch.seq) {
            self.keep_sender_stream(&stream, header)?;
            let mut seqs = SeqSet::new();
            seqs.insert(header.batch.seq);
            // No sample is lost: its sender goes on with the content under another number.
            let loss = Loss {
                id: self.next_loss()?,
                lane: header.lane,
                from: now_ms,
                to: now_ms,
                samples: 0,
                events: 0,
                reason: "closed_by_gateway".to_owned(),
                seqs: [(header.batch.epoch, seqs)].into(),
            };
            self.record_loss(loss, now_ms)?;
        }
        Ok(PushVerdict::Closed(header.batch))
    }

    /// The receipts of a sender's epoch; a new epoch becomes theirs.
    fn sender_stream(&self, sender: &Sender, epoch: Epoch, now_ms: i64) -> Result<SenderStream, SpoolError> {
        let text = epoch.to_string();
        let is_new = self.change(
            "insert into epochs (epoch, sender, began_ms) values (?1, ?2, ?3)
            on conflict do update set sender = excluded.sender where sender = ?4",
            params![text, sender.0, now_ms, UNKNOWN_SENDER],
        )?;
        let (no, received, void): (i64, String, String) = self
            .db()
            .prepare_cached("select no, received, void from epochs where epoch = ?1")?
            .query_row([&text], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if is_new > 0 {
            self.stamp_epoch(no)?;
        }
        Ok(SenderStream { no, received: parse_numbers(&received)?, void: parse_numbers(&void)? })
    }

    fn keep_sender_stream(&self, stream: &SenderStream, header: &BatchHeader) -> Result<(), SpoolError> {
        self.change(
            "update epochs set received = ?2, void = ?3, sealed = max(sealed, ?4), last_seq = max(last_seq, ?5)
            where no = ?1",
            params![
                stream.no,
                numbers_text(&stream.received)?,
                numbers_text(&stream.void)?,
                integer(header.sealed),
                integer(header.batch.seq)
            ],
        )?;
        self.stamp_epoch(stream.no)
    }

    fn holds_another_body(&self, epoch_no: i64, header: &BatchHeader) -> Result<bool, SpoolError> {
        let digest: Option<[u8; 8]> = self
            .db()
            .prepare_cached(
                "select d.digest from batches b join bodies d on d.batch_id = b.id where b.epoch_no = ?1 and b.seq = ?2",
            )?
            .query_row(params![epoch_no, integer(header.batch.seq)], |row| row.get(0))
            .optional()?;
        Ok(digest.is_some_and(|digest| digest != header.digest.0))
    }

    fn push_flat(
        &mut self,
        sender: &Sender,
        frames: &[Frame<'static>],
        rows: u64,
        lane: Lane,
        idempotency: Option<&(String, Vec<u8>)>,
        now_ms: i64,
    ) -> Result<PushVerdict, SpoolError> {
        self.keep_ages(now_ms)?;
        if let Some((key, body_sha256)) = idempotency
            && let Some((known_sha256, verdict)) = self.remembered(sender, key)?
        {
            return Ok(if known_sha256 == *body_sha256 {
                let ack = serde_json::from_str(&verdict)
                    .map_err(|e| SpoolError::Damaged(format!("verdict: {e}")))?;
                PushVerdict::Ack(Box::new(ack))
            } else {
                PushVerdict::KeyReused
            });
        }
        self.append_pushed(lane, frames, now_ms)?;
        let server_time = self.dates.true_time(now_ms);
        let ack = ack(self.running_batch(lane)?, rows, false, BTreeMap::new(), server_time);
        if let Some((key, body_sha256)) = idempotency {
            let verdict =
                serde_json::to_string(&ack).map_err(|e| SpoolError::Damaged(format!("verdict: {e}")))?;
            self.change(
                "insert into idempotency_keys (sender, key, body_sha256, verdict, at_ms) values (?1, ?2, ?3, ?4, ?5)",
                params![sender.0, key, body_sha256, verdict, now_ms],
            )?;
            self.forget_old_keys(now_ms)?;
        }
        Ok(PushVerdict::Ack(Box::new(ack)))
    }

    /// The batch that a flat body went into, or the last one where it filled that.
    fn running_batch(&self, lane: Lane) -> Result<BatchId, SpoolError> {
        let seq: i64 = match self.open[slot(lane)] {
            Some(open) => self
                .db()
                .prepare_cached("select seq from batches where id = ?1")?
                .query_row([open.id], |row| row.get(0))?,
            None => self
                .db()
                .prepare_cached("select last_seq from epochs where no = ?1")?
                .query_row([self.epoch.no], |row| row.get(0))?,
        };
        Ok(BatchId { epoch: self.epoch.epoch, seq: unsigned(seq) })
    }

    fn remembered(&self, sender: &Sender, key: &str) -> Result<Option<(Vec<u8>, String)>, SpoolError> {
        let row = self
            .db()
            .prepare_cached(
                "select body_sha256, verdict from idempotency_keys where sender = ?1 and key = ?2",
            )?
            .query_row(params![sender.0, key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(row)
    }

    /// Keys are kept seven days, and as many as fit the spool's size; the oldest go first.
    fn forget_old_keys(&self, now_ms: i64) -> Result<(), SpoolError> {
        let kept_ms = i64::try_from(IDEMPOTENCY_KEPT.as_millis()).unwrap_or(i64::MAX);
        let most = integer(self.limits.bytes_max / BYTES_PER_KEY);
        self.change("delete from idempotency_keys where at_ms < ?1", [now_ms - kept_ms])?;
        self.change(
            "delete from idempotency_keys where at_ms < (
                select at_ms from idempotency_keys order by at_ms desc limit 1 offset ?1
            )",
            [most],
        )?;
        Ok(())
    }
}

struct SenderStream {
    no: i64,
    received: SeqSet,
    void: SeqSet,
}

impl SenderStream {
    /// The end of the contiguous range that was committed or closed.
    fn through(&self) -> Result<u64, SpoolError> {
        let both = [self.received.ranges(), self.void.ranges()].concat();
        let both =
            SeqSet::from_many_ranges(&both).map_err(|e| SpoolError::Damaged(format!("receipts: {e}")))?;
        Ok(both.through())
    }
}

/// `server_time` is 0 from a gateway that does not know the time: whoever pushes learns nothing from it then.
fn ack(
    batch: BatchId,
    processed: u64,
    duplicate: bool,
    through: BTreeMap<Epoch, u64>,
    server_time: i64,
) -> Ack {
    Ack {
        status: Success::Success,
        batch,
        processed,
        duplicate,
        rejected: Vec::new(),
        through,
        server_time,
        pace: Pace { backlog_bytes_per_s: 1_000_000, start_in_ms: 0 },
        rotate_key: false,
        settings: None,
    }
}
