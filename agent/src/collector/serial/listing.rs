//! The serial ports of the box, for people: names, adapter, holder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::holder;
use super::identity::{UsbPort, usb_ports};
use super::ports::{Ports, Roots};

/// A port that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortEntry {
    /// The device file.
    pub path: PathBuf,
    /// Names that stay the same: `by-id` follows the adapter, `by-path` the socket.
    pub links: Vec<PathBuf>,
    /// `vendor:product[:serial]`, as it stands in the configuration.
    pub usb: Option<String>,
    /// What the adapter calls itself.
    pub product: Option<String>,
    /// Who has it open, where permissions let us see.
    pub holder: Option<String>,
}

impl PortEntry {
    /// The name to write into the configuration. An adapter with a serial number is followed wherever it is plugged in; of
    /// one without, only the socket is certain.
    #[must_use]
    pub fn stable_name(&self) -> &Path {
        let has_serial = self.usb.as_ref().is_some_and(|usb| usb.splitn(3, ':').count() == 3);
        let order = if has_serial { ["by-id", "by-path"] } else { ["by-path", "by-id"] };
        let linked = order.iter().find_map(|folder| self.link_in(folder));
        linked.unwrap_or(&self.path)
    }

    /// The name of the socket that it is plugged into.
    #[must_use]
    pub fn socket(&self) -> Option<&Path> {
        self.link_in("by-path")
    }

    fn link_in(&self, folder: &str) -> Option<&Path> {
        let is_in = |link: &&PathBuf| link.parent().is_some_and(|parent| parent.ends_with(folder));
        self.links.iter().find(is_in).map(PathBuf::as_path)
    }
}

impl Ports {
    /// All ports with hardware behind them, by name.
    #[must_use]
    pub fn list(&self) -> Vec<PortEntry> {
        let roots = self.roots();
        let adapters: BTreeMap<String, UsbPort> =
            usb_ports(&roots.sys).into_iter().map(|port| (port.name.clone(), port)).collect();
        let links = links(&roots.dev);
        let mut entries: Vec<PortEntry> = real_ports(&roots.sys)
            .into_iter()
            .map(|name| {
                let path = roots.dev.join(&name);
                let adapter = adapters.get(&name);
                PortEntry {
                    links: links.get(&path).cloned().unwrap_or_default(),
                    usb: adapter.map(|port| port.identity.to_string()),
                    product: adapter.and_then(|port| port.product_name.clone()),
                    holder: holder_of(roots, &path),
                    path,
                }
            })
            .collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    /// Who has this port open, where permissions let us see.
    #[must_use]
    pub fn holder_of(&self, path: &Path) -> Option<String> {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        holder_of(self.roots(), &path)
    }
}

fn holder_of(roots: &Roots, path: &Path) -> Option<String> {
    holder::find(&roots.proc, &roots.locks, path).map(|holder| holder.to_string())
}

/// Terminals with a device; of the sockets that a board has on paper (`ttyS0` to `ttyS31`), those with a chip.
fn real_ports(sys: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(sys.join("class/tty")) else { return Vec::new() };
    let is_real = |path: &Path| {
        let kind = std::fs::read_to_string(path.join("type")).unwrap_or_default();
        path.join("device").exists() && kind.trim() != "0"
    };
    let real = entries.flatten().filter(|entry| is_real(&entry.path()));
    real.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The stable names of each port.
fn links(dev: &Path) -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let mut links: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for folder in ["by-id", "by-path"] {
        let Ok(entries) = std::fs::read_dir(dev.join("serial").join(folder)) else { continue };
        for link in entries.flatten().map(|entry| entry.path()) {
            if let Ok(port) = std::fs::canonicalize(&link) {
                links.entry(port).or_default().push(link);
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_with_hardware_are_listed_with_their_stable_names_and_holders() {
        let root = tempfile::tempdir().unwrap();
        // Links are compared without links.
        let root = std::fs::canonicalize(root.path()).unwrap();
        let at = |name: &str| root.join(name);
        let roots = Roots { dev: at("dev"), sys: at("sys"), proc: at("proc"), locks: at("lock") };
        for folder in
            ["dev/serial/by-id", "sys/class/tty", "sys/devices/usb1/1-1/1-1:1.0/ttyUSB0", "proc/77/fd"]
        {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for (name, kind) in [("ttyS0", "4"), ("ttyS1", "0"), ("tty1", "")] {
            let class = at("sys/class/tty").join(name);
            std::fs::create_dir_all(&class).unwrap();
            std::fs::write(class.join("type"), kind).unwrap();
            if name != "tty1" {
                std::fs::create_dir_all(class.join("device")).unwrap();
            }
        }
        std::fs::create_dir_all(at("sys/class/tty/ttyUSB0")).unwrap();
        for (file, text) in
            [("idVendor", "0403\n"), ("idProduct", "6001\n"), ("product", "FT232R USB UART\n")]
        {
            std::fs::write(at("sys/devices/usb1/1-1").join(file), text).unwrap();
        }
        std::fs::write(at("dev/ttyUSB0"), "").unwrap();
        let link = |from: &str, to: &str| std::os::unix::fs::symlink(at(from), at(to)).unwrap();
        link("sys/devices/usb1/1-1/1-1:1.0/ttyUSB0", "sys/class/tty/ttyUSB0/device");
        link("dev/ttyUSB0", "dev/serial/by-id/usb-FTDI");
        link("dev/ttyUSB0", "proc/77/fd/3");
        std::fs::write(at("proc/77/comm"), "posd\n").unwrap();

        let entries = Ports::of(roots).list();
        let paths: Vec<_> =
            entries.iter().map(|entry| entry.path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(paths, ["ttyS0", "ttyUSB0"], "ttyS1 has no chip, tty1 is a screen");
        let usb = &entries[1];
        assert_eq!(usb.links, [at("dev/serial/by-id/usb-FTDI")]);
        assert_eq!(
            (usb.usb.as_deref(), usb.product.as_deref()),
            (Some("0403:6001"), Some("FT232R USB UART"))
        );
        assert_eq!(usb.holder.as_deref(), Some("process 77 (posd)"));
        assert_eq!((&entries[0].usb, &entries[0].holder), (&None, &None));
    }

    #[test]
    fn an_adapter_without_a_serial_number_is_named_by_its_socket() {
        let [id, socket] = ["/dev/serial/by-id/usb-FTDI", "/dev/serial/by-path/pci-1"].map(PathBuf::from);
        let entry = |usb: Option<&str>, links: &[&PathBuf]| PortEntry {
            path: "/dev/ttyUSB0".into(),
            links: links.iter().copied().cloned().collect(),
            usb: usb.map(str::to_owned),
            product: None,
            holder: None,
        };
        let both = [&id, &socket];
        assert_eq!(entry(Some("0403:6001:A50285BI"), &both).stable_name(), id);
        assert_eq!(entry(Some("1a86:7523"), &both).stable_name(), socket);
        assert_eq!(entry(Some("1a86:7523"), &[&id]).stable_name(), id);
        assert_eq!(entry(None, &[]).stable_name(), Path::new("/dev/ttyUSB0"));
        assert_eq!(entry(None, &both).socket(), Some(socket.as_path()));
    }
}
