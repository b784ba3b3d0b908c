//! The integration tests, in one binary: they share one private PostgreSQL, and each has a database of its own.
//!
//! Everything goes through the testbed's builders. Nothing sleeps; what takes time is waited for, with a deadline.

mod isolation;
mod setting;
