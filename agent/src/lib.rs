#![doc = include_str!("../README.md")]

pub mod app;
pub mod board;
mod bundle;
pub mod collector;
mod commands;
pub mod config;
mod control;
mod doctor;
pub mod finding;
mod health;
mod intake;
mod inventory;
mod kernel;
mod key;
pub mod language;
mod local;
pub mod log_tail;
mod maintenance;
pub mod spool;
mod status;
pub mod store_settings;
pub mod time;
mod timekeeper;
pub mod trial;
pub mod uplink;

pub use commands::run_cli;
