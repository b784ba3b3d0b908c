//! Reads documents: which commands stand in them, where, and what each says that one will see.
//!
//! A command is a line of a block that is marked `sh`, or one after `$ ` in a block marked `console`; what is indented or follows a
//! backslash belongs to the line before. Other lines of a `console` block are what is shown, `…` standing for anything. A comment that
//! begins with `exit code 1` says how the command ends, and one that begins with a status (`# 401`) what a request is answered with.
//! A block marked `sql` is one command for `psql`.

use std::path::{Path, PathBuf};

/// Tags of blocks with nothing to run.
const QUIET: [&str; 7] = ["", "text", "yaml", "json", "ini", "toml", "diff"];

/// One Markdown file.
#[derive(Debug)]
pub(super) struct Document {
    /// From the workspace on.
    pub(super) path: String,
    pub(super) commands: Vec<Command>,
    /// Inline code, with its line.
    pub(super) spans: Vec<(usize, String)>,
    /// What cannot be understood.
    pub(super) faults: Vec<String>,
}

/// One command.
#[derive(Debug, Clone, Default)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) text: String,
    /// What one sees, a line each.
    pub(super) shows: Vec<String>,
    pub(super) is_sql: bool,
}

impl Command {
    /// Without its comments and line ends: how lists name it.
    pub(super) fn name(&self) -> String {
        let lines = self.text.lines().map(|line| split_comment(line).0.trim().trim_end_matches('\\').trim());
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// Its comments.
    pub(super) fn comment(&self) -> String {
        self.text.lines().filter_map(|line| split_comment(line).1).collect::<Vec<_>>().join(" ")
    }

    /// The program and its sub-commands: no flags, and nothing that a flag is given.
    pub(super) fn words(&self) -> Vec<String> {
        words(&self.name())
    }
}

/// Program and sub-commands of a line.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut of_flag = false;
    for word in line.split_whitespace() {
        if word.starts_with('-') {
            of_flag = !word.contains('=');
        } else if std::mem::take(&mut of_flag) {
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

/// A comment begins at `#` after a blank, outside of quotes.
fn split_comment(line: &str) -> (&str, Option<&str>) {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' && before.is_whitespace() => return (&line[..at], Some(line[at + 1..].trim())),
            _ => {}
        }
        before = c;
    }
    (line, None)
}

/// Every Markdown file of the workspace.
pub(super) fn all(root: &Path) -> Vec<Document> {
    let mut paths = Vec::new();
    find(root, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        parse(&name, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn find(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

pub(super) fn parse(path: &str, text: &str) -> Document {
    let mut document = Document { path: path.to_owned(), commands: vec![], spans: vec![], faults: vec![] };
    // A block within a list is indented, all of it.
    let mut block: Option<(usize, &str, usize, Vec<&str>)> = None;
    for (line, number) in text.lines().zip(1..) {
        let indent = line.len() - line.trim_start().len();
        match (line.trim_start().strip_prefix("```"), block.take()) {
            (Some(tag), None) => block = Some((number, tag.trim(), indent, vec![])),
            (Some(_), Some((begun, tag, _, lines))) => take_block(&mut document, begun, tag, &lines),
            (None, Some((begun, tag, by, mut lines))) => {
                lines.push(&line[indent.min(by)..]);
                block = Some((begun, tag, by, lines));
            }
            (None, None) => {
                document
                    .spans
                    .extend(line.split('`').skip(1).step_by(2).map(|span| (number, span.to_owned())));
            }
        }
    }
    if let Some((begun, ..)) = block {
        document.faults.push(format!("{path}:{begun}: the block does not end"));
    }
    document
}

fn take_block(document: &mut Document, begun: usize, tag: &str, lines: &[&str]) {
    let path = &document.path;
    match tag {
        "sh" => document.commands.extend(split(begun, lines, None)),
        "console" => document.commands.extend(split(begun, lines, Some("$ "))),
        "sql" => document.commands.push(Command {
            line: begun,
            text: lines.join("\n"),
            is_sql: true,
            ..Command::default()
        }),
        tag if QUIET.contains(&tag) => {
            let commands = ["$ ", "cargo ", "storepulse-", "docker ", "curl ", "psql "];
            let hidden = lines.iter().find(|line| commands.iter().any(|begin| line.starts_with(begin)));
            if let Some(line) = hidden {
                document.faults.push(format!(
                    "{path}:{begun}: {line:?} is a command in a block that is not marked `sh`"
                ));
            }
        }
        tag => document.faults.push(format!("{path}:{begun}: blocks marked `{tag}` are not known here")),
    }
}

fn split(begun: usize, lines: &[&str], prompt: Option<&str>) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for (line, number) in lines.iter().zip(begun + 1..) {
        let typed = prompt.map_or(Some(*line), |prompt| line.strip_prefix(prompt));
        let last = commands.last_mut();
        match (typed, last) {
            (_, Some(last)) if goes_on => last.text = format!("{}\n{line}", last.text),
            (_, Some(last)) if line.starts_with("  ") && last.shows.is_empty() => {
                last.text = format!("{}\n{line}", last.text);
            }
            (Some(line), _) if line.trim().is_empty() || line.starts_with('#') => continue,
            (Some(line), _) => {
                commands.push(Command { line: number, text: line.to_owned(), ..Command::default() });
            }
            (None, Some(last)) => last.shows.push((*line).to_owned()),
            (None, None) => {}
        }
        goes_on = line.trim_end().ends_with('\\');
    }
    commands
}

/// Whether what was said has these lines, in this order.
pub(super) fn is_shown(shows: &[String], said: &str) -> Result<(), String> {
    let mut rest = said.lines();
    for line in shows.iter().filter(|line| !line.trim().is_empty() && line.trim() != "…") {
        if !rest.any(|said| is_like(line.trim(), said.trim())) {
            return Err(format!("the document shows {line:?}"));
        }
    }
    Ok(())
}

/// `…` stands for anything, and blanks for any number of them.
fn is_like(shown: &str, said: &str) -> bool {
    let even = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, said) = (even(shown), even(said));
    let parts: Vec<&str> = shown.split('…').map(str::trim).collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return shown == said;
    }
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn commands_comments_and_what_is_shown_are_told_apart() {
    let text = "Say `storepulse-cloud verify` or:\n```sh\n# first\na --b \"x # y\" \\\n    c   # exit code 1: why\nd\n  e\n```\n\
                ```console\n$ f\none … two\n$ g\n```\n```text\ncargo x\n```\n```zsh\n```\n";
    let read = parse("x.md", text);
    let names: Vec<_> = read.commands.iter().map(|c| (c.line, c.name(), c.comment())).collect();
    let of = |line, name: &str, comment: &str| (line, name.to_owned(), comment.to_owned());
    let expected =
        [of(4, "a --b \"x # y\" c", "exit code 1: why"), of(6, "d e", ""), of(10, "f", ""), of(12, "g", "")];
    assert_eq!(names, expected);
    assert_eq!(read.commands[2].shows, ["one … two"]);
    assert_eq!(read.spans, [(1, "storepulse-cloud verify".to_owned())]);
    assert_eq!(read.faults.len(), 2, "{:?}", read.faults);
    assert_eq!(
        words("storepulse-cloud key --embedded /x rotate --tenant=a"),
        ["storepulse-cloud", "key", "rotate"]
    );

    assert!(is_shown(&["one … two".to_owned(), "three".to_owned()], "zero\none 1  two\n three").is_ok());
    assert!(is_shown(&["three".to_owned(), "one … two".to_owned()], "one 1 two\nthree").is_err());
    assert!(is_like("… is whole", "a.archive is whole") && !is_like("a … c", "a b c d"));
}
