//! `doctor`: looks at everything, and says what is wrong, what comes first of it, and what to do.

use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::screen::{Screen, Tone, cut, fit};
use crate::config::Config;
use crate::doctor::{self, Check, Outcome, Report};
use crate::finding::Finding;
use crate::language::Language;

/// Columns of the name of a check.
const TITLE_COLUMNS: usize = 22;

/// What to do with it.
#[derive(Debug, Args)]
pub(super) struct DoctorCommand {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Look further, however long that takes: every batch of the spool, every speed of a line where nothing is heard
    #[arg(long)]
    deep: bool,
}

/// Without a configuration it says why there is none, and looks at the rest.
pub(super) async fn run(
    path: &Path,
    config: Option<&Config>,
    command: DoctorCommand,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let language = Language::of_environment();
    let screen = Screen::stdout();
    let mut live = Live { is_shown: !command.json && std::io::stderr().is_terminal(), screen };
    let progress = &mut |done, total, check: &Check| live.show(done, total, check);
    let report = match command.deep {
        true => doctor::run_deep(path, config, progress).await,
        false => doctor::run(path, config, progress).await,
    };
    live.end();
    if command.json {
        writeln!(out, "{}", report.to_json(language))?;
    } else {
        write_screen(&report, screen, language, out)?;
    }
    Ok(ExitCode::from(report.exit_code()))
}

/// The line that tells how far it is, while it looks; on a terminal only.
struct Live {
    is_shown: bool,
    screen: Screen,
}

impl Live {
    fn show(&mut self, done: usize, total: usize, check: &Check) {
        if self.is_shown {
            let text = cut(
                &format!("{done} of {total}  {} {}", check.outcome, check.title()),
                self.screen.width() - 1,
            );
            // Who has closed the terminal does not see it.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{text}");
        }
    }

    fn end(&self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

/// Findings, the first one first; then what was not looked at, and what is well, a line each.
fn write_screen(
    report: &Report,
    screen: Screen,
    language: Language,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let words = Words::of(language);
    let (tone, line) = words.summary(report);
    screen.wrap(0, &line).iter().try_for_each(|line| writeln!(out, "{}", screen.paint(tone, line)))?;
    for (no, check) in (1_usize..).zip(report.findings()) {
        if let Some(finding) = &check.finding {
            writeln!(out)?;
            write_finding(no, check, finding, screen, language, out)?;
        }
    }
    writeln!(out)?;
    for outcome in [Outcome::Skipped, Outcome::Pass] {
        for check in report.checks.iter().filter(|check| check.outcome == outcome) {
            let (mark, tone) = if outcome == Outcome::Pass { ("ok", Tone::Good) } else { ("-", Tone::Dim) };
            let room = screen.width().saturating_sub(4 + TITLE_COLUMNS);
            let (title, evidence) = (fit(&check.title(), TITLE_COLUMNS - 1), cut(&check.evidence, room));
            writeln!(
                out,
                "{}  {title} {}",
                screen.paint(tone, &fit(mark, 2)),
                screen.paint(Tone::Dim, &evidence)
            )?;
        }
    }
    Ok(())
}

fn write_finding(
    no: usize,
    check: &Check,
    finding: &Finding,
    screen: Screen,
    language: Language,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let tone = if check.outcome == Outcome::Fail { Tone::Bad } else { Tone::Warn };
    for (at, line) in screen.wrap(4, &finding.text(language)).iter().enumerate() {
        let number = if at == 0 { format!("{no:>2}. ") } else { " ".repeat(4) };
        writeln!(out, "{number}{}", screen.paint(tone, line.trim_start()))?;
    }
    for line in screen.wrap(4, &finding.next(language)) {
        writeln!(out, "{line}")?;
    }
    for line in screen.wrap(4, &format!("[{}] {}", check.title(), check.evidence)) {
        writeln!(out, "    {}", screen.paint(Tone::Dim, line.trim_start()))?;
    }
    Ok(())
}

/// What the screen says itself.
struct Words {
    well: &'static str,
    works: &'static str,
    broken: &'static str,
}

impl Words {
    const fn of(language: Language) -> Self {
        match language {
            Language::En => Self {
                well: "All is well ({checks} checks)",
                works: "It works; worth knowing: {warnings} ({checks} checks)",
                broken: "Not well: {failures} ({checks} checks)",
            },
            Language::Es => Self {
                well: "Todo está bien ({checks} revisiones)",
                works: "Funciona; conviene saber: {warnings} ({checks} revisiones)",
                broken: "No está bien: {failures} ({checks} revisiones)",
            },
            Language::Pt => Self {
                well: "Tudo está bem ({checks} verificações)",
                works: "Funciona; convém saber: {warnings} ({checks} verificações)",
                broken: "Não está bem: {failures} ({checks} verificações)",
            },
        }
    }

    fn summary(&self, report: &Report) -> (Tone, String) {
        let (tone, words) = match report.outcome() {
            Outcome::Fail => (Tone::Bad, self.broken),
            Outcome::Warn => (Tone::Warn, self.works),
            Outcome::Pass | Outcome::Skipped => (Tone::Good, self.well),
        };
        let looked = report.checks.len() - report.count(Outcome::Skipped);
        let line = words
            .replace("{checks}", &looked.to_string())
            .replace("{failures}", &report.count(Outcome::Fail).to_string())
            .replace("{warnings}", &report.count(Outcome::Warn).to_string());
        (tone, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Problem;

    fn shown(checks: Vec<Check>, width: usize, language: Language) -> String {
        let mut out = Vec::new();
        write_screen(&Report { checks }, Screen::new(width, false), language, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_first_line_after_the_summary_is_the_cause() {
        let dns = Finding::new(Problem::CloudDns).with("host", "cloud.example");
        let checks = vec![
            Check::pass("disk", "3 GB free"),
            Check::found("clock", Finding::new(Problem::ClockUnset), "nobody sets it"),
            Check::found("cloud name", dns, "no such name"),
            Check::skipped("cloud connection", "not asked: the name does not resolve"),
        ];
        let screen = shown(checks.clone(), 80, Language::En);
        let lines: Vec<&str> = screen.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].starts_with("Not well: 1 (3 checks)"), "{screen}");
        assert!(lines[1].starts_with(" 1. ") && lines[1].contains("cloud.example"), "{screen}");
        assert!(screen.contains("no such name") && screen.contains("ok  disk"), "{screen}");
        for language in Language::ALL {
            for width in [40, 80] {
                let screen = shown(checks.clone(), width, language);
                assert!(screen.lines().all(|line| line.chars().count() <= width), "{width}\n{screen}");
            }
        }
    }

    #[test]
    fn nothing_wrong_is_said_so() {
        let screen = shown(vec![Check::pass("disk", "3 GB free")], 80, Language::Pt);
        assert!(screen.starts_with("Tudo está bem (1 verificações)"), "{screen}");
    }
}
