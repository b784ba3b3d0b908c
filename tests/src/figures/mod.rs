//! `cargo figures`: every promised figure beside its limit, measured in the same run.
//!
//! A figure stands next to the bare minimum of the same work, measured in turns with it, and what is told is the ratio of
//! the two: the machine's own speed, and what else it does, then matter little. Processor time comes from the kernel's
//! clocks of the processes; both sides warm up first; medians are told, and the single rounds go to stderr.
//!
//! The command fails if a figure cannot be measured or a goal that binds is not met. Goals of later issues are marked so,
//! and told honestly whether they are met today.
//!
//! `subject` lists what there is; a file each measures it, with the data of `reference`. Nothing here is a test: a test
//! that measures time fails on somebody else's machine.

mod append;
mod bench;
mod chain;
mod codec;
mod crowd;
mod figure;
mod footprint;
mod ingest;
mod local_page;
mod onboard;
mod outage;
mod people;
mod progress;
mod reference;
mod report;
mod rounds;
mod seal;
mod shipped;
mod spool_disk;
mod subject;
mod takeover;
mod wire;

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Args;

use self::bench::Bench;
use self::figure::Figure;
use self::report::Row;
use self::subject::Subject;

/// Which figures.
#[derive(Debug, Args)]
pub struct FiguresArgs {
    /// Only these, by name or its beginning; all without a name
    names: Vec<String>,
    /// How long the local page is watched
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = humantime::parse_duration)]
    watch: Duration,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures; `true` if every figure could be measured and every goal that binds is met.
///
/// # Errors
/// A name is unknown, or what all measurements need cannot be had.
pub async fn run(args: FiguresArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let chosen = subject::choose(&args.names)?;
    if cfg!(debug_assertions) {
        progress::say("this is not a release build: the figures say little (use `cargo figures`)")?;
    }
    let mut bench = Bench::create(args.watch)?;
    let begun = Instant::now();
    let mut rows = Vec::new();
    for (at, (subject, size)) in chosen.iter().enumerate() {
        let (name, seconds) = (subject.name_of(*size), begun.elapsed().as_secs());
        progress::say(&format!("[{:>2}/{} {seconds:>3} s] {name}", at + 1, chosen.len()))?;
        let figure = measure(*subject, *size, &mut bench).await?;
        rows.push(Row { subject: *subject, size: *size, figure });
    }
    bench.close().await?;
    progress::say("")?;
    report::table(&rows, out)?;
    if args.json {
        report::json(&rows, out)?;
    }
    Ok(rows.iter().all(|row| row.figure.as_ref().is_some_and(Figure::holds)))
}

/// `None` if it cannot be measured; the others still can.
async fn measure(subject: Subject, size: usize, bench: &mut Bench) -> anyhow::Result<Option<Figure>> {
    match subject.measure(size, bench).await {
        Ok(figure) => Ok(Some(figure)),
        Err(error) => {
            progress::say(&format!("    could not be measured: {error:#}"))?;
            Ok(None)
        }
    }
}
