//! What was done, step by step, with the seconds that each took.

use std::io::Write;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

/// One step that was done.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub name: &'static str,
    pub seconds: f64,
    pub said: String,
    pub ok: bool,
}

/// All of them so far, told as they end.
#[derive(Debug)]
pub(super) struct Steps<'a, W> {
    out: &'a mut W,
    pub done: Vec<Step>,
}

impl<'a, W: Write> Steps<'a, W> {
    pub(super) const fn new(out: &'a mut W) -> Self {
        Self { out, done: Vec::new() }
    }

    /// Does one; what it says of itself is told.
    pub(super) async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl AsyncFnOnce() -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let outcome = work().await;
        let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let (ok, said) = match &outcome {
            Ok((_, said)) => (true, said.clone()),
            Err(error) => (false, format!("{error:#}")),
        };
        writeln!(self.out, "{seconds:>7.1} s  {name}: {}{said}", if ok { "" } else { "FAILED: " })?;
        self.out.flush()?;
        self.done.push(Step { name, seconds, said, ok });
        outcome.map(|(value, _)| value).context(name)
    }
}
