//! For tests of kinds: a context with a real spool in a folder of its own, and what has come of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{self, SetArg};

use storepulse_shared::batch::Lane;
use tokio_util::sync::CancellationToken;

use super::serial::Ports;
use super::{Asked, Context, Kind, Sink, supervise};
use crate::board::{Board, DeviceState, DeviceStatus};
use crate::spool::{Limits, Spool};
use crate::time::{BoxClock, SystemClock};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// The device under test.
const DEVICE: &str = "device-1";

/// One device of the kind under test, as the agent would run it.
pub(crate) struct Rig {
    pub ctx: Context,
    pub board: Arc<Board>,
    pub dir: tempfile::TempDir,
}

impl Rig {
    /// With the box's own ports.
    pub(crate) fn new() -> Self {
        Self::with(Ports::default())
    }

    /// With these ports.
    pub(crate) fn with(ports: Ports) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = BoxClock::new(Arc::new(SystemClock::load()), 0);
        let limits = Limits { bytes_max: 64 << 20, batch_samples_max: 5_000 };
        let (spool, _writer) = Spool::open_dated(dir.path(), limits, clock.clone()).unwrap();
        let board = Arc::new(Board::default());
        let stop = CancellationToken::new();
        let id = DEVICE.parse().unwrap();
        let sink = Sink::new(id, "test", Lane::Normal, spool, Arc::clone(&board), clock, stop.clone());
        let state = dir.path().join("devices").join(DEVICE);
        Self { ctx: Context { sink, ports, state, asked: Asked::default(), stop }, board, dir }
    }

    /// A kind from its block, `escpos: { tcp: … }`.
    pub(crate) fn kind(yaml: &str) -> Kind {
        serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"))
    }

    /// Runs a kind until the rig is dropped.
    pub(crate) fn start(&self, yaml: &str) -> tokio::task::JoinSet<()> {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(supervise(Self::kind(yaml), self.ctx.clone()));
        tasks
    }

    /// Opens a port as the device's collector would.
    pub(crate) async fn open(&self, path: &Path) -> super::serial::Port {
        let settings = super::serial::PortSettings::plain(path.to_str().unwrap());
        let line = super::serial::Line::eight_n_one(9_600);
        self.ctx.ports.open(self.ctx.sink.device(), &settings, line).await.unwrap()
    }

    /// What is known of the device.
    pub(crate) fn status(&self) -> DeviceStatus {
        self.board.snapshot().remove(&DEVICE.parse().unwrap()).unwrap()
    }

    /// Its last values.
    pub(crate) fn values(&self) -> BTreeMap<String, f64> {
        self.status().values.into_iter().map(|(series, reading)| (series, reading.value)).collect()
    }

    /// Waits until the device is as it should be.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&DeviceStatus) -> bool) -> DeviceStatus {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if is(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}: {status:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it has this state.
    pub(crate) async fn until_state(&self, state: DeviceState) -> DeviceStatus {
        self.until(&format!("{state:?}"), |status| status.state == Some(state)).await
    }

    /// Waits until a failure of this kind has been counted.
    pub(crate) async fn until_error(&self, kind: super::FaultKind) -> DeviceStatus {
        self.until(kind.name(), |status| status.errors.contains_key(kind.name())).await
    }
}

/// A device on a pseudo-terminal, under a name of our own; dropping it unplugs it.
pub(crate) struct Plugged {
    /// The name, a link.
    pub path: PathBuf,
    say: mpsc::Sender<Vec<u8>>,
    unplug: CancellationToken,
    device: Option<std::thread::JoinHandle<()>>,
}

/// Plugs in a device that answers each piece that it reads; an empty answer is silence.
pub(crate) fn plug(path: &Path, mut answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Plugged {
    let mut master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname_r(&master).unwrap();
    // Held open, so that the master can read before anybody else has opened it; raw, so that nothing is echoed.
    let slave =
        File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&name).unwrap();
    let mut attributes = termios::tcgetattr(&slave).unwrap();
    termios::cfmakeraw(&mut attributes);
    termios::tcsetattr(&slave, SetArg::TCSANOW, &attributes).unwrap();
    let _ = std::fs::remove_file(path);
    std::os::unix::fs::symlink(&name, path).unwrap();
    let unplug = CancellationToken::new();
    let unplugged = unplug.clone();
    let (say, says) = mpsc::channel::<Vec<u8>>();
    let device = std::thread::spawn(move || {
        let _slave = slave;
        let mut buffer = [0; 1_024];
        while !unplugged.is_cancelled() {
            if let Ok(bytes) = says.try_recv() {
                master.write_all(&bytes).unwrap();
            }
            match master.read(&mut buffer) {
                Ok(read) => master.write_all(&answer(&buffer[..read])).unwrap(),
                Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    });
    Plugged { path: path.to_owned(), say, unplug, device: Some(device) }
}

impl Plugged {
    /// Says something without being asked.
    pub(crate) fn say(&self, bytes: &[u8]) {
        self.say.send(bytes.to_owned()).unwrap();
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        self.unplug.cancel();
        if let Some(device) = self.device.take() {
            let _ = device.join();
        }
    }
}
