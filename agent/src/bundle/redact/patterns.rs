//! Secrets that are known by their form, whoever they belong to: keys, tokens, credentials in URLs and headers, values behind
//! names such as `password=`, key material in lines of its own.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::MARK;

/// A form, and words without which it is not there; in small letters.
struct Form {
    hints: &'static [&'static str],
    regex: Regex,
    /// What stays, by the number of its group.
    kept: &'static [usize],
}

/// Characters of a line of key material, at least.
const MATERIAL_MIN: usize = 60;

/// Words are those of ASCII: the tables of all others would cost a mebibyte for as long as the agent runs.
static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let form = |hints, regex: &str, kept| Regex::new(regex).ok().map(|regex| Form { hints, regex, kept });
    let forms = [
        // Keys of stores, ours and those that were taken over.
        form(&["store_"], r#"(?-u:\b)(store_)[A-Za-z0-9-]+_[A-Za-z0-9-]+_[^\s"'<>,;]+"#, &[1]),
        form(&["push_"], r"(?-u:\b)(push_)[0-9A-Za-z]{16,}", &[1]),
        // Whatever else the house issues: a prefix and 46 letters and digits.
        form(&["_"], r"(?-u:\b)([a-z]{3,12}_)(?:[A-Za-z0-9-]+_)*[0-9A-Za-z]{46}(?-u:\b)", &[1]),
        form(
            &["authorization"],
            r#"(?i)(?-u:\b)(authorization["']?[ \t]*[:=][ \t]*["']?)(?:[A-Za-z]+[ \t]+)?[^\s"'<>,;\[]+"#,
            &[1],
        ),
        form(&["bearer"], r#"(?i)(?-u:\b)(bearer[ \t]+)[^\s"'<>,;\[]+"#, &[1]),
        form(
            &["basic"],
            r"(?-u:\b)([Bb]asic[ \t]+)[A-Za-z0-9+/]{4,}(?:=|[0-9+/A-Z][A-Za-z0-9+/]{2,}={0,2})",
            &[1],
        ),
        form(&["://"], r#"(?i)(?-u:\b)([a-z][a-z0-9+.-]*://)[^\s"<>]*(@)"#, &[1, 2]),
        form(
            &["=", ":"],
            r#"(?i)([A-Za-z0-9_.-]*(?:password|passwd|passphrase|(?-u:\b)pwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key|community|credentials?|(?-u:\b)pin|cookie|contraseña|(?-u:\b)clave|(?-u:\b)senha)["']?[ \t]*[=:][ \t]*)(?:"(?:[^"\\]|\\.)+"|'[^']+'|[^\s,;&}\])({\["'#<][^\s,;&}\])<]*)"#,
            &[1],
        ),
        form(&["?", "&"], r#"(?i)([?&](?:key|sig|signature|auth|code|k|apikey)=)[^&\s"'<>#\[]+"#, &[1]),
        form(&["eyj"], r"(?-u:\b)()eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?", &[1]),
    ];
    forms.into_iter().flatten().collect()
});

/// What in a URL, if it is one, is secret: the password, or who has none his name, and keys in the query.
pub(super) fn in_url(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("://") else { return Vec::new() };
    let user =
        rest.rsplit_once('@').map(|(user, _)| user.split_once(':').map_or(user, |(_, password)| password));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let is_secret = |name: &str| FORMS.iter().any(|form| form.regex.is_match(&format!("?{name}=value")));
    let pairs = query.split(['&', '#']).filter_map(|pair| pair.split_once('='));
    let keys = pairs.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
    user.into_iter().chain(keys).map(str::to_owned).collect()
}

/// A line without what looks like a secret.
pub(super) fn clean(line: &str) -> Cow<'_, str> {
    if is_material(line) {
        return Cow::Borrowed(MARK);
    }
    let small = line.to_lowercase();
    let mut text = Cow::Borrowed(line);
    for form in FORMS.iter().filter(|form| form.hints.iter().any(|hint| small.contains(hint))) {
        let replaced = form.regex.replace_all(&text, |found: &Captures<'_>| {
            let group = |at: usize| found.get(at).map_or("", |part| part.as_str());
            let (first, others) =
                form.kept.split_first().map_or(("", [].as_slice()), |(at, rest)| (group(*at), rest));
            others.iter().fold(format!("{first}{MARK}"), |text, at| text + group(*at))
        });
        if let Cow::Owned(replaced) = replaced {
            text = Cow::Owned(replaced);
        }
    }
    text
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
    fn every_form_is_compiled() {
        assert_eq!(FORMS.len(), 10);
    }

    #[test]
    fn secrets_are_known_by_their_form() {
        let (token, jwt) = ("0".repeat(46), "eyJhbGciOi.eyJzdWIiOi.c2ln");
        for (text, wanted) in [
            (format!("key store_t_S1_{token}!"), "key store_[redacted]".to_owned()),
            ("key store_t_S1_old-key&x is".to_owned(), "key store_[redacted] is".to_owned()),
            (format!("{{\"a\":\"push_{token}\"}}"), "{\"a\":\"push_[redacted]\"}".to_owned()),
            (
                format!("operator_{token} person_acme_{token}"),
                "operator_[redacted] person_[redacted]".to_owned(),
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
