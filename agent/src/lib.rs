#![doc = include_str!("../README.md")]

pub mod app;
pub mod board;
pub mod collector;
mod commands;
pub mod config;
mod control;
mod health;
mod key;
mod local;
pub mod spool;
pub mod time;
mod timekeeper;
pub mod uplink;

pub use commands::run_cli;
