#![doc = include_str!("../README.md")]

pub mod run_dir;
pub mod sql;
