//! Kinds of devices against programs that we have not written: the agent runs as in a shop, and what it shows of a device
//! is compared with what the program was told to say.
//!
//! One file a kind, with `run(dir)`: it starts its programs in that folder, opens a [`shop::Shop`], and tallies.

mod shop;
pub(crate) mod sql;
mod tally;
