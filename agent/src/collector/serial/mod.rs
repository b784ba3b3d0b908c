//! Serial ports: how they are named and set up, who holds them, and that one device has one port.
//!
//! A port is named by a path (`/dev/serial/by-id/…` stays the same after a replug) or by what USB says of its adapter
//! (`usb: "0403:6001:A50285BI"`), and is looked up anew at each opening. A port that somebody else has open is left alone:
//! Linux would give each byte to one reader only, and the till is the owner. What goes away is dropped first, since a held
//! descriptor makes the adapter come back under another name.
//!
//! A pseudo-terminal takes every line setting and has none: parity, handshake and speed are untested here.

mod bus;
mod holder;
mod identity;
mod listing;
mod ports;
mod settings;

pub(crate) use self::bus::Bus;
pub use self::listing::PortEntry;
pub(crate) use self::ports::Port;
pub use self::ports::Ports;
pub(crate) use self::settings::{Line, PortName, PortSettings};
