//! What a kind says of itself, and the document that is made of it: `agent/DEVICES.md`, and the devices of the example.

use std::fmt::Write as _;

use storepulse_shared::catalogue;

/// What a kind says of itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// What it reads, and what it asks: a sentence or two.
    pub summary: &'static str,
    /// Blocks of `devices:` with every setting, indented by two, its default and what it means as a comment.
    pub example: &'static str,
    /// The metrics that it gives by itself, all in the catalogue. Others stand in its configuration.
    pub metrics: &'static [&'static str],
    /// Its events.
    pub events: &'static [&'static str],
    /// What it limits, refuses or leaves out.
    pub limits: &'static [&'static str],
    /// What no program here can test; needs one look at a real device.
    pub untested: &'static [&'static str],
}

const SHOWN: &str = "Bytes: the first 64 of the last question and the last answer are shown to people on the box, and with the last error, \
    unless a card-like number is among them.";
const HIDDEN: &str = "Bytes: never shown.";

/// The document of all kinds: for each its name, what it says of itself, and whether the bytes of its line may be shown.
#[must_use]
pub fn document<'a>(kinds: impl Iterator<Item = (&'a str, &'a About, bool)> + Clone) -> String {
    let mut text = String::from(
        "# What the agent can read\n\n\
         Each block below goes under `devices:` in `agent.yaml`, under an id of your choice. Every setting is shown; those with a\n\
         default may be left out. This document is made of the code, and a test holds it to that.\n\n",
    );
    for (name, ..) in kinds.clone() {
        let _ = writeln!(text, "- [`{name}`](#{name})");
    }
    for (name, about, shows_bytes) in kinds {
        let _ = write!(text, "\n## {name}\n\n{}\n\n```yaml\n{}```\n", about.summary, about.example);
        metrics(&mut text, about.metrics);
        list(&mut text, "Events", about.events, "`");
        list(&mut text, "Limits", about.limits, "");
        let bytes = if shows_bytes { SHOWN } else { HIDDEN };
        let _ = writeln!(text, "\n{bytes}");
        list(&mut text, "Not tested with a real device", about.untested, "");
    }
    text
}

fn metrics(text: &mut String, names: &[&str]) {
    if names.is_empty() {
        return;
    }
    text.push_str("\n| metric | unit | what it says |\n|---|---|---|\n");
    for name in names {
        if let Some(metric) = catalogue::find(name) {
            let _ = writeln!(text, "| `{name}` | `{}` | {} |", metric.unit, metric.meaning);
        }
    }
}

fn list(text: &mut String, title: &str, lines: &[&str], quote: &str) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}:\n");
    for line in lines {
        let _ = writeln!(text, "- {quote}{line}{quote}");
    }
}
