//! What decides whether something pushed is new goes into the new spool before anything is accepted there.

use std::path::Path;

use rusqlite::params;

use super::super::SpoolError;
use super::super::core::{Core, integer};
use super::super::epochs::numbers_text;
use super::read::{EpochRow, Wreck};

/// Keys that are carried over; there are not many more, see `forward`.
const KEYS_MAX: usize = 100_000;

impl Core {
    /// Copies the epochs, with the receipts of senders, and the answers to `Idempotency-Key`s, as far as they can be read.
    pub(in crate::spool) fn carry(&mut self, aside: &Path) -> Result<(), SpoolError> {
        let Ok(wreck) = Wreck::open(aside) else { return Ok(()) };
        for epoch in &wreck.epochs() {
            self.carry_epoch(epoch)?;
        }
        let keys =
            wreck.rows("select sender, key, body_sha256, verdict, at_ms from idempotency_keys", |row| {
                Ok((
                    row.get::<_, Vec<u8>>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                    row.get::<_, String>(3)?,
                    row.get::<_, i64>(4)?,
                ))
            });
        for (sender, key, body_sha256, verdict, at_ms) in keys.into_iter().take(KEYS_MAX) {
            self.change(
                "insert into idempotency_keys (sender, key, body_sha256, verdict, at_ms)
                values (?1, ?2, ?3, ?4, ?5) on conflict do nothing",
                params![sender, key, body_sha256, verdict, at_ms],
            )?;
        }
        Ok(())
    }

    /// The row of an epoch of before; its number here.
    pub(super) fn carry_epoch(&mut self, epoch: &EpochRow) -> Result<i64, SpoolError> {
        let text = epoch.epoch.to_string();
        let (after_epoch, after_seq) = epoch.after.clone().unzip();
        let is_new = self.change(
            "insert into epochs (epoch, sender, after_epoch, after_seq, began_ms, last_seq, sealed, settled, received, void, home)
            values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) on conflict do nothing",
            params![
                text,
                epoch.sender,
                after_epoch,
                after_seq,
                epoch.began_ms,
                integer(epoch.last_seq),
                integer(epoch.sealed),
                numbers_text(&epoch.settled)?,
                numbers_text(&epoch.received)?,
                numbers_text(&epoch.void)?,
                epoch.home,
            ],
        )?;
        let no = self
            .db()
            .prepare_cached("select no from epochs where epoch = ?1")?
            .query_row([text], |row| row.get(0))?;
        if is_new > 0 {
            self.stamp_epoch(no)?;
        }
        Ok(no)
    }
}
