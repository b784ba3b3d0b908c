//! What the kernel says of a thermometer: `w1_slave`, two lines, each with the nine bytes of the sensor's memory.
//!
//! ```text
//! d8 fe 4b 46 7f ff 08 10 6d : crc=6d YES
//! d8 fe 4b 46 7f ff 08 10 6d t=-18500
//! ```
//! Bytes 0 and 1 are the temperature in sixteenths of a degree, byte 8 is a CRC-8 of the others, `t` is in thousandths.
//! After `NO` the second line is an older one's. The form is that of Linux' `w1_therm`; what tells the value of a fresh start is
//! from milesburton/Arduino-Temperature-Control-Library#289.
//!
//! Some of what is whole is no temperature: the value of a sensor that has just got power and has not measured (85 °C with
//! byte 6 at 0C; one that measured 85 °C has another byte 6), a line that is shorted (nine zeros, whose CRC is right), and
//! what the sensor cannot measure, such as the -127 °C of some drivers.

use crate::collector::fault::FaultKind;
use crate::collector::parse::{Parsed, Subject, Unread, outcome};

/// Longest text; the kernel gives 75 bytes or so.
pub(super) const TEXT_BYTES_MAX: usize = 256;
/// What it measures, in thousandths of a degree.
const RANGE: std::ops::RangeInclusive<i32> = -55_000..=125_000;
/// How far `t` may be from bytes 0 and 1, in thousandths: at low resolution the lowest bits count for nothing.
const APART_MAX: i32 = 1_000;
/// Sixteenths of 85 °C.
const POWER_ON: i16 = 0x0550;

/// Reads a text; gives degrees Celsius.
pub(super) fn parse(text: &[u8]) -> Parsed<f64> {
    let (first, used) = line(text, 0)?;
    let (second, used) = line(text, used)?;
    let bad = |kind| Err(Unread::Bad(kind));
    let framing = Unread::Bad(FaultKind::Framing);
    let (memory, rest) = memory(first).ok_or(framing)?;
    let (again, said) = self::memory(second).ok_or(framing)?;
    let (sum, verdict) = rest.strip_prefix(": crc=").and_then(|rest| rest.split_once(' ')).ok_or(framing)?;
    let sum = u8::from_str_radix(sum, 16).map_err(|_| framing)?;
    let said: i32 = said.strip_prefix("t=").and_then(|said| said.parse().ok()).ok_or(framing)?;
    match verdict {
        "YES" if sum == memory[8] && crc(&memory[..8]) == sum => {}
        "YES" | "NO" => return bad(FaultKind::Checksum),
        _ => return Err(framing),
    }
    if memory == [0; 9] {
        return Err(framing);
    }
    let raw = i16::from_le_bytes([memory[0], memory[1]]);
    let measured = i32::from(raw) * 1_000 / 16;
    let just_started = raw == POWER_ON && memory[6] == 0x0c;
    let apart = said.abs_diff(measured) > APART_MAX.unsigned_abs();
    if again != memory || just_started || apart || !RANGE.contains(&said) {
        return bad(FaultKind::Parse);
    }
    Ok((f64::from(said) / 1_000.0, used))
}

/// The line that begins here, and where the next one does.
fn line(text: &[u8], from: usize) -> Result<(&str, usize), Unread> {
    let rest = text.get(from..).unwrap_or_default();
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = std::str::from_utf8(&rest[..end]).map_err(|_| Unread::Bad(FaultKind::Framing))?;
            Ok((line, from + end + 1))
        }
        None if text.len() >= TEXT_BYTES_MAX => Err(Unread::Bad(FaultKind::Framing)),
        None => Err(Unread::Need(1)),
    }
}

/// Nine bytes in hexadecimal, each with a space behind it, and what follows.
fn memory(line: &str) -> Option<([u8; 9], &str)> {
    let (bytes, rest) = line.split_at_checked(27)?;
    let mut memory = [0; 9];
    for (at, byte) in memory.iter_mut().enumerate() {
        let text = bytes.get(3 * at..3 * at + 3)?.strip_suffix(' ')?;
        *byte = u8::from_str_radix(text, 16).ok()?;
    }
    Some((memory, rest))
}

/// CRC-8 with the reflected polynomial 8C, from 0.
fn crc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x8c } else { crc >> 1 })
    })
}

const COLD: &[u8] = b"d8 fe 4b 46 7f ff 08 10 6d : crc=6d YES\nd8 fe 4b 46 7f ff 08 10 6d t=-18500\n";
const STARTED: &[u8] = b"50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n50 05 4b 46 7f ff 0c 10 1c t=85000\n";

/// The parser.
pub(super) const SUBJECTS: &[Subject] = &[Subject {
    name: "ds18b20",
    vectors: &[
        COLD,
        STARTED,
        b"d8 fe 4b 46 7f ff 08 10 6e : crc=6d NO\nd8 fe 4b 46 7f ff 08 10 6d t=-18500\n",
        b"00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n",
    ],
    outcomes: &["temperature", "need", "checksum", "parse", "framing"],
    outcome: |text| outcome(parse(text), |_| "temperature"),
}];

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel writes it.
    fn text(memory: [u8; 8], milli: i32) -> String {
        let sum = crc(&memory);
        let bytes: String = memory.iter().chain([&sum]).map(|byte| format!("{byte:02x} ")).collect();
        format!("{bytes}: crc={sum:02x} YES\n{bytes}t={milli}\n")
    }

    #[test]
    fn a_temperature_is_read() {
        assert_eq!(parse(COLD), Ok((-18.5, COLD.len())));
        assert_eq!(text([0xd8, 0xfe, 0x4b, 0x46, 0x7f, 0xff, 8, 0x10], -18_500).as_bytes(), COLD);
        let warm = text([0x72, 0x01, 0x4b, 0x46, 0x7f, 0xff, 0x0e, 0x10], 23_125);
        assert_eq!(parse(warm.as_bytes()).unwrap().0, 23.125);
    }

    #[test]
    fn eighty_five_degrees_are_only_refused_if_they_were_not_measured() {
        assert_eq!(parse(STARTED), Err(Unread::Bad(FaultKind::Parse)));
        let hot = text([0x50, 0x05, 0x4b, 0x46, 0x7f, 0xff, 0x10, 0x10], 85_000);
        assert_eq!(parse(hot.as_bytes()).unwrap().0, 85.0);
    }

    #[test]
    fn what_is_no_temperature_is_refused() {
        let memory = |raw: i16| {
            let [low, high] = raw.to_le_bytes();
            [low, high, 0x4b, 0x46, 0x7f, 0xff, 8, 0x10]
        };
        for (text, why) in [
            (text(memory(-127 * 16), -127_000), FaultKind::Parse),
            (text(memory(126 * 16), 126_000), FaultKind::Parse),
            (text(memory(20 * 16), 25_000), FaultKind::Parse),
            (text(memory(20 * 16), 20_000).replacen("t=20000", "t=+", 1), FaultKind::Framing),
            (text([0; 8], 0), FaultKind::Framing),
            (text([0xff; 8], -62), FaultKind::Checksum),
            (text(memory(20 * 16), 20_000).replace("YES", "NO"), FaultKind::Checksum),
            (text(memory(20 * 16), 20_000).replacen("40 01", "41 01", 1), FaultKind::Checksum),
            (text(memory(20 * 16), 20_000).replace("\n40 01", "\n41 01"), FaultKind::Parse),
            ("x".repeat(300), FaultKind::Framing),
            ("\n\n".to_owned(), FaultKind::Framing),
        ] {
            // Nine FF have another CRC; the kernel would say NO.
            let text = if text.starts_with("ff") { text.replace("c9", "ff") } else { text };
            assert_eq!(parse(text.as_bytes()), Err(Unread::Bad(why)), "{text}");
        }
        for end in 0..COLD.len() {
            assert_eq!(parse(&COLD[..end]), Err(Unread::Need(1)), "{end}");
        }
    }
}
