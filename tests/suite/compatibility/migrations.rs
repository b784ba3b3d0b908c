//! Expand, then contract: a migration only adds, so that the version before goes on working on the new schema. What it no longer needs
//! may be taken away a version later, by a migration whose first lines say which one had made it needless:
//!
//! ```sql
//! -- contracts: 0031 (since which nobody reads stores.old_name)
//! ```
//!
//! The migrations up to [`BASELINE`] were made before there was a version to keep working.

use std::path::Path;

use storepulse_testbed::compat::Previous;

const BASELINE: i64 = 24;

struct Migration {
    version: i64,
    name: String,
    text: String,
}

fn all() -> Vec<Migration> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cloud/migrations");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let version = name.split('_').next().unwrap().parse().unwrap();
        Migration { version, name, text: std::fs::read_to_string(path).unwrap() }
    };
    let mut all: Vec<Migration> = std::fs::read_dir(dir).unwrap().map(read).collect();
    all.sort_by_key(|migration| migration.version);
    all
}

/// Statements in lower case with single blanks; without comments, texts in quotes and the bodies of functions.
fn statements(sql: &str) -> Vec<String> {
    let (mut plain, mut rest) = (String::new(), sql);
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(text) = rest.strip_prefix('\'') {
            text.find('\'').map_or(rest.len(), |at| at + 2)
        } else if let Some(tag) = dollar_tag(rest) {
            rest[tag.len()..].find(tag).map_or(rest.len(), |at| at + 2 * tag.len())
        } else {
            plain.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        plain.push(' ');
        rest = &rest[skipped..];
    }
    let each = plain
        .split(';')
        .map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
    each.filter(|statement| !statement.is_empty()).collect()
}

/// `$$` or `$body$`, if the text begins with it.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text.strip_prefix('$')?.find('$')? + 2;
    let is_tag = text[1..end - 1].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_tag.then(|| &text[..end])
}

/// What a statement takes from whoever knows the schema before it only. `new` are tables that the same migration makes.
fn taken(statement: &str, new: &[String]) -> Option<String> {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let of_new = |at: usize| {
        words.get(at).is_some_and(|table| new.iter().any(|new| new == table.trim_end_matches(',')))
    };
    let told = |what: &str| Some(format!("{what}: {statement:.120}"));
    match words.as_slice() {
        ["drop", "index", ..] => None,
        ["drop", ..] => told("drops"),
        ["truncate" | "delete", ..] => told("removes rows"),
        ["update", ..] => told("changes rows of all tenants at once (a job for upkeep)"),
        ["revoke", ..] => told("revokes"),
        ["lock", ..] => told("locks out"),
        ["alter", "table", "only" | "if", ..] => told("is written in a form that is not looked into"),
        ["alter", "table", ..] if of_new(2) => None,
        ["alter", "table", _, rest @ ..] => altered(&rest.join(" ")).and_then(told),
        ["alter", ..] if statement.contains(" rename ") => told("renames"),
        ["create", "unique", "index", ..] => {
            let at = words.iter().position(|word| *word == "on").unwrap_or_default() + 1;
            if of_new(at) { None } else { told("makes unique what was not") }
        }
        // A new one on a table that is there also sees what the version before writes.
        ["create", "trigger" | "policy" | "rule", ..] => {
            let at = words.iter().position(|word| *word == "on").unwrap_or_default() + 1;
            let is_for_more = words[1] == "policy" && !statement.contains("restrictive");
            if of_new(at) || is_for_more || words[1] == "trigger" {
                None
            } else {
                told("limits what is there")
            }
        }
        _ => None,
    }
}

/// What one of the actions of `alter table` on a table that was there takes.
fn altered(actions: &str) -> Option<&'static str> {
    let mut depth = 0;
    let split = actions.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    split.map(str::trim).find_map(|action| {
        let has = |words: &str| format!(" {action} ").contains(words);
        if action.starts_with("drop constraint")
            || action.starts_with("drop not null")
            || has(" drop default ")
        {
            return has(" drop default ").then_some("takes a default away");
        }
        if action.starts_with("drop") {
            Some("drops")
        } else if action.starts_with("rename") {
            Some("renames")
        } else if has(" type ") && action.starts_with("alter") {
            Some("changes a type")
        } else if has(" set not null ") {
            Some("forbids null")
        } else if action.starts_with("add") && has(" not null ") && !has(" default ") && !has(" generated ") {
            Some("adds a column that whoever does not know it cannot fill")
        } else if action.starts_with("add constraint")
            || action.starts_with("add unique")
            || action.starts_with("add check")
        {
            (!has(" not valid ")).then_some("forbids what was allowed")
        } else {
            None
        }
    })
}

fn faults(migration: &Migration) -> Vec<String> {
    let statements = statements(&migration.text);
    let new: Vec<String> = statements
        .iter()
        .filter_map(|statement| statement.strip_prefix("create table "))
        .filter_map(|rest| {
            rest.trim_start_matches("if not exists ").split([' ', '(']).next().map(str::to_owned)
        })
        .collect();
    statements.iter().filter_map(|statement| taken(statement, &new)).collect()
}

/// The migration that its first lines name as the one that made all this needless.
fn expanded_by(text: &str) -> Option<i64> {
    let head = text.lines().take_while(|line| line.starts_with("--") || line.trim().is_empty());
    let said = head.filter_map(|line| line.strip_prefix("-- contracts: ")).next()?;
    said.split_once(' ').and_then(|(version, why)| (why.len() > 10).then(|| version.parse().ok())?)
}

/// Says why it may not be.
fn judge(migration: &Migration, known: &[i64], previous: i64) -> Vec<String> {
    let faults = faults(migration);
    let name = &migration.name;
    match expanded_by(&migration.text) {
        _ if faults.is_empty() => vec![],
        None => faults.into_iter().map(|fault| format!("{name} {fault}")).collect(),
        Some(by) if !known.contains(&by) || by >= migration.version => {
            vec![format!("{name} says that it contracts {by:04}, which is no migration before it")]
        }
        Some(by) if by > previous => {
            vec![format!(
                "{name} contracts what {by:04} expanded in this very version: the one before knows nothing of it"
            )]
        }
        Some(_) => vec![],
    }
}

#[test]
fn migrations_take_nothing_from_the_version_before() {
    let (all, previous) = (all(), Previous::load().unwrap());
    let known: Vec<i64> = all.iter().map(|migration| migration.version).collect();
    assert!(known.windows(2).all(|pair| pair[0] < pair[1]), "two migrations have one number: {known:?}");
    assert!(known.contains(&previous.migration), "{previous:?}");
    let later = all.iter().filter(|migration| migration.version > BASELINE);
    let wrong: Vec<_> = later.flat_map(|migration| judge(migration, &known, previous.migration)).collect();
    assert!(
        wrong.is_empty(),
        "\n{}\nexpand first, and contract a version later: see the head of this file",
        wrong.join("\n")
    );
}

#[test]
fn the_rules_find_what_they_are_for() {
    let of = |text: &str| Migration { version: 30, name: "0030_x.sql".to_owned(), text: text.to_owned() };
    for bad in [
        "drop table stores;",
        "drop view samples;",
        "alter table stores drop column name;",
        "alter table stores rename column name to title;",
        "alter table stores rename to shops;",
        "alter table stores add column a text, alter column name type varchar(3);",
        "alter table stores alter column name set not null;",
        "alter table stores alter column status drop default;",
        "alter table stores add column a text not null;",
        "alter table stores add constraint c check (length(name) < 3);",
        "create unique index i on stores (tenant_id, name);",
        "create policy p on stores as restrictive to storepulse_app using (false);",
        "delete from stores;",
        "UPDATE stores SET name = 'x; y';",
        "revoke select on stores from storepulse_app;",
        "alter function f() rename to g;",
        "alter table only stores drop column name;",
    ] {
        assert_eq!(judge(&of(bad), &[30], 24).len(), 1, "{bad}");
    }
    let good = "-- drop table stores; is what a comment may say\n
        create table stores_more (tenant_id text not null, a int);
        alter table stores_more add constraint c check (a > 1);
        create unique index stores_more_a on stores_more (tenant_id, a);
        alter table stores add column a text, add column b numeric(1, 2) not null default 0;
        alter table stores add constraint d check (a is null) not valid;
        alter table stores drop constraint old_limit;
        create policy p on stores to storepulse_control using (true);
        create or replace function f() returns int language sql as $body$ delete from stores; select 1 $body$;
        comment on table stores is 'drop table; it''s text';
        grant select on stores to storepulse_app;";
    assert_eq!(judge(&of(good), &[30], 24), Vec::<String>::new());
    let contract = |head: &str| {
        judge(&of(&format!("-- {head}\nalter table stores drop column old;")), &[25, 27, 30], 26).len()
    };
    assert_eq!(contract("contracts: 0025 (nobody reads it since)"), 0);
    assert_eq!(contract("contracts: 0025"), 1, "it says no reason");
    assert_eq!(contract("contracts: 0026 (which does not exist)"), 1);
    assert_eq!(contract("contracts: 0027 (of this very version)"), 1);
    assert_eq!(contract("contracts: 0031 (of the future, that is)"), 1);
}
