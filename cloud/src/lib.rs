#![doc = include_str!("../README.md")]

pub mod embedded;
pub mod schema;

#[cfg(feature = "service")]
pub mod app;
#[cfg(feature = "service")]
pub mod auth;
#[cfg(feature = "service")]
pub mod db;
#[cfg(feature = "service")]
pub mod ingest;
#[cfg(feature = "service")]
pub mod operation;
#[cfg(feature = "service")]
pub mod problem;
#[cfg(feature = "service")]
pub mod router;
#[cfg(feature = "service")]
pub mod store;
#[cfg(feature = "service")]
pub mod tls;
