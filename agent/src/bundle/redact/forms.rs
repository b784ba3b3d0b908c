//! Forms of secrets, a function each that finds the next one in a line.
//!
//! By hand, not by regular expressions: every line of the log comes by for as long as the agent runs, and the tables and
//! caches of ten expressions are mebibytes.

use std::ops::Range;

use super::MARK;

/// Finds what is to be hidden next, in a line from there on; the second text is the line in small letters.
pub(super) type Form = fn(&str, &str, usize) -> Option<Range<usize>>;

/// All forms, in the order in which they are looked for.
pub(super) const FORMS: [Form; 10] =
    [store_key, push_token, issued_token, authorization, bearer, basic, url_user, named, in_query, web_token];

/// Characters of the token in a key that the house issues.
const TOKEN_CHARS: usize = 46;
/// Names whose values are secrets, wherever in a longer name they stand at the end.
const NAMES: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "api-key",
    "apikey",
    "private_key",
    "private-key",
    "access_key",
    "access-key",
    "community",
    "credential",
    "cookie",
    "contraseña",
];
/// The same, of words that are also the ends of others.
const WORDS: [&str; 4] = ["pwd", "pin", "clave", "senha"];
/// Names of a query whose values are secrets.
pub(super) const QUERY: [&str; 7] = ["key", "sig", "signature", "auth", "code", "k", "apikey"];

/// Where a word stands from there on, and where it ends.
fn places<'a>(small: &'a str, word: &'a str, from: usize) -> impl Iterator<Item = (usize, usize)> + 'a {
    small[from..].match_indices(word).map(move |(at, word)| (from + at, from + at + word.len()))
}

/// Bytes at the beginning that are all of these.
fn run(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_in(c)).unwrap_or(text.len())
}

fn blanks(text: &str) -> usize {
    run(text, |c| matches!(c, ' ' | '\t'))
}

fn begins_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Bytes of a value without quotes; one that is a mark already is none.
fn bare_value(text: &str) -> usize {
    if text.starts_with('[') {
        0
    } else {
        run(text, |c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '<' | '>' | ',' | ';' | '['))
    }
}

fn some(start: usize, length: usize) -> Option<Range<usize>> {
    (length > 0).then_some(start..start + length)
}

/// Keys of stores, ours and those that were taken over: `store_<tenant>_<store>_<token>`.
fn store_key(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "store_", from).filter(|(at, _)| begins_word(line, *at)).find_map(|(_, begin)| {
        let mut at = begin;
        for _ in 0..2 {
            let field = run(&line[at..], |c| c.is_ascii_alphanumeric() || c == '-');
            at += field + 1;
            if field == 0 || line.as_bytes().get(at - 1) != Some(&b'_') {
                return None;
            }
        }
        let token = bare_value(&line[at..]);
        (token > 0).then_some(begin..at + token)
    })
}

fn push_token(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "push_", from).filter(|(at, _)| begins_word(line, *at)).find_map(|(_, begin)| {
        let token = run(&line[begin..], |c| c.is_ascii_alphanumeric());
        some(begin, if token >= 16 { token } else { 0 })
    })
}

/// Whatever else the house issues: a prefix, and so many letters and digits.
fn issued_token(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "_", from).find_map(|(_, begin)| {
        let token = run(&line[begin..], |c| c.is_ascii_alphanumeric());
        let is_whole = token == TOKEN_CHARS && !line[begin + token..].starts_with('_');
        some(begin, if is_whole { token } else { 0 })
    })
}

/// `Authorization: <scheme> <credential>`, in headers and in JSON.
fn authorization(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "authorization", from).find_map(|(_, end)| {
        let begin = value_begin(line, end)?;
        let begin = begin + run(&line[begin..], |c| matches!(c, '"' | '\''));
        let scheme = run(&line[begin..], |c| c.is_ascii_alphabetic());
        let gap = blanks(&line[begin + scheme..]);
        let credential = bare_value(&line[begin + scheme + gap..]);
        if scheme > 0 && gap > 0 && credential > 0 {
            return some(begin, scheme + gap + credential);
        }
        some(begin, bare_value(&line[begin..]))
    })
}

fn bearer(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "bearer", from).filter(|(at, _)| begins_word(line, *at)).find_map(|(_, end)| {
        let gap = blanks(&line[end..]);
        some(end + gap, if gap > 0 { bare_value(&line[end + gap..]) } else { 0 })
    })
}

/// `Basic` and base64, which a word of a sentence does not look like.
fn basic(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "basic", from).filter(|(at, _)| begins_word(line, *at)).find_map(|(_, end)| {
        let begin = end + blanks(&line[end..]);
        let length = run(&line[begin..], |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='));
        let coded = line[begin..begin + length].bytes().skip(1).any(|b| !b.is_ascii_lowercase());
        some(begin, if begin > end && length >= 8 && coded { length } else { 0 })
    })
}

/// What stands before the last `@` of a URL: passwords have every sign in them.
fn url_user(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    places(small, "://", from).find_map(|(_, begin)| {
        let whole = run(&line[begin..], |c| !c.is_whitespace() && !matches!(c, '"' | '<' | '>'));
        let user = line[begin..begin + whole].rfind('@').unwrap_or_default();
        some(begin, if &line[begin..begin + user] == MARK { 0 } else { user })
    })
}

/// Where the value of a name begins, behind its quote, blanks and sign.
fn value_begin(line: &str, end: usize) -> Option<usize> {
    let end = end + run(&line[end..], |c| matches!(c, '"' | '\'')).min(1);
    let sign = end + blanks(&line[end..]);
    let is_sign = line[sign..].starts_with([':', '=']);
    is_sign.then(|| sign + 1 + blanks(&line[sign + 1..]))
}

/// `password=…`, `"token": "…"`, `PIN: …`: the first of all names that has a value.
fn named(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    let anywhere = NAMES.iter().flat_map(|name| places(small, name, from));
    let words =
        WORDS.iter().flat_map(|word| places(small, word, from)).filter(|(at, _)| begins_word(line, *at));
    let value = |(_, end): (usize, usize)| {
        let plural = usize::from(small[end..].starts_with('s'));
        let begin = value_begin(line, end + plural)?;
        some(begin, value_length(&line[begin..]))
    };
    anywhere.chain(words).filter_map(value).min_by_key(|found| found.start)
}

/// Bytes of a value in quotes, whether they end or not, or without.
fn value_length(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let mut escaped = false;
            let end = text[1..].find(|c| {
                let ends = c == quote && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            match end {
                Some(0) => 0,
                Some(end) => end + 2,
                None => text.len(),
            }
        }
        Some('{' | '[' | '#' | '<') | None => 0,
        Some(_) => run(text, |c| !c.is_whitespace() && !matches!(c, ',' | ';' | '&' | '}' | ']' | ')' | '<')),
    }
}

fn in_query(line: &str, small: &str, from: usize) -> Option<Range<usize>> {
    let begins = small[from..].match_indices(['?', '&']).map(|(at, _)| from + at + 1);
    begins.filter_map(|begin| Some((begin, small[begin..].split_once('=')?.0))).find_map(|(begin, name)| {
        let value = begin + name.len() + 1;
        let length = run(&line[value..], |c| {
            !c.is_whitespace() && !matches!(c, '&' | '"' | '\'' | '<' | '>' | '#' | '[')
        });
        some(value, if QUERY.contains(&name) { length } else { 0 })
    })
}

/// `eyJ….….…`
fn web_token(line: &str, _: &str, from: usize) -> Option<Range<usize>> {
    places(line, "eyJ", from).filter(|(at, _)| begins_word(line, *at)).find_map(|(at, _)| {
        let length = run(&line[at..], |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
        let parts = line[at..at + length].split('.').filter(|part| part.len() >= 5).count();
        some(at, if parts >= 2 { length } else { 0 })
    })
}
