//! The sixty: thirty that answer, thirty that are silent, talk rubbish, are slow, never end, refuse, or are not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use storepulse_agent::time::now_ms;

use crate::devices::answers::{page, printer, probe, ups};
use crate::devices::{Answer, Asked, Manner, Terminal};

/// How late a device may be asked and keep its tick.
const KEPT_WITHIN_MS: i64 = 1_000;
/// How often the terminals are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// In which ways a device on the network is broken.
const BROKEN: [Manner; 5] =
    [Manner::Silent, Manner::Garbage, Manner::Slow, Manner::Endless, Manner::Refusing];

/// A kind on the network.
#[derive(Debug, Clone, Copy)]
struct Sort {
    name: &'static str,
    healthy: usize,
    interval_s: i64,
    answer: Answer,
    /// Its settings beside the interval; `{}` is the address.
    settings: &'static str,
}

const SORTS: [Sort; 4] = [
    Sort { name: "escpos", healthy: 10, interval_s: 10, answer: printer, settings: "tcp: '{}'" },
    Sort {
        name: "modbus",
        healthy: 9,
        interval_s: 5,
        answer: probe,
        settings: "tcp: '{}', unit: 1, preset: xy-md02",
    },
    Sort { name: "nut", healthy: 5, interval_s: 10, answer: ups, settings: "target: '{}', ups: ups" },
    Sort {
        name: "http_json",
        healthy: 3,
        interval_s: 10,
        answer: page,
        settings: "url: 'http://{}/', values: [{ pointer: /t, metric: hw.temperature }]",
    },
];

/// Printers on serial ports: three answer, four are silent, three only print rubbish, three are not there.
const TERMINALS: [(&str, usize, Way); 4] = [
    ("serial", 3, Way::Answers),
    ("serial-silent", 4, Way::Silent),
    ("serial-rubbish", 3, Way::Rubbish),
    ("serial-missing", 3, Way::Missing),
];
const TERMINAL_INTERVAL_S: i64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Answers,
    Silent,
    Rubbish,
    Missing,
}

/// One that is asked on ticks.
struct Member {
    id: String,
    block: String,
    is_healthy: bool,
    interval_s: i64,
    device: Device,
}

enum Device {
    Net(Asked),
    Serial { way: Way, terminal: Option<Terminal>, asked: Vec<i64> },
}

/// All of them.
pub(super) struct Crowd(Vec<Member>);

/// Ticks of the healthy.
pub(super) struct Ticks {
    pub due: usize,
    pub kept: usize,
}

impl Ticks {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    pub(super) fn share(&self) -> f64 {
        self.kept as f64 / self.due.max(1) as f64
    }
}

impl Crowd {
    pub(super) async fn gather(dir: &Path) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for sort in SORTS {
            let manners = std::iter::repeat_n(Manner::Well, sort.healthy).chain(BROKEN);
            for (n, manner) in manners.enumerate() {
                all.push(sort.member(n, manner).await?);
            }
        }
        for (name, many, way) in TERMINALS {
            for n in 0..many {
                all.push(terminal(format!("{name}-{n}"), way, dir)?);
            }
        }
        anyhow::ensure!(all.len() == 60, "{} devices", all.len());
        anyhow::ensure!(all.iter().filter(|member| member.is_healthy).count() == 30, "half of them answer");
        Ok(Self(all))
    }

    /// Their blocks of the configuration.
    pub(super) fn blocks(&self) -> String {
        self.0.iter().map(|member| member.block.as_str()).collect()
    }

    /// Serves the terminals, for ever.
    pub(super) async fn serve(&mut self) -> anyhow::Result<()> {
        loop {
            for member in &mut self.0 {
                if let Device::Serial { way, terminal: Some(terminal), asked } = &mut member.device {
                    attend(*way, terminal, asked)?;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether those who answer are well, and the others are known not to be.
    pub(super) fn check(&self, status: &serde_json::Value) -> anyhow::Result<()> {
        for member in &self.0 {
            let device = &status["devices"][&member.id];
            let is_well = device["state"] == "ok";
            anyhow::ensure!(is_well == member.is_healthy, "{}: {device}", member.id);
        }
        Ok(())
    }

    /// Which ticks between these times were kept: each multiple of an interval is one.
    pub(super) fn ticks(&self, from_ms: i64, to_ms: i64) -> Ticks {
        let mut ticks = Ticks { due: 0, kept: 0 };
        for member in self.0.iter().filter(|member| member.is_healthy) {
            let asked = match &member.device {
                Device::Net(asked) => asked.asked_ms(),
                Device::Serial { asked, .. } => asked.clone(),
            };
            let interval_ms = member.interval_s * 1_000;
            let mut tick = (from_ms / interval_ms + 1) * interval_ms;
            while tick + KEPT_WITHIN_MS < to_ms {
                ticks.due += 1;
                let kept = asked.iter().any(|at| (tick..=tick + KEPT_WITHIN_MS).contains(at));
                ticks.kept += usize::from(kept);
                tick += interval_ms;
            }
        }
        ticks
    }
}

impl Sort {
    async fn member(self, n: usize, manner: Manner) -> anyhow::Result<Member> {
        let asked = Asked::start(manner, self.answer).await?;
        let id = format!("{}-{n}", self.name.replace('_', "-"));
        let settings = self.settings.replace("{}", &asked.address.to_string());
        let (kind, interval_s) = (self.name, self.interval_s);
        let block = format!("  {id}: {{ {kind}: {{ {settings}, interval: {interval_s}s }} }}\n");
        Ok(Member { id, block, is_healthy: manner == Manner::Well, interval_s, device: Device::Net(asked) })
    }
}

fn terminal(id: String, way: Way, dir: &Path) -> anyhow::Result<Member> {
    let port: PathBuf = dir.join(format!("tty-{id}"));
    let terminal = if way == Way::Missing { None } else { Some(Terminal::plug_in(&port)?) };
    let mut block = String::new();
    writeln!(
        block,
        "  {id}: {{ escpos: {{ port: {}, interval: {TERMINAL_INTERVAL_S}s }} }}",
        port.display()
    )?;
    let device = Device::Serial { way, terminal, asked: Vec::new() };
    Ok(Member { id, block, is_healthy: way == Way::Answers, interval_s: TERMINAL_INTERVAL_S, device })
}

fn attend(way: Way, terminal: &Terminal, asked: &mut Vec<i64>) -> anyhow::Result<()> {
    let mut buffer = [0; 256];
    let heard = terminal.heard(&mut buffer)?;
    match way {
        Way::Answers => {
            for _ in buffer[..heard].chunks_exact(3) {
                if asked.last().is_none_or(|last| now_ms() - last >= KEPT_WITHIN_MS) {
                    asked.push(now_ms());
                }
                // Who has let go of the port gets no answer.
                let _ = terminal.write(&[0x12]);
            }
        }
        // As at a wrong speed: ten kilobytes a second, if anybody listens.
        Way::Rubbish if terminal.is_held()? && terminal.has_room()? => drop(terminal.write(&[0xfe; 100])),
        Way::Rubbish | Way::Silent | Way::Missing => {}
    }
    Ok(())
}
