//! The spool: whether it is whole, what waits in it, and what was lost. Read-only, also beside a running agent.

use std::path::Path;
use std::time::Duration;

use super::check::Check;
use super::limited::blocking;
use super::words::took;
use crate::finding::{Finding, Problem};
use crate::spool::{self, SpoolError, SpoolStatus};
use crate::status::units::{bytes, duration};

pub(super) const SPOOL: &str = "spool";
pub(super) const QUEUE: &str = "queue";
pub(super) const LOSSES: &str = "losses";
pub(super) const QUARANTINE: &str = "quarantine";

/// Every batch is looked at; a full spool on a slow card takes longer.
const LIMIT: Duration = Duration::from_secs(10);
const LIMIT_DEEP: Duration = Duration::from_secs(600);
/// For what waits and what was lost.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// What a spool that was set aside begins with.
const ASIDE: &str = "spool-damaged-";

/// Looks at the spool of this folder.
pub(super) async fn look(dir: &Path, now_ms: i64, deep: bool) -> Vec<Check> {
    let path = dir.join(spool::FILE);
    if !path.exists() {
        let none = |name| Check::skipped(name, "there is no spool yet");
        return [SPOOL, QUEUE, LOSSES, QUARANTINE].map(none).into();
    }
    let mut checks = vec![verify(dir, if deep { LIMIT_DEEP } else { LIMIT }).await];
    let folder = dir.to_owned();
    match blocking(LOOK_LIMIT, move || spool::look(&folder)).await {
        Some(Ok(status)) => checks.extend(of_status(&status, now_ms)),
        Some(Err(error)) => {
            checks.extend([QUEUE, LOSSES, QUARANTINE].map(|n| Check::skipped(n, error.to_string())))
        }
        None => {
            checks.extend([QUEUE, LOSSES, QUARANTINE].map(|n| Check::skipped(n, "it cannot be read in time")))
        }
    }
    checks
}

async fn verify(dir: &Path, limit: Duration) -> Check {
    let path = dir.join(spool::FILE).display().to_string();
    let damaged = || Finding::new(Problem::SpoolDamaged).with("path", &path);
    let folder = dir.to_owned();
    match blocking(limit, move || spool::verify(&folder)).await {
        None => Check::skipped(SPOOL, format!("not through within {}; --deep takes its time", took(limit))),
        Some(Err(error)) if error.is_damage() => Check::found(SPOOL, damaged(), error.to_string()),
        Some(Err(error @ SpoolError::Open { .. })) => Check::skipped(SPOOL, error.to_string()),
        Some(Err(error)) => Check::found(SPOOL, Finding::new(Problem::SpoolFailing), error.to_string()),
        Some(Ok(verified)) => match verified.findings.as_slice() {
            [] => whole(dir, verified.batches, damaged()),
            [first, ..] => {
                let count = verified.findings.len();
                Check::found(
                    SPOOL,
                    damaged(),
                    format!("{count} findings, the first: {}: {}", first.what, first.why),
                )
            }
        },
    }
}

/// It is whole, but one before it may have been set aside.
fn whole(dir: &Path, batches: u64, damaged: Finding) -> Check {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    match names.filter(|name| name.starts_with(ASIDE)).min() {
        Some(aside) => {
            Check::noted(SPOOL, damaged, format!("{aside} was set aside; the running agent salvages it"))
        }
        None => Check::pass(SPOOL, format!("whole; {batches} batches looked at")),
    }
}

fn of_status(status: &SpoolStatus, now_ms: i64) -> [Check; 3] {
    let waiting: u64 = status.lanes.iter().map(|lane| lane.waiting_samples).sum();
    let batches: u64 = status.lanes.iter().map(|lane| lane.waiting_batches).sum();
    let sizes: u64 = status.lanes.iter().map(|lane| lane.waiting_bytes).sum();
    let oldest =
        status.lanes.iter().filter(|lane| lane.waiting_batches > 0).filter_map(|lane| lane.oldest_ms).min();
    let age = oldest.map(|oldest| format!(", the oldest for {}", duration(now_ms.saturating_sub(oldest))));
    let queue = if batches == 0 {
        "nothing waits".to_owned()
    } else {
        format!("{waiting} samples wait in {batches} batches, {}{}", bytes(sizes), age.unwrap_or_default())
    };
    let losses = match status.lost_samples {
        0 => Check::pass(LOSSES, "none"),
        lost => {
            let latest = status.latest_losses.first().map(|loss| format!(", the latest {}", loss.reason));
            let evidence =
                format!("{lost} samples in {} records{}", status.losses, latest.unwrap_or_default());
            // What is lost is lost; it is no reason to come now.
            Check::noted(
                LOSSES,
                Finding::new(Problem::SamplesLost).with("samples", lost.to_string()),
                evidence,
            )
        }
    };
    let quarantine = match status.quarantine.as_slice() {
        [] => Check::pass(QUARANTINE, "empty"),
        [first, ..] => {
            let batches = status.quarantine.len().to_string();
            let evidence = format!("{batches} batches, the first {}: {}", first.batch, first.refusal);
            Check::found(QUARANTINE, Finding::new(Problem::Quarantined).with("batches", batches), evidence)
        }
    };
    [Check::pass(QUEUE, queue), losses, quarantine]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;

    #[tokio::test]
    async fn no_spool_is_nothing_to_look_at_and_rubbish_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let checks = look(dir.path(), 0, false).await;
        assert!(
            checks.len() == 4 && checks.iter().all(|check| check.outcome == Outcome::Skipped),
            "{checks:?}"
        );
        std::fs::write(dir.path().join(spool::FILE), vec![0x55; 8_192]).unwrap();
        let checks = look(dir.path(), 0, false).await;
        assert_eq!(checks.len(), 4);
        assert_eq!(checks[0].finding.as_ref().unwrap().problem, Problem::SpoolDamaged, "{checks:?}");
    }
}
