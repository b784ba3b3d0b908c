//! `scanner`: a barcode scanner on a serial port, which is listened to and never written to.
//!
//! A scan is `[prefix] [AIM identifier] data [suffix]`; it ends with the suffix (CR, LF or both, unless another is
//! configured) or with a pause (Motorola LS4208, Datalogic Magellan 800i and QW2100, PSC 7000). What was scanned is a
//! customer's loyalty card, or a wallet, or worse: it is looked at in memory, in [`scan`], and forgotten. What is kept is how
//! many, of which symbology, and how long. [`hearing`] knows where a scan ends, and when to tell; [`counts`] counts.

mod counts;
mod hearing;
mod scan;
mod symbology;

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use storepulse_shared::batch::Lane;

use self::hearing::Hearer;
use super::defaults;
use super::listen::{self, Hearing};
use super::parse::Subject;
use super::serial::{Line, PortSettings};
use super::{About, Collector, Context};

/// Longest prefix, suffix or text for nothing read.
const AFFIX_BYTES_MAX: usize = 32;

/// `scanner:` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    port: PortSettings,
    /// What stands before each scan.
    #[serde(default, deserialize_with = "affix")]
    prefix: Option<String>,
    /// What ends a scan, if not CR, LF or both.
    #[serde(default, deserialize_with = "affix")]
    suffix: Option<String>,
    /// Whether AIM identifiers say what was scanned.
    #[serde(default = "defaults::yes")]
    aim: bool,
    /// What it says when it read nothing.
    #[serde(default, deserialize_with = "affix")]
    no_read: Option<String>,
    /// Whether the length of the last scan is told.
    #[serde(default)]
    length: bool,
    /// No scan for this long: the device is stale.
    #[serde(default = "defaults::hours::<24>", deserialize_with = "crate::config::duration")]
    stale_after: Duration,
    #[serde(default = "defaults::normal_lane")]
    lane: Lane,
}

fn affix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > AFFIX_BYTES_MAX {
        return Err(D::Error::custom(format_args!("a text of more than {AFFIX_BYTES_MAX} bytes")));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

impl Collector for Settings {
    const ABOUT: About = About {
        summary: "A barcode scanner on a serial port, or a tap on the line between it and the till: how much is scanned, of which symbology, and what goes wrong. Nothing is ever written to the port, and what was scanned is never kept.",
        example: include_str!("example.yaml"),
        metrics: &[
            "retail.scanner.check_digit.errors",
            "retail.scanner.duplicates",
            "retail.scanner.length",
            "retail.scanner.no_reads",
            "retail.scanner.scans",
        ],
        events: &["device.plugged", "device.unplugged"],
        limits: &[
            "What was scanned is never kept: not in a sample, an event, an error or a log. To know a duplicate, a hash with a salt of this process stays in memory for a second.",
            "All counts are told when the port is opened, and then at each scan, in a burst at most once a second; while nobody scans, nothing is told. They begin with the agent.",
            "A scanner says nothing while nobody scans: `ok` means that its port is there, and was opened or gave a scan within `stale_after`.",
            "`retail.scanner.scans` is the total; with the label `symbology` it is one of aztec, codabar, code128, code39, code93, databar, datamatrix, ean13 (with UPC-A), ean8, ean_addon, gs1_128, gs1_datamatrix, gs1_qr, itf, maxicode, msi, other, pdf417, qr, unknown (no AIM identifier). Do not add the total to them.",
            "Check digits are looked at for EAN and UPC, and only with AIM identifiers: nothing else says that 13 digits are an EAN. A code that is too short, or is not digits, is such an error too; it is no scan.",
            "A pause of 100 ms ends a scan. More than 4,096 bytes without an end are `too_large` and skipped.",
            "Control characters other than those of GS1, and bytes that are no UTF-8 and no two-dimensional code, are `framing`: is the speed right?",
            "A scanner that is a keyboard, or has a USB driver of its own, cannot be counted here.",
        ],
        untested: &[
            "real scanners: identifiers and frames are those of manuals",
            "parity and speed: pseudo-terminals have none",
            "a tap on a real line",
        ],
    };

    const SUBJECTS: &'static [Subject] = &[scan::SCAN];

    fn port(&self) -> Option<&PortSettings> {
        Some(&self.port)
    }

    fn lane(&self) -> Lane {
        self.lane
    }

    fn talks_by_itself(&self) -> bool {
        true
    }

    async fn run(&self, ctx: &Context) {
        let hearing =
            Hearing { port: &self.port, expected: Line::eight_n_one(9_600), stale_after: self.stale_after };
        listen::run(hearing, ctx, &mut Hearer::new(self)).await;
    }
}

#[cfg(test)]
mod tests;
