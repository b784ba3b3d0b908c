//! What an agent may read of the cloud: its own store, its delivery, its samples.
//!
//! A store key sees its own store only. Another store of the same tenant is answered as one that does not exist.

pub(crate) mod http;
mod sql;
