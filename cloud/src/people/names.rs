//! What people are called: by which name they sign in, where mail reaches them, and how they are shown to others.
//!
//! What somebody signs in with is of letters that cannot be mistaken for others (a–z, no Cyrillic `а`). What is shown may be of
//! every script, but a word of it is of one only, so that nobody can look like somebody else.

use unicode_security::MixedScript as _;

use crate::operator::{Refusal, text};

/// Longest name to sign in with, bytes.
pub(crate) const USER_NAME_MAX: usize = 64;
/// Longest address of mail (RFC 5321), bytes.
pub(crate) const EMAIL_MAX: usize = 254;

/// What somebody signs in with, in lower case.
pub(crate) fn check_user_name(text: &str) -> Result<String, Refusal> {
    let name = text.to_ascii_lowercase();
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_name = name.len() <= USER_NAME_MAX
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.chars().all(|c| is_edge(c) || matches!(c, '.' | '_' | '-'));
    if is_name {
        return Ok(name);
    }
    Err(Refusal::Value(format!(
        "user_name: {text:.80?} cannot be one: 1 to {USER_NAME_MAX} of a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends"
    )))
}

/// An address of mail, in lower case: one `@`, a host name behind it, nothing that could end a line of a mail's head.
pub(crate) fn check_email(text: &str) -> Result<String, Refusal> {
    let email = text.to_ascii_lowercase();
    let is_local = |local: &str| {
        (1..=64).contains(&local.len())
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_email = email.len() <= EMAIL_MAX
        && email.split_once('@').is_some_and(|(local, host)| {
            is_local(local) && host.contains('.') && host.split('.').all(is_label)
        });
    if is_email {
        return Ok(email);
    }
    Err(Refusal::Value(format!(
        "email: {text:.80?} cannot be one: name@host.example, of at most {EMAIL_MAX} letters a-z, digits and signs; a host in other letters is written as xn--…"
    )))
}

/// How somebody is shown to others.
pub(crate) fn check_shown_name(name: &str) -> Result<(), Refusal> {
    text::check_name("name", name)?;
    match name.split_whitespace().find(|word| !word.is_single_script()) {
        Some(word) => Err(Refusal::Value(format!(
            "name: {word:?} mixes letters of several scripts, some of which look alike; write each word in one"
        ))),
        None => Ok(()),
    }
}

/// What somebody signs in with: the form in which her user name or her e-mail is stored. `None`: it can be neither.
pub(crate) fn signs_in_as(text: &str) -> Option<String> {
    check_user_name(text).or_else(|_| check_email(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_signs_in_with_cannot_look_like_another() {
        for (given, taken) in [("ana", "ana"), ("Ana.Ruiz-2", "ana.ruiz-2"), ("a", "a"), ("7_7", "7_7")] {
            assert_eq!(check_user_name(given).unwrap(), taken);
        }
        for bad in [
            "",
            "аdmin",
            "adm\u{131}n",
            "admin ",
            "a\u{200d}b",
            ".ana",
            "ana-",
            "a@b",
            "añil",
            &"a".repeat(65),
        ] {
            let said = check_user_name(bad).unwrap_err().to_string();
            assert!(said.contains("cannot be one"), "{said}");
        }
    }

    #[test]
    fn an_address_of_mail_is_one_and_nothing_more() {
        for (given, taken) in [
            ("Ana@Retail.example", "ana@retail.example"),
            ("a.b+c@x-1.mx", "a.b+c@x-1.mx"),
            ("o'neil@a.b.c", "o'neil@a.b.c"),
        ] {
            assert_eq!(check_email(given).unwrap(), taken);
        }
        for bad in [
            "",
            "ana",
            "ana@",
            "@retail.example",
            "ana@localhost",
            "ana@a@b.c",
            "ana@retail.example\r\nBcc: all@x.y",
            "ana@retail.example\n",
            "\"a b\"@x.y",
            "ana@réтail.example",
            "аna@retail.example",
            "a..b@x.y",
            "ana@-x.y",
            "ana@x..y",
            &format!("{}@x.y", "a".repeat(65)),
            &format!("a@{}.y", "x.".repeat(130)),
        ] {
            assert!(check_email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_shown_name_is_of_every_script_but_not_of_two_in_a_word() {
        for name in [
            "Ana Ruiz",
            "Анна Kovač",
            "山田 太郎",
            "カタカナ漢字ひらがな",
            "Ñandú",
            "O'Neil 2",
            "عمر",
            "🙂 Ana",
        ] {
            assert!(check_shown_name(name).is_ok(), "{name}");
        }
        for name in ["Аna Ruiz", "pаypаl", "Ana\nRuiz", "", "<b>Ana</b>", &"x".repeat(201)] {
            assert!(check_shown_name(name).is_err(), "{name}");
        }
    }
}
