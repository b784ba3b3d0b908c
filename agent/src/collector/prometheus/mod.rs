//! `prometheus`: reads the page of metrics that a program shows, as Prometheus does.
//!
//! It asks `GET <url>`, nothing else, and follows nowhere. The page is text 0.0.4, or OpenMetrics if the server has nothing
//! else ([`mod@line`]). Names stay as they are: ours allow all that theirs do. Histograms and summaries are the series that they
//! are there: `_bucket` with `le`, `quantile`, `_sum`, `_count`. NaN and infinities are no values.
//!
//! [`page`] says which samples are taken; `label` which labels become part of a series; `gathered` what happens to series
//! that are one without the labels that were dropped; `own_time` what a sample's own time is worth.

mod line;
mod page;

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;

use self::line::Line;
use self::page::{Form, Taken, Wanted};
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::label;
use super::parse::{Subject, outcome};
use super::poll::{self, Probe, Reading, Schedule};
use super::secret::Secret;
use super::sink::{Sink, Tick};
use super::web::{self, Question, Web};
use super::{About, Collector, Context};

/// Largest page. A node exporter's has 100 KB.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// What a server should send.
const ACCEPT: &str = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5";
/// Beyond `timeout`, which the question keeps itself: a last resort.
const GRACE: Duration = Duration::from_millis(500);

/// `prometheus:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    url: String,
    metrics: Vec<Wanted>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A program that shows its metrics for Prometheus: `GET` of one page in the text format or in OpenMetrics, nothing else.",
        example: include_str!("example.yaml"),
        metrics: &[],
        events: &[],
        limits: &[
            "A page of more than 4 MiB is not read further: `too_large`. Redirects are not followed: `exception`. 401 and 403 are `denied`.",
            "Of a page's lines, one of more than 4,096 bytes or that cannot be read is left out and counted as `parse`; so is what stands behind the last line end, which was cut.",
            "A value of a listed label that is not `[A-Za-z0-9_.:/-]{1,64}`, or holds 13 digits in a row, refuses its sample: `parse`.",
            "Series that only labels tell apart which are not listed are left out and counted as `parse`; nothing is added up. The same holds for a series that stands twice on a page.",
            "Bounds and quantiles are written as numbers of at most 12 characters; longer ones are rounded to six digits.",
            "A sample's own time is kept from 24 hours ago to 60 seconds ahead. Older samples are left out: `parse`. Times from before 2000, or further ahead, are a wrong clock: the sample has the time at which it was read.",
            "Names in quotes (UTF-8 names), native histograms and exemplars are not read.",
        ],
        untested: &[],
    };

    const SUBJECTS: &'static [Subject] = &[
        Subject {
            name: "prometheus/line",
            vectors: LINES,
            outcomes: &["sample", "timed", "comment", "end", "need", "parse", "too_large"],
            outcome: |bytes| {
                outcome(line::parse(bytes), |line| match line {
                    Line::Sample(sample) if sample.time.is_some() => "timed",
                    Line::Sample(_) => "sample",
                    Line::Comment => "comment",
                    Line::End => "end",
                })
            },
        },
        Subject {
            name: "prometheus/page",
            vectors: PAGES,
            outcomes: &["whole", "partly", "without_values", "parse", "short_frame"],
            outcome: of_page,
        },
    ];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(web::host_of(&self.url))
    }

    fn check(&self) -> Result<(), String> {
        web::check_url(&self.url)?;
        web::check_credential(self.token.is_some(), self.username.is_some(), self.password.is_some())?;
        label::check_listed(&self.labels)?;
        if self.metrics.is_empty() {
            return Err("metrics: which are taken? names, or beginnings with *".to_owned());
        }
        Ok(())
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        web::paths(&mut self.ca_file, self.token.iter_mut().chain(&mut self.password))
    }

    async fn run(&self, ctx: &Context) {
        let schedule =
            Schedule { interval: self.interval, timeout: self.timeout + GRACE, jitter: self.jitter };
        let mut scraper = Scraper { settings: self, sink: &ctx.sink, web: Web::default(), dated: Vec::new() };
        poll::run(schedule, ctx, &mut scraper).await;
    }
}

struct Scraper<'a> {
    settings: &'a Settings,
    sink: &'a Sink,
    web: Web,
    dated: Vec<Tick>,
}

impl Probe for Scraper<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let settings = self.settings;
        let question = Question {
            url: &settings.url,
            accept: ACCEPT,
            ca_file: settings.ca_file.as_deref(),
            timeout: settings.timeout,
            answer_bytes_max: PAGE_BYTES_MAX,
            credential: web::credential(
                settings.token.as_ref(),
                settings.username.as_deref(),
                settings.password.as_ref(),
            )?,
            headers: Default::default(),
        };
        let answer = self.web.get(&question).await?;
        let taken = Taken { metrics: &settings.metrics, labels: &settings.labels };
        let gathered = page::read(&answer.body, Form::of(&answer.content_type), taken)?;
        let (dated, values, left_out) = gathered.ticks(self.sink.now_ms(), false);
        for fault in left_out.faults() {
            self.sink.error(fault.kind, fault.text);
        }
        if values.is_empty() && dated.is_empty() {
            return Err(Fault::new(FaultKind::Parse, "the page has no value of a metric that is listed"));
        }
        self.dated = dated;
        Ok(Reading { values, ..Reading::default() })
    }

    fn dated(&mut self) -> Vec<Tick> {
        std::mem::take(&mut self.dated)
    }
}

const LINES: &[&[u8]] = &[
    b"# HELP node_memory_MemTotal_bytes Memory information field MemTotal_bytes.\n",
    b"# TYPE node_memory_MemTotal_bytes gauge\n",
    b"node_memory_MemTotal_bytes 2.5769803776e+10\n",
    b"node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 12345.67\n",
    b"http_request_duration_seconds_bucket{method=\"get\",le=\"+Inf\"} 24054 1395066363000\n",
    b"path_info{path=\"C:\\\\DIR\\n\\\"FILE.TXT\\\"\"} 1\r\n",
    b"foo_bucket{le=\"0.1\"} 8 1520879607.789 # {trace_id=\"oHg5SJYRHA0\"} 0.054\n",
    b"# EOF\n",
    b"something_weird{problem=\"division by zero\"} +Inf -3982045\n",
    &[b'a'; line::LINE_BYTES_MAX + 1],
];

const PAGES: &[&[u8]] = &[
    b"# TYPE up gauge\nup{mode=\"a\"} 1\nup{mode=\"b\"} 0\n",
    b"up 1\nup 2 3 4\nup{mode=\"two words\"} 1\n",
    b"O up 1\n# EOF\n",
    b"O up 1\n",
    b"<html>\n<body>\n",
    b"# nothing\n",
];

/// A first `O` stands for OpenMetrics, which the type of the content says otherwise.
fn of_page(bytes: &[u8]) -> &'static str {
    let (form, bytes) = match bytes.strip_prefix(b"O") {
        Some(rest) => (Form::OpenMetrics, rest),
        None => (Form::Text, bytes),
    };
    let metrics = [Wanted::Name("up".to_owned())];
    let labels = ["mode".to_owned()];
    match page::read(bytes, form, Taken { metrics: &metrics, labels: &labels }) {
        Err(fault) => fault.kind.name(),
        Ok(gathered) => match gathered.ticks(1_763_700_000_000, false) {
            (_, _, left_out) if left_out.count() > 0 => "partly",
            (dated, values, _) if dated.is_empty() && values.is_empty() => "without_values",
            _ => "whole",
        },
    }
}

#[cfg(test)]
mod tests;
