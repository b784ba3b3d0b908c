//! Whether a text is one statement that only reads.
//!
//! What keeps a query from writing is the database: a read-only transaction, or a file opened for reading. This is the
//! check before, so that a mistake is named when the configuration is read and not at night: a single `select`, `with`,
//! `show` or `values`, and outside of quotes and comments none of the words that write, lock or put rows into a file
//! (which MySQL does not count as writing).

use super::settings::Engine;

/// What a statement may begin with.
const FIRST: [&str; 4] = ["select", "with", "show", "values"];
/// Words that a statement which only reads does not need; as the name of a column they can be quoted.
const REFUSED: [&str; 8] = ["delete", "insert", "into", "lock", "merge", "procedure", "share", "update"];

/// Checks a query, and takes the semicolon at its end away.
pub(super) fn single(text: &str, engine: Engine) -> Result<String, String> {
    let code = code(text, engine)?;
    let code = code.trim();
    let statement = code.strip_suffix(';').unwrap_or(code);
    if statement.contains(';') {
        return Err("more than one statement".to_owned());
    }
    let mut words = statement
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase);
    match words.next() {
        Some(first) if FIRST.contains(&first.as_str()) => {}
        Some(_) => return Err("not a SELECT, WITH, SHOW or VALUES".to_owned()),
        None => return Err("nothing to ask".to_owned()),
    }
    match words.find(|word| REFUSED.contains(&word.as_str())) {
        Some(word) => Err(format!(
            "{:?} has no place in a query that only reads; a column of this name can be quoted",
            word.to_uppercase()
        )),
        None => Ok(text.trim().trim_end_matches(';').trim_end().to_owned()),
    }
}

/// The text without what stands in quotes and comments.
fn code(text: &str, engine: Engine) -> Result<String, String> {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' | '"' | '`' => quoted(rest, c, engine)?,
            '-' if rest.starts_with("--") => line(rest),
            '#' if engine == Engine::Mysql => line(rest),
            '/' if rest.starts_with("/*") => {
                if rest.starts_with("/*!") || rest.starts_with("/*M!") {
                    return Err("a comment that MySQL runs".to_owned());
                }
                rest.find("*/").ok_or("a comment without an end")? + 2
            }
            '$' if engine == Engine::Postgres => dollars(rest).unwrap_or(1),
            _ => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        code.push(' ');
        rest = &rest[length..];
    }
    Ok(code)
}

/// The length of what is quoted. A doubled quote begins the next one, which comes to the same.
fn quoted(text: &str, quote: char, engine: Engine) -> Result<usize, String> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && engine == Engine::Mysql && quote != '`' {
            escaped = true;
        } else if c == quote {
            return Ok(at + c.len_utf8());
        }
    }
    Err(format!("a {quote} without its second"))
}

fn line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The length of `$tag$ … $tag$`, if it is that.
fn dollars(text: &str) -> Option<usize> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[..end];
    if !tag[1..end - 1].chars().all(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    Some(end + text[end..].find(tag)? + tag.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_that_reads_is_taken() {
        for engine in [Engine::Postgres, Engine::Mysql, Engine::Sqlite] {
            for text in [
                "select count(*) as n from tickets",
                "  SELECT 1 ;  ",
                "with t as (select 1 as n) select n from t",
                "show status",
                "values (1)",
                "-- what is sold\nselect ';' as \"insert\" /* ; */ from t",
                "select 'it''s; update' as x",
                "select updated_at, share_price from t",
                "(select 1)",
            ] {
                single(text, engine).unwrap_or_else(|why| panic!("{text}: {why}"));
            }
        }
        assert_eq!(single(" select 1 ; ", Engine::Mysql).unwrap(), "select 1");
        assert!(single("select $a$ ; delete $a$", Engine::Postgres).is_ok());
        assert!(single(r"select 'a\'; delete'", Engine::Mysql).is_ok());
    }

    #[test]
    fn what_writes_or_is_more_than_one_statement_is_refused() {
        for text in [
            "",
            " -- nothing\n",
            ";",
            "delete from tickets",
            "select 1; select 2",
            "select 1;;",
            "select * from t for update",
            "select * from t lock in share mode",
            "select * from t into outfile '/tmp/x'",
            "select n into x from t",
            "with d as (delete from t returning 1) select count(*) from d",
            "explain analyze select 1",
            "set session x = 1",
            "call f()",
            "pragma journal_mode",
            "attach 'x' as y",
            "commit",
            "select 'x",
            "select 1 /* never closed",
            "select /*!50000 1 */",
            "begin; select 1; commit",
        ] {
            for engine in [Engine::Postgres, Engine::Mysql, Engine::Sqlite] {
                assert!(single(text, engine).is_err(), "{text}");
            }
        }
        // What is an escape in one is the end of the text in another.
        assert!(single(r"select 'a\'; delete from t --'", Engine::Postgres).is_err());
        assert!(single("select 1 # ; delete\n", Engine::Mysql).is_ok());
        assert!(single("select $1;select 2$", Engine::Postgres).is_err());
    }
}
