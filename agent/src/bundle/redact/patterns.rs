//! Secrets that are known by their form, whoever they belong to: keys, tokens, credentials in URLs and headers, values behind
//! names such as `password=`, key material in lines of its own.

use std::borrow::Cow;

use super::MARK;
use super::forms::{FORMS, Form, QUERY};
use super::names::{Name, Trust};

/// Characters of a line of key material, at least.
const MATERIAL_MIN: usize = 60;
/// A line without what looks like a secret.
pub(super) fn clean(line: &str) -> Cow<'_, str> {
    if is_material(line) {
        return Cow::Borrowed(MARK);
    }
    let mut text = Cow::Borrowed(line);
    for form in FORMS {
        if let Some(clean) = hide(&text, form) {
            text = Cow::Owned(clean);
        }
    }
    text
}

/// The line with marks, if anything is of this form.
fn hide(line: &str, form: Form) -> Option<String> {
    let small = line.to_ascii_lowercase();
    let mut clean = String::new();
    let mut from = 0;
    while let Some(found) = form(line, &small, from) {
        clean.push_str(&line[from..found.start]);
        clean.push_str(MARK);
        from = found.end;
    }
    (from > 0).then(|| clean + &line[from..])
}

/// What in a URL, if it is one, is secret: the password, or who has none his name, and keys in the query.
pub(super) fn in_url(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("://") else { return Vec::new() };
    let user =
        rest.rsplit_once('@').map(|(user, _)| user.split_once(':').map_or(user, |(_, password)| password));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split(['&', '#']).filter_map(|pair| pair.split_once('='));
    let is_secret = |name: &str| QUERY.contains(&name) || Trust::Names.judge(name) != Name::Open;
    let keys = pairs.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
    user.into_iter().chain(keys).map(str::to_owned).collect()
}

/// Whether a line is the body of a key or certificate, perhaps commented out.
fn is_material(line: &str) -> bool {
    let bare = line.trim().trim_start_matches(['#', ' ']);
    let is_base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    bare.len() >= MATERIAL_MIN && bare.bytes().all(is_base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_form() {
        let (token, jwt) = ("0".repeat(46), "eyJhbGciOi.eyJzdWIiOi.c2ln");
        for (text, wanted) in [
            (format!("key store_t_S1_{token}!"), "key store_[redacted]".to_owned()),
            ("key store_t_S1_old-key&x is".to_owned(), "key store_[redacted] is".to_owned()),
            (format!("{{\"a\":\"push_{token}\"}}"), "{\"a\":\"push_[redacted]\"}".to_owned()),
            (
                format!("operator_{token} person_acme_{token}"),
                "operator_[redacted] person_acme_[redacted]".to_owned(),
            ),
            ("Authorization: Bearer abc.def".to_owned(), "Authorization: [redacted]".to_owned()),
            ("sent bearer abcdef, ok".to_owned(), "sent bearer [redacted], ok".to_owned()),
            ("Basic dXNlcjpwYXNz".to_owned(), "Basic [redacted]".to_owned()),
            ("at postgres://u:p@ss/w@db/x?y".to_owned(), "at postgres://[redacted]@db/x?y".to_owned()),
            ("http://h/x?key=abc&y=1".to_owned(), "http://h/x?key=[redacted]&y=1".to_owned()),
            ("password=hunter2, x".to_owned(), "password=[redacted], x".to_owned()),
            (
                "{\"db_password\": \"a \\\"b\", \"c\": 1}".to_owned(),
                "{\"db_password\": [redacted], \"c\": 1}".to_owned(),
            ),
            ("PIN: 123456".to_owned(), "PIN: [redacted]".to_owned()),
            (format!("x {jwt} y"), "x [redacted] y".to_owned()),
            (format!("  # {}", "Ab1+".repeat(16)), "[redacted]".to_owned()),
        ] {
            assert_eq!(clean(&text), wanted);
        }
    }

    #[test]
    fn no_line_is_too_strange_and_a_long_one_costs_little() {
        let pieces = [
            "password=",
            "\"",
            "'",
            "store_",
            "a_b_",
            "push_",
            "bearer ",
            "basic ",
            "authorization: ",
            "://",
            "@",
            "?key=",
            "&",
            "eyJ",
            ".",
            "ñ",
            "\u{1f9fe}",
            "[",
            "{",
            " ",
            "=",
            "_",
            ":",
            "x",
        ];
        for (at, one) in pieces.iter().enumerate() {
            for two in pieces {
                for three in pieces {
                    clean(&format!("{one}{two}{three}{}", pieces[(at * 7) % pieces.len()]));
                }
            }
            let begun = std::time::Instant::now();
            clean(&format!("{}x", one.repeat(4_000)));
            assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{one}");
        }
    }

    #[test]
    fn the_secrets_of_a_url_are_known() {
        assert_eq!(in_url("postgres://u:p@ss:w@db/x"), ["p@ss:w"]);
        assert_eq!(in_url("https://h/x?key=abc&lang=es&access_token=def#top"), ["abc", "def"]);
        assert_eq!(in_url("https://h/x?lang=es"), [""; 0]);
        assert_eq!(in_url("u:p@h"), [""; 0]);
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in [
            "2026-11-21T10:30:00Z  INFO agent running version=\"0.1.0\" spool=/var/lib/storepulse devices=12",
            "    password: { file: mqtt.password }",
            "    tokens: []",
            "    key_file: store.key",
            "ping: 3 ms, mapping: x, pin-pad: ok",
            "basic functionality of http://host:80/path",
            "retail.pos.tokens 3; \"key_id\": \"AbCdEf12\"",
            "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
            "e8b1f0c2-1111-4222-8333-444455556666/42",
        ] {
            assert!(
                matches!(clean(text), Cow::Borrowed(same) if same == text),
                "{text} became {}",
                clean(text)
            );
        }
    }
}
