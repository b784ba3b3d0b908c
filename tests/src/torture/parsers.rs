//! `cargo torture parsers`: every parser of every kind of device, given valid frames that were flipped, cut, spliced and
//! repeated. None may panic, and every outcome that a parser can tell must be reached: one that cannot be is not tested.

use std::collections::BTreeMap;
use std::io::{Write, stderr};
use std::panic::catch_unwind;
use std::time::Instant;

use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;
use storepulse_agent::collector::{Kind, Subject};

/// Most changes to one frame.
const CHANGES_MAX: usize = 4;
/// Longest frame that is made.
const BYTES_MAX: usize = 65_536;

/// How many, and of which.
#[derive(Debug, Clone, Args)]
pub struct ParsersArgs {
    /// Only parsers whose name begins so
    names: Vec<String>,
    /// Mutated frames for each parser
    #[arg(long, default_value_t = 500_000)]
    rounds: u32,
    /// The seed of all randomness; a run prints its own
    #[arg(long)]
    seed: Option<u64>,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

/// What one parser did.
#[derive(Debug, Serialize)]
struct Tried {
    parser: &'static str,
    cases: u64,
    panics: u64,
    /// How often each outcome was reached.
    outcomes: BTreeMap<&'static str, u64>,
    /// Outcomes that it says it has and never told, or told and does not say that it has.
    wrong: Vec<&'static str>,
    seconds: f64,
}

/// Mutates; `true` if nothing panicked and every outcome was reached.
pub(super) fn run(args: &ParsersArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random_range(0..u64::from(u32::MAX)));
    writeln!(stderr(), "torture: {} mutated frames for each parser, --seed {seed}", args.rounds)?;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut all = Vec::new();
    for subject in Kind::SUBJECTS.iter().copied().flatten() {
        if !args.names.is_empty() && !args.names.iter().any(|name| subject.name.starts_with(name.as_str())) {
            continue;
        }
        let tried = torture(*subject, args.rounds, &mut rng);
        tell(&tried, out)?;
        all.push(tried);
    }
    anyhow::ensure!(!all.is_empty(), "no parser has a name like that");
    let holds = all.iter().all(|tried| tried.panics == 0 && tried.wrong.is_empty());
    let (cases, panics) = all.iter().fold((0, 0), |(c, p), tried| (c + tried.cases, p + tried.panics));
    writeln!(
        out,
        "{} parsers, {cases} frames, {panics} panics: {}",
        all.len(),
        if holds { "holds" } else { "BROKEN" }
    )?;
    if args.json {
        writeln!(
            out,
            "{}",
            serde_json::json!({ "cases": cases, "panics": panics, "seed": seed, "parsers": all })
        )?;
    }
    Ok(holds)
}

fn torture(subject: Subject, rounds: u32, rng: &mut StdRng) -> Tried {
    let begun = Instant::now();
    let mut outcomes = BTreeMap::new();
    let (mut cases, mut panics) = (0, 0);
    let mut parse = |frame: &[u8]| {
        cases += 1;
        match catch_unwind(|| (subject.outcome)(frame)) {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(_) => panics += 1,
        }
    };
    subject.vectors.iter().for_each(|vector| parse(vector));
    for _ in 0..rounds {
        parse(&mutant(subject.vectors, rng));
    }
    let never = subject.outcomes.iter().filter(|outcome| !outcomes.contains_key(*outcome));
    let unknown = outcomes.keys().filter(|outcome| !subject.outcomes.contains(outcome));
    let wrong = never.chain(unknown).copied().collect();
    Tried { parser: subject.name, cases, panics, outcomes, wrong, seconds: begun.elapsed().as_secs_f64() }
}

/// A valid frame after some changes.
fn mutant(vectors: &[&[u8]], rng: &mut StdRng) -> Vec<u8> {
    let mut frame = pick(vectors, rng).to_vec();
    for _ in 0..rng.random_range(1..=CHANGES_MAX) {
        change(&mut frame, vectors, rng);
    }
    frame.truncate(BYTES_MAX);
    frame
}

fn change(frame: &mut Vec<u8>, vectors: &[&[u8]], rng: &mut StdRng) {
    let at = rng.random_range(0..=frame.len());
    match rng.random_range(0..7) {
        // A bit flips.
        0 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
        // A byte is another one.
        1 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte = rng.random();
            }
        }
        // The end is cut off, or the beginning.
        2 => frame.truncate(at),
        3 => drop(frame.drain(..at)),
        // The head of one and the tail of another.
        4 => {
            let other = pick(vectors, rng);
            frame.truncate(at);
            frame.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
        }
        // A piece again.
        5 => {
            let end = rng.random_range(at..=frame.len());
            let piece = frame[at..end].to_vec();
            frame.splice(at..at, piece);
        }
        // A byte that nobody sent.
        _ => frame.insert(at, rng.random()),
    }
}

fn pick<'a>(vectors: &[&'a [u8]], rng: &mut StdRng) -> &'a [u8] {
    vectors.get(rng.random_range(0..vectors.len().max(1))).copied().unwrap_or_default()
}

fn tell(tried: &Tried, out: &mut impl Write) -> std::io::Result<()> {
    let Tried { parser, cases, panics, outcomes, wrong, seconds } = tried;
    let told: Vec<String> = outcomes.iter().map(|(outcome, n)| format!("{outcome} {n}")).collect();
    writeln!(out, "{parser}: {cases} frames in {seconds:.1} s, {panics} panics; {}", told.join(", "))?;
    if !wrong.is_empty() {
        writeln!(out, "  NOT AS IT SAYS: {}", wrong.join(", "))?;
    }
    Ok(())
}
