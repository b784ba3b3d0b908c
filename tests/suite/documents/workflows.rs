//! The workflows are understood, name only commands, scripts and files that are there, and use what others made by its hash.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::root;
use crate::setting::testbed;

/// Cargo's own commands that a workflow may use, and the one that it installs.
const CARGO: [&str; 7] = ["build", "clippy", "deny", "doc", "fmt", "install", "test"];

fn workflows() -> Vec<(String, String, Value)> {
    let dir = root().join(".github/workflows");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let (name, text) =
            (path.file_name().unwrap().display().to_string(), std::fs::read_to_string(&path).unwrap());
        let read = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        all.push((name, text, read));
    }
    assert!(!all.is_empty(), "there is no workflow");
    all
}

/// Every value of a key, wherever it stands.
fn values<'a>(of: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match of {
        Value::Object(map) => {
            for (name, value) in map {
                if name == key {
                    found.push(value);
                }
                values(value, key, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| values(value, key, found)),
        _ => {}
    }
}

fn texts(of: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    values(of, key, &mut found);
    let each = found.into_iter().flat_map(|value| match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        value => value.as_str().into_iter().collect::<Vec<_>>(),
    });
    let lines = each.flat_map(str::lines).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Whether the command line of the testbed understands these words: asked with `--help` behind them, it does nothing.
fn is_understood(words: &[&str]) -> bool {
    let mut command = Command::new(testbed());
    command.args(words).arg("--help").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// What is wrong with a line that a shell would run.
fn fault(line: &str, aliases: &Value) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        // A matrix names the commands, and those are looked at.
        ["${{", "matrix.run", "}}"] => None,
        // What a later step is told.
        ["echo", _, to] if *to == ">>\"$GITHUB_OUTPUT\"" => None,
        // As root, with the programs of who runs it.
        ["sudo", "env", rest @ ..] => {
            let command: Vec<&str> = rest.iter().copied().skip_while(|word| word.contains("=\"$")).collect();
            fault(&command.join(" "), aliases)
        }
        ["rustup", "default", version] | ["rustup", "toolchain", "install", version, ..] => {
            let cargo = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
            let is_ours = cargo.contains(&format!("rust-version = \"{version}\""));
            (!is_ours).then(|| format!("Rust {version} is not the workspace's"))
        }
        ["cargo", "run", ..] => {
            let rest: Vec<&str> = words.iter().copied().skip_while(|word| *word != "--").skip(1).collect();
            (!is_understood(&rest)).then(|| format!("the testbed does not understand {rest:?}"))
        }
        ["cargo", name, rest @ ..] => match aliases[*name].as_str() {
            Some(alias) => {
                let (_, role) = alias.split_once(" -- ").unwrap();
                let all: Vec<&str> = role.split_whitespace().chain(rest.iter().copied()).collect();
                (!is_understood(&all)).then(|| format!("the testbed does not understand {all:?}"))
            }
            None => (!CARGO.contains(name)).then(|| format!("there is no `cargo {name}`")),
        },
        [script, ..] if script.contains('/') => {
            let mode = std::fs::metadata(root().join(script))
                .map(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()));
            (!mode.is_ok_and(|mode| mode & 0o100 != 0))
                .then(|| format!("{script} is not there, or cannot be run"))
        }
        _ => Some("what is this?".to_owned()),
    }
}

fn aliases() -> Value {
    let config = std::fs::read_to_string(root().join(".cargo/config.toml")).unwrap();
    let lines = config
        .lines()
        .skip_while(|line| *line != "[alias]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let pairs = lines.filter_map(|line| line.split_once(" = "));
    pairs.map(|(name, value)| (name.to_owned(), Value::from(value.trim_matches('"')))).collect()
}

#[test]
fn workflows_run_only_what_is_there() {
    let aliases = aliases();
    let mut wrong = Vec::new();
    for (name, _, workflow) in workflows() {
        let lines = texts(&workflow, "run");
        assert!(!lines.is_empty(), "{name} runs nothing");
        wrong.extend(
            lines.iter().filter_map(|line| Some(format!("{name}: {line}: {}", fault(line, &aliases)?))),
        );
        for file in texts(&workflow, "file").iter().filter(|file| !file.starts_with("${{")) {
            if !root().join(file).is_file() {
                wrong.push(format!("{name}: {file} is not there"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_ci_runs_is_there() {
    let (aliases, script) = (aliases(), std::fs::read_to_string(root().join(".ci/run")).unwrap());
    let script = script.replace("\\\n", " ");
    let steps = script.lines().filter_map(|line| line.strip_prefix("step \"")?.split_once("\" "));
    let commands: Vec<&str> =
        steps.map(|(_, command)| command).filter(|command| command.contains(['/', ' '])).collect();
    assert!(commands.len() > 10, "{commands:?}");
    let with_program = |command: &&&str| !command.starts_with("env ");
    let wrong: Vec<_> = commands
        .iter()
        .filter(with_program)
        .filter_map(|line| Some((line, fault(line, &aliases)?)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A tag can be moved by whoever owns it.
#[test]
fn what_others_made_is_used_by_its_hash_and_no_workflow_may_write_more_than_it_must() {
    for (name, text, workflow) in workflows() {
        for used in texts(&workflow, "uses") {
            let (action, hash) = used.split_once('@').unwrap_or_else(|| panic!("{name}: {used}"));
            assert!(hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {used}");
            let line = text.lines().find(|line| line.contains(&used)).unwrap();
            assert!(line.contains(" # v"), "{name}: {action}: say which version that is");
        }
        assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }), "{name}");
        assert!(!text.contains("pull_request_target"), "{name}: foreign code would run with our rights");
        // Text of strangers, such as a branch's name, would become part of a command.
        let of_strangers = texts(&workflow, "run").into_iter().find(|line| line.contains("${{ github."));
        assert_eq!(of_strangers, None, "{name}");
    }
}

#[test]
fn images_have_their_provenance_and_a_list_of_what_is_in_them() {
    let mut built = 0;
    for (name, _, workflow) in workflows() {
        let mut steps = Vec::new();
        values(&workflow, "with", &mut steps);
        for with in steps.iter().filter(|with| with["platforms"].is_string()) {
            assert_eq!((&with["provenance"], &with["sbom"]), (&"mode=max".into(), &true.into()), "{name}");
            assert_eq!(with["platforms"], "linux/amd64,linux/arm64", "{name}");
            built += 1;
        }
    }
    assert!(built > 0, "no workflow builds images");
}

#[test]
fn a_fault_of_a_line_is_found() {
    let aliases = aliases();
    for good in
        ["cargo torture kills --rounds 3 --json", "cargo test --workspace", ".ci/run", "rustup default 1.95"]
    {
        assert_eq!(fault(good, &aliases), None, "{good}");
    }
    for bad in [
        "cargo torture kils",
        "cargo torture kills --round",
        "cargo dem",
        "tests/nothing.sh",
        "rustup default 1.0",
        "sh -c x",
    ] {
        assert!(fault(bad, &aliases).is_some(), "{bad}");
    }
}
