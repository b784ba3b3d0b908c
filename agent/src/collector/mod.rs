//! Collectors: agent code that reads one kind of device each.
//!
//! A kind is a file: its settings, its parsing as pure functions, and `run`, which reads until it is told to stop and
//! hands everything to a [`Sink`]. A collector knows neither spool nor uplink, and sends to a device only what its own
//! file says. When it panics it is started again; the others never notice.

mod host;
mod serial_lines;
mod sink;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

pub use self::sink::Sink;
use crate::board::DeviceState;

/// How long a collector that failed rests before it is started again.
const REST: Duration = Duration::from_secs(5);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:ident),* $(,)?) => {
        /// What a device is, with its settings: one block of `devices:` in the configuration.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind {
            $($(#[$doc])* $variant($name::Settings),)*
        }

        impl Kind {
            /// The names of all kinds, as they stand in the configuration.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Its name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($name),)* }
            }

            /// The lane of its samples.
            #[must_use]
            pub const fn lane(&self) -> storepulse_shared::batch::Lane {
                match self { $(Self::$variant(settings) => settings.lane,)* }
            }

            /// Reads until it is told to stop.
            async fn run(&self, sink: &Sink, stop: &CancellationToken) {
                match self { $(Self::$variant(settings) => $name::run(settings, sink, stop).await,)* }
            }
        }
    };
}

kinds! {
    /// The box that the agent runs on.
    Host = host,
    /// Any device that prints lines on a serial port.
    SerialLines = serial_lines,
}

/// Runs one collector until it is told to stop, whatever happens to it.
pub(crate) async fn supervise(kind: Kind, sink: Sink, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let outcome = AssertUnwindSafe(kind.run(&sink, &stop)).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        let why = if outcome.is_err() { "it panicked" } else { "it ended" };
        sink.error("internal", format!("the collector is started again: {why}"));
        sink.state(DeviceState::Fault).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REST) => {}
        }
    }
}
