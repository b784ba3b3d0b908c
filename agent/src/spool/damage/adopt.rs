//! What a salvage found goes into the running spool: batches under their numbers, and the account of what is gone.

use rusqlite::{OptionalExtension as _, params};
use storepulse_shared::batch::{Lane, Loss};
use storepulse_shared::ids::Epoch;
use storepulse_shared::limits::LOSS_RANGES_MAX;
use storepulse_shared::seqs::SeqSet;

use super::super::SpoolError;
use super::super::core::{Core, integer, lane_number, state, unsigned};
use super::super::settle::decoded;
use super::read::{Body, EpochRow};

/// Why what could not be read is lost.
const REASON: &str = "spool_damaged";

/// A batch that was read, to go on under its number.
pub(in crate::spool) struct Found {
    pub(super) epoch: EpochRow,
    pub(super) body: Body,
}

/// What came of a salvage.
pub(in crate::spool) struct Report {
    /// The file that was read.
    pub(super) file: i64,
    pub(super) adopted: u64,
    pub(super) samples: u64,
    pub(super) events: u64,
    pub(super) from: i64,
    /// What is known of the numbers of each epoch.
    pub(super) epochs: Vec<Numbers>,
}

/// What a salvage knows of the numbers of an epoch.
pub(in crate::spool) struct Numbers {
    pub(super) epoch: EpochRow,
    /// The cloud has them, or has closed them.
    pub(super) known: SeqSet,
    /// Nothing more comes of them.
    pub(super) lost: SeqSet,
}

impl Core {
    /// Takes batches of before in, under their numbers.
    pub(super) fn adopt(&mut self, found: Vec<Found>) -> Result<(), SpoolError> {
        for Found { epoch, body } in found {
            let no = self.carry_epoch(&epoch)?;
            let label = body.label;
            let seq = integer(label.batch.seq);
            let is_here = self
                .db()
                .prepare_cached("select 1 from batches where epoch_no = ?1 and seq = ?2")?
                .exists(params![no, seq])?;
            if is_here || self.settled(no)?.contains(label.batch.seq) {
                continue;
            }
            let (t_min, t_max) = label.span.unzip();
            self.make_room(body.bytes.len(), crate::time::now_ms())?;
            self.change(
                "insert into batches (epoch_no, seq, lane, state, sent, opened_ms, sealed_ms, samples, events, t_min, t_max, bytes)
                values (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    no,
                    seq,
                    lane_number(label.lane),
                    state::SEALED,
                    t_min.unwrap_or_default(),
                    integer(label.samples),
                    integer(label.events),
                    t_min,
                    t_max,
                    integer(body.bytes.len() as u64),
                ],
            )?;
            let id = self.db().last_insert_rowid();
            self.put_body(id, &body.bytes, body.header.as_deref())?;
            self.change(
                "update epochs set last_seq = max(last_seq, ?2), sealed = max(sealed, ?2) where no = ?1",
                params![no, seq],
            )?;
            self.keep_losses(id, label.lane)?;
            self.recognise_replay(id)?;
        }
        Ok(())
    }

    /// The records of losses that an adopted batch carries: should it be evicted, another one takes them over.
    fn keep_losses(&mut self, id: i64, lane: Lane) -> Result<(), SpoolError> {
        if lane != Lane::Critical {
            return Ok(());
        }
        let text = self.inflated(id)?;
        // What others have sealed need not be understood here.
        let losses = decoded(&text).map(|batch| batch.losses).unwrap_or_default();
        for loss in losses {
            let json =
                serde_json::to_string(&loss).map_err(|e| SpoolError::Damaged(format!("a loss: {e}")))?;
            self.change(
                "insert into losses (id, batch_id, recorded_ms, reason, samples, json)
                values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing",
                params![loss.id.to_string(), id, loss.to, loss.reason, integer(loss.samples), json],
            )?;
        }
        Ok(())
    }

    /// Tells what could not be read; from now on the file waits for the cloud to have all of it.
    pub(super) fn tell_damage(&mut self, report: Report) -> Result<(), SpoolError> {
        let now_ms = crate::time::now_ms();
        let mut loss = Loss {
            id: self.next_loss()?,
            lane: Lane::Critical,
            from: report.from.min(now_ms),
            to: now_ms,
            samples: report.samples,
            events: report.events,
            reason: REASON.to_owned(),
            seqs: [].into(),
        };
        let mut more = Vec::new();
        for Numbers { epoch, known, lost } in &report.epochs {
            let no = self.carry_epoch(epoch)?;
            self.note_known(no, known, now_ms)?;
            let mut parts = self.not_here(no, lost)?.into_iter();
            loss.seqs.extend(parts.next().map(|first| (epoch.epoch, first)));
            more.extend(parts.map(|part| (epoch.epoch, part)));
        }
        let range = (loss.from, loss.to);
        self.record_loss(loss, now_ms)?;
        for (epoch, part) in more {
            self.record_more_numbers(epoch, part, range, now_ms)?;
        }
        let text = format!(
            "the spool was damaged: {} batches were salvaged, at least {} samples are lost",
            report.adopted, report.samples
        );
        self.append_own_event("agent.spool_damaged", text, now_ms)?;
        self.change(
            "insert into salvaged (file, at_ms) values (?1, ?2) on conflict do nothing",
            params![report.file, now_ms],
        )?;
        Ok(())
    }

    /// Numbers beyond those that one record of a loss may name.
    fn record_more_numbers(
        &mut self,
        epoch: Epoch,
        numbers: SeqSet,
        (from, to): (i64, i64),
        now_ms: i64,
    ) -> Result<(), SpoolError> {
        let loss = Loss {
            id: self.next_loss()?,
            lane: Lane::Critical,
            from,
            to,
            samples: 0,
            events: 0,
            reason: REASON.to_owned(),
            seqs: [(epoch, numbers)].into(),
        };
        self.record_loss(loss, now_ms)
    }

    /// Those of the numbers that have no batch here, in sets that a record of a loss can hold.
    fn not_here(&self, epoch_no: i64, numbers: &SeqSet) -> Result<Vec<SeqSet>, SpoolError> {
        let mut statement =
            self.db().prepare_cached("select seq from batches where epoch_no = ?1 order by seq")?;
        let here = statement.query_map([epoch_no], |row| Ok(unsigned(row.get(0)?)))?;
        let here: Vec<(u64, u64)> = here.map(|seq| seq.map(|seq| (seq, seq))).collect::<Result<_, _>>()?;
        let lost = without(numbers.ranges(), &here);
        lost.chunks(LOSS_RANGES_MAX)
            .map(|part| SeqSet::from_ranges(part).map_err(|e| SpoolError::Damaged(format!("numbers: {e}"))))
            .collect()
    }

    /// Whether a batch comes from a damaged spool.
    pub(in crate::spool) fn is_adopted(&self, id: i64) -> Result<bool, SpoolError> {
        let mut statement = self.db().prepare_cached(
            "select 1 from batches b join epochs e on e.no = b.epoch_no where b.id = ?1 and e.home <> 0",
        )?;
        Ok(statement.exists([id])?)
    }

    /// How far a file that was set aside has come.
    pub(super) fn salvage_state(&self, file: i64) -> Result<Salvage, SpoolError> {
        let told = self
            .db()
            .prepare_cached("select 1 from salvaged where file = ?1")?
            .query_row([file], |_| Ok(()))
            .optional()?;
        if told.is_none() {
            return Ok(Salvage::Waiting);
        }
        let is_on_its_way = self
            .db()
            .prepare_cached(
                "select 1 from epochs e where e.home = ?1 and (
                    exists (select 1 from batches b where b.epoch_no = e.no and b.state in (0, 1))
                    or exists (select 1 from closed_numbers c where c.epoch_no = e.no and c.acked_no is null))
                union all
                select 1 from losses l join batches b on b.id = l.batch_id where l.reason = ?2 and b.state in (0, 1)",
            )?
            .exists(params![file, REASON])?;
        Ok(if is_on_its_way { Salvage::Told } else { Salvage::Done })
    }
}

/// How far a file that was set aside has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Salvage {
    /// It has not been read into this spool.
    Waiting,
    /// It has, and the cloud does not have all of it yet.
    Told,
    /// The cloud has what could be read, and knows of the rest.
    Done,
}

/// Ranges that are in the first and not in the second; both are sorted and disjoint.
pub(super) fn without(all: &[(u64, u64)], but: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = Vec::new();
    for (mut first, last) in all.iter().copied() {
        let at = but.partition_point(|&(_, to)| to < first);
        for (from, to) in but[at..].iter().copied().take_while(|&(from, _)| from <= last) {
            if from > first {
                rest.push((first, from - 1));
            }
            first = to.saturating_add(1);
        }
        if first <= last {
            rest.push((first, last));
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn ranges_without_ranges() {
        assert_eq!(without(&[(1, 10)], &[]), [(1, 10)]);
        assert_eq!(without(&[(1, 10)], &[(1, 3), (5, 5), (9, 20)]), [(4, 4), (6, 8)]);
        assert_eq!(without(&[(1, 3), (7, 9)], &[(2, 8)]), [(1, 1), (9, 9)]);
        assert!(without(&[(4, 6)], &[(1, 10)]).is_empty());
    }
}
