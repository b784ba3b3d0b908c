//! Reads YAML: the value, or the first mistake with its place.
//!
//! All types of the configuration are read through one pair of dynamic traits. Compiled for each of them anew, the reader of
//! YAML was a tenth of the agent.

use std::cell::Cell;

use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value};

use super::laid::{Over, Overlaid, count};

/// What is wrong, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// With the value and what is allowed.
    pub why: String,
}

/// How the reader tells a place, behind what is wrong there.
const PLACE: &str = " at line ";

pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    serde_yaml::with_deserializer_from_str(text, |deserializer| {
        let mut dynamic = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        erased_serde::deserialize(&mut dynamic).map_err(serde_yaml::Error::custom)
    })
    .map_err(|error| told(&error))
}

/// The same with entries that lie over it. Each of them finds its place, or that is a mistake.
pub(super) fn parse_over<T: DeserializeOwned>(text: &str, over: &Map<String, Value>) -> Result<T, Mistake> {
    let laid = Cell::new(0);
    let parsed = serde_yaml::with_deserializer_from_str(text, |inner| {
        let deserializer = Overlaid { inner, over: Over::new(over, &laid) };
        let mut dynamic = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        erased_serde::deserialize(&mut dynamic).map_err(serde_yaml::Error::custom)
    });
    let parsed = parsed.map_err(|error| told(&error))?;
    let all: usize = over.values().map(count).sum();
    if laid.get() == all {
        return Ok(parsed);
    }
    let why = format!("{} of {all} settings from the cloud found their place in this file", laid.get());
    Err(Mistake { line: 1, column: 1, why })
}

fn told(error: &serde_yaml::Error) -> Mistake {
    let outermost = error.location().map(|place| (place.line(), place.column()));
    mistake(&error.without_snippet().to_string(), outermost)
}

/// Every block that a mistake passes on its way up adds its own place; the first is that of the mistake.
fn mistake(told: &str, outermost: Option<(u64, u64)>) -> Mistake {
    let (why, places) = told.split_once(PLACE).unwrap_or((told, ""));
    let (line, column) = place(places).or(outermost).unwrap_or((1, 1));
    Mistake { line, column, why: why.to_owned() }
}

/// `12, column 5…`
fn place(text: &str) -> Option<(u64, u64)> {
    let (line, rest) = text.split_once(", column ")?;
    let column = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_that_of_the_mistake() {
        let told = "unknown field `intervall` at line 12, column 5 at line 11, column 3: once more at line 1, column 1";
        let found = Mistake { line: 12, column: 5, why: "unknown field `intervall`".to_owned() };
        assert_eq!(mistake(told, Some((1, 1))), found);
        assert_eq!(mistake("no place", None), Mistake { line: 1, column: 1, why: "no place".to_owned() });
        assert_eq!((mistake("x", Some((3, 4))).line, mistake("x", Some((3, 4))).column), (3, 4));
    }
}
