//! A line of a configuration, as far as it must be understood to hide something in it: names, values in braces, and comments
//! that tell a secret in prose.

/// Words that speak of a secret in a comment.
const WORDS: [&str; 12] = [
    "password",
    "passwords",
    "passphrase",
    "passcode",
    "contraseña",
    "contrasena",
    "clave",
    "senha",
    "secret",
    "pin",
    "token",
    "community",
];
/// What stands between such a word and the secret.
const SAYS: [&str; 6] = [" is ", " es ", " é ", "=", ":", "->"];
/// Characters that may stand before that.
const BETWEEN_MAX: usize = 30;

/// Bytes up to the brace that closes the first one.
pub(super) fn closing(text: &str) -> usize {
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
pub(super) fn scalar(text: &str) -> usize {
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

/// Where a comment begins to tell a secret: `the password of the router is …`.
pub(super) fn prose(comment: &str) -> Option<usize> {
    let small = comment.to_ascii_lowercase();
    let is_inside = |c: char| c.is_alphanumeric() || c == '_';
    let is_word = |at: usize, word: &str| {
        let (before, behind) = (&comment[..at], &comment[at + word.len()..]);
        !before.ends_with(is_inside) && !behind.starts_with(is_inside)
    };
    let words = WORDS.iter().flat_map(|word| small.match_indices(word));
    let told = words.filter(|(at, word)| is_word(*at, word)).filter_map(|(at, word)| {
        let begin = at + word.len();
        let between = &small[begin..];
        let between = &between[..between.find(['.', ';']).unwrap_or(between.len())];
        let says = SAYS.iter().filter_map(|says| Some((between.find(says)?, says.len())));
        let (at, length) = says.filter(|(at, _)| *at <= BETWEEN_MAX).min()?;
        let secret = comment[begin + at + length..].trim_start();
        // A mark, or the name of a file.
        (!secret.is_empty() && !secret.starts_with(['[', '{'])).then(|| comment.len() - secret.len())
    });
    told.min()
}

/// `name: …` or `- name: …`: the bytes of the dashes, the name, and where it ends behind its colon.
pub(super) fn entry(bare: &str) -> Option<(usize, &str, usize)> {
    let mut dashes = 0;
    while let Some(rest) = bare[dashes..].strip_prefix("- ") {
        dashes = bare.len() - rest.trim_start_matches(' ').len();
    }
    let (name, end) = name(bare, dashes)?;
    let is_end = bare[end..].is_empty() || bare[end..].starts_with([' ', '\t']);
    is_end.then_some((dashes, name, end))
}

/// The next `name:` behind a brace or a comma, and where its value begins.
pub(super) fn inner_entry(line: &str, from: usize) -> Option<(&str, usize)> {
    let begins = line[from..].match_indices(['{', ',', '[']).map(|(at, _)| from + at + 1);
    let named = begins.map(|begin| line.len() - line[begin..].trim_start_matches([' ', '\t']).len());
    named
        .filter_map(|begin| name(line, begin))
        .map(|(name, end)| (name, line.len() - line[end..].trim_start_matches([' ', '\t']).len()))
        .next()
}

/// A name, perhaps in quotes, and where it ends behind its colon.
fn name(line: &str, begin: usize) -> Option<(&str, usize)> {
    let quote = usize::from(line[begin..].starts_with(['"', '\'']));
    let text = &line[begin + quote..];
    let is_in = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let name = &text[..text.find(|c| !is_in(c)).unwrap_or(text.len())];
    let behind = text[name.len()..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
    let is_name = !name.is_empty() && behind.starts_with(':');
    is_name.then(|| (name, line.len() - behind.len() + 1))
}

/// `{ file: path }`, and nothing else but a comment.
pub(super) fn is_file(value: &str) -> bool {
    let Some((inner, behind)) = value.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return false;
    };
    let is_path =
        inner.trim_start().strip_prefix("file").is_some_and(|rest| rest.trim_start().starts_with(':'));
    is_path
        && !inner.contains(['{', ','])
        && (behind.trim().is_empty() || behind.trim_start().starts_with('#'))
}
