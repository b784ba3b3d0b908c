//! A tenant's own words, looked at before they are kept: they may say anything, as long as the mail still does what it is for.

use super::blanks::{self, Blank, Piece};
use super::message::is_hidden;
use super::{Kind, Own};

/// Longest subject, characters.
const SUBJECT_CHARS_MAX: usize = 150;
/// Longest text, characters.
const TEXT_CHARS_MAX: usize = 5_000;

/// Refuses own words that lack what the mail is for: the error is a sentence that names the fault and what is allowed.
pub(crate) fn check_own(kind: Kind, own: &Own) -> Result<(), String> {
    // A subject is shown on locked screens and stands in the logs of mail servers: no place for a link with its token.
    let in_subject = Blank::ALL.into_iter().filter(|b| *b != Blank::Link && is_of(kind, *b));
    check(
        "subject",
        &own.subject,
        SUBJECT_CHARS_MAX,
        "in one line",
        is_hidden,
        &in_subject.collect::<Vec<_>>(),
    )?;
    let in_text: Vec<_> = Blank::ALL.into_iter().filter(|blank| is_of(kind, *blank)).collect();
    let pieces =
        check("text", &own.text, TEXT_CHARS_MAX, "in lines", |c| c != '\n' && is_hidden(c), &in_text)?;
    if kind.has_link() && !pieces.contains(&Piece::Blank(Blank::Link)) {
        return Err("text: it has no {link}, without which the mail is of no use; put {link} in a paragraph of its own, and it \
                    becomes a button"
            .to_owned());
    }
    Ok(())
}

/// Whether a mail of this kind has something for the blank.
fn is_of(kind: Kind, blank: Blank) -> bool {
    kind.has_link() || !matches!(blank, Blank::Link | Blank::GoodFor)
}

fn check<'a>(
    what: &str,
    text: &'a str,
    chars_max: usize,
    lines: &str,
    is_bad: impl Fn(char) -> bool,
    allowed: &[Blank],
) -> Result<Vec<Piece<'a>>, String> {
    let chars = text.chars().count();
    let fault = if text.trim().is_empty() {
        Err("it is empty".to_owned())
    } else if chars > chars_max {
        Err(format!("it has {chars} characters"))
    } else if let Some(bad) = text.chars().find(|c| is_bad(*c)) {
        Err(format!("it holds {:?}", bad.to_string()))
    } else {
        blanks::parse(text)
    };
    let foreign = |pieces: &[Piece<'_>]| {
        pieces.iter().find_map(|piece| match piece {
            Piece::Blank(blank) if !allowed.contains(blank) => Some(format!("it has {}", blank.as_str())),
            _ => None,
        })
    };
    let fault = match fault {
        Ok(pieces) => match foreign(&pieces) {
            None => return Ok(pieces),
            Some(fault) => fault,
        },
        Err(fault) => fault,
    };
    let allowed: Vec<_> = allowed.iter().map(|blank| blank.as_str()).collect();
    Err(format!(
        "{what}: {fault}; allowed are 1 to {chars_max} characters {lines}, without control characters, with {} to be filled in, and \
         {{{{ and }}}} for braces",
        allowed.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(subject: &str, text: &str) -> Own {
        Own { subject: subject.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn own_words_may_say_anything() {
        let letters = "ñ".repeat(SUBJECT_CHARS_MAX);
        let long = format!("{{link}}{}", "é".repeat(TEXT_CHARS_MAX - 6));
        for (subject, text) in [
            ("Welcome", "{link}"),
            (
                "{tenant}: {name}, {good_for}, {tenant_id}",
                "Open {link} within {good_for}.\n\n{name} {{x}} <b>",
            ),
            ("ようこそ", "مرحبا {link}"),
            (&letters, &long),
        ] {
            assert_eq!(check_own(Kind::Invitation, &own(subject, text)), Ok(()), "{subject}");
        }
        assert_eq!(check_own(Kind::PasswordChanged, &own("Changed", "It was {name}.")), Ok(()));
    }

    #[test]
    fn a_subject_is_one_line_without_the_link() {
        for (subject, fault) in [
            ("", "subject: it is empty;"),
            (" ", "subject: it is empty;"),
            (
                &*"x".repeat(151),
                "subject: it has 151 characters; allowed are 1 to 150 characters in one line,",
            ),
            ("a\r\nBcc: x@y", "subject: it holds \"\\r\";"),
            ("a\nb", "subject: it holds \"\\n\";"),
            ("a\u{2028}b", "subject: it holds"),
            ("a\u{202e}b", "subject: it holds"),
            ("{link}", "subject: it has {link};"),
            ("{company}", "subject: it has {company};"),
            ("}", "subject: it has a brace without its other one;"),
        ] {
            let said = check_own(Kind::SignUp, &own(subject, "{link}")).unwrap_err();
            assert!(said.starts_with(fault), "{said}");
            assert!(
                said.contains("{tenant}, {name}, {good_for}, {tenant_id} to be filled in, and {{ and }}"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_text_keeps_what_the_mail_is_for() {
        for (text, fault) in [
            ("", "text: it is empty;"),
            ("Hello {name}", "text: it has no {link}"),
            ("{{link}}", "text: it has no {link}"),
            ("{link} {token}", "text: it has {token};"),
            ("{link}\u{0}", "text: it holds \"\\0\";"),
            ("{link}\r\n", "text: it holds \"\\r\";"),
            ("{link}\tb", "text: it holds \"\\t\";"),
            (
                &*format!("{{link}}{}", "x".repeat(5_000)),
                "text: it has 5006 characters; allowed are 1 to 5000",
            ),
        ] {
            for kind in [Kind::Invitation, Kind::PasswordReset, Kind::SignUp] {
                let said = check_own(kind, &own("x", text)).unwrap_err();
                assert!(said.starts_with(fault), "{said}");
            }
        }
    }

    #[test]
    fn where_there_is_no_link_there_is_no_blank_for_it() {
        for text in ["{link}", "{good_for}"] {
            let said = check_own(Kind::PasswordChanged, &own("x", text)).unwrap_err();
            assert!(said.starts_with(&format!("text: it has {text};")), "{said}");
        }
    }
}
