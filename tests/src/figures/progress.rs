//! What is being measured, and what came out so far: on stderr, so that stdout stays for the table.

use std::io::{Write as _, stderr};

use super::report;

/// One line.
pub(super) fn say(text: &str) -> std::io::Result<()> {
    writeln!(stderr(), "{text}")
}

/// The single rounds behind two medians: they show how calm the machine is.
pub(super) fn rounds(values: &[f64], limits: &[f64]) -> std::io::Result<()> {
    let list = |numbers: &[f64]| numbers.iter().map(|n| report::number(*n)).collect::<Vec<_>>().join(" ");
    writeln!(stderr(), "    {}  beside  {}", list(values), list(limits))
}
