//! From text to a tree, on the grammar of the crate `promql-parser`; what would make that costly is refused before.
//!
//! Limits: bytes outside of quotes bound the depth of the tree, and every regular expression may take megabytes.

use promql_parser::parser::{self, Expr};

/// Longest text of a query, in bytes: dashboards write long lists of names into their regular expressions.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Most bytes of a query outside of quotes.
const UNQUOTED_BYTES_MAX: usize = 4 << 10;
/// Most regular expressions in a query.
const REGEXES_MAX: usize = 32;
/// Deepest nesting of a query.
const DEPTH_MAX: usize = 100;

/// Parses a query.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    check_size(text)?;
    // Some numbers of seconds are beyond what the parser's durations can hold, and it panics at them.
    let parsed = std::panic::catch_unwind(|| parser::parse(text));
    let parsed = parsed.map_err(|_| "parse error: a number in the query is out of range".to_owned())?;
    let expr = parsed.map_err(|why| format!("parse error: {why}"))?;
    let depth = depth(&expr);
    if depth > DEPTH_MAX {
        return Err(format!("a query nested {depth} levels deep: at most {DEPTH_MAX}"));
    }
    Ok(expr)
}

fn check_size(text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("a query of {} bytes: at most {TEXT_BYTES_MAX}", text.len()));
    }
    let (mut unquoted, mut regexes) = (0, 0);
    let mut last = ' ';
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None => {
                unquoted += c.len_utf8();
                regexes += usize::from(matches!((last, c), ('=' | '!', '~')));
                quote = matches!(c, '"' | '\'' | '`').then_some(c);
            }
            Some('"' | '\'') if c == '\\' => {
                chars.next();
            }
            Some(open) if open == c => quote = None,
            Some(_) => {}
        }
        last = c;
    }
    if unquoted > UNQUOTED_BYTES_MAX {
        return Err(format!("a query of {unquoted} bytes outside of quotes: at most {UNQUOTED_BYTES_MAX}"));
    }
    if regexes > REGEXES_MAX {
        return Err(format!("a query of {regexes} regular expressions: at most {REGEXES_MAX}"));
    }
    Ok(())
}

fn depth(expr: &Expr) -> usize {
    let of_children = match expr {
        Expr::Aggregate(e) => depth(&e.expr).max(e.param.as_ref().map_or(0, |param| depth(param))),
        Expr::Unary(e) => depth(&e.expr),
        Expr::Binary(e) => depth(&e.lhs).max(depth(&e.rhs)),
        Expr::Paren(e) => depth(&e.expr),
        Expr::Subquery(e) => depth(&e.expr),
        Expr::Call(e) => e.args.args.iter().map(|arg| depth(arg)).max().unwrap_or_default(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => 0,
    };
    of_children + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::plan;

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn a_query_that_would_cost_too_much_is_refused_before_it_is_read() {
        assert!(refusal(&"a".repeat(70_000)).contains("70000 bytes"));
        assert!(refusal(&"a".repeat(5_000)).contains("5000 bytes outside of quotes"));
        let regexes: Vec<_> = (0..40).map(|n| format!("l{n}=~\"x\"")).collect();
        assert!(refusal(&format!("a{{{}}}", regexes.join(","))).contains("40 regular expressions"));
        let long = format!("a{{b=~\"{}\"}}", "name|".repeat(8_000));
        assert!(parse(&long).is_ok());
    }

    #[test]
    fn nesting_ends_in_a_refusal_and_not_in_the_stack() {
        let most = UNQUOTED_BYTES_MAX;
        for text in [
            format!("{}1", "-".repeat(most - 1)),
            format!("{}a", "- ".repeat(most / 2 - 1)),
            format!("{}1{}", "(".repeat(most / 2 - 1), ")".repeat(most / 2 - 1)),
            format!("1{}", "^1".repeat(most / 2 - 1)),
            format!("a{}", "+a".repeat(most / 2 - 1)),
            format!("{}a{}", "sum(".repeat(most / 5 - 1), ")".repeat(most / 5 - 1)),
            "(".repeat(most),
        ] {
            assert!(parse(&text).is_err() || !text.contains('a'), "{text:.20}");
        }
    }

    #[test]
    fn numbers_beyond_all_time_are_refused() {
        for text in ["a[1e300]", "a offset 1e300", "a @ 1e300", "a[99999999999999999999y]", "a[-5m]"] {
            let plan = parse(text).map(|expr| plan::build(&expr, plan::Steps::once(0)));
            assert!(!matches!(plan, Ok(Ok(_))), "{text}");
        }
    }
}
