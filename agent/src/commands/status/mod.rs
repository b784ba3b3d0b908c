//! `status`: how the agent is, asked of the running one; where none runs, what its spool holds.
//!
//! The exit code is 0 only if the verdict is `ok` and the cloud takes batches.

mod table;
mod words;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use storepulse_shared::limits::TIME_MAX_MS;

use self::words::Words;
use super::screen::{Screen, Tone, fit};
use crate::config::Config;
use crate::finding::{Finding, Problem};
use crate::language::Language;
use crate::spool;
use crate::status::{Verdict, units};

/// Losses that the screen shows one by one; `--json` has more.
const LOSSES_ON_SCREEN: usize = 5;
/// Findings that the screen explains.
const FINDINGS_ON_SCREEN: usize = 6;
/// Columns of the labels on the left.
const LABEL: usize = 11;

pub(super) async fn run(config: &Config, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let language = Language::of_environment();
    let (status, text) = match super::ask(config, &format!("/status?lang={}", language.code())).await {
        Ok(answer) => answer,
        Err(_) => return not_running(config, json, language, out),
    };
    if status != 200 {
        super::say(&format!("the agent answers {status}: {text}"));
        return Ok(ExitCode::FAILURE);
    }
    let status: Value = serde_json::from_str(&text)?;
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&status)?)?;
    } else {
        write_lines(&Page::of(Screen::stdout(), language).status(&status), out)?;
    }
    Ok(if is_well(&status) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_well(status: &Value) -> bool {
    status["verdict"]["level"] == "ok" && status["uplink"]["state"] == "connected"
}

fn not_running(
    config: &Config,
    json: bool,
    language: Language,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let spool = spool::look(&config.state_dir);
    let finding = Finding::new(Problem::NotRunning).with("address", config.local.listen.to_string());
    let verdict = Verdict::from_findings(vec![finding]).to_json(language);
    if json {
        let spool =
            spool.map_or_else(|e| serde_json::json!({ "error": e.to_string() }), |s| serde_json::json!(s));
        let status = serde_json::json!({ "running": false, "verdict": verdict, "spool": spool });
        writeln!(out, "{status}")?;
        return Ok(ExitCode::FAILURE);
    }
    let mut page = Page::of(Screen::stdout(), language);
    page.verdict(&verdict, 0);
    page.blank();
    match spool {
        Ok(spool) => {
            let samples: u64 = spool.lanes.iter().map(|lane| lane.waiting_samples).sum();
            let holds = page.words.its_spool.replace("{}", &samples.to_string());
            page.row(page.words.spool, &format!("{holds} · {}", units::bytes(spool.bytes)));
            page.losses(&serde_json::to_value(&spool)?);
        }
        Err(error) => page.row(page.words.spool, &error.to_string()),
    }
    write_lines(&page.lines, out)?;
    Ok(ExitCode::FAILURE)
}

fn write_lines(lines: &[String], out: &mut impl Write) -> std::io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// The screen as it is filled, line by line.
struct Page {
    screen: Screen,
    words: &'static Words,
    lines: Vec<String>,
}

impl Page {
    fn of(screen: Screen, language: Language) -> Self {
        Self { screen, words: Words::of(language), lines: Vec::new() }
    }

    /// The whole status.
    fn status(mut self, status: &Value) -> Vec<String> {
        let now_ms = status["now_ms"].as_i64().unwrap_or_default();
        self.verdict(&status["verdict"], now_ms);
        self.blank();
        self.store(&status["identity"]);
        self.uplink(status, now_ms);
        self.spool(status, now_ms);
        self.the_box(status);
        self.blank();
        self.devices(&status["devices"], now_ms);
        self.lines
    }

    /// The verdict, why, and what to do; then what else there is.
    fn verdict(&mut self, verdict: &Value, now_ms: i64) {
        let words = self.words;
        let (tone, level) = match verdict["level"].as_str() {
            Some("ok") => (Tone::Good, words.ok),
            Some("degraded") => (Tone::Warn, words.degraded),
            _ => (Tone::Bad, words.broken),
        };
        let level = self.screen.paint(tone, level);
        let findings: Vec<&Value> = verdict["findings"].as_array().into_iter().flatten().collect();
        if verdict["level"] == "ok" {
            self.lines.push(format!("{level}  {}", words.all_is_well));
        } else {
            self.lines.push(level);
        }
        for finding in findings.iter().take(FINDINGS_ON_SCREEN) {
            self.finding(finding, now_ms);
        }
        if let Some(more) = findings.len().checked_sub(FINDINGS_ON_SCREEN).filter(|more| *more > 0) {
            self.lines.push(format!("  {}", words.more.replace("{}", &more.to_string())));
        }
    }

    fn finding(&mut self, finding: &Value, now_ms: i64) {
        let text = finding["text"].as_str().unwrap_or_default();
        let since = finding["since_ms"].as_i64().filter(|since_ms| *since_ms < now_ms);
        let since = since.map(|ms| self.words.since.replace("{}", &units::duration(now_ms - ms)));
        let text = match since {
            Some(since) => format!("{text} ({since})"),
            None => text.to_owned(),
        };
        let tone = match finding["severity"].as_str() {
            Some("broken") => Tone::Bad,
            Some("degraded") => Tone::Bold,
            _ => Tone::Dim,
        };
        self.wrapped(2, tone, &text);
        self.wrapped(4, Tone::Dim, finding["evidence"].as_str().unwrap_or_default());
        for (no, line) in self.screen.wrap(4, finding["next"].as_str().unwrap_or_default()).iter().enumerate()
        {
            let mark = if no == 0 { "  > " } else { "    " };
            self.lines.push(format!("{mark}{}", line.trim_start()));
        }
    }

    fn store(&mut self, identity: &Value) {
        let name = |field: &str| identity[field].as_str().unwrap_or("-");
        let words = self.words;
        let (store, tenant, key) = (name("store"), name("tenant"), name("key_id"));
        self.row(words.store, &format!("{store} {} {tenant} · {} {key}", words.of, words.key));
    }

    fn uplink(&mut self, status: &Value, now_ms: i64) {
        let (words, uplink) = (self.words, &status["uplink"]);
        let state = words.state(uplink["state"].as_str().unwrap_or("unknown"));
        let mut parts = vec![state.to_owned()];
        if let Some(since_ms) = uplink["since_ms"].as_i64().filter(|since_ms| *since_ms < now_ms) {
            parts.push(words.since.replace("{}", &units::duration(now_ms - since_ms)));
        }
        parts.push(words.last_ack.replace("{}", &self.age(&uplink["last_ack_ms"], now_ms)));
        if let Some(next_ms) = uplink["next_attempt_ms"].as_i64().filter(|next_ms| *next_ms > now_ms) {
            parts.push(words.next_attempt.replace("{}", &units::duration(next_ms - now_ms)));
        }
        self.row(words.uplink, &parts.join(" · "));
        // What the verdict has said already is not said again.
        let mut findings = status["verdict"]["findings"].as_array().into_iter().flatten();
        if !findings.any(|finding| finding["evidence"] == uplink["reason"]) {
            self.wrapped(LABEL, Tone::Dim, uplink["reason"].as_str().unwrap_or_default());
        }
    }

    fn spool(&mut self, status: &Value, now_ms: i64) {
        let (words, spool) = (self.words, &status["spool"]);
        if let Some(problem) = status["spool_problem"].as_str() {
            return self.row(words.spool, problem);
        }
        let lanes: Vec<&Value> = spool["lanes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|lane| lane["waiting_batches"].as_u64().unwrap_or_default() > 0)
            .collect();
        let mut first = if lanes.is_empty() { vec![words.nothing_waits.to_owned()] } else { Vec::new() };
        first.push(units::bytes(spool["bytes"].as_u64().unwrap_or_default()));
        if let Some(drain_ms) = spool["drain_ms"].as_i64() {
            first.push(words.empty_in.replace("{}", &units::duration(drain_ms)));
        }
        if let Some(lost) = spool["lost_samples_day"].as_u64().filter(|lost| *lost > 0) {
            first.push(words.lost_day.replace("{}", &lost.to_string()));
        }
        self.row(words.spool, &first.join(" · "));
        for lane in lanes {
            let bytes = units::bytes(lane["waiting_bytes"].as_u64().unwrap_or_default());
            let oldest = words.oldest.replace("{}", &self.age(&lane["oldest_ms"], now_ms));
            let name = lane["lane"].as_str().unwrap_or("-");
            let (batches, samples) = (&lane["waiting_batches"], &lane["waiting_samples"]);
            let [in_, of] = words.samples_in_batches;
            let text = format!("{name}: {samples} {in_} {batches} {of} · {bytes} · {oldest}");
            self.row(words.waiting, &text);
        }
        self.losses(spool);
        for aside in spool["quarantine"].as_array().into_iter().flatten().take(LOSSES_ON_SCREEN) {
            let of = |field: &str| aside[field].as_str().unwrap_or("-");
            self.row(words.set_aside, &format!("{}: {}", of("batch"), of("refusal")));
        }
        let writes = &spool["writes"];
        let written = units::bytes(writes["bytes"].as_u64().unwrap_or_default());
        if let Some(most) = writes["bytes_max"].as_u64() {
            let most = words.of_limit.replace("{}", &units::bytes(most));
            self.row(words.written, &format!("{written} {most}"));
        }
    }

    /// The latest of what the cloud will never get.
    fn losses(&mut self, spool: &Value) {
        for loss in spool["latest_losses"].as_array().into_iter().flatten().take(LOSSES_ON_SCREEN) {
            let time = |field: &str| {
                let ms = loss[field].as_i64().unwrap_or_default().clamp(0, TIME_MAX_MS);
                humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs()))
            };
            let of = |field: &str| loss[field].as_str().unwrap_or("-");
            let (samples, lane, reason) = (&loss["samples"], of("lane"), of("reason"));
            let (from, to) = (time("from"), time("to"));
            self.row(self.words.lost, &format!("{samples} · {lane} · {reason} · {from} – {to}"));
        }
    }

    fn the_box(&mut self, status: &Value) {
        let (words, machine) = (self.words, &status["machine"]);
        let pair = |name: &str, free: &str, all: &str| {
            let (free, all) = (machine[free].as_u64()?, machine[all].as_u64()?);
            Some(format!("{name} {} {} {}", units::bytes(free), words.free_of, units::bytes(all)))
        };
        let up = machine["uptime_s"].as_i64().map(|s| words.up.replace("{}", &units::duration(s * 1_000)));
        let parts = [
            machine["host_name"].as_str().map(str::to_owned),
            pair(words.disk, "disk_free_bytes", "disk_bytes"),
            pair(words.memory, "memory_free_bytes", "memory_bytes"),
            machine["temperature"].as_f64().map(|celsius| format!("{celsius:.0} °C")),
            up,
            status["version"].as_str().map(|version| format!("storepulse-agent {version}")),
        ];
        self.row(words.the_box, &parts.into_iter().flatten().collect::<Vec<_>>().join(" · "));
        self.clock(&status["clock"]);
        self.settings(&status["settings"]);
    }

    /// What the cloud has set over `agent.yaml`, if it ever did.
    fn settings(&mut self, settings: &Value) {
        let words = self.words;
        let Some(state) = settings["state"].as_str() else { return };
        let mut text = format!("{}: {}", settings["version"], words.state(state));
        if let Some(why) = settings["why"].as_str() {
            text = format!("{text} ({why})");
        }
        let off: Vec<&str> =
            settings["off"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !off.is_empty() {
            text = format!("{text} · {} {}", words.settings_off, off.join(", "));
        }
        self.row(words.settings, &text);
    }

    fn clock(&mut self, clock: &Value) {
        let words = self.words;
        let Some(offset_ms) = clock["offset_ms"].as_i64() else {
            return self.row(words.clock, words.clock_untold);
        };
        let off = units::duration(offset_ms);
        let right = match offset_ms {
            ..=-1_000 => words.clock_ahead.replace("{}", &off),
            1_000.. => words.clock_behind.replace("{}", &off),
            _ => words.clock_right.to_owned(),
        };
        let authority = clock["authority"].as_str().unwrap_or("-");
        let repairing =
            if clock["repairing"] == true { format!(" · {}", words.repairing) } else { String::new() };
        self.row(words.clock, &format!("{right} ({authority}){repairing}"));
    }

    /// How long ago, in words.
    fn age(&self, at: &Value, now_ms: i64) -> String {
        match at.as_i64() {
            Some(at_ms) => self.words.ago.replace("{}", &units::duration((now_ms - at_ms).max(0))),
            None => self.words.never.to_owned(),
        }
    }

    /// A label, and what there is to say, in as many lines as it takes.
    fn row(&mut self, label: &str, text: &str) {
        for (no, line) in self.screen.wrap(LABEL, text).iter().enumerate() {
            let label = if no == 0 { label } else { "" };
            let label = self.screen.paint(Tone::Dim, &fit(label, LABEL));
            self.lines.push(format!("{label}{}", line.trim_start()));
        }
    }

    fn wrapped(&mut self, indent: usize, tone: Tone, text: &str) {
        let lines = self.screen.wrap(indent, text);
        self.lines.extend(lines.iter().map(|line| {
            let blanks = " ".repeat(indent);
            format!("{blanks}{}", self.screen.paint(tone, line.trim_start()))
        }));
    }

    fn blank(&mut self) {
        self.lines.push(String::new());
    }
}

#[cfg(test)]
mod tests;
