//! `nut`: a UPS behind Network UPS Tools, over TCP 3493.
//!
//! A connection a reading: `LIST VAR <ups>`, the answer (see [`answer`]), `LOGOUT`. Nothing else is ever sent, above all no `LOGIN`:
//! it would count us among those for whom the primary waits at a shutdown. What the variables mean stands in [`variables`].

mod answer;
mod variables;

use std::time::Duration;

use serde::Deserialize;
use storepulse_shared::batch::Lane;
use tokio::io::AsyncWriteExt as _;

use self::answer::{Answer, Refusal};
use super::changes::Changes;
use super::defaults;
use super::fault::{Fault, FaultKind};
use super::link::{self, Question};
use super::parse::Subject;
use super::poll::{self, Probe, Reading, Schedule};
use super::{About, Collector, Context};

/// Longest answer; a large UPS says 8 KiB.
const ANSWER_BYTES_MAX: usize = 128 << 10;

/// `nut:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where upsd listens.
    target: String,
    /// Its name in `ups.conf`.
    #[serde(default = "ups")]
    ups: String,
    /// How often it is read.
    #[serde(default = "defaults::seconds::<30>", deserialize_with = "crate::config::duration")]
    interval: Duration,
    /// The longest that a reading may take.
    #[serde(default = "defaults::seconds::<5>", deserialize_with = "crate::config::duration")]
    timeout: Duration,
    /// Up to this long after its tick it is read.
    #[serde(default = "defaults::half_a_second", deserialize_with = "crate::config::duration")]
    jitter: Duration,
    /// The lane of its samples.
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

fn ups() -> String {
    "ups".to_owned()
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A UPS behind Network UPS Tools: `LIST VAR`, without a login.",
        example: include_str!("example.yaml"),
        metrics: &[
            "hw.battery.charge",
            "hw.battery.time_left",
            "hw.status",
            "hw.temperature",
            "hw.voltage",
            "retail.ups.load",
            "retail.ups.low_battery",
            "retail.ups.on_battery",
            "retail.ups.overload",
            "retail.ups.replace_battery",
            "retail.ups.status.unknown",
        ],
        events: &[
            "ups.alarm",
            "ups.battery",
            "ups.low_battery",
            "ups.overload",
            "ups.replace_battery",
            "ups.shutdown",
        ],
        limits: &[
            "Lines of at most 4 KiB, at most 1,000 variables.",
            "What is no number, or none that can be true, is counted as `parse` and left out.",
            "No TLS (`STARTTLS`): upsd belongs on this box, or in the same network.",
        ],
        untested: &[
            "drivers of real UPSs: which variables they have, and how long `DATA-STALE` lasts after a cable is pulled",
        ],
    };

    const SUBJECTS: &'static [Subject] = &[answer::SUBJECT];

    fn lane(&self) -> Lane {
        self.lane
    }

    fn target(&self) -> Option<String> {
        Some(self.target.clone())
    }

    fn check(&self) -> Result<(), String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.ups.is_empty() || self.ups.len() > 64 || !self.ups.chars().all(is_name) {
            return Err(format!("ups {:?} is no name as in ups.conf: letters, digits, _ - .", self.ups));
        }
        Ok(())
    }

    async fn run(&self, ctx: &Context) {
        let schedule = Schedule { interval: self.interval, timeout: self.timeout, jitter: self.jitter };
        poll::run(schedule, ctx, &mut Upsd { settings: self, ctx, changes: Changes::default() }).await;
    }
}

struct Upsd<'a> {
    settings: &'a Settings,
    ctx: &'a Context,
    changes: Changes,
}

impl Probe for Upsd<'_> {
    async fn read(&mut self) -> Result<Reading, Fault> {
        let Settings { target, ups, timeout, .. } = self.settings;
        let mut stream = link::connect(target, *timeout).await?;
        let asks = format!("LIST VAR {ups}\n");
        let question = Question {
            bytes: asks.as_bytes(),
            timeout: *timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
            ended: FaultKind::Refused,
            tape: self.ctx.sink.tape(),
        };
        let answer = link::ask(&mut stream, question, |bytes| answer::parse(ups, bytes)).await?;
        // It is polite, and no more: upsd closes, whether it has read this or not.
        let _ = stream.write_all(b"LOGOUT\n").await;
        match answer {
            Answer::Refused(refusal) => Err(self.refused(refusal)),
            Answer::Variables(variables) => {
                let (reading, no_numbers) = variables::read(&variables, &mut self.changes);
                if no_numbers > 0 {
                    let text = format!("{no_numbers} variables are no numbers, or none that can be true");
                    self.ctx.sink.error(FaultKind::Parse, text);
                }
                if reading.values.is_empty() {
                    let text = format!("{ups} tells nothing that is read; its driver may have just started");
                    return Err(Fault::new(FaultKind::Unsupported, text));
                }
                Ok(reading)
            }
        }
    }
}

impl Upsd<'_> {
    fn refused(&self, refusal: Refusal) -> Fault {
        let Settings { target, ups, .. } = self.settings;
        let (kind, text) = match refusal {
            Refusal::AccessDenied => (
                FaultKind::Denied,
                format!("upsd at {target} does not let this box ask; see its LISTEN and firewall"),
            ),
            Refusal::UnknownUps => (
                FaultKind::WrongDevice,
                format!("upsd at {target} has no UPS named {ups}; `upsc -l` lists those it has"),
            ),
            Refusal::DriverNotConnected => (
                FaultKind::Exception,
                format!("the driver of {ups} does not run; `upsdrvctl start {ups}` where upsd runs"),
            ),
            Refusal::DataStale => (
                FaultKind::Exception,
                format!("the driver of {ups} hears nothing from the UPS; look at its cable"),
            ),
            Refusal::NotUnderstood => {
                (FaultKind::Nak, format!("{target} does not understand LIST VAR; is it upsd?"))
            }
            Refusal::Other => {
                (FaultKind::Exception, format!("upsd at {target} refuses to list {ups}; see its log"))
            }
        };
        Fault::new(kind, text)
    }
}

#[cfg(test)]
mod tests;
