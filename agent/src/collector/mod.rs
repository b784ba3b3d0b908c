//! Collectors: agent code that reads one kind of device each.
//!
//! A kind is a file (or a folder): its settings, its parsing as pure functions, and `run`, which reads until it is told to
//! stop and hands everything to a [`Sink`]. A collector knows neither spool nor uplink, and sends to a device only what its
//! own file says. When it panics it is started again; the others never notice.
//!
//! What kinds share: [`poll`] keeps the pace of what is asked, [`listen`] of what talks by itself on a serial port, [`link`]
//! is a question and its answer, [`probe`] asks strangers, [`serial`] finds and opens ports, [`fault`] is why a reading
//! failed, [`parse`] what parsers have in common, [`tape`] what was said on a line, [`asked`] a person's wish for a reading,
//! [`secret`] what must not be shown, [`defaults`] what a setting is that nobody gave, [`about`] the document of all kinds.

mod about;
mod asked;
mod book;
mod changes;
mod defaults;
mod ds18b20;
mod escpos;
mod fault;
mod fiscal;
mod gathered;
mod host;
mod http_json;
mod json;
pub(crate) mod kept;
mod label;
mod link;
mod listen;
mod log_file;
mod modbus;
mod mqtt;
mod nut;
mod otlp;
mod own_time;
pub(crate) mod pan;
mod parse;
mod pattern;
mod place;
mod poll;
mod printer;
mod probe;
mod prometheus;
mod reach;
#[cfg(test)]
pub(crate) mod rig;
mod scale;
mod scanner;
mod secret;
mod serial;
mod serial_lines;
mod sink;
mod snmp;
mod sql;
mod statsd;
mod tape;
mod web;
#[cfg(test)]
mod web_server;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Deserialize;
use storepulse_shared::batch::Lane;
use tokio_util::sync::CancellationToken;

pub use self::about::{About, document};
pub(crate) use self::asked::{Asked, Ended, Wish};
pub use self::fault::FaultKind;
pub use self::parse::Subject;
pub(crate) use self::place::Place;
use self::probe::Introduction;
#[cfg(test)]
pub(crate) use self::probe::introduced;
pub use self::probe::{Found, PROBE_DEVICE, Plan, Tell, probe_host, probe_port};
#[cfg(test)]
pub(crate) use self::rig::{Rig, plug};
use self::serial::PortSettings;
pub use self::serial::{PortEntry, Ports};
pub use self::sink::Sink;
pub(crate) use self::sink::Tick;

/// How long a collector that failed rests before it is started again.
const REST: Duration = Duration::from_secs(5);

/// What a collector is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where its readings go.
    pub sink: Sink,
    /// The serial ports of the box.
    pub ports: Ports,
    /// A folder of the device's own for what must outlive the agent; made by who writes into it.
    pub(crate) state: PathBuf,
    /// Where people wish for a reading.
    pub(crate) asked: Asked,
    /// When it fires, `run` returns.
    pub stop: CancellationToken,
}

/// A kind: its settings, and what is done with them.
trait Collector {
    /// What it says of itself.
    const ABOUT: About;
    /// Its parsers.
    const SUBJECTS: &'static [Subject] = &[];
    /// What it may ask a stranger.
    const INTRODUCTIONS: &'static [Introduction] = &[];
    /// Whether others of its kind may be asked on its line too, each by an address of its own.
    const SHARES_ITS_LINE: bool = false;
    /// Whether the bytes of its line may be shown: only if no frame of it can hold card data, names or secrets.
    const SHOWS_BYTES: bool = false;

    /// The lane of its samples.
    fn lane(&self) -> Lane;

    /// The serial port that it reads.
    fn port(&self) -> Option<&PortSettings> {
        None
    }

    /// Where else it is found: a host with or without its port, a file, or where we listen for it. Nothing secret.
    fn target(&self) -> Option<String> {
        None
    }

    /// Whether it is not asked: it talks by itself, or others write what is read.
    fn talks_by_itself(&self) -> bool {
        false
    }

    /// However often people wish for it, it is not read more often than this.
    fn floor(&self) -> Duration {
        Duration::ZERO
    }

    /// What its settings have wrong together; each for itself is checked where it is read.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Its files, which are found beside the configuration.
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }

    /// Reads until it is told to stop.
    fn run(&self, ctx: &Context) -> impl Future<Output = ()> + Send;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:ident),* $(,)?) => {
        /// What a device is, with its settings: one block of `devices:` in the configuration.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind {
            $($(#[$doc])* $variant($name::Settings),)*
        }

        impl Kind {
            /// The names of all kinds, as they stand in the configuration, and what each says of itself.
            pub const ALL: &'static [(&'static str, About)] =
                &[$((stringify!($name), <$name::Settings as Collector>::ABOUT)),*];

            /// Whether the bytes of a kind's line may be shown, in the order of [`Self::ALL`].
            pub const SHOWS_BYTES: &'static [bool] = &[$(<$name::Settings as Collector>::SHOWS_BYTES),*];

            /// The parsers of all kinds.
            pub const SUBJECTS: &'static [&'static [Subject]] =
                &[$(<$name::Settings as Collector>::SUBJECTS),*];

            /// What all kinds may ask a stranger.
            const INTRODUCTIONS: &'static [&'static [Introduction]] =
                &[$(<$name::Settings as Collector>::INTRODUCTIONS),*];

            /// The names of the settings of all kinds.
            #[cfg(test)]
            const FIELDS: &'static [fn() -> Vec<&'static str>] = &[$(tests::fields_of::<$name::Settings>),*];

            /// Its name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($name),)* }
            }

            /// The lane of its samples.
            #[must_use]
            pub fn lane(&self) -> Lane {
                match self { $(Self::$variant(settings) => settings.lane(),)* }
            }

            /// The serial port that it reads.
            pub(crate) fn port(&self) -> Option<&PortSettings> {
                match self { $(Self::$variant(settings) => settings.port(),)* }
            }

            /// Whether both may be asked on one line.
            pub(crate) const fn shares_its_line_with(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$variant(_), Self::$variant(_)) => <$name::Settings as Collector>::SHARES_ITS_LINE,)*
                    _ => false,
                }
            }

            /// Where else it is found: a host with or without its port, a file, or where we listen for it. Nothing secret.
            pub(crate) fn target(&self) -> Option<String> {
                match self { $(Self::$variant(settings) => settings.target(),)* }
            }

            /// Whether the bytes of its line may be shown.
            const fn shows_bytes(&self) -> bool {
                match self { $(Self::$variant(_) => <$name::Settings as Collector>::SHOWS_BYTES,)* }
            }

            /// Whether it is not asked.
            pub(crate) fn talks_by_itself(&self) -> bool {
                match self { $(Self::$variant(settings) => settings.talks_by_itself(),)* }
            }

            /// However often people wish for it, it is not read more often than this.
            pub(crate) fn floor(&self) -> Duration {
                match self { $(Self::$variant(settings) => settings.floor(),)* }
            }

            /// What its settings have wrong together.
            pub(crate) fn check(&self) -> Result<(), String> {
                match self { $(Self::$variant(settings) => settings.check(),)* }
            }

            /// The files that its settings name.
            pub(crate) fn paths(&mut self) -> Vec<&mut PathBuf> {
                match self { $(Self::$variant(settings) => settings.paths(),)* }
            }

            /// Reads until it is told to stop.
            async fn run(&self, ctx: &Context) {
                match self { $(Self::$variant(settings) => settings.run(ctx).await,)* }
            }
        }
    };
}

kinds! {
    /// A DS18B20 thermometer on the kernel's 1-wire bus.
    Ds18b20 = ds18b20,
    /// A receipt printer.
    Escpos = escpos,
    /// A fiscal printer of Latin America.
    Fiscal = fiscal,
    /// The box that the agent runs on.
    Host = host,
    /// A device that answers with JSON.
    HttpJson = http_json,
    /// A log file that other software writes.
    LogFile = log_file,
    /// Controllers, probes and meters by Modbus RTU or TCP.
    Modbus = modbus,
    /// A sensor behind an MQTT broker.
    Mqtt = mqtt,
    /// A UPS behind Network UPS Tools.
    Nut = nut,
    /// Programs that export their metrics by OTLP/HTTP.
    Otlp = otlp,
    /// A program that shows its metrics in the text format of Prometheus.
    Prometheus = prometheus,
    /// Whether a host can be reached.
    Reach = reach,
    /// A weighing scale on a serial port.
    Scale = scale,
    /// A barcode scanner on a serial port.
    Scanner = scanner,
    /// Any device that prints lines on a serial port.
    SerialLines = serial_lines,
    /// Network gear, printers and UPSs over SNMP.
    Snmp = snmp,
    /// A till's database.
    Sql = sql,
    /// What programs send over StatsD.
    Statsd = statsd,
}

/// Runs one collector until it is told to stop, whatever happens to it.
pub(crate) async fn supervise(kind: Kind, mut ctx: Context) {
    ctx.sink = ctx.sink.of_kind(&kind);
    ctx.asked = ctx.asked.with_floor(kind.floor());
    while !ctx.stop.is_cancelled() {
        let outcome = AssertUnwindSafe(kind.run(&ctx)).catch_unwind().await;
        if ctx.stop.is_cancelled() {
            return;
        }
        let why = if outcome.is_err() { "it panicked" } else { "it ended" };
        ctx.sink.error(FaultKind::Internal, format!("the collector is started again: {why}"));
        ctx.sink.state(FaultKind::Internal.state()).await;
        tokio::select! {
            () = ctx.stop.cancelled() => return,
            () = tokio::time::sleep(REST) => {}
        }
    }
}

#[cfg(test)]
mod tests;
