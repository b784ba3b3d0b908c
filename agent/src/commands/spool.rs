//! `spool`: what is in it, whether it is whole, and the road by hand when the link stays away. Changes nothing.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Subcommand;
use storepulse_shared::key::StoreKey;
use storepulse_shared::limits::TIME_MAX_MS;

use super::progress::Progress;
use crate::config::{Config, KeySource};
use crate::spool::{self, BatchEntry};
use crate::time::now_ms;

#[derive(Subcommand)]
pub(super) enum SpoolCommand {
    /// List every batch
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check that every batch is whole; exit code 1 if one is not
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write what waits into a file for `storepulse-cloud import`; nothing is removed
    Export {
        /// The file, or the folder for it; storepulse-TENANT-STORE-TIME.export here if it is left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(super) fn run(config: &Config, command: SpoolCommand, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match command {
        SpoolCommand::Ls { json } => list(config, json, out),
        SpoolCommand::Verify { json } => verify(config, json, out),
        SpoolCommand::Export { out: file } => export(config, file, out),
    }
}

/// Batches of one lane in one state.
#[derive(Default)]
struct Sum {
    batches: u64,
    samples: u64,
    bytes: u64,
}

fn list(config: &Config, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let entries = spool::list(&config.state_dir)?;
    let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for entry in &entries {
        let sum = sums.entry((entry.lane, entry.state)).or_default();
        sum.batches += 1;
        sum.samples += entry.samples;
        sum.bytes += entry.bytes;
    }
    if json {
        let lanes = sums.iter().map(|((lane, state), sum)| {
            let Sum { batches, samples, bytes } = sum;
            serde_json::json!({
                "lane": lane, "state": state, "batches": batches, "samples": samples, "bytes": bytes,
            })
        });
        let lanes: Vec<_> = lanes.collect();
        writeln!(out, "{}", serde_json::json!({ "lanes": lanes, "batches": entries }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for entry in &entries {
        write_entry(entry, out)?;
    }
    for ((lane, state), Sum { batches, samples, bytes }) in sums {
        writeln!(out, "{lane:<8} {state:<9} {batches} batches, {samples} samples, {bytes} bytes")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_entry(entry: &BatchEntry, out: &mut impl Write) -> std::io::Result<()> {
    let BatchEntry { batch, lane, state, samples, events, bytes, .. } = entry;
    let span = match (entry.from_ms, entry.to_ms) {
        (Some(from), Some(to)) => format!("{} to {}", time(from), time(to)),
        _ => format!("begun {}", time(entry.opened_ms)),
    };
    let sent = if entry.sent { ", sent" } else { "" };
    let forwarded = if entry.forwarded { ", forwarded" } else { "" };
    writeln!(
        out,
        "{batch:<44} {lane:<8} {state:<9} {samples:>6} samples {events:>5} events {bytes:>7} bytes  {span}{sent}{forwarded}"
    )
}

pub(super) fn time(ms: i64) -> impl std::fmt::Display {
    let ms = ms.clamp(0, TIME_MAX_MS);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs()))
}

fn verify(config: &Config, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let progress = Progress::begin("reading batches");
    let verified = spool::verify(&config.state_dir, &mut |done, of| progress.tell(done, of, ""))?;
    drop(progress);
    if json {
        writeln!(out, "{}", serde_json::to_string(&verified)?)?;
    } else {
        for finding in &verified.findings {
            writeln!(out, "BAD  {}: {}", finding.what, finding.why)?;
        }
        writeln!(out, "{} batches looked at, {} findings", verified.batches, verified.findings.len())?;
    }
    Ok(if verified.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn export(config: &Config, file: Option<PathBuf>, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let key = KeySource::new(&config.cloud, &config.state_dir)
        .read()
        .context("an export is sealed with the store's key")?;
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string().replace(['-', ':'], "");
    let name = format!("storepulse-{}-{}-{now}.export", key.tenant(), key.store());
    let path = match file {
        Some(folder) if folder.is_dir() => folder.join(name),
        Some(file) => file,
        None => PathBuf::from(name),
    };
    anyhow::ensure!(!path.exists(), "{} is there already; name another file", path.display());
    // Under its name it is whole, or it is not there: a stick may be pulled out at any time.
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let exported = write_file(config, &key, &unfinished)
        .with_context(|| unfinished.display().to_string())
        .inspect_err(|_| drop(std::fs::remove_file(&unfinished)))?;
    std::fs::rename(&unfinished, &path).with_context(|| path.display().to_string())?;
    writeln!(
        out,
        "{} batches with {} samples are in {}; nothing was removed",
        exported.batches,
        exported.samples,
        path.display()
    )?;
    if exported.open_rows > 0 {
        let rows = exported.open_rows;
        writeln!(out, "{rows} rows are still being gathered and not in it; a stopped agent has sealed all")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_file(config: &Config, key: &StoreKey, path: &Path) -> anyhow::Result<spool::Exported> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut buffered = BufWriter::new(&file);
    let progress = Progress::begin("writing batches");
    let tell = &mut |done, of| progress.tell(done, of, "");
    let exported = spool::export(&config.state_dir, key, &mut buffered, now_ms(), tell)?;
    progress.tell(1, 1, "making it durable");
    buffered.flush()?;
    drop(buffered);
    file.sync_all()?;
    Ok(exported)
}
