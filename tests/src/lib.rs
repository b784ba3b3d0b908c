#![doc = include_str!("../README.md")]

pub mod run_dir;
pub mod sql;

#[cfg(feature = "product")]
pub mod by_hand;
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
pub mod fault_vfs;
#[cfg(feature = "product")]
pub mod figures;
#[cfg(feature = "product")]
pub mod isolation;
#[cfg(feature = "product")]
pub mod odd_tls;
#[cfg(feature = "product")]
pub mod oracle;
#[cfg(feature = "product")]
pub mod peers {
    //! Interfaces against foreign programs.
    pub mod promql;
}
#[cfg(feature = "product")]
pub mod proxy;
#[cfg(feature = "product")]
pub mod roles;
#[cfg(feature = "product")]
pub mod scene;
#[cfg(feature = "product")]
pub mod store;
#[cfg(feature = "product")]
pub mod torture;
#[cfg(feature = "product")]
pub mod upkeep;
#[cfg(feature = "product")]
pub mod wait;
#[cfg(feature = "product")]
pub mod wrong_clock;
