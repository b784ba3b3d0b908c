//! A new key for a store that has one: registered by its agent over the old key, which the new one then retires.
//!
//! On the control tables only. A key registers one other, of its own store, while an operator's window is open; and it
//! retires only the one over which it was registered. So whoever holds a stolen old key can neither come back after it
//! was revoked nor throw out the key that followed it.

pub(crate) mod http;
mod sql;
