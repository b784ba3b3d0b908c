//! One reading of a device while no agent runs: its own collector, with a spool that is thrown away, until the first reading has
//! succeeded or failed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use storepulse_shared::ids::DeviceId;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, DeviceStatus};
use crate::collector::{Asked, Context, Kind, Ports, Sink, supervise};
use crate::spool::{BYTES_MIN, Limits, Spool, WriterHandle};
use crate::time::BoxClock;

/// How often is looked whether there is a reading.
const LOOK: Duration = Duration::from_millis(20);
/// How long a collector may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A spool and a board that nobody else sees.
pub(super) struct Scratch {
    dir: PathBuf,
    spool: Spool,
    writer: Option<WriterHandle>,
    clock: BoxClock,
}

impl Scratch {
    /// Makes it in the system's folder for what is thrown away.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn open(clock: &BoxClock) -> Result<Self, String> {
        let name = format!("storepulse-doctor-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let dir = std::env::temp_dir().join(name);
        let limits = Limits { bytes_max: BYTES_MIN, batch_samples_max: 5_000 };
        let opened = Spool::open_dated(&dir, limits, clock.clone());
        let (spool, writer) = opened.map_err(|error| {
            // Whatever of it there is.
            let _ = std::fs::remove_dir_all(&dir);
            error.to_string()
        })?;
        Ok(Self { dir, spool, writer: Some(writer), clock: clock.clone() })
    }

    /// Reads a device once; what is known of it then. Its port is free again when this returns.
    pub(super) async fn read(&self, id: &DeviceId, kind: &Kind, limit: Duration) -> Option<DeviceStatus> {
        let (board, stop) = (Arc::new(Board::default()), CancellationToken::new());
        let sink = Sink::new(
            id.clone(),
            kind.name(),
            kind.lane(),
            self.spool.clone(),
            Arc::clone(&board),
            self.clock.clone(),
            stop.clone(),
        );
        let asked = Asked::default();
        let state = self.dir.join("devices");
        let ctx = Context { sink, ports: Ports::default(), state, asked: asked.clone(), stop: stop.clone() };
        let running = supervise(kind.clone(), ctx);
        tokio::pin!(running);
        let read = async {
            // Its ticks may be a minute apart, but a person's wish is heard at once.
            let wish = loop {
                match asked.wish() {
                    Some(wish) => break wish,
                    None => tokio::time::sleep(LOOK).await,
                }
            };
            // If who reads goes away, the board says why.
            let _ = wish.ended.await;
            loop {
                let status = board.snapshot().remove(id);
                if status.as_ref().is_some_and(|status| status.state.is_some()) {
                    return status;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let status = tokio::select! {
            () = &mut running => board.snapshot().remove(id),
            status = read => status,
            () = tokio::time::sleep(limit) => board.snapshot().remove(id),
        };
        stop.cancel();
        // Otherwise it is dropped in the middle of what it does, which closes the port as well.
        let _ = tokio::time::timeout(STOP_LIMIT, running).await;
        status
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The writer ends when its last user has gone; it holds files that are about to be removed, and that is all.
        drop(self.writer.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::DeviceState;
    use crate::collector::{Rig, plug};
    use crate::time::SystemClock;

    #[tokio::test]
    async fn a_device_is_read_once_and_its_port_is_free_again() {
        let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
        let scratch = Scratch::open(&clock).unwrap();
        let folder = scratch.dir.clone();
        let dir = tempfile::tempdir().unwrap();
        let device = plug(&dir.path().join("ttySCALE"), |asked| {
            if asked == b"W" { b"\x0201.234\r".to_vec() } else { Vec::new() }
        });
        let yaml =
            format!("scale: {{ port: {}, protocol: toledo_8217, interval: 100ms }}", device.path.display());
        let id = "scale-1".parse().unwrap();
        for _ in 0..2 {
            let status = scratch.read(&id, &Rig::kind(&yaml), Duration::from_secs(10)).await.unwrap();
            assert_eq!(status.state, Some(DeviceState::Ok), "{status:?}");
        }
        drop(scratch);
        assert!(!folder.exists());
    }
}
