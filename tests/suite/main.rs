//! The integration tests, in one binary: they share one private PostgreSQL, and each has a database of its own.
//!
//! Everything goes through the testbed's builders. Nothing sleeps; what takes time is waited for, with a deadline.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod agent_settings;
mod archive;
mod audit;
mod bad_input;
mod bi;
mod carried;
mod chain;
mod cleanup;
mod clocks;
mod command_line;
mod compatibility;
mod connections;
mod delivery;
mod deploy_sh;
mod doctor;
mod documents;
mod fault_disk;
mod foreign;
mod gateway;
mod inbox;
mod isolation;
mod limits;
mod onboarding;
mod operation;
mod operators_files;
mod operators_scripts;
mod overload;
mod people;
mod promql;
mod reads;
mod receipts;
mod resolution;
mod restored_spool;
mod restored_tenant;
mod revocation;
mod rotation;
mod setting;
mod settings;
mod spool;
mod stopping;
mod takeover;
mod tenants;
mod upkeep;
mod verify;
