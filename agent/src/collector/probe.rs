//! What answers? Each kind lists the status question of its own that can be put to a stranger, on a port that nobody else
//! has open, and only when a person asks for it. A kind is found once it has answered three times. How many questions there
//! are is known beforehand, so whoever waits can be told how long.

use std::time::Duration;

use storepulse_shared::ids::DeviceId;

use super::fault::Fault;
use super::link::{Question, ask, connect};
use super::parse::{Parsed, Unread};
use super::serial::{Line, PortSettings, Ports};
use super::tape::Tape;
use super::{FaultKind, Kind};

/// Answers before a kind is believed: noise at a wrong speed may look like one.
const ANSWERS: u32 = 3;
const TIMEOUT: Duration = Duration::from_millis(400);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// What opening a port takes, as a rule.
const OPENING: Duration = Duration::from_millis(10);
const ANSWER_BYTES_MAX: usize = 512;

/// A question that a kind may put to a stranger, and what it would be in the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Introduction {
    /// What it would be, `ESC/POS printer`.
    pub what: &'static str,
    /// On a serial port: speeds and formats that are tried, the usual one first.
    pub lines: &'static [Line],
    /// On the network: its port.
    pub tcp: Option<u16>,
    /// The question.
    pub request: &'static [u8],
    /// Whether the bytes so far are an answer.
    pub is_answer: fn(&[u8]) -> Parsed<()>,
    /// The first line of its block, `escpos`, and further settings beside the port, `protocol: toledo_8217`.
    pub kind: &'static str,
    pub settings: &'static [&'static str],
}

/// What has answered, and where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// What it is.
    pub what: &'static str,
    /// Its block for `devices:`, ready to paste.
    pub configuration: String,
}

/// Under this name a port is claimed while it is probed.
pub const PROBE_DEVICE: &str = "probe";

/// Told before each question: how many have been put, of how many, and what is asked next.
pub type Tell<'a> = dyn FnMut(usize, usize, &str) + Send + 'a;

/// What there is to ask at one place, and how long that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Speeds times formats times questions.
    pub questions: usize,
    /// If nobody answers.
    pub silent: Duration,
    /// If somebody answers every question, and late, and not often enough to be believed.
    pub longest: Duration,
}

impl Plan {
    /// Of a serial port.
    #[must_use]
    pub fn of_port() -> Self {
        let questions: u32 = introductions().map(|known| u32::try_from(known.lines.len()).unwrap_or(0)).sum();
        Self::of(questions, OPENING + TIMEOUT, OPENING + TIMEOUT * ANSWERS)
    }

    /// Of a host.
    #[must_use]
    pub fn of_host() -> Self {
        let questions =
            u32::try_from(introductions().filter(|known| known.tcp.is_some()).count()).unwrap_or(0);
        Self::of(questions, CONNECT_TIMEOUT, CONNECT_TIMEOUT + TIMEOUT * ANSWERS)
    }

    fn of(questions: u32, silent: Duration, longest: Duration) -> Self {
        Self { questions: questions as usize, silent: silent * questions, longest: longest * questions }
    }

    /// One place after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            questions: self.questions + other.questions,
            silent: self.silent + other.silent,
            longest: self.longest + other.longest,
        }
    }

    /// What is left after so many questions, if nobody answers.
    #[must_use]
    pub fn left(self, done: usize) -> Duration {
        let rest = u32::try_from(self.questions.saturating_sub(done)).unwrap_or(u32::MAX);
        let all = u32::try_from(self.questions).unwrap_or(u32::MAX).max(1);
        self.silent / all * rest
    }
}

/// Asks on a serial port with every question and line that there is, telling each before it is tried. Ends with the first
/// that is answered three times.
///
/// # Errors
/// The port cannot be opened: what is wrong, and the way out.
pub async fn probe_port(ports: &Ports, path: &str, tell: &mut Tell<'_>) -> Result<Option<Found>, String> {
    let device: DeviceId = PROBE_DEVICE.parse().map_err(|_| "no device id".to_owned())?;
    let of = Plan::of_port().questions;
    let questions: Vec<_> =
        introductions().flat_map(|known| known.lines.iter().map(move |line| (known, *line))).collect();
    for (done, (introduction, line)) in questions.into_iter().enumerate() {
        tell(done, of, &format!("{path}: {} at {line}", introduction.what));
        let settings = PortSettings::plain(path);
        let mut port = ports.open(&device, &settings, line).await.map_err(|fault| fault.text)?;
        if answers(&mut port.stream, introduction).await {
            let block = format!("port: {{ path: {path}, baud: {}, format: {} }}", line.baud, line.format);
            return Ok(Some(found(introduction, &block)));
        }
    }
    Ok(None)
}

/// Asks a host on the ports of all kinds that have one.
pub async fn probe_host(host: &str, tell: &mut Tell<'_>) -> Vec<Found> {
    let of = Plan::of_host().questions;
    let host = if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
    let questions: Vec<_> = introductions().filter_map(|known| Some((known, known.tcp?))).collect();
    let mut all = Vec::new();
    for (done, (introduction, port)) in questions.into_iter().enumerate() {
        tell(done, of, &format!("{host}:{port}: {}", introduction.what));
        let target = format!("{host}:{port}");
        if let Ok(mut stream) = connect(&target, CONNECT_TIMEOUT).await
            && answers(&mut stream, introduction).await
        {
            all.push(found(introduction, &format!("tcp: {target}")));
        }
    }
    all
}

fn introductions() -> impl Iterator<Item = &'static Introduction> {
    Kind::INTRODUCTIONS.iter().copied().flatten()
}

async fn answers<L>(link: &mut L, introduction: &Introduction) -> bool
where
    L: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let question = Question {
        bytes: introduction.request,
        timeout: TIMEOUT,
        answer_bytes_max: ANSWER_BYTES_MAX,
        ended: FaultKind::Refused,
        tape: &Tape::default(),
    };
    for _ in 0..ANSWERS {
        let answer: Result<(), Fault> = ask(link, question, introduction.is_answer).await;
        if answer.is_err() {
            return false;
        }
    }
    true
}

fn found(introduction: &Introduction, place: &str) -> Found {
    let mut configuration =
        format!("  {}-1:\n    {}:\n      {place}\n", introduction.kind, introduction.kind);
    for setting in introduction.settings {
        configuration.push_str(&format!("      {setting}\n"));
    }
    Found { what: introduction.what, configuration }
}

/// What can be found, as a [`Found`] calls it.
#[cfg(test)]
pub(crate) fn introduced() -> impl Iterator<Item = &'static str> {
    introductions().map(|known| known.what)
}

/// For kinds whose parser gives more than that there is an answer.
pub(crate) fn is_answer<T>(parsed: Parsed<T>) -> Parsed<()> {
    match parsed {
        Ok((_, used)) => Ok(((), used)),
        Err(Unread::Need(n)) => Err(Unread::Need(n)),
        Err(Unread::Bad(kind)) => Err(Unread::Bad(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::rig::{Rig, plug};

    async fn found_on(answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Option<Found> {
        let rig = Rig::new();
        let device = plug(&rig.dir.path().join("tty"), answer);
        let path = device.path.display().to_string();
        probe_port(&rig.ctx.ports, &path, &mut |_, _, _| {}).await.unwrap()
    }

    #[tokio::test]
    async fn a_printer_and_a_scale_are_told_apart_by_what_they_answer() {
        let printer =
            found_on(|asked| if asked.starts_with(b"\x10\x04") { vec![0x12] } else { Vec::new() }).await;
        let printer = printer.unwrap();
        assert_eq!(printer.what, "an ESC/POS printer");
        assert!(
            serde_yaml::from_str::<std::collections::BTreeMap<String, Kind>>(&printer.configuration).is_ok()
        );
        assert!(printer.configuration.contains("baud: 9600, format: 8N1"), "{}", printer.configuration);
        let scale = found_on(|asked| if asked == b"W" { b"\x0201.234\r".to_vec() } else { Vec::new() })
            .await
            .unwrap();
        assert!(scale.configuration.contains("protocol: toledo_8217"), "{}", scale.configuration);
        serde_yaml::from_str::<std::collections::BTreeMap<String, Kind>>(&scale.configuration).unwrap();
    }

    #[tokio::test]
    async fn who_answers_once_and_never_again_is_not_believed() {
        let mut answers = 0;
        let found = found_on(move |_| {
            answers += 1;
            if answers == 1 { vec![0x12] } else { Vec::new() }
        });
        assert_eq!(found.await, None);
    }

    #[tokio::test]
    async fn a_port_that_is_not_there_is_named() {
        let why = probe_port(&Ports::default(), "/nowhere/tty", &mut |_, _, _| {}).await.unwrap_err();
        assert!(why.contains("/nowhere/tty"), "{why}");
    }

    #[tokio::test]
    async fn whoever_waits_is_told_how_many_questions_there_are() {
        let rig = Rig::new();
        let mute = plug(&rig.dir.path().join("tty"), |_| Vec::new());
        let path = mute.path.display().to_string();
        let plan = Plan::of_port();
        let mut told = Vec::new();
        // The speeds do not matter to a pseudo-terminal; the first few questions show the count.
        let mut tell = |done: usize, of: usize, _: &str| told.push((done, of));
        let asking = probe_port(&rig.ctx.ports, &path, &mut tell);
        let _ = tokio::time::timeout(TIMEOUT * 2 + TIMEOUT / 2, asking).await;
        assert_eq!(told[..2], [(0, plan.questions), (1, plan.questions)]);
        assert!(plan.questions >= 42 && plan.longest > plan.silent, "{plan:?}");
        assert_eq!(plan.left(0), plan.silent);
        assert_eq!(plan.left(plan.questions), Duration::ZERO);
        assert_eq!(plan.left(plan.questions + 1), Duration::ZERO);
        assert_eq!(plan.and(Plan::of_host()).questions, plan.questions + 2);
    }
}
