//! The table for people and the line for programs.

use std::io::Write;

use serde::Serialize;

use super::figure::{Figure, Goal};
use super::subject::Subject;

/// A figure with its name; `None` if it could not be measured.
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) size: usize,
    pub(super) figure: Option<Figure>,
}

#[derive(Serialize)]
struct Line {
    figures: Vec<Entry>,
}

/// Without a limit there is no ratio, without a goal nothing to meet; without a value it could not be measured.
#[derive(Serialize)]
struct Entry {
    name: String,
    value: Option<f64>,
    unit: &'static str,
    limit: Option<f64>,
    ratio: Option<f64>,
    goal: Option<String>,
    met: Option<bool>,
}

/// Writes the table, with a line on what the limit is before each subject.
pub(super) fn table(rows: &[Row], out: &mut impl Write) -> std::io::Result<()> {
    line(out, ["figure", "value", "unit", "limit", "ratio", "goal", "met"].map(str::to_owned))?;
    let mut subject = None;
    for row in rows {
        if subject.replace(row.subject) != Some(row.subject) {
            writeln!(out, "\n{}", row.subject.limit_is())?;
        }
        line(out, cells(row))?;
    }
    writeln!(
        out,
        "\nratio is value by limit, where there are rounds the median of theirs; a goal marked (later) is of a later issue and fails nothing yet"
    )
}

/// Writes the one object of `--json`.
pub(super) fn json(rows: &[Row], out: &mut impl Write) -> anyhow::Result<()> {
    let entries = rows.iter().map(|row| Entry {
        name: row.subject.name_of(row.size),
        value: row.figure.as_ref().map(|f| f.value),
        unit: row.subject.unit(),
        limit: row.figure.as_ref().and_then(|f| f.limit),
        ratio: row.figure.as_ref().and_then(|f| f.ratio),
        goal: row.figure.as_ref().and_then(|f| f.goal.as_ref()).map(Goal::told),
        met: row.figure.as_ref().and_then(|f| f.goal.as_ref()).map(|g| g.met),
    });
    writeln!(out, "{}", serde_json::to_string(&Line { figures: entries.collect() })?)?;
    Ok(())
}

fn line(
    out: &mut impl Write,
    [name, value, unit, limit, ratio, goal, met]: [String; 7],
) -> std::io::Result<()> {
    writeln!(out, "  {name:<24} {value:>10} {unit:<18} {limit:>10} {ratio:>7}  {goal:<32} {met}")
}

fn cells(row: &Row) -> [String; 7] {
    let (name, unit) = (row.subject.name_of(row.size), row.subject.unit().to_owned());
    let none = || "-".to_owned();
    let Some(figure) = &row.figure else {
        return [name, none(), unit, none(), none(), none(), "not measured".to_owned()];
    };
    let (goal, met) = match &figure.goal {
        None => (none(), none()),
        Some(goal) => (goal.told(), if goal.met { "yes" } else { "NO" }.to_owned()),
    };
    let optional = |n: Option<f64>| n.map_or_else(none, number);
    [name, number(figure.value), unit, optional(figure.limit), optional(figure.ratio), goal, met]
}

/// Three digits that say something, and no more.
pub(super) fn number(n: f64) -> String {
    match n.abs() {
        size if size >= 1e6 => format!("{:.2}M", n / 1e6),
        size if size >= 1e5 => format!("{:.0}k", n / 1e3),
        size if size >= 1e4 => format!("{:.1}k", n / 1e3),
        size if size >= 100.0 => format!("{n:.0}"),
        size if size >= 10.0 => format!("{n:.1}"),
        size if size >= 0.1 => format!("{n:.2}"),
        _ => format!("{n:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [1_234_567.0, 12_345.0, 1_234.5, 56.78, 1.234, 0.0456].map(number);
        assert_eq!(shown, ["1.23M", "12.3k", "1234", "56.8", "1.23", "0.046"]);
    }

    #[test]
    fn the_line_for_programs_has_the_keys_of_the_contract() {
        let rows = [
            Row {
                subject: Subject::Encode,
                size: 94,
                figure: Some(Figure::new(1.0).beside(2.0).at_most(3.0)),
            },
            Row { subject: Subject::Wire, size: 94, figure: None },
        ];
        let mut out = Vec::new();
        json(&rows, &mut out).unwrap();
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let first = serde_json::json!({"name": "encode-94", "value": 1.0, "unit": "ns a sample", "limit": 2.0,
            "ratio": 0.5, "goal": "≤ 3 (later)", "met": true});
        assert_eq!(told["figures"][0], first);
        assert_eq!(told["figures"][1]["value"], serde_json::Value::Null);
    }
}
