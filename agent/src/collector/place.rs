//! Where a device is to be found, as the configuration has it, and what is there now.

use std::path::PathBuf;

use super::serial::PortName;
use super::{FaultKind, Kind, Ports};

/// Where a device is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a serial port.
    Port {
        /// As it is configured.
        name: String,
        /// `vendor:product` of its adapter, if it is named by that.
        make: Option<String>,
        /// The device file behind the name, or why there is none.
        found: Result<PathBuf, (FaultKind, String)>,
    },
    /// On a host, in a file, or where we listen for it.
    Target(String),
    /// It is the box itself.
    Box,
}

impl Kind {
    /// Looks up its port.
    pub(crate) fn place(&self, ports: &Ports) -> Place {
        match (self.port().map(|port| &port.name), self.target()) {
            (Some(name), _) => Place::Port {
                make: match name {
                    PortName::Usb(usb) => Some(format!("{}:{}", usb.vendor, usb.product)),
                    PortName::Path(_) => None,
                },
                found: ports.find(name).map_err(|fault| (fault.kind, fault.text)),
                name: name.to_string(),
            },
            (None, Some(target)) => Place::Target(target),
            (None, None) => Place::Box,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::rig::Rig;

    #[test]
    fn every_kind_says_where_it_is_found_and_nothing_secret() {
        let ports = Ports::default();
        let place = |yaml: &str| Rig::kind(yaml).place(&ports);
        let target = |text: &str| Place::Target(text.to_owned());
        for (yaml, place_of_it) in [
            ("escpos: { tcp: '192.0.2.1:9100' }", target("192.0.2.1:9100")),
            ("nut: { target: '192.0.2.2:3493' }", target("192.0.2.2:3493")),
            ("snmp: { target: '192.0.2.3:161', community: canary }", target("192.0.2.3:161")),
            ("http_json: { url: 'http://fridge.lan/a?token=canary', values: [] }", target("fridge.lan:80")),
            ("host: {}", Place::Box),
        ] {
            assert_eq!(place(yaml), place_of_it, "{yaml}");
        }
        let Place::Port { name, make, found } =
            place("scale: { protocol: nci, port: { usb: '0403:6001:NOT-HERE' } }")
        else {
            panic!("a scale is on a port")
        };
        assert_eq!((name.as_str(), make.as_deref()), ("usb 0403:6001:NOT-HERE", Some("0403:6001")));
        assert_eq!(found.unwrap_err().0, FaultKind::MissingPort);
    }
}
