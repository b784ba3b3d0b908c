//! Every command that a document tells people to type is run here, or stands in a short list with what runs it elsewhere.
//!
//! A document's commands are run in one shell, in the order in which they stand, with the shipped command lines against a cloud that
//! the document itself has started. Only names and places are others: where the document says `/srv/storepulse`, the test has a folder
//! of its own.

mod agents;
mod clouds;
mod elsewhere;
mod markdown;
mod runbook;
mod session;
mod workflows;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use self::elsewhere::ELSEWHERE;
use self::markdown::{Command, Document, words};
use self::session::Stage;
use crate::setting::testbed;

/// Documents whose commands are run, each by a test of its own.
const RUN: [&str; 3] = [agents::README, clouds::README, runbook::RUNBOOK];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs the commands of a document.
async fn run(path: &str, stage: &Stage) {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let mut commands = markdown::parse(path, &text).commands;
    commands.retain(|command| !is_elsewhere(path, command));
    assert!(!commands.is_empty(), "{path} has no command");
    let wrong = stage.run(path, &commands).await;
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn is_elsewhere(document: &str, command: &Command) -> bool {
    let name = command.name();
    ELSEWHERE.iter().any(|entry| elsewhere::is_meant(entry, document, &name))
}

#[test]
fn every_command_of_every_document_is_run_or_named_with_what_runs_it() {
    let documents = markdown::all(&root());
    let mut wrong: Vec<String> = documents.iter().flat_map(|document| document.faults.clone()).collect();
    for document in documents.iter().filter(|document| !RUN.contains(&document.path.as_str())) {
        for command in document.commands.iter().filter(|command| !is_elsewhere(&document.path, command)) {
            wrong.push(format!(
                "{}:{}: nobody runs {:?}: run the document in documents/, or say in documents/elsewhere.rs what does",
                document.path,
                command.line,
                command.name()
            ));
        }
    }
    for path in RUN {
        assert!(documents.iter().any(|document| document.path == path), "{path} is not there");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_run_elsewhere_stands_in_a_document_and_in_what_runs_it() {
    let documents = markdown::all(&root());
    let mut wrong = Vec::new();
    for entry in ELSEWHERE {
        let (path, name, by) = entry;
        let is_there = |document: &Document| {
            document.path == *path && document.commands.iter().any(|command| command.name() == *name)
        };
        if !documents.iter().any(is_there) {
            wrong.push(format!("{path} does not have {name:?} any more"));
        }
        if let Err(why) = elsewhere::check(*by, &root()) {
            wrong.push(format!("{path}: {name:?}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What prose mentions stands in a block of some document too, where it is run, or in a script of the build.
#[test]
fn commands_in_prose_are_commands_that_are_run() {
    let documents = markdown::all(&root());
    let mut known: Vec<Vec<String>> =
        documents.iter().flat_map(|document| document.commands.iter().map(Command::words)).collect();
    known.extend(elsewhere::of_scripts(&root()));
    let mut wrong = BTreeSet::new();
    for document in &documents {
        for (line, span) in &document.spans {
            let mut said = words(span);
            let is_ours =
                ["storepulse-cloud", "storepulse-agent", "cargo"].contains(&said.first().map_or("", |w| w));
            if !is_ours || said.len() < 2 {
                continue;
            }
            said.retain(|word| !word.contains(['…', '[', '{', '|', '<']));
            let depth = match (said[0].as_str(), said[1].as_str()) {
                ("cargo", "torture") => 3,
                ("cargo", _) => 2,
                _ => 3,
            };
            said.truncate(depth);
            if !known.iter().any(|known| known.starts_with(&said)) {
                wrong.insert(format!("{}:{line}: nobody runs `{}`", document.path, said.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Every command of the two command lines stands in a document, so that one can find it, and so that it is run.
#[test]
fn every_command_of_the_command_lines_stands_in_a_document() {
    let documents = markdown::all(&root());
    let known: Vec<Vec<String>> =
        documents.iter().flat_map(|document| document.commands.iter().map(Command::words)).collect();
    let mut wrong = Vec::new();
    for (program, role) in [("storepulse-cloud", "cloud"), ("storepulse-agent", "agent")] {
        for command in commands_of(&[role]) {
            let mut paths = vec![vec![program.to_owned(), command.clone()]];
            let below = commands_of(&[role, &command]);
            if !below.is_empty() {
                paths = below.into_iter().map(|sub| vec![program.to_owned(), command.clone(), sub]).collect();
            }
            let missing = paths.iter().filter(|path| !known.iter().any(|known| known.starts_with(path)));
            wrong.extend(missing.map(|path| path.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "no document shows {wrong:#?}");
}

/// The sub-commands that `--help` lists.
fn commands_of(path: &[&str]) -> Vec<String> {
    let mut help = Process::new(testbed());
    help.args(path).arg("--help").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = help.spawn().unwrap();
    // The child ends when its standard input does.
    let _held = child.stdin.take();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let listed =
        said.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Deeper lines are the rest of a description.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}
