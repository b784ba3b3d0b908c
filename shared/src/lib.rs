#![doc = include_str!("../README.md")]

pub mod answer;
pub mod batch;
pub mod catalogue;
pub mod export;
pub mod gzip;
mod hex;
pub mod ids;
pub mod key;
pub mod limits;
pub mod request;
pub mod rotation;
pub mod seqs;
pub mod series;
pub mod settings;
