//! The configuration of a bundle: its text as far as it can be shown, and its secrets for everything else to be searched for.
//!
//! Nobody promises that a text with marks in it hides all. So it is read once more as YAML, and is shown only if all that is
//! secret in it is a mark. A text that is no YAML is not shown at all: nobody can say what in it is a secret.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::names::Trust;
use super::{MARK, Redactor, text, tree};
use crate::config::Config;

/// What a file with a secret may have; more is none.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// The file in the state folder with keys that the agent made itself.
const OWN_KEYS: &str = "key.json";

/// A configuration as support may see it.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// Its text without secrets; or why it is not shown.
    pub text: Result<String, String>,
    /// What is wrong with it, without secrets.
    pub problem: Option<String>,
    /// Knows its secrets.
    pub redactor: Redactor,
    /// The state folder that it names.
    pub state_dir: Option<PathBuf>,
    /// Where the running agent shows its status.
    pub listen: String,
    /// Files with secrets that could not be read, and why.
    pub unread: Vec<String>,
}

impl Configuration {
    /// Reads it, right or not.
    pub(crate) fn load(path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::of(&text, path),
            Err(error) => {
                let why = format!("{} cannot be read: {error}", path.display());
                let mut nothing = Self::of("", path);
                (nothing.text, nothing.problem) = (Err(why.clone()), Some(why));
                nothing
            }
        }
    }

    /// The same of a text; the files that it names are read.
    pub(crate) fn of(written: &str, path: &Path) -> Self {
        let base = path.parent().unwrap_or(Path::new(""));
        let problem = Config::parse(written, path).err().map(|error| error.to_string());
        let trust = if problem.is_some() { Trust::KnownNames } else { Trust::Names };
        let tree = tree::parse(written);
        let found = tree.as_ref().map(|tree| tree::find(tree, trust)).unwrap_or_default();
        let hidden = text::hide(written, trust);
        let mut redactor = Redactor::default();
        found.secrets.iter().for_each(|secret| redactor.add(secret));
        hidden.removed.iter().for_each(|removed| add_removed(&mut redactor, removed));
        let state_dir = of_tree(tree.as_ref(), "/state_dir").map(|dir| base.join(dir));
        let own_keys = state_dir.iter().map(|dir| dir.join(OWN_KEYS)).filter(|path| path.exists());
        let files = found.files.iter().map(|file| base.join(file)).chain(own_keys);
        let unread = files.filter_map(|file| read_secrets(&file, &mut redactor).err()).collect();
        let devices = tree.as_ref().and_then(|tree| tree.get("devices")).and_then(Value::as_object);
        devices.into_iter().flatten().for_each(|(id, _)| redactor.add_name(id));
        let problem = problem.map(|problem| redactor.clean(&without_quotes(&problem, tree.is_some())));
        let text = match tree {
            Some(_) => checked(&redactor.clean(&hidden.text), trust),
            None if problem.is_some() => {
                Err("it is not YAML, so that nobody can say what in it is a secret; it is not shown"
                    .to_owned())
            }
            None => Ok(String::new()),
        };
        let listen = of_tree(tree.as_ref(), "/local/listen").unwrap_or_else(|| "127.0.0.1:9750".to_owned());
        Self { text, problem, redactor, state_dir, listen, unread }
    }
}

fn of_tree(tree: Option<&Value>, pointer: &str) -> Option<String> {
    tree?.pointer(pointer)?.as_str().map(str::to_owned)
}

/// The text, if nothing in it is secret any more.
fn checked(text: &str, trust: Trust) -> Result<String, String> {
    let refused =
        |why: &str| Err(format!("it cannot be shown without its secrets ({why}), so it is not shown"));
    let Some(tree) = tree::parse(text) else {
        return refused("they are written over several lines, or referred to");
    };
    let bare = MARK.trim_matches(['[', ']']);
    let left = tree::find(&tree, trust).secrets;
    if left.iter().all(|secret| secret == bare || secret.contains(MARK)) {
        Ok(text.to_owned())
    } else {
        refused("some are written in a way that is not understood")
    }
}

/// A value as it stood in a line: with and without its comment and its quotes.
fn add_removed(redactor: &mut Redactor, removed: &str) {
    let value = removed.trim();
    let bare = value.split(" #").next().unwrap_or(value).trim();
    for text in [value, bare, bare.trim_matches(['"', '\''])] {
        redactor.add(text);
    }
}

/// What a file holds, as a whole and line by line; of JSON each text in it.
fn read_secrets(path: &Path, redactor: &mut Redactor) -> Result<(), String> {
    let told = |why: String| format!("{}: {why}", path.display());
    let meta = std::fs::metadata(path).map_err(|e| told(e.to_string()))?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err(told(format!("it is no file of at most {FILE_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|e| told(e.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    redactor.add(text.trim());
    text.lines().for_each(|line| redactor.add(line.trim()));
    if let Ok(Value::Object(entries)) = serde_json::from_str(&text) {
        entries.values().filter_map(Value::as_str).for_each(|value| redactor.add(value));
    }
    Ok(())
}

/// Errors quote what they do not understand; in a text whose secrets are not known that could be one.
fn without_quotes(problem: &str, secrets_are_known: bool) -> String {
    if secrets_are_known {
        return problem.to_owned();
    }
    let mut shown = String::with_capacity(problem.len());
    for (at, part) in problem.split(['"', '`', '\'']).enumerate() {
        shown.push_str(if at % 2 == 0 { part } else { MARK });
    }
    shown
}
