//! stub
use serde::Deserialize;
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind { Host(()), SerialLines(()) }
impl Kind { pub const NAMES: &'static [&'static str] = &["host", "serial_lines"]; pub fn name(&self)->&'static str { "" } }
