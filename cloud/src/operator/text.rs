//! Texts that people give names with: in every script, and nothing that would be more than text where it is shown.

use super::Refusal;

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 200;

/// Refuses what cannot be a name: empty, too long, characters that move the cursor or the direction of the text, marks of
/// HTML.
pub(crate) fn check_name(what: &str, text: &str) -> Result<(), Refusal> {
    check_text(what, text, NAME_CHARS_MAX)
}

/// The same for a text of at most so many characters.
pub(crate) fn check_text(what: &str, text: &str, chars_max: usize) -> Result<(), Refusal> {
    let chars = text.chars().count();
    let fault = if text.trim().is_empty() {
        Some("it is empty".to_owned())
    } else if chars > chars_max {
        Some(format!("it has {chars} characters"))
    } else {
        text.chars().find(|c| !is_text(*c)).map(|c| format!("it holds {:?}", c.to_string()))
    };
    let allowed =
        "letters, digits, blanks and signs of every script, without control characters and without < and >";
    match fault {
        Some(fault) => {
            Err(Refusal::Value(format!("{what}: {fault}; allowed are 1 to {chars_max} {allowed}")))
        }
        None => Ok(()),
    }
}

/// Control characters, separators of lines, and what turns the direction of a text can hide what it says.
fn is_text(c: char) -> bool {
    let is_hidden =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !c.is_control() && !is_hidden && c != '<' && c != '>'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_every_script() {
        for name in [
            "La Villa",
            "Ñandú & Söhne",
            "Магазин №1",
            "متجر",
            "スーパー",
            "डी-मार्ट",
            "O'Higgins \"2\"",
            "👍🏽 shop",
            "a; drop table x",
        ] {
            assert!(check_name("company", name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_more_than_text_is_no_name() {
        for name in [
            "",
            "  ",
            "a\nb",
            "a\r\nSet-Cookie: x",
            "a\0",
            "a\u{202e}b",
            "<b>",
            "x\u{1b}[2J",
            &"x".repeat(201),
        ] {
            let refused = check_name("company", name).unwrap_err().to_string();
            assert!(refused.starts_with("company: ") && refused.contains("allowed are"), "{refused}");
        }
    }
}
