//! What is read of a store: its state, its samples, its newest values, its events, its losses.
//!
//! A store key sees its own store only. Another store of the same tenant is answered as one that does not exist. What can
//! be large comes in pages or as a stream, within a [budget](crate::budget).

pub(crate) mod cursor;
pub(crate) mod events;
pub(crate) mod latest;
pub(crate) mod list;
pub(crate) mod losses;
pub(crate) mod metrics;
pub(crate) mod overview;
mod parameters;
mod sql;
pub(crate) mod status;
