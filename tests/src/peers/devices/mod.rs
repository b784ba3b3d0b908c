//! Kinds of devices against programs that we have not written: the agent runs as in a shop, and what it shows of a device
//! is compared with what the program was told to say.
//!
//! One file a kind, with `run(dir)`: it starts its programs in that folder, opens a [`shop::Shop`], and tallies.

pub(crate) mod escpos;
pub(crate) mod http_json;
pub(crate) mod log_file;
pub(crate) mod modbus;
pub(crate) mod mqtt;
pub(crate) mod nut;
pub(crate) mod otlp;
pub(crate) mod prometheus;
pub(crate) mod reach;
pub(crate) mod serial;
mod shop;
pub(crate) mod snmp;
pub(crate) mod sql;
pub(crate) mod statsd;
mod tally;
