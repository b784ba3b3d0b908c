//! A weighing scale that speaks Toledo 8217 on a serial port, which is a pseudo-terminal here.
//!
//! Asked `W`, it answers `STX "01.234" CR` (PSC Magellan 8500 service manual, table 6.1.4.3). What lies on it can be changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::Terminal;

/// How often the port is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A running scale; it ends when it is dropped.
#[derive(Debug)]
pub struct WeighingScale {
    /// Its port.
    pub port: PathBuf,
    kg: Arc<Mutex<f64>>,
    _task: JoinSet<()>,
}

impl WeighingScale {
    /// Plugs it in as a serial port of this name, with nothing on it.
    ///
    /// # Errors
    /// No pseudo-terminal can be had.
    pub fn plug_in(port: &Path) -> anyhow::Result<Self> {
        let terminal = Terminal::plug_in(port)?;
        let kg = Arc::new(Mutex::new(0.0));
        let (mut task, on_it) = (JoinSet::new(), Arc::clone(&kg));
        task.spawn(async move {
            let mut buffer = [0; 64];
            // Who cannot be asked any more is gone.
            while let Ok(heard) = terminal.heard(&mut buffer) {
                for _ in buffer[..heard].iter().filter(|byte| **byte == b'W') {
                    let kg = *on_it.lock().unwrap_or_else(PoisonError::into_inner);
                    // Who has let go of the port gets no answer.
                    let _ = terminal.write(format!("\x02{kg:06.3}\r").as_bytes());
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Self { port: port.to_owned(), kg, _task: task })
    }

    /// Lays this on it, in kilograms.
    pub fn lay(&self, kg: f64) {
        *self.kg.lock().unwrap_or_else(PoisonError::into_inner) = kg;
    }
}
