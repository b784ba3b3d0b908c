//! Opening a port: found by name, claimed by one device, refused if somebody else has it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::termios::{self, ControlFlags, SetArg};
use storepulse_shared::ids::DeviceId;
use tokio_serial::{FlowControl, SerialPort as _, SerialPortBuilderExt as _, SerialStream};

use super::bus::Bus;
use super::settings::{Line, PortName, PortSettings};
use super::{holder, identity};
use crate::collector::fault::{Fault, FaultKind};

/// Where the system tells of its ports.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    pub dev: PathBuf,
    pub sys: PathBuf,
    pub proc: PathBuf,
    pub locks: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { dev: "/dev".into(), sys: "/sys".into(), proc: "/proc".into(), locks: "/var/lock".into() }
    }
}

type Claims = Arc<Mutex<BTreeMap<PathBuf, DeviceId>>>;
type Buses = Arc<Mutex<BTreeMap<PortName, Arc<Bus>>>>;

/// The serial ports of the box.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    roots: Roots,
    claims: Claims,
    buses: Buses,
}

/// An open port; it is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    pub stream: SerialStream,
    _claim: Claim,
}

impl Ports {
    /// With other places to look at, for tests.
    #[cfg(test)]
    pub(crate) fn of(roots: Roots) -> Self {
        Self { roots, ..Self::default() }
    }

    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }

    /// The device of this agent that has it open just now.
    pub(crate) fn reader_of(&self, path: &Path) -> Option<DeviceId> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Opens a port for one device.
    ///
    /// # Errors
    /// [`FaultKind::MissingPort`], [`FaultKind::BusyPort`] with the holder, [`FaultKind::Denied`], [`FaultKind::WrongDevice`].
    pub(crate) async fn open(
        &self,
        device: &DeviceId,
        settings: &PortSettings,
        expected: Line,
    ) -> Result<Port, Fault> {
        let (ports, device, settings) = (self.clone(), device.clone(), settings.clone());
        let opened = tokio::task::spawn_blocking(move || ports.open_now(&device, &settings, expected)).await;
        opened.unwrap_or_else(|error| Err(Fault::new(FaultKind::Internal, error.to_string())))
    }

    /// The bus on this port, which all devices share that name it. That they may, and mean the same line, the configuration
    /// has been checked for: what the first one says of it is true of all.
    pub(crate) fn bus(&self, device: &DeviceId, settings: &PortSettings, expected: Line) -> Arc<Bus> {
        let mut buses = self.buses.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Bus::new(self.unshared(), device.clone(), settings.clone(), expected));
        Arc::clone(buses.entry(settings.name.clone()).or_insert_with(make))
    }

    /// Closes the buses that nobody asks on any more, so that others may have their ports.
    pub(crate) fn give_back_idle(&self) {
        let mut buses = self.buses.lock().unwrap_or_else(PoisonError::into_inner);
        buses.retain(|_, bus| Arc::strong_count(bus) > 1);
    }

    /// The same ports, without the buses: a bus that knew all buses would never be dropped.
    fn unshared(&self) -> Self {
        Self { roots: self.roots.clone(), claims: Arc::clone(&self.claims), buses: Buses::default() }
    }

    fn open_now(&self, device: &DeviceId, settings: &PortSettings, expected: Line) -> Result<Port, Fault> {
        let path = self.find(&settings.name)?;
        let claim = Claim::stake(&self.claims, &path, device)?;
        if let Some(holder) = holder::find(&self.roots.proc, &self.roots.locks, &path) {
            let text = format!("{} is held by {holder}; a port has one reader", path.display());
            return Err(Fault::new(FaultKind::BusyPort, text));
        }
        let line = settings.line(expected);
        let mut builder = tokio_serial::new(path.to_string_lossy(), line.baud)
            .data_bits(line.format.data_bits)
            .parity(line.format.parity)
            .stop_bits(line.format.stop_bits)
            .flow_control(FlowControl::None);
        if let Some(dtr) = settings.dtr {
            builder = builder.dtr_on_open(dtr);
        }
        let stream = builder.open_native_async().map_err(|error| refused(&path, &error))?;
        keep_dtr_on_close(&stream);
        Ok(Port { stream, _claim: claim })
    }

    /// The device file behind a name.
    pub(crate) fn find(&self, name: &PortName) -> Result<PathBuf, Fault> {
        let path = match name {
            PortName::Path(path) => PathBuf::from(path),
            PortName::Usb(usb) => identity::find(usb, &self.roots.sys, &self.roots.dev)?,
        };
        std::fs::canonicalize(&path).map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::PermissionDenied => FaultKind::Denied,
                _ => FaultKind::MissingPort,
            };
            Fault::new(kind, format!("{}: {error}", path.display()))
        })
    }
}

impl Port {
    /// Whether the other end has gone.
    pub(crate) fn is_gone(&self) -> bool {
        // After a hang-up the kernel answers every question about the terminal with an error.
        self.stream.bytes_to_read().is_err()
    }
}

fn refused(path: &Path, error: &tokio_serial::Error) -> Fault {
    use std::io::ErrorKind as Io;
    use tokio_serial::ErrorKind;
    let (kind, way_out) = match error.kind() {
        ErrorKind::Io(Io::NotFound) => (FaultKind::MissingPort, ""),
        ErrorKind::Io(Io::PermissionDenied) => {
            (FaultKind::Denied, "; the agent's user must be in the group of the device file")
        }
        // The name was there a moment ago.
        ErrorKind::NoDevice if !path.exists() => (FaultKind::MissingPort, ""),
        ErrorKind::InvalidInput => (FaultKind::Unsupported, "; not this speed or format"),
        _ => (FaultKind::BusyPort, "; somebody has it for himself alone"),
    };
    Fault::new(kind, format!("cannot open {}: {error}{way_out}", path.display()))
}

/// Some devices restart when DTR falls: it stays as it is when we close the port.
fn keep_dtr_on_close(stream: &SerialStream) {
    use std::os::fd::{AsRawFd as _, BorrowedFd};
    #[expect(
        unsafe_code,
        reason = "the stream gives its descriptor as a number only; it is borrowed for this call"
    )]
    let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    if let Ok(mut attributes) = termios::tcgetattr(descriptor) {
        attributes.control_flags.remove(ControlFlags::HUPCL);
        if let Err(error) = termios::tcsetattr(descriptor, SetArg::TCSANOW, &attributes) {
            tracing::debug!(port = ?stream.name(), %error, "DTR falls when the port is closed");
        }
    }
}

/// That a port is one device's.
#[derive(Debug)]
struct Claim {
    claims: Claims,
    path: PathBuf,
}

impl Claim {
    fn stake(claims: &Claims, path: &Path, device: &DeviceId) -> Result<Self, Fault> {
        match claims.lock().unwrap_or_else(PoisonError::into_inner).entry(path.to_owned()) {
            Entry::Vacant(free) => {
                free.insert(device.clone());
                Ok(Self { claims: Arc::clone(claims), path: path.to_owned() })
            }
            Entry::Occupied(taken) => {
                let text = format!("{} is already read as the device {}", path.display(), taken.get());
                Err(Fault::new(FaultKind::BusyPort, text))
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::collector::rig::plug;
    use crate::collector::tape::Tape;

    const LINE: Line = Line::eight_n_one(9_600);

    #[tokio::test]
    async fn a_port_with_two_names_has_one_reader() {
        let dir = tempfile::tempdir().unwrap();
        let plugged = plug(&dir.path().join("ttyUSB0"), |_| b"!".to_vec());
        let by_id = dir.path().join("usb-FTDI");
        std::os::unix::fs::symlink(&plugged.path, &by_id).unwrap();
        let [first, second] = [&plugged.path, &by_id].map(|path| PortSettings::plain(path.to_str().unwrap()));
        let [probe, scale]: [DeviceId; 2] = ["probe-1", "scale-1"].map(|id| id.parse().unwrap());
        let ports = Ports::default();
        let is_refused = |fault: Fault| {
            let named = fault.text.contains("is already read as the device probe-1");
            assert!(fault.kind == FaultKind::BusyPort && named, "{fault:?}");
        };

        let held = ports.open(&probe, &first, LINE).await.unwrap();
        is_refused(ports.open(&scale, &second, LINE).await.unwrap_err());
        drop(held);
        drop(ports.open(&scale, &second, LINE).await.unwrap());

        let ask = async |bus: &Bus| {
            let patience = Duration::from_secs(10);
            bus.ask(&Tape::default(), b"?", (Duration::ZERO, patience), 8, |bytes| Ok(((), bytes.len())))
                .await
        };
        ask(&ports.bus(&probe, &first, LINE)).await.unwrap();
        is_refused(ask(&ports.bus(&scale, &second, LINE)).await.unwrap_err());
        is_refused(ports.open(&scale, &second, LINE).await.unwrap_err());
    }
}
