//! Which devices name one port.
//!
//! A port has one reader. Only a bus has room for several, if they mean the same line: speed, format and DTR are those of
//! whoever opens it first. Names are compared as they are written; that two of them are one adapter, a link and a path, is
//! found out by whoever opens it second.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use storepulse_shared::ids::DeviceId;

use crate::collector::Kind;

/// Whether all devices can have the ports that they name; if not, which two cannot, and what to do.
pub(super) fn check(devices: &BTreeMap<DeviceId, Kind>) -> Result<(), String> {
    let mut owners = BTreeMap::new();
    for (id, kind) in devices {
        let Some(port) = kind.port() else { continue };
        let name = &port.name;
        let (first, owner, line) = match owners.entry(name) {
            Entry::Vacant(free) => {
                free.insert((id, kind, port));
                continue;
            }
            Entry::Occupied(taken) => *taken.get(),
        };
        if !owner.shares_its_line_with(kind) {
            return Err(format!(
                "devices.{id}: {first} has the port {name} already, and a port has one reader; give one of them another port, \
                 or leave it out"
            ));
        }
        if line != port {
            return Err(format!(
                "devices.{id}: it shares the line {name} with {first}, so both must say the same baud, format and dtr"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: &str = "scale: { protocol: nci, port: /dev/ttyS0 }";
    const PROBE: &str = "modbus: { preset: xy-md02, port: /dev/ttyS0 }";

    fn check_both(first: &str, second: &str) -> Result<(), String> {
        check(&serde_yaml::from_str(&format!("a: {{ {first} }}\nb: {{ {second} }}")).unwrap())
    }

    #[test]
    fn a_port_has_one_reader() {
        for reader in [
            "escpos: { port: /dev/ttyS0 }",
            "fiscal: { protocol: hka, port: /dev/ttyS0 }",
            PROBE,
            SCALE,
            "scanner: { port: /dev/ttyS0 }",
            "serial_lines: { port: { path: /dev/ttyS0, baud: 1200 }, patterns: [] }",
        ] {
            for (first, second) in [(reader, SCALE), (SCALE, reader)] {
                let why = check_both(first, second).unwrap_err();
                let named = "devices.b: a has the port /dev/ttyS0 already";
                assert!(why.starts_with(named) && why.contains("another port"), "{reader}: {why}");
            }
        }
    }

    #[test]
    fn other_ports_and_those_who_need_none_are_in_nobodys_way() {
        for other in [
            "scale: { protocol: nci, port: /dev/ttyS1 }",
            "scale: { protocol: nci, port: { usb: '0403:6001' } }",
            "escpos: { tcp: '192.0.2.1:9100' }",
            "host: {}",
        ] {
            assert_eq!(check_both(SCALE, other), Ok(()), "{other}");
            assert_eq!(check_both(other, other).is_ok(), !other.contains("port"), "{other}");
        }
    }

    #[test]
    fn units_of_a_bus_share_its_line_if_they_mean_the_same() {
        assert_eq!(check_both(PROBE, &PROBE.replace("port", "unit: 2, port")), Ok(()));
        for other in ["baud: 9600", "format: 8E1", "dtr: true"] {
            let other = PROBE.replace("/dev/ttyS0", &format!("{{ path: /dev/ttyS0, {other} }}"));
            assert_eq!(check_both(&other, &other), Ok(()));
            let why = check_both(PROBE, &other).unwrap_err();
            let named = "devices.b: it shares the line /dev/ttyS0 with a";
            assert!(
                why.starts_with(named) && why.contains("the same baud, format and dtr"),
                "{other}: {why}"
            );
        }
    }
}
