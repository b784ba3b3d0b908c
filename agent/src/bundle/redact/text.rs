//! A configuration as it was written, comments and all, with marks where secrets stood.
//!
//! Lines are judged by the names at their beginnings and inside braces; a comment is judged like what it comments out. This
//! is not YAML's grammar and need not be: what comes out is read as YAML again by [`super::configuration`], and shown only
//! if no secret is left in it.

use std::sync::LazyLock;

use regex::Regex;

use super::MARK;
use super::names::{Name, Trust};

static ENTRY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"^((?:- +)*)(["']?)([\w.\-/]+)["']?[ \t]*:(?:[ \t]|$)"#).ok());
static INLINE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"[{,\[][ \t]*["']?([\w.\-/]+)["']?[ \t]*:[ \t]*"#).ok());
/// `{ file: path }`, and nothing else but a comment.
static FILE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\{[ \t]*file[ \t]*:[^{},]*\}[ \t]*(#.*)?$").ok());
/// A comment that tells a secret in prose.
static PROSE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let words = "passwords?|passphrase|passcode|contraseña|contrasena|clave|senha|secret|pin|token|community";
    Regex::new(&format!(r"(?i)\b(?:{words})\b[^.;]{{0,30}}?(?:\bis\b|\bes\b|\bé|=|:|->)[ \t]*(\S.*)$")).ok()
});

/// A text without its secrets, and what stood in their places.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    pub text: String,
    pub removed: Vec<String>,
}

/// What the lines below a name belong to.
#[derive(Debug, Clone, Copy)]
enum Below {
    /// The rest of a value that was hidden.
    Rest,
    /// A secret: text of its own line, or the name of its file.
    Secret,
    /// Secrets of any name.
    AllSecret,
}

/// One of two readers of lines: of what counts, and of what is commented out.
#[derive(Debug, Default)]
struct Reader {
    /// From the outside in, with where each name stands.
    below: Vec<(usize, Below)>,
}

/// Hides what names say is secret.
pub(super) fn hide(text: &str, trust: Trust) -> Hidden {
    let mut hidden = Hidden::default();
    let (mut lines, mut comments) = (Reader::default(), Reader::default());
    for line in text.lines() {
        let bare = line.trim_start();
        let shown = if bare.starts_with('#') {
            let inner = bare.trim_start_matches('#');
            let before = &line[..line.len() - inner.len()];
            let shown = comments.line(inner, trust, &mut hidden.removed);
            shown.map(|shown| format!("{before}{}", without_prose(&shown, &mut hidden.removed)))
        } else {
            // A comment ends with its last line.
            comments = Reader::default();
            lines.line(line, trust, &mut hidden.removed).map(|line| behind_comment(line, &mut hidden.removed))
        };
        if let Some(shown) = shown {
            hidden.text.push_str(&shown);
            hidden.text.push('\n');
        }
    }
    hidden
}

impl Reader {
    /// A line as it may be shown; `None` if it is the rest of what was hidden.
    fn line(&mut self, line: &str, trust: Trust, removed: &mut Vec<String>) -> Option<String> {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if bare.is_empty() {
            return Some(line.to_owned());
        }
        // A list may stand as far to the left as its name.
        let is_below = |at: usize| indent > at || (indent == at && bare.starts_with("- "));
        while self.below.last().is_some_and(|(at, _)| !is_below(*at)) {
            self.below.pop();
        }
        let below = self.below.last().map(|(_, below)| *below);
        if matches!(below, Some(Below::Rest)) {
            removed.push(bare.to_owned());
            return None;
        }
        let entry = ENTRY.as_ref()?.captures(bare);
        let Some(entry) = entry else {
            let (dashes, value) = bare.split_at(bare.len() - bare.trim_start_matches(['-', ' ']).len());
            let is_secret = matches!(below, Some(Below::Secret | Below::AllSecret));
            if !is_secret || value.starts_with(['{', '[', '}', ']']) {
                return Some(inline(line, trust, false, removed));
            }
            removed.push(value.to_owned());
            return Some(format!("{}{dashes}{MARK}", &line[..indent]));
        };
        let (dashes, name) = (entry.get(1).map_or(0, |m| m.len()), entry.get(3).map_or("", |m| m.as_str()));
        let end = indent + entry.get(0).map_or(0, |m| m.end());
        let judged = match below {
            Some(Below::AllSecret) if name != "file" => Name::Secret,
            _ => trust.judge(name),
        };
        let (head, rest) = line.split_at(end);
        let at = indent + dashes;
        match judged {
            Name::Open | Name::SecretFile => Some(inline(line, trust, false, removed)),
            Name::Secret | Name::AllSecret => {
                let rest = self.value(at, rest, judged, trust, removed);
                Some(format!("{}{}{rest}", head.trim_end(), if rest.is_empty() { "" } else { " " }))
            }
        }
    }

    /// What may be shown of the value of a secret.
    fn value(
        &mut self,
        at: usize,
        rest: &str,
        name: Name,
        trust: Trust,
        removed: &mut Vec<String>,
    ) -> String {
        let rest = rest.trim();
        let is_file = FILE.as_ref().is_some_and(|file| file.is_match(rest));
        let says_nothing = ["true", "false", "null", "~", "[]", "{}"].contains(&rest);
        if rest.is_empty() || rest.starts_with('#') {
            let below = if name == Name::AllSecret { Below::AllSecret } else { Below::Secret };
            self.below.push((at, below));
            return rest.to_owned();
        }
        if is_file || says_nothing {
            return rest.to_owned();
        }
        let is_closed = rest.ends_with(['}', ']'])
            && rest.matches(['{', '[']).count() == rest.matches(['}', ']']).count();
        if rest.starts_with(['{', '[']) && rest.contains(':') && is_closed {
            return inline(rest, trust, name == Name::AllSecret, removed);
        }
        removed.push(rest.to_owned());
        self.below.push((at, Below::Rest));
        MARK.to_owned()
    }
}

/// Hides the values of names that stand inside braces; of all of them but files, if `all`.
fn inline(line: &str, trust: Trust, all: bool, removed: &mut Vec<String>) -> String {
    let Some(pattern) = INLINE.as_ref() else { return String::new() };
    let mut shown = String::with_capacity(line.len());
    // Names are secret up to the brace that closes their headers.
    let (mut from, mut all_until) = (0, if all { line.len() } else { 0 });
    let mut search = 0;
    while let Some(found) = pattern.captures_at(line, search) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { break };
        let end = whole.end();
        // What follows may begin with the brace of an inner block.
        search = end;
        let judged = if end <= all_until && name.as_str() != "file" {
            Name::Secret
        } else {
            trust.judge(name.as_str())
        };
        let rest = &line[end..];
        match judged {
            Name::Open | Name::SecretFile => search = end,
            Name::AllSecret if rest.starts_with('{') => all_until = all_until.max(end + closing(rest)),
            Name::Secret | Name::AllSecret if rest.starts_with(['{', '[']) => {}
            Name::Secret | Name::AllSecret => {
                let length = scalar(rest);
                removed.push(rest[..length].to_owned());
                shown.push_str(&line[from..end]);
                shown.push_str(MARK);
                from = end + length;
                search = from;
            }
        }
    }
    shown.push_str(&line[from..]);
    shown
}

/// Bytes up to the brace that closes the first one.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Bytes of a scalar inside braces.
fn scalar(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = match chars.next() {
        Some((_, c @ ('"' | '\''))) => c,
        _ => return text[..text.find([',', '}', ']']).unwrap_or(text.len())].trim_end().len(),
    };
    let mut escaped = false;
    for (at, c) in chars {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            // Two of them are one that belongs to the text.
            '\'' if quote == '\'' && text[at + 1..].starts_with('\'') => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The same line, without what the comment behind it tells in prose.
fn behind_comment(line: String, removed: &mut Vec<String>) -> String {
    match line.find(" #") {
        Some(at) => format!("{}{}", &line[..at], without_prose(&line[at..], removed)),
        None => line,
    }
}

fn without_prose(comment: &str, removed: &mut Vec<String>) -> String {
    let told = PROSE.as_ref().and_then(|prose| prose.captures(comment)).and_then(|found| found.get(1));
    match told.filter(|told| !told.as_str().starts_with([MARK_BEGIN, '{'])) {
        Some(told) => {
            removed.push(told.as_str().to_owned());
            format!("{}{MARK}", &comment[..told.start()])
        }
        None => comment.to_owned(),
    }
}

const MARK_BEGIN: char = '[';

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        hide(text, Trust::Names).text
    }

    #[test]
    fn secrets_of_every_spelling_are_hidden_and_the_rest_stays_as_it_was_written() {
        for (text, wanted) in [
            ("  token: hunter # mine\n", "  token: [redacted]\n"),
            ("  'password': \"a: b\"\n", "  'password': [redacted]\n"),
            ("  password: { file: a.b } # why\n", "  password: { file: a.b } # why\n"),
            ("  password:\n    file: a\n  b: c\n", "  password:\n    file: a\n  b: c\n"),
            ("  password: |\n    one\n\n    two\n  b: c\n", "  password: [redacted]\n\n  b: c\n"),
            ("  password:\n    one\n  b: c\n", "  password:\n    [redacted]\n  b: c\n"),
            ("- { name: a, token: b, x: 'c' }\n", "- { name: a, token: [redacted], x: 'c' }\n"),
            ("- {token: \"b\\\"}, c\", x: 1}\n", "- {token: [redacted], x: 1}\n"),
            ("- {token: 'b''}, c', x: 1}\n", "- {token: [redacted], x: 1}\n"),
            (
                "tokens:\n- name: a\n  token: b\n- c\n",
                "tokens:\n- name: a\n  token: [redacted]\n- [redacted]\n",
            ),
            (
                "headers: { A: b, C: { file: d }, E: f }\n",
                "headers: { A: [redacted], C: { file: d }, E: [redacted] }\n",
            ),
            ("x: { headers: { A: b }, y: z }\n", "x: { headers: { A: [redacted] }, y: z }\n"),
            (
                "headers:\n  A: b\n  C:\n    file: d\n  E: { file: f }\ng: h\n",
                "headers:\n  A: [redacted]\n  C:\n    file: d\n  E: { file: f }\ng: h\n",
            ),
            (
                "key_file: a.key\nimported_key: true\ntokens: []\n",
                "key_file: a.key\nimported_key: true\ntokens: []\n",
            ),
            ("pin-pad:\n  reach: {target: a}\n", "pin-pad:\n  reach: {target: a}\n"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }

    #[test]
    fn comments_are_kept_and_judged_like_what_they_comment_out() {
        for (text, wanted) in [
            (
                "# The key of this store, from the package; read again.\n",
                "# The key of this store, from the package; read again.\n",
            ),
            ("  # token: abc\n  # token_file: x\n", "  # token: [redacted]\n  # token_file: x\n"),
            ("# password: |\n#   abc\n# x: y\n", "# password: [redacted]\n# x: y\n"),
            ("a: 1 # the wifi password is abc\n", "a: 1 # the wifi password is [redacted]\n"),
            ("# la contraseña del router es abc def\n", "# la contraseña del router es [redacted]\n"),
            ("# - { name: pos, token: abc }\n", "# - { name: pos, token: [redacted] }\n"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }
}
