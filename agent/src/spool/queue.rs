//! What is sent next, and what becomes of it.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::decode::decode;
use storepulse_shared::batch::header::{BatchHeader, BodyDigest};
use storepulse_shared::batch::{Clock, Event, Lane, Loss};
use storepulse_shared::gzip;
use storepulse_shared::ids::{AGENT_DEVICE, BatchId, Epoch};
use storepulse_shared::limits::INFLATED_BYTES_MAX;
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, lane_number, lane_of, slot, state, unsigned};
use super::epochs::parse_epoch;
use super::split::split;

/// When open batches are sealed.
#[derive(Debug, Clone, Copy)]
pub struct SealPolicy {
    /// Age at which an open batch is due, by lane: critical, normal, bulk.
    pub age: [Duration; 3],
    /// What is said of batches that no clock of ours dated.
    pub clock: Clock,
}

/// What there is to do.
#[derive(Debug)]
pub enum Next {
    /// Send this.
    Send(Box<Outgoing>),
    /// Nothing is ready; the oldest open batch will be due in this time, if there is one.
    Idle(Option<Duration>),
}

/// A batch to send, marked as sent.
#[derive(Debug)]
pub struct Outgoing {
    /// For [`super::Spool::settle`].
    pub id: i64,
    /// Which batch it is.
    pub batch: BatchId,
    /// Its lane.
    pub lane: Lane,
    /// The header `StorePulse-Batch`.
    pub header: String,
    /// The compressed body.
    pub body: Vec<u8>,
}

/// What the uplink made of an answer.
#[derive(Debug, Clone)]
pub enum Settlement {
    /// The cloud has it.
    Acked {
        /// The contiguous ends that the answer told.
        through: Vec<(Epoch, u64)>,
    },
    /// It is too large; its number is closed. Its content goes on under new numbers.
    Split,
    /// Its number holds another body: somebody else uses our epoch.
    Conflict,
    /// Its number was closed before, and we do not know why: its content goes on under a new one.
    Renumber,
    /// It was refused as a whole; its number is closed. It is kept for people.
    SetAside {
        /// Why.
        refusal: String,
    },
}

impl Core {
    /// Seals what is due and hands out the most urgent batch: critical first, then the oldest.
    pub(super) fn next_to_send(&mut self, policy: SealPolicy, now_ms: i64) -> Result<Next, SpoolError> {
        let mut due = None;
        for lane in Lane::ALL {
            let Some(open) = self.open[slot(lane)] else { continue };
            // A clock that was set back makes a batch older, not younger.
            let age = Duration::from_millis(now_ms.abs_diff(open.opened_ms));
            match policy.age[slot(lane)].checked_sub(age) {
                None | Some(Duration::ZERO) => self.seal(lane, now_ms)?,
                Some(rest) => due = Some(due.map_or(rest, |due: Duration| due.min(rest))),
            }
        }
        let next = self
            .db()
            .prepare_cached("select id from batches where state = 1 order by lane, id limit 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        match next {
            Some(id) => Ok(Next::Send(Box::new(self.hand_out(id, policy.clock)?))),
            None => Ok(Next::Idle(due)),
        }
    }

    fn hand_out(&mut self, id: i64, clock: Clock) -> Result<Outgoing, SpoolError> {
        let row = self.sealed_row(id)?;
        let (digest, body) = self
            .db()
            .prepare_cached("select digest, body from bodies where batch_id = ?1")?
            .query_row([id], |row| Ok((row.get::<_, [u8; 8]>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let header = match row.header {
            Some(verbatim) => verbatim,
            None => self
                .date(id, clock)
                .map(|dating| BatchHeader {
                    batch: row.batch,
                    lane: row.lane,
                    samples: row.samples,
                    sealed: row.sealed,
                    digest: BodyDigest(digest),
                    offset_ms: dating.offset_ms,
                    clock: dating.clock,
                    resumed: !self.begun.contains(&row.epoch_no),
                    after: row.after,
                })?
                .to_string(),
        };
        self.change("update batches set sent = 1 where id = ?1 and sent = 0", [id])?;
        Ok(Outgoing { id, batch: row.batch, lane: row.lane, header, body })
    }

    fn sealed_row(&self, id: i64) -> Result<SealedRow, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select e.no, e.epoch, e.sealed, e.after_epoch, e.after_seq, e.after_told, e.sender is not null,
                b.seq, b.lane, b.samples, b.header
            from batches b join epochs e on e.no = b.epoch_no where b.id = ?1",
        )?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| SpoolError::Damaged(format!("batch row {id} is gone")))?;
        let after: Option<String> = row.get(3)?;
        let told: bool = row.get(5)?;
        let after = match after {
            Some(epoch) if !told => Some(BatchId { epoch: parse_epoch(&epoch)?, seq: unsigned(row.get(4)?) }),
            _ => None,
        };
        Ok(SealedRow {
            epoch_no: row.get(0)?,
            batch: BatchId { epoch: parse_epoch(&row.get::<_, String>(1)?)?, seq: unsigned(row.get(7)?) },
            sealed: unsigned(row.get(2)?),
            after,
            forwarded: row.get(6)?,
            lane: lane_of(row.get(8)?)?,
            samples: u32::try_from(row.get::<_, i64>(9)?).unwrap_or(u32::MAX),
            header: row.get(10)?,
        })
    }

    /// Records what became of a batch.
    pub(super) fn settle(&mut self, id: i64, settlement: &Settlement, now_ms: i64) -> Result<(), SpoolError> {
        match settlement {
            Settlement::Acked { through } => self.ack(id, through, now_ms),
            Settlement::Split => self.split_batch(id, now_ms),
            Settlement::Renumber => self.renumber(id),
            Settlement::Conflict => self.resolve_conflict(id, now_ms),
            Settlement::SetAside { refusal } => self.set_aside(id, refusal, now_ms),
        }
    }

    fn ack(&mut self, id: i64, through: &[(Epoch, u64)], now_ms: i64) -> Result<(), SpoolError> {
        self.change(
            "update batches set state = ?2, answered_ms = ?3 where id = ?1 and state = ?4",
            params![id, state::ACKED, now_ms, state::SEALED],
        )?;
        self.change(
            "update epochs set after_told = 1 where no = (select epoch_no from batches where id = ?1) and after_told = 0",
            [id],
        )?;
        for (epoch, through) in through {
            self.change(
                "update epochs set through = ?2 where epoch = ?1",
                params![epoch.to_string(), integer(*through)],
            )?;
        }
        self.make_room(now_ms)
    }

    fn set_aside(&mut self, id: i64, refusal: &str, now_ms: i64) -> Result<(), SpoolError> {
        self.change(
            "update batches set state = ?2, answered_ms = ?3, refusal = ?4 where id = ?1",
            params![id, state::SET_ASIDE, now_ms, refusal],
        )?;
        Ok(())
    }

    /// Cuts a batch in two under new numbers; what cannot be cut is set aside.
    fn split_batch(&mut self, id: i64, now_ms: i64) -> Result<(), SpoolError> {
        let lane = self.sealed_row(id)?.lane;
        let body: Vec<u8> = self
            .db()
            .prepare_cached("select body from bodies where batch_id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let text =
            gzip::inflate(&body, INFLATED_BYTES_MAX).map_err(|e| SpoolError::Damaged(e.to_string()))?;
        let batch = decode(&text).map_err(|e| SpoolError::Damaged(e.to_string()))?;
        let Some((first, second)) = split(batch) else {
            return self.set_aside(id, "413: too large, and it cannot be cut further", now_ms);
        };
        let first_id = self.add_sealed(lane, &first, now_ms)?;
        let second_id = self.add_sealed(lane, &second, now_ms)?;
        self.date_like(&[first_id, second_id], id)?;
        self.change("update losses set batch_id = ?2 where batch_id = ?1", params![id, first_id])?;
        self.change("delete from bodies where batch_id = ?1", [id])?;
        self.change("delete from batches where id = ?1", [id])?;
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
            self.begin_epoch()?;
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
                self.record_loss(&loss, now_ms)?;
            }
        }
        let event = Event {
            device: AGENT_DEVICE.into(),
            t: now_ms,
            kind: "agent.possible_clone".into(),
            text: text.into(),
        };
        self.append_events(&[event], now_ms)
    }

    /// Gives a sealed batch the next number of the running epoch; its body stays the same.
    fn renumber(&mut self, id: i64) -> Result<(), SpoolError> {
        let seq = integer(self.next_seq()?);
        self.change(
            "update batches set epoch_no = ?2, seq = ?3, sent = 0, header = null where id = ?1",
            params![id, self.epoch.no, seq],
        )?;
        self.change("update epochs set sealed = max(sealed, ?2) where no = ?1", params![self.epoch.no, seq])?;
        Ok(())
    }

    /// Stores a batch that somebody pushed, as it is.
    pub(super) fn add_forwarded(
        &mut self,
        epoch_no: i64,
        header: &BatchHeader,
        header_text: &str,
        body: &[u8],
        span: Option<(i64, i64)>,
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let (t_min, t_max) = span.unzip();
        self.change(
            "insert into batches (epoch_no, seq, lane, state, opened_ms, sealed_ms, samples, t_min, t_max, bytes, header,
                offset_ms, clock)
            values (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                epoch_no,
                integer(header.batch.seq),
                lane_number(header.lane),
                state::SEALED,
                now_ms,
                header.samples,
                t_min,
                t_max,
                integer(body.len() as u64),
                header_text,
                header.offset_ms,
                header.clock.as_str(),
            ],
        )?;
        let id = self.db().last_insert_rowid();
        self.put_body(id, body)
    }
}

struct SealedRow {
    epoch_no: i64,
    batch: BatchId,
    sealed: u64,
    after: Option<BatchId>,
    forwarded: bool,
    lane: Lane,
    samples: u32,
    header: Option<String>,
}
