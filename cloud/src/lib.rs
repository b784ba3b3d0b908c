#![doc = include_str!("../README.md")]

pub mod embedded;
pub mod schema;

#[cfg(feature = "service")]
pub mod admission;
#[cfg(feature = "service")]
mod agent_settings;
#[cfg(feature = "service")]
pub mod app;
#[cfg(feature = "service")]
mod archive;
#[cfg(feature = "service")]
mod audit;
#[cfg(feature = "service")]
mod auth;
#[cfg(feature = "service")]
pub mod bi;
#[cfg(feature = "service")]
mod budget;
#[cfg(feature = "service")]
mod changes;
#[cfg(feature = "service")]
pub mod commands;
#[cfg(feature = "service")]
mod config;
#[cfg(feature = "service")]
pub mod db;
#[cfg(feature = "service")]
mod delivery;
#[cfg(feature = "service")]
mod drain;
#[cfg(feature = "service")]
mod entry;
#[cfg(feature = "service")]
mod export;
#[cfg(feature = "service")]
mod foreign;
#[cfg(feature = "service")]
mod ingest;
#[cfg(feature = "service")]
mod limits;
#[cfg(feature = "service")]
pub mod mail;
#[cfg(feature = "service")]
pub mod onboarding;
#[cfg(feature = "service")]
mod operation;
#[cfg(feature = "service")]
mod operator;
#[cfg(feature = "service")]
pub mod outbox;
#[cfg(feature = "service")]
mod pages;
#[cfg(feature = "service")]
mod people;
#[cfg(feature = "service")]
mod plan;
#[cfg(feature = "service")]
mod problem;
#[cfg(feature = "service")]
mod promql;
#[cfg(feature = "service")]
mod refusals;
#[cfg(feature = "service")]
pub mod resolution;
#[cfg(feature = "service")]
mod rotation;
#[cfg(feature = "service")]
mod router;
#[cfg(feature = "service")]
mod samples;
#[cfg(feature = "service")]
mod scope;
#[cfg(feature = "service")]
mod settings;
#[cfg(feature = "service")]
mod store;
#[cfg(feature = "service")]
pub mod takeover;
#[cfg(feature = "service")]
mod tenant;
#[cfg(feature = "service")]
pub mod tls;
#[cfg(feature = "service")]
pub mod upkeep;
#[cfg(feature = "service")]
pub mod verify;

#[cfg(feature = "service")]
pub use commands::run_cli;
