#![doc = include_str!("../README.md")]

pub mod run_dir;
pub mod sql;

#[cfg(feature = "product")]
pub mod children;
#[cfg(feature = "product")]
pub mod cloud;
#[cfg(feature = "product")]
pub mod cluster;
#[cfg(feature = "product")]
pub mod demo;
#[cfg(feature = "product")]
pub mod devices;
#[cfg(feature = "product")]
pub mod oracle;
#[cfg(feature = "product")]
pub mod proxy;
#[cfg(feature = "product")]
pub mod roles;
#[cfg(feature = "product")]
pub mod store;
#[cfg(feature = "product")]
pub mod wait;
