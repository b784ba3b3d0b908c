//! Records of losses: what was not delivered, with its reason, time range and count, and with the numbers of its batches, so
//! that the cloud does not wait for them.
//!
//! They travel in the critical lane. A record of a loss is never discarded: where the batch that carries it must go, another
//! one takes it over.

use rusqlite::params;
use storepulse_shared::batch::{Lane, Loss};
use storepulse_shared::seqs::SeqSet;

use super::SpoolError;
use super::core::{Core, integer, lane_of, unsigned};
use super::epochs::parse_epoch;

impl Core {
    /// The loss that a sealed batch would be. What a replay holds has been told before: its loss closes the number only.
    pub(super) fn loss_of(&self, id: i64, reason: &str, now_ms: i64) -> Result<Loss, SpoolError> {
        let loss_id = self.next_loss()?;
        let mut statement = self.db().prepare_cached(
            "select b.lane, b.seq, iif(b.recovers is null, b.samples, 0), iif(b.recovers is null, b.events, 0),
                b.t_min, b.t_max, b.sealed_ms, e.epoch
            from batches b join epochs e on e.no = b.epoch_no where b.id = ?1",
        )?;
        let mut rows = statement.query([id])?;
        let row = rows.next()?.ok_or_else(|| SpoolError::Damaged(format!("batch row {id} is gone")))?;
        let sealed = row.get::<_, Option<i64>>(6)?.unwrap_or(now_ms);
        let mut seqs = SeqSet::new();
        seqs.insert(unsigned(row.get(1)?));
        Ok(Loss {
            id: loss_id,
            lane: lane_of(row.get(0)?)?,
            from: self.in_present_clock(id, row.get::<_, Option<i64>>(4)?.unwrap_or(sealed), now_ms)?,
            to: self.in_present_clock(id, row.get::<_, Option<i64>>(5)?.unwrap_or(sealed), now_ms)?,
            samples: unsigned(row.get(2)?),
            events: unsigned(row.get(3)?),
            reason: reason.to_owned(),
            seqs: [(parse_epoch(&row.get::<_, String>(7)?)?, seqs)].into(),
        })
    }

    /// Puts a loss into the open batch of the critical lane; where one of its kind waits there, the two become one.
    pub(super) fn record_loss(&mut self, loss: Loss, now_ms: i64) -> Result<(), SpoolError> {
        let mut open = self.open_batch(Lane::Critical, now_ms)?;
        let mut waiting = self.carried_losses(open.id)?.into_iter();
        let merged = waiting.find_map(|waiting| merge(&waiting, &loss)).unwrap_or(loss);
        open.json_bytes += self.carry_loss(open.id, &merged, now_ms)?;
        self.keep_open(Lane::Critical, open);
        self.note_told(&merged, now_ms)
    }

    /// Notes that a batch carries a loss; how many bytes it has.
    pub(super) fn carry_loss(&self, batch_id: i64, loss: &Loss, now_ms: i64) -> Result<usize, SpoolError> {
        let json = serde_json::to_string(loss).map_err(|e| SpoolError::Damaged(format!("a loss: {e}")))?;
        self.change(
            "insert into losses (id, batch_id, recorded_ms, reason, samples, json) values (?1, ?2, ?3, ?4, ?5, ?6)
            on conflict (id) do update set samples = excluded.samples, json = excluded.json",
            params![loss.id.to_string(), batch_id, now_ms, loss.reason, integer(loss.samples), json],
        )?;
        Ok(json.len())
    }

    /// Takes a batch out of the books; returns the losses that it carried, which have to be recorded anew.
    pub(super) fn remove_carrier(&self, id: i64) -> Result<Vec<Loss>, SpoolError> {
        let carried = self.carried_losses(id)?;
        self.change("delete from losses where batch_id = ?1", [id])?;
        self.remove(id)?;
        Ok(carried)
    }

    /// Losses that a batch carries.
    pub(super) fn carried_losses(&self, batch_id: i64) -> Result<Vec<Loss>, SpoolError> {
        let mut statement = self
            .db()
            .prepare_cached("select json from losses where batch_id = ?1 order by recorded_ms, id")?;
        let texts = statement.query_map([batch_id], |row| row.get::<_, String>(0))?;
        texts
            .map(|text| serde_json::from_str(&text?).map_err(|e| SpoolError::Damaged(format!("a loss: {e}"))))
            .collect()
    }
}

/// One loss for two of a lane and reason, unless it would close too many ranges.
fn merge(into: &Loss, other: &Loss) -> Option<Loss> {
    if into.lane != other.lane || into.reason != other.reason {
        return None;
    }
    let mut seqs = into.seqs.clone();
    for (epoch, more) in &other.seqs {
        let all = seqs.entry(*epoch).or_default();
        *all = SeqSet::from_ranges(&[all.ranges(), more.ranges()].concat()).ok()?;
    }
    Some(Loss {
        from: into.from.min(other.from),
        to: into.to.max(other.to),
        samples: into.samples + other.samples,
        events: into.events + other.events,
        seqs,
        ..into.clone()
    })
}
