//! Secrets are taken out of everything that leaves the box for support, and of the log's last lines before they are kept.
//!
//! Three nets, one behind the other. What the configuration says is secret, and what the files hold that it names so, is
//! replaced wherever it stands, in every spelling that the bundle could have it in ([`Redactor::add`]). What looks like a
//! secret is replaced too ([`patterns`]), and what looks like a card number ([`crate::collector::pan`]). And the configuration
//! itself is shown only if it can be read again and no secret is left in it ([`configuration`]).
//!
//! A secret of less than [`SECRET_BYTES_MIN`] bytes is hidden where its name stands, not everywhere: "1234" is also a number
//! of samples.

mod configuration;
mod names;
mod patterns;
#[cfg(test)]
mod schema;
#[cfg(test)]
pub(super) mod tests;
mod text;
mod tree;

use std::borrow::Cow;

use serde_json::Value;

pub(crate) use self::configuration::Configuration;
use crate::collector::pan;

/// What stands where a secret stood.
pub(crate) const MARK: &str = "[redacted]";
/// What stands where a card-like number stood.
const CARD_MARK: &str = "[card number]";
/// Shorter secrets are not looked for everywhere.
const SECRET_BYTES_MIN: usize = 6;
/// Longest line of hexadecimal bytes that is looked into.
const EXCHANGE_BYTES_MAX: usize = 64 << 10;

/// Knows secrets, and takes them out of texts.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// In every spelling, the longest first, so that one inside another leaves nothing behind.
    spellings: Vec<Spelling>,
}

/// A secret as it could stand somewhere.
#[derive(Clone, PartialEq, Eq)]
struct Spelling {
    text: String,
    /// Digits alone: inside a longer number they are none of it.
    is_number: bool,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} spellings)", self.spellings.len())
    }
}

impl Redactor {
    /// From now on this is a secret.
    pub(crate) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SECRET_BYTES_MIN || secret.contains(MARK) {
            return;
        }
        for text in spellings(secret) {
            let is_number = text == secret && text.bytes().all(|b| b.is_ascii_digit());
            let spelling = Spelling { text, is_number };
            if !self.spellings.contains(&spelling) {
                self.spellings.push(spelling);
            }
        }
        self.spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.text.len()));
    }

    /// The name of something, if a card number could be in it with other signs than in a text.
    pub(crate) fn add_name(&mut self, name: &str) {
        if !pan::is_clean_name(name) {
            self.add(name);
        }
    }

    /// A text without secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for spelling in &self.spellings {
            if let Cow::Owned(replaced) = spelling.replace(&text) {
                text = Cow::Owned(replaced);
            }
        }
        let mut clean = String::with_capacity(text.len());
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                clean.push('\n');
            }
            clean.push_str(&pan::scrub(&patterns::clean(line), CARD_MARK));
        }
        clean
    }

    /// The same of everything in a value, names and bytes of exchanges too.
    pub(crate) fn clean_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(&text)),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.clean_value(item)).collect())
            }
            Value::Object(entries) => {
                let clean = |(name, value): (String, Value)| {
                    let value = match (name.as_str(), value) {
                        ("asked" | "answered", Value::String(hex)) => {
                            Value::String(self.clean_exchange(&hex))
                        }
                        (_, value) => self.clean_value(value),
                    };
                    (self.clean(&name), value)
                };
                Value::Object(entries.into_iter().map(clean).collect())
            }
            Value::Number(number) if number.as_f64().is_some_and(pan::is_card_value) => CARD_MARK.into(),
            other => other,
        }
    }

    /// Bytes in hexadecimal, if nothing can be read in them that must not be.
    pub(crate) fn clean_exchange(&self, hex: &str) -> String {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).take(EXCHANGE_BYTES_MAX).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = digits.chunks(2).filter_map(byte).collect();
        let text = String::from_utf8_lossy(&bytes);
        if self.clean(&text) == text { self.clean(hex) } else { MARK.to_owned() }
    }
}

impl Spelling {
    fn replace<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !text.contains(&self.text) {
            return Cow::Borrowed(text);
        }
        if !self.is_number {
            return Cow::Owned(text.replace(&self.text, MARK));
        }
        let mut clean = String::with_capacity(text.len());
        let mut from = 0;
        for (at, found) in text.match_indices(&self.text) {
            let end = at + found.len();
            let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
            let before = at.checked_sub(1).and_then(|before| text.as_bytes().get(before));
            let is_inside = is_digit(before) || is_digit(text.as_bytes().get(end));
            clean.push_str(&text[from..at]);
            clean.push_str(if is_inside { found } else { MARK });
            from = end;
        }
        clean.push_str(&text[from..]);
        Cow::Owned(clean)
    }
}

/// How a secret can be written: as it is, in JSON and `Debug`, in a URL, as bytes in hexadecimal.
fn spellings(secret: &str) -> Vec<String> {
    let quoted = |text: String| text.trim_matches('"').to_owned();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let percent = |upper: bool| -> String {
        let encode = |b: u8| match (is_plain(b), upper) {
            (true, _) => char::from(b).to_string(),
            (false, true) => format!("%{b:02X}"),
            (false, false) => format!("%{b:02x}"),
        };
        secret.bytes().map(encode).collect()
    };
    let hex = |between: &str| secret.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(between);
    let mut all = vec![secret.to_owned()];
    all.extend(serde_json::to_string(secret).ok().map(quoted));
    all.extend([quoted(format!("{secret:?}")), percent(true), percent(false)]);
    for hex in [hex(" "), hex("")] {
        all.extend([hex.to_uppercase(), hex]);
    }
    all.dedup();
    all
}
