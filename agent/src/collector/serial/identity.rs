//! What USB says of an adapter: vendor, product and serial number, read from sysfs.
//!
//! Links in `/dev/serial/by-id` were missing in some releases of systemd, and are missing where no udev runs; sysfs is
//! always there. Cheap adapters have no serial number: two of them are told apart by their socket (`by-path`) only.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::collector::fault::{Fault, FaultKind};

/// Folders above a tty's device in which its USB device is looked for.
const LEVELS: usize = 4;

/// `vendor:product` or `vendor:product:serial`, the first two as four hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UsbIdentity {
    pub vendor: String,
    pub product: String,
    pub serial: Option<String>,
}

impl fmt::Display for UsbIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.vendor, self.product)?;
        self.serial.iter().try_for_each(|serial| write!(f, ":{serial}"))
    }
}

impl<'de> Deserialize<'de> for UsbIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        let hex =
            |part: Option<String>| part.filter(|p| p.len() == 4 && p.bytes().all(|b| b.is_ascii_hexdigit()));
        match (hex(parts.next()), hex(parts.next()), parts.next()) {
            (Some(vendor), Some(product), serial) => Ok(Self {
                vendor: vendor.to_ascii_lowercase(),
                product: product.to_ascii_lowercase(),
                serial,
            }),
            _ => Err(D::Error::custom(format_args!(
                "{text:?} is not vendor:product[:serial] such as 0403:6001:A50285BI"
            ))),
        }
    }
}

/// A serial port with an adapter behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsbPort {
    /// `ttyUSB0`.
    pub name: String,
    pub identity: UsbIdentity,
    /// What the adapter calls itself.
    pub product_name: Option<String>,
}

/// All serial ports with an adapter behind them, by name.
pub(crate) fn usb_ports(sys: &Path) -> Vec<UsbPort> {
    let Ok(entries) = std::fs::read_dir(sys.join("class/tty")) else { return Vec::new() };
    let mut ports: Vec<UsbPort> = entries.flatten().filter_map(|entry| usb_port(&entry.path())).collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    ports
}

fn usb_port(class: &Path) -> Option<UsbPort> {
    let name = class.file_name()?.to_str()?.to_owned();
    let mut folder: PathBuf = std::fs::canonicalize(class.join("device")).ok()?;
    for _ in 0..LEVELS {
        if let Some(vendor) = line(&folder.join("idVendor")) {
            let identity = UsbIdentity {
                vendor,
                product: line(&folder.join("idProduct"))?,
                serial: line(&folder.join("serial")),
            };
            return Some(UsbPort { name, identity, product_name: line(&folder.join("product")) });
        }
        folder = folder.parent()?.to_owned();
    }
    None
}

fn line(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The one port with this identity.
///
/// # Errors
/// [`FaultKind::MissingPort`] if there is none, [`FaultKind::WrongDevice`] if there are several.
pub(super) fn find(wanted: &UsbIdentity, sys: &Path, dev: &Path) -> Result<PathBuf, Fault> {
    let fits = |port: &UsbPort| {
        let found = &port.identity;
        (&found.vendor, &found.product) == (&wanted.vendor, &wanted.product)
            && (wanted.serial.is_none() || wanted.serial == found.serial)
    };
    let found: Vec<String> = usb_ports(sys).into_iter().filter(fits).map(|port| port.name).collect();
    match found.as_slice() {
        [one] => Ok(dev.join(one)),
        [] => Err(Fault::new(FaultKind::MissingPort, format!("no adapter {wanted} is plugged in"))),
        several => Err(Fault::new(
            FaultKind::WrongDevice,
            format!(
                "{} are all {wanted}; name the socket by its path in /dev/serial/by-path",
                several.join(", ")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tty whose adapter sits one folder above its interface, as the kernel has it.
    fn plug(sys: &Path, tty: &str, socket: &str, identity: &[(&str, &str)]) {
        let adapter = sys.join("devices/usb1").join(socket);
        let interface = adapter.join(format!("{socket}:1.0")).join(tty);
        std::fs::create_dir_all(&interface).unwrap();
        for (file, text) in identity {
            std::fs::write(adapter.join(file), format!("{text}\n")).unwrap();
        }
        let class = sys.join("class/tty").join(tty);
        std::fs::create_dir_all(&class).unwrap();
        std::os::unix::fs::symlink(&interface, class.join("device")).unwrap();
    }

    fn identity(text: &str) -> UsbIdentity {
        serde_yaml::from_str(&format!("'{text}'")).unwrap()
    }

    #[test]
    fn an_adapter_is_found_under_whatever_name_it_has() {
        let sys = tempfile::tempdir().unwrap();
        let dev = Path::new("/dev");
        plug(sys.path(), "ttyUSB0", "1-1", &[("idVendor", "1a86"), ("idProduct", "7523")]);
        plug(
            sys.path(),
            "ttyUSB1",
            "1-2",
            &[("idVendor", "0403"), ("idProduct", "6001"), ("serial", "A50285BI")],
        );
        let find = |text: &str| super::find(&identity(text), sys.path(), dev);
        assert_eq!(find("0403:6001:A50285BI").unwrap(), Path::new("/dev/ttyUSB1"));
        assert_eq!(find("0403:6001").unwrap(), Path::new("/dev/ttyUSB1"));
        assert_eq!(find("0403:6001:OTHER").unwrap_err().kind, FaultKind::MissingPort);
        assert_eq!(find("1A86:7523").unwrap(), Path::new("/dev/ttyUSB0"));
        plug(sys.path(), "ttyUSB2", "1-3", &[("idVendor", "1a86"), ("idProduct", "7523")]);
        let two = find("1a86:7523").unwrap_err();
        assert_eq!(two.kind, FaultKind::WrongDevice);
        assert!(two.text.contains("ttyUSB0, ttyUSB2") && two.text.contains("by-path"), "{}", two.text);
    }
}
