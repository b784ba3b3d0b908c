//! What an answer of a database means: rows and columns in, values of series out, whatever engine they are from.
//!
//! Columns are looked at before a row is sent, where the engine tells them: each must have been asked for and be a number, a
//! time or a label. So no text of the till's ever reaches us by mistake, and no answer is enormous. `NULL` is no value, and
//! no answer is not zero.

use super::super::fault::{Fault, FaultKind};
use super::moment::{self, Moment};
use super::query::{LABEL_BYTES_MAX, Label, Query, ROWS_MAX, Target};

/// How far ahead of the database's clock a time may be and still be called now.
const AHEAD_MAX_S: f64 = 120.0;

/// What stands in a column, as far as the engine tells before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "till-databases"), expect(dead_code, reason = "SQLite tells with each value"))]
pub(super) enum Class {
    Number,
    Time,
    Text,
    /// Nothing that we take.
    Other,
    /// It is told with each value.
    Any,
}

/// A value as it came.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "till-databases"), expect(dead_code, reason = "SQLite has no times of its own"))]
pub(super) enum Cell {
    Null,
    Number(f64),
    Time(Moment),
    /// At most [`LABEL_BYTES_MAX`] bytes.
    Text(String),
    Unfit,
}

impl Cell {
    pub(super) fn text(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.len() <= LABEL_BYTES_MAX => Self::Text(text.to_owned()),
            _ => Self::Unfit,
        }
    }
}

/// The clock of the database, in seconds since 1970: ages are by it, whatever the box's clock shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clock {
    pub utc: f64,
    /// What a clock on the till's wall shows, if the zone is known.
    pub local: Option<f64>,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub columns: Vec<String>,
    /// One more than is taken at most, so that too many are noticed.
    pub rows: Vec<Vec<Cell>>,
    pub clock: Clock,
}

/// Whether these are the columns that were asked for.
pub(super) fn check_columns(query: &Query, columns: &[(&str, Class)]) -> Result<(), Fault> {
    let label = query.label.as_ref().map(|label| label.column.as_str());
    for wanted in query.metrics.keys().map(String::as_str).chain(label) {
        let class = match columns.iter().filter(|(name, _)| *name == wanted).collect::<Vec<_>>()[..] {
            [(_, class)] => *class,
            [] => return Err(parse(format!("there is no column {wanted:?} in the answer"))),
            _ => return Err(parse(format!("there are several columns {wanted:?} in the answer"))),
        };
        let fits = match (class, query.metrics.get(wanted)) {
            (Class::Any, _) | (Class::Number, _) | (Class::Text, None) => true,
            (Class::Time, target) => target.is_some_and(|target| target.age),
            (Class::Text, Some(_)) => query.is_show(),
            (Class::Other, _) => false,
        };
        if !fits {
            return Err(parse(format!(
                "column {wanted:?} has another type than is expected; it can be cast to a number, a time (`age: true`) or text (a label)"
            )));
        }
    }
    let asked = |name: &str| query.metrics.contains_key(name) || label == Some(name);
    if !query.is_show() && columns.iter().any(|(name, _)| !asked(name)) {
        return Err(parse(
            "the answer has columns that are not in `metrics`; only what is needed may leave the database",
        ));
    }
    Ok(())
}

/// The values, and what was not understood.
pub(super) fn values(query: &Query, answer: &Answer) -> (Vec<(String, f64)>, Vec<Fault>) {
    let (rows_max, what) = if query.label.is_some() { (ROWS_MAX, "50 rows") } else { (1, "one row") };
    if answer.rows.len() > rows_max {
        return (Vec::new(), vec![Fault::new(FaultKind::TooLarge, format!("more than {what}"))]);
    }
    if answer.rows.is_empty() && query.label.is_none() {
        return (Vec::new(), vec![parse("no row")]);
    }
    let (mut values, mut faults) = (Vec::<(String, f64)>::new(), Vec::new());
    let mut note = |fault: Fault| {
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    };
    let at = |wanted: &str| answer.columns.iter().position(|name| name == wanted);
    for row in &answer.rows {
        let cell = |wanted: &str| at(wanted).and_then(|at| row.get(at)).unwrap_or(&Cell::Unfit);
        let of_row = match query.label.as_ref().map(|label| (label, value_of(label, cell(&label.column)))) {
            None => None,
            Some((label, Some(value))) => Some((label, value)),
            Some((_, None)) => {
                note(parse("a row whose label is not one of its `values`"));
                continue;
            }
        };
        for (column, target) in &query.metrics {
            let value = match read(target, cell(column), answer.clock) {
                Ok(Some(value)) => value,
                Ok(None) => continue,
                Err(why) => {
                    note(parse(format!("column {column:?}: {why}")));
                    continue;
                }
            };
            let series = match &of_row {
                None => target.series.clone(),
                Some((label, text)) => match label.compose(&target.series, text) {
                    Ok(series) => series,
                    Err(_) => continue,
                },
            };
            if values.iter().any(|(known, _)| *known == series) {
                note(parse("two rows with the same label"));
            } else {
                values.push((series, value));
            }
        }
    }
    (values, faults)
}

fn parse(text: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Parse, text)
}

/// The label of a row, if it is one of those that are taken.
fn value_of(label: &Label, cell: &Cell) -> Option<String> {
    let text = match cell {
        Cell::Text(text) => text.trim().to_owned(),
        Cell::Number(n) => n.to_string(),
        _ => return None,
    };
    label.values.contains(&text).then_some(text)
}

fn read(target: &Target, cell: &Cell, clock: Clock) -> Result<Option<f64>, &'static str> {
    if target.age { age(cell, clock) } else { number(cell) }
}

fn number(cell: &Cell) -> Result<Option<f64>, &'static str> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Number(n) if n.is_finite() => Ok(Some(*n)),
        Cell::Text(text) => number_in(text).map(Some).ok_or("not a number"),
        _ => Err("not a number"),
    }
}

/// `1234.50`, and nothing of what else Rust takes for a number, `inf` or `nan`.
fn number_in(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|n: &f64| is_plain && n.is_finite())
}

fn age(cell: &Cell, clock: Clock) -> Result<Option<f64>, &'static str> {
    let moment = match cell {
        Cell::Null => return Ok(None),
        Cell::Number(n) if n.is_finite() => moment::of_number(*n),
        Cell::Time(moment) => *moment,
        Cell::Text(text) => match number_in(text) {
            Some(n) => moment::of_number(n),
            None => moment::parse(text.trim().as_bytes()).map_err(|_| "not a time")?.0,
        },
        _ => return Err("not a time"),
    };
    let age = match (moment, clock.local) {
        (Moment::Instant(then), _) => clock.utc - then,
        (Moment::Local(then), Some(now)) => now - then,
        (Moment::Local(_), None) => return Err("a time without a zone; `timezone` says which it is"),
    };
    if age < -AHEAD_MAX_S {
        return Err("a time that is still to come; is the zone right, and the clock that wrote it?");
    }
    Ok(Some((age.max(0.0) * 1_000.0).round() / 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(yaml: &str) -> Query {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn plain() -> Query {
        query("{ sql: select, metrics: { n: a, last: { metric: b, age: true } } }")
    }

    fn labelled() -> Query {
        query("{ sql: select, metrics: { n: a }, label: { column: till, values: ['1', '2'] } }")
    }

    fn answer(columns: &[&str], rows: Vec<Vec<Cell>>) -> Answer {
        let clock = Clock { utc: 1_000.0, local: None };
        Answer { columns: columns.iter().map(|&c| c.to_owned()).collect(), rows, clock }
    }

    fn told(query: &Query, columns: &[&str], rows: Vec<Vec<Cell>>) -> (Vec<(String, f64)>, Vec<FaultKind>) {
        let (values, faults) = values(query, &answer(columns, rows));
        (values, faults.into_iter().map(|fault| fault.kind).collect())
    }

    #[test]
    fn columns_are_found_by_their_names_and_null_is_no_value() {
        let now = || Cell::Time(Moment::Instant(990.5));
        let columns = ["last", "n"];
        let both = vec![("b".to_owned(), 9.5), ("a".to_owned(), 7.0)];
        assert_eq!(told(&plain(), &columns, vec![vec![now(), Cell::Number(7.0)]]), (both, vec![]));
        let nothing = told(&plain(), &columns, vec![vec![Cell::Null, Cell::Null]]);
        assert_eq!(nothing, (vec![], vec![]));
    }

    #[test]
    fn one_row_is_one_row() {
        let row = || vec![Cell::Number(1.0), Cell::Null];
        assert_eq!(told(&plain(), &["n", "last"], vec![]).1, [FaultKind::Parse]);
        assert_eq!(told(&plain(), &["n", "last"], vec![row(), row()]).1, [FaultKind::TooLarge]);
    }

    #[test]
    fn a_value_that_is_none_is_an_error_and_the_others_are_taken() {
        for bad in [Cell::Unfit, Cell::Text("four".into()), Cell::Number(f64::NAN), Cell::Text("inf".into())]
        {
            let (values, faults) = told(&plain(), &["n", "last"], vec![vec![bad, Cell::Number(900.0)]]);
            assert_eq!((values, faults), (vec![("b".to_owned(), 100.0)], vec![FaultKind::Parse]));
        }
        let (_, faults) = values(
            &plain(),
            &answer(&["n", "last"], vec![vec![Cell::Text("4111".repeat(4)), Cell::Text("4111-x".into())]]),
        );
        assert!(faults.iter().all(|fault| !fault.text.contains("4111")), "{faults:?}");
    }

    #[test]
    fn ages_are_by_the_clock_of_the_database() {
        let zoned = Clock { utc: 1_000.0, local: Some(1_000.0 - 14_400.0) };
        let unzoned = Clock { utc: 1_000.0, local: None };
        let local = Cell::Time(Moment::Local(1_000.0 - 14_460.0));
        assert_eq!(age(&local, zoned), Ok(Some(60.0)));
        assert!(age(&local, unzoned).unwrap_err().contains("timezone"));
        assert_eq!(age(&Cell::Text("1970-01-01T00:16:00Z".into()), unzoned), Ok(Some(40.0)));
        assert_eq!(age(&Cell::Text("940".into()), unzoned), Ok(Some(60.0)));
        assert_eq!(age(&Cell::Number(1_060.0), unzoned), Ok(Some(0.0)));
        assert!(age(&Cell::Number(5_000.0), unzoned).unwrap_err().contains("to come"));
        assert!(age(&Cell::Text("yesterday".into()), zoned).is_err());
    }

    #[test]
    fn rows_are_told_apart_by_a_closed_list_of_labels() {
        let row = |label: Cell, n: f64| vec![label, Cell::Number(n)];
        let rows = vec![row(Cell::Text("1".into()), 5.0), row(Cell::Number(2.0), 6.0)];
        let expected = vec![("a{till=\"1\"}".to_owned(), 5.0), ("a{till=\"2\"}".to_owned(), 6.0)];
        assert_eq!(told(&labelled(), &["till", "n"], rows), (expected, vec![]));
        for label in [Cell::Text("3".into()), Cell::Null, Cell::Unfit, Cell::Text("x\" y".into())] {
            assert_eq!(
                told(&labelled(), &["till", "n"], vec![row(label, 1.0)]),
                (vec![], vec![FaultKind::Parse])
            );
        }
        let twice = vec![row(Cell::Number(1.0), 5.0), row(Cell::Number(1.0), 6.0)];
        assert_eq!(told(&labelled(), &["till", "n"], twice).1, [FaultKind::Parse]);
        let many = (0..51).map(|_| row(Cell::Number(1.0), 1.0)).collect();
        assert_eq!(told(&labelled(), &["till", "n"], many), (vec![], vec![FaultKind::TooLarge]));
    }

    #[test]
    fn columns_that_nobody_asked_for_or_of_another_type_are_refused_before_they_are_read() {
        use Class::{Any, Number, Other, Text, Time};
        for (columns, is_taken) in [
            (vec![("n", Number), ("last", Time)], true),
            (vec![("n", Any), ("last", Any)], true),
            (vec![("n", Number), ("last", Number)], true),
            (vec![("n", Number)], false),
            (vec![("n", Number), ("last", Time), ("pan", Text)], false),
            (vec![("n", Number), ("n", Number), ("last", Time)], false),
            (vec![("n", Text), ("last", Time)], false),
            (vec![("n", Time), ("last", Time)], false),
            (vec![("n", Number), ("last", Other)], false),
        ] {
            assert_eq!(check_columns(&plain(), &columns).is_ok(), is_taken, "{columns:?}");
        }
        assert!(check_columns(&labelled(), &[("n", Number), ("till", Text)]).is_ok());
        assert!(check_columns(&labelled(), &[("n", Number), ("till", Time)]).is_err());
        let show = query("{ sql: show status, metrics: { Value: a } }");
        assert!(check_columns(&show, &[("Variable_name", Text), ("Value", Text)]).is_ok());
    }
}
