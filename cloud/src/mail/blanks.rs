//! The blanks of a text: `{name}` is one, and a brace that is only a brace is written twice.
//!
//! A text is taken apart once and then filled, so what a value says is never taken for a blank.

/// What is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blank {
    /// What people read as the tenant's name.
    Tenant,
    /// Who is addressed.
    Name,
    /// What to open.
    Link,
    /// For how long.
    GoodFor,
    /// What the tenant is called where one signs in.
    TenantId,
}

impl Blank {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [Self::Tenant, Self::Name, Self::Link, Self::GoodFor, Self::TenantId];

    /// As it stands in a text.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "{tenant}",
            Self::Name => "{name}",
            Self::Link => "{link}",
            Self::GoodFor => "{good_for}",
            Self::TenantId => "{tenant_id}",
        }
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Words(&'a str),
    Blank(Blank),
}

/// Takes a text apart; the error says what in it is neither words nor a blank.
pub(super) fn parse(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (words, brace) = rest.split_at(at);
        pieces.push(Piece::Words(words));
        rest = if let Some(after) = brace.strip_prefix("{{") {
            pieces.push(Piece::Words("{"));
            after
        } else if let Some(after) = brace.strip_prefix("}}") {
            pieces.push(Piece::Words("}"));
            after
        } else {
            let closed = brace.strip_prefix('{').and_then(|_| brace.find('}'));
            let end = closed.ok_or_else(|| "it has a brace without its other one".to_owned())?;
            let (named, after) = brace.split_at(end + 1);
            let known = Blank::ALL.into_iter().find(|blank| blank.as_str() == named);
            pieces.push(Piece::Blank(known.ok_or_else(|| format!("it has {named:.40}"))?));
            after
        };
    }
    pieces.push(Piece::Words(rest));
    pieces.retain(|piece| *piece != Piece::Words(""));
    Ok(pieces)
}

/// The paragraphs of a text: lines without an empty one between them.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    paragraphs.map(|lines| lines.join("\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_words_and_blanks() {
        let pieces = parse("Hello {name}, {{this}} is {tenant}").unwrap();
        let expected = [
            Piece::Words("Hello "),
            Piece::Blank(Blank::Name),
            Piece::Words(", "),
            Piece::Words("{"),
            Piece::Words("this"),
            Piece::Words("}"),
            Piece::Words(" is "),
            Piece::Blank(Blank::Tenant),
        ];
        assert_eq!(pieces, expected);
        assert_eq!(parse("{{{link}}}").unwrap()[1], Piece::Blank(Blank::Link));
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn what_is_neither_is_named() {
        for (text, fault) in [
            ("a {company} b", "it has {company}"),
            ("{ name }", "it has { name }"),
            ("{}", "it has {}"),
            ("a { b", "it has a brace without its other one"),
            ("a } b", "it has a brace without its other one"),
            ("{link}}", "it has a brace without its other one"),
        ] {
            assert_eq!(parse(text).unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn an_empty_line_ends_a_paragraph() {
        let text = "\n\nHello,\nAna\n \n\n{link}  \n\r\nBye\n";
        assert_eq!(paragraphs(text), ["Hello,\nAna", "{link}", "Bye"]);
        assert!(paragraphs(" \n\n").is_empty());
    }
}
