//! What the demo shows: a line a second on stderr, so that stdout stays for the verdict.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::Path;
use std::time::Duration;

use super::Outcome;
use super::shop::Shop;
use crate::cloud::Cloud;

/// The bar of what waits in the spools is this wide at most.
const BAR: usize = 24;
/// Samples that one cell of the bar stands for.
const SAMPLES_PER_CELL: u64 = 50;

/// The numbers of one moment.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) elapsed: Duration,
    pub(super) is_cut: bool,
    pub(super) sent: u64,
    pub(super) waiting: u64,
    pub(super) in_cloud: i64,
}

pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { colour: stderr().is_terminal() }
    }

    pub(super) fn say(&mut self, text: &str) -> std::io::Result<()> {
        writeln!(stderr(), "{text}")
    }

    /// What is running, and where to look at it.
    pub(super) fn introduce(
        &mut self,
        shops: &[Shop],
        cloud: &Cloud,
        database_url: &Path,
    ) -> std::io::Result<()> {
        let err = &mut stderr();
        writeln!(err, "\n  devices ──▶ agent ──▶ spool ──TLS──▶ ╳ link ╳ ──▶ cloud ──▶ PostgreSQL\n")?;
        writeln!(err, "look while it runs:")?;
        if let (Some(shop), Some(ca)) = (shops.first(), &cloud.ca) {
            let store = &shop.agent().store;
            writeln!(
                err,
                "  page      http://{}/ in a browser, as the technician sees it",
                shop.agent().status
            )?;
            writeln!(err, "  agent     curl http://{}/status", shop.agent().status)?;
            writeln!(
                err,
                "  cloud     curl --cacert {} -H \"Authorization: Bearer $(cat {})\" {}/v1/stores/{}/status",
                ca.display(),
                store.dir.join("store.key").display(),
                cloud.url(),
                store.id,
            )?;
            writeln!(
                err,
                "  database  psql \"$(cat {})\" -c \"begin; select set_config('app.tenant_id', '{}', true); \
                 select device_id, metric, time, value from samples order by time desc limit 10; rollback\"",
                database_url.display(),
                store.tenant,
            )?;
            writeln!(err, "  logs      {}\n", store.dir.display())?;
        }
        writeln!(err, "  time   link     sent by devices   in the cloud   waiting in the spools")
    }

    pub(super) fn progress(&mut self, numbers: &Numbers) -> std::io::Result<()> {
        let (link, red, plain) = match (numbers.is_cut, self.colour) {
            (true, true) => ("✂ cut  ", "\x1b[31m", "\x1b[0m"),
            (false, true) => ("● up   ", "\x1b[32m", "\x1b[0m"),
            (true, false) => ("✂ cut  ", "", ""),
            (false, false) => ("● up   ", "", ""),
        };
        let cells = usize::try_from(numbers.waiting.div_ceil(SAMPLES_PER_CELL)).unwrap_or(BAR).min(BAR);
        let bar = "▇".repeat(cells);
        writeln!(
            stderr(),
            "  {:>3}s   {red}{link}{plain} {:>16}  {:>13}   {:>6} {red}{bar}{plain}",
            numbers.elapsed.as_secs(),
            numbers.sent,
            numbers.in_cloud,
            numbers.waiting,
        )
    }

    pub(super) fn conclude(&mut self, outcome: &Outcome) -> std::io::Result<()> {
        let Outcome { verdict, sent, samples, batches, missing, wire_bytes, .. } = outcome;
        let err = &mut stderr();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let per_sample = *wire_bytes as f64 / (*samples).max(1) as f64;
        writeln!(
            err,
            "\n  {samples} samples in {batches} batches are in the cloud, {per_sample:.1} bytes each on the wire"
        )?;
        writeln!(err, "  the devices' own logs say: {sent} counter values sent")?;
        writeln!(
            err,
            "  lost {}   duplicate {}   invented {}   batches missing {missing}",
            verdict.lost, verdict.duplicate, verdict.invented
        )?;
        let good = verdict.is_clean() && *missing == 0;
        writeln!(err, "  {}\n", if good { "everything arrived, once" } else { "THIS IS A DEFECT" })
    }
}
