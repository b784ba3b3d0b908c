//! Templates with `{{name}}`, each value escaped for the kind of file it goes into.
//!
//! One pass: what a value says is never looked at again, so a company called `{{push_token}}` is only that. What is not
//! `{{` and a name of small letters is left as it is. Whatever a value holds, it cannot leave its place:
//!
//! | file | a value becomes |
//! |---|---|
//! | YAML | a double-quoted scalar (YAML 1.2, 7.3.1), line breaks and controls as `\u....` |
//! | compose | the same with `$` doubled, since compose would look for variables in it |
//! | sh | a single-quoted word; what would end a line becomes a space |
//! | Markdown | text with a backslash before all ASCII punctuation (CommonMark 2.4); what would end a line becomes a space |

use std::fmt::Write as _;

use super::request::ends_lines;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Compose,
    Sh,
    Markdown,
}

/// What stands for a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Anything: escaped.
    Text(&'a str),
    /// An id, a version, an address: letters, digits and `.:/[]-`, as it is.
    Id(&'a str),
    /// A piece of the template itself.
    Piece(&'static str),
}

/// Fills a template; a name without a value stays, which a test finds.
pub(super) fn fill(template: &str, format: Format, values: &[(&str, Value<'_>)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let named = after.split_once("}}").and_then(|(name, after)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, after))
        });
        match named {
            Some((value, after)) => {
                put(&mut text, format, value);
                rest = after;
            }
            None => {
                text.push_str("{{");
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn put(text: &mut String, format: Format, value: Value<'_>) {
    match value {
        Value::Piece(piece) => text.push_str(piece),
        Value::Id(id) if id.chars().all(|c| c.is_ascii_alphanumeric() || ".:/[]-".contains(c)) => {
            text.push_str(id);
        }
        Value::Id(other) | Value::Text(other) => match format {
            Format::Yaml => yaml(text, other),
            Format::Compose => yaml(text, &other.replace('$', "$$")),
            Format::Sh => {
                text.push('\'');
                text.push_str(&on_one_line(other).replace('\'', r"'\''"));
                text.push('\'');
            }
            Format::Markdown => {
                for c in on_one_line(other).chars() {
                    if c.is_ascii_punctuation() {
                        text.push('\\');
                    }
                    text.push(c);
                }
            }
        },
    }
}

fn yaml(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // The byte order mark, and line breaks of YAML 1.1 among the rest.
            c if ends_lines(c) || c == '\u{feff}' => {
                // Writing into a String cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if ends_lines(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(format: Format, value: &str) -> String {
        fill("a {{x}} b", format, &[("x", Value::Text(value))])
    }

    #[test]
    fn a_value_stays_in_its_place() {
        let nasty = "A \"B\" 'C' $D {{x}} \\ <e> `f`\ng";
        assert_eq!(filled(Format::Yaml, nasty), r#"a "A \"B\" 'C' $D {{x}} \\ <e> `f`\u000ag" b"#);
        assert_eq!(filled(Format::Compose, "$A"), r#"a "$$A" b"#);
        assert_eq!(filled(Format::Sh, "x'; rm -rf /; '\ny"), r"a 'x'\''; rm -rf /; '\'' y' b");
        assert_eq!(filled(Format::Markdown, "<b>|*\nx"), r"a \<b\>\|\* x b");
    }

    #[test]
    fn what_is_not_a_name_stays() {
        let values = [("x", Value::Id("T01")), ("y", Value::Id("no id"))];
        assert_eq!(fill("{{.State}} {{x}}}} {{z}} {{", Format::Sh, &values), "{{.State}} T01}} {{z}} {{");
        assert_eq!(fill("{{y}}", Format::Sh, &values), "'no id'", "an id that is none is a text");
    }
}
