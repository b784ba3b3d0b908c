//! `quarantine`: what the cloud refused, for people. Looking and taking out only reads the spool; what changes it is done
//! by the running agent.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use storepulse_shared::ids::BatchId;

use super::progress::Progress;
use super::spool::time;
use crate::config::Config;
use crate::control::{self, Done, ItemDone, Items};
use crate::spool::{self, QuarantineItem};

/// Items that the agent is asked to deal with at once: few, so that it is seen how far it is.
const ITEMS_AT_ONCE: usize = 20;

#[derive(Subcommand)]
pub(super) enum QuarantineCommand {
    /// List what the cloud refused
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write the content of items as JSON, a file each; nothing is removed
    Export {
        #[command(flatten)]
        which: Which,
        /// The folder, made if it is not there; of one item also the file
        #[arg(long, value_name = "PATH")]
        out: PathBuf,
    },
    /// Send items once more, as new batches; the agent must run
    Replay {
        #[command(flatten)]
        which: Which,
    },
    /// Discard items for good; the agent must run
    Rm {
        #[command(flatten)]
        which: Which,
        /// Without it nothing is removed, and you are shown what would be
        #[arg(long)]
        yes: bool,
    },
}

/// Which items.
#[derive(Args)]
pub(super) struct Which {
    /// Short numbers, or EPOCH/NUMBER, as `quarantine ls` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(
    config: &Config,
    command: QuarantineCommand,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    match command {
        QuarantineCommand::Ls { json } => list(config, json, out),
        QuarantineCommand::Export { which, out: path } => export(config, &which, &path, out),
        QuarantineCommand::Replay { which } => replay(config, &which, out).await,
        QuarantineCommand::Rm { which, yes } => remove(config, &which, yes, out).await,
    }
}

fn list(config: &Config, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let items = spool::quarantine(&config.state_dir)?;
    if json {
        writeln!(out, "{}", serde_json::json!({ "items": items }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if items.is_empty() {
        writeln!(out, "nothing is in quarantine")?;
    }
    for item in &items {
        write_item(item, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_item(item: &QuarantineItem, out: &mut impl Write) -> std::io::Result<()> {
    let QuarantineItem { id, batch, lane, samples, events, bytes, refusal, .. } = item;
    let span = match (item.from_ms, item.to_ms) {
        (Some(from), Some(to)) => format!("{} to {}", time(from), time(to)),
        _ => "no samples".to_owned(),
    };
    let forwarded = if item.forwarded { ", forwarded" } else { "" };
    let batch = batch.to_string();
    writeln!(
        out,
        "{id:<6} {batch:<44} {lane:<8} {samples:>6} samples {events:>5} events {bytes:>7} bytes  {span}{forwarded}"
    )?;
    let refused = item.refused_ms.map_or_else(String::new, |ms| format!(" {}", time(ms)));
    let again = item.recovers.as_ref().map_or_else(String::new, |told| format!(" (a replay of {told})"));
    writeln!(out, "       refused{refused}{again}: {refusal}")?;
    if let Some(replayed) = &item.replayed {
        writeln!(out, "       replayed {} as {}: {}", time(replayed.at_ms), replayed.batch, replayed.state)?;
    }
    Ok(())
}

/// The items that are meant, or an error that names the first that is not there.
fn choose(config: &Config, which: &Which) -> anyhow::Result<Vec<QuarantineItem>> {
    let items = spool::quarantine(&config.state_dir)?;
    ensure!(!items.is_empty(), "nothing is in quarantine");
    if which.all {
        return Ok(items);
    }
    let mut chosen: Vec<QuarantineItem> = Vec::new();
    for id in &which.ids {
        let is_meant = |item: &&QuarantineItem| item.id.to_string() == *id || item.batch.to_string() == *id;
        let item = items.iter().find(is_meant).with_context(|| {
            format!("{id:.80?} is not in quarantine; `storepulse-agent quarantine ls` shows what is")
        })?;
        if chosen.iter().all(|other| other.id != item.id) {
            chosen.push(item.clone());
        }
    }
    Ok(chosen)
}

/// The same, of which the content is still here.
fn choose_with_content(config: &Config, which: &Which) -> anyhow::Result<Vec<QuarantineItem>> {
    let mut items = choose(config, which)?;
    if which.all {
        items.retain(|item| item.replayed.is_none());
        ensure!(!items.is_empty(), "all that is in quarantine was replayed");
    }
    if let Some((item, replayed)) =
        items.iter().find_map(|item| item.replayed.as_ref().map(|replayed| (item, replayed)))
    {
        bail!(
            "{} was replayed as {} ({}); its content is no longer in quarantine under this number",
            item.batch,
            replayed.batch,
            replayed.state
        );
    }
    Ok(items)
}

fn export(config: &Config, which: &Which, path: &Path, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let items = choose_with_content(config, which)?;
    let is_folder = path.is_dir() || which.all || items.len() > 1;
    if is_folder && !path.is_dir() {
        std::fs::create_dir_all(path).with_context(|| {
            format!("{} must be a folder, for {} items, and cannot be made", path.display(), items.len())
        })?;
    }
    let name = |batch: BatchId| format!("quarantine-{}-{}.json", batch.epoch, batch.seq);
    let files = items.iter().map(|item| match is_folder {
        true => (item, path.join(name(item.batch))),
        false => (item, path.to_owned()),
    });
    let files: Vec<(&QuarantineItem, PathBuf)> = files.collect();
    if let Some((_, there)) = files.iter().find(|(_, file)| file.exists()) {
        bail!("{} is there already, and nothing was written; name another place", there.display());
    }
    let progress = Progress::begin("writing items");
    for (done, (item, file)) in files.iter().enumerate() {
        progress.tell(done, files.len(), "");
        let mut text = spool::quarantined_body(&config.state_dir, item.id)?;
        text.push(b'\n');
        write_file(file, &text)?;
        let told = format!("{} with {} samples is in {}", item.batch, item.samples, file.display());
        progress.beside(|| writeln!(out, "{told}"))?;
    }
    drop(progress);
    writeln!(out, "nothing was removed")?;
    Ok(ExitCode::SUCCESS)
}

/// Under this name the text is whole, or there is nothing.
pub(super) fn write_file(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; name another place", path.display())
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let written = file.write_all(text).and_then(|()| file.sync_all());
    written.inspect_err(|_| drop(std::fs::remove_file(path))).with_context(|| path.display().to_string())
}

async fn replay(config: &Config, which: &Which, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let items = choose_with_content(config, which)?;
    ask(config, control::REPLAY, &items, out, |done| match done.replayed_as {
        Some(batch) => format!("{} goes on as {batch}", done.item),
        None => format!("{} goes on", done.item),
    })
    .await
}

async fn remove(config: &Config, which: &Which, yes: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let items = choose(config, which)?;
    if !yes {
        writeln!(out, "this would be removed for good:")?;
        items.iter().try_for_each(|item| write_item(item, out))?;
        bail!("nothing was removed; repeat it with --yes");
    }
    ask(config, control::DISCARD, &items, out, |done| {
        format!("{} was removed for good; its loss stays told", done.item)
    })
    .await
}

/// Has the running agent do something with items, and says what became of each.
async fn ask(
    config: &Config,
    route: &str,
    items: &[QuarantineItem],
    out: &mut impl Write,
    said: impl Fn(&ItemDone) -> String,
) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let progress = Progress::begin("the agent is asked");
    for (done, some) in items.chunks(ITEMS_AT_ONCE).enumerate() {
        progress.tell(done * ITEMS_AT_ONCE, items.len(), "");
        let body = Items { items: some.iter().map(|item| item.batch).collect() };
        let answer: Done = control::ask(&config.state_dir, route, &body).await?;
        for done in answer.done {
            match &done.error {
                None => progress.beside(|| writeln!(out, "{}", said(&done)))?,
                Some(error) => {
                    progress.beside(|| super::say(&format!("storepulse-agent: {error}")));
                    code = ExitCode::FAILURE;
                }
            }
        }
    }
    Ok(code)
}
