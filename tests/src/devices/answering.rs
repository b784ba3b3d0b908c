//! A device on a serial port that answers what it is asked, as a test says, and knows the speed at which it is asked: that is read
//! from the terminal's settings, since a pseudo-terminal garbles nothing by itself.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Terminal;

/// How often it listens.
const LOOK: Duration = Duration::from_millis(2);

/// A running device; dropping it pulls its plug.
#[derive(Debug)]
pub struct Answering {
    /// The kernel's name of its port, `/dev/pts/7`.
    pub name: String,
    _task: JoinSet<()>,
}

impl Answering {
    /// Plugs it in under this name. It is given each piece that it hears, with the speed; an empty answer is silence.
    ///
    /// # Errors
    /// No pseudo-terminal can be had.
    pub fn plug_in(
        port: &Path,
        mut answer: impl FnMut(&[u8], u32) -> Vec<u8> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let terminal = Terminal::plug_in(port)?;
        let name = terminal.name.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut buffer = [0; 1_024];
            while let Ok(heard) = terminal.heard(&mut buffer) {
                if heard == 0 {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                let Ok(speed) = terminal.speed() else { return };
                // Who has hung up hears nothing.
                let _ = terminal.write(&answer(&buffer[..heard], speed));
            }
        });
        Ok(Self { name, _task: task })
    }
}
