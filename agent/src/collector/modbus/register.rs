//! One entry of `registers:`: where a value lies in a device, and what its bits mean.
//!
//! Whoever has nothing to say says it with a number: a broken probe is 0x8000 or 0x7FFF, a float that is none is NaN. Such a
//! value is left out and counted. A number whose `states` do not name it is left out in the same way.

use std::collections::BTreeMap;

use serde::Deserialize;
use storepulse_shared::series;

use super::frame::Table;
use crate::collector::defaults;

/// What a device says if a probe is broken or missing, where nothing else is configured.
const INVALID_I16: [i64; 2] = [0x8000, 0x7fff];
/// The same of 32 bits.
const INVALID_I32: [i64; 2] = [0x8000_0000, 0x7fff_ffff];

/// Where a value lies, and what it means.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Entry")]
pub(super) struct Register {
    /// The series.
    pub metric: String,
    pub table: Table,
    /// From 0, as on the wire.
    pub address: u16,
    kind: Type,
    bit: u8,
    mask: Option<u32>,
    word_order: WordOrder,
    scale: f64,
    offset: f64,
    invalid: Vec<i64>,
    states: Option<BTreeMap<i64, f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    I16,
    U16,
    I32,
    U32,
    F32,
    Bit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WordOrder {
    #[default]
    Big,
    Little,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    metric: String,
    table: Table,
    address: u16,
    #[serde(rename = "type")]
    kind: Option<Type>,
    bit: Option<u8>,
    mask: Option<u32>,
    #[serde(default)]
    word_order: WordOrder,
    #[serde(default = "defaults::one")]
    scale: f64,
    #[serde(default)]
    offset: f64,
    invalid: Option<Vec<i64>>,
    states: Option<BTreeMap<i64, f64>>,
}

impl TryFrom<Entry> for Register {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let kind = entry.kind.unwrap_or(if entry.table.is_bits() { Type::Bit } else { Type::I16 });
        let series = &entry.metric;
        series::check(series).map_err(|error| error.to_string())?;
        let table = entry.table.name();
        let words = !entry.table.is_bits();
        let wrong = [
            (!words && kind != Type::Bit, "a coil or discrete has the type bit"),
            (
                words && (kind == Type::Bit) != entry.bit.is_some(),
                "bit: 0 to 15 goes with type: bit, and type: bit with it",
            ),
            (!words && entry.bit.is_some(), "a coil or discrete is one bit already"),
            (entry.bit.is_some_and(|bit| bit > 15), "bit is 0 to 15"),
            (entry.mask == Some(0), "a mask of 0 leaves nothing"),
            (entry.mask.is_some() && !matches!(kind, Type::U16 | Type::U32), "a mask goes with u16 and u32"),
            (entry.states.is_some() && kind == Type::F32, "states go with whole numbers"),
            (entry.states.as_ref().is_some_and(BTreeMap::is_empty), "states without one"),
            (
                !(entry.scale.is_normal() && entry.offset.is_finite()),
                "scale and offset are numbers, scale is not 0",
            ),
            (entry.address == u16::MAX && kind.words() == 2, "32 bits do not fit at the last address"),
        ];
        if let Some((_, why)) = wrong.iter().find(|(wrong, _)| *wrong) {
            return Err(format!("{series}, {table} {}: {why}", entry.address));
        }
        let invalid = entry.invalid.unwrap_or_else(|| match kind {
            Type::I16 => INVALID_I16.to_vec(),
            Type::I32 => INVALID_I32.to_vec(),
            _ => Vec::new(),
        });
        Ok(Self {
            metric: entry.metric,
            table: entry.table,
            address: entry.address,
            kind,
            bit: entry.bit.unwrap_or_default(),
            mask: entry.mask,
            word_order: entry.word_order,
            scale: entry.scale,
            offset: entry.offset,
            invalid,
            states: entry.states,
        })
    }
}

impl Type {
    const fn words(self) -> u16 {
        match self {
            Self::I32 | Self::U32 | Self::F32 => 2,
            Self::I16 | Self::U16 | Self::Bit => 1,
        }
    }
}

impl Register {
    /// How many addresses it takes.
    pub(super) const fn width(&self) -> u16 {
        self.kind.words()
    }

    /// Its value in an answer that begins with the address `first`; `None` if the device says that it has none.
    pub(super) fn value(&self, data: &[u8], first: u16) -> Option<f64> {
        let at = usize::from(self.address.checked_sub(first)?);
        if self.table.is_bits() {
            let bit = data.get(at / 8)? >> (at % 8) & 1;
            return self.meaning(i64::from(bit));
        }
        let word = |at: usize| data.get(2 * at..2 * at + 2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
        let raw = match (self.width(), self.word_order) {
            (1, _) => word(at)?,
            (_, WordOrder::Big) => word(at)? << 16 | word(at + 1)?,
            (_, WordOrder::Little) => word(at + 1)? << 16 | word(at)?,
        };
        let signed = match self.kind {
            Type::I16 => i64::from(raw as u16 as i16),
            Type::I32 => i64::from(raw as i32),
            _ => i64::from(raw),
        };
        if self.invalid.contains(&i64::from(raw)) || self.invalid.contains(&signed) {
            return None;
        }
        match (self.kind, self.mask) {
            (Type::F32, _) => self.scaled(decimal(f32::from_bits(raw))?),
            (Type::Bit, _) => self.meaning(i64::from(raw >> self.bit & 1)),
            (_, Some(mask)) => self.meaning(i64::from((raw & mask) >> mask.trailing_zeros())),
            (_, None) => self.meaning(signed),
        }
    }

    /// Of a whole number.
    fn meaning(&self, number: i64) -> Option<f64> {
        match &self.states {
            Some(states) => states.get(&number).copied(),
            #[expect(clippy::cast_precision_loss, reason = "it has at most 32 bits")]
            None => self.scaled(number as f64),
        }
    }

    /// A scale of a tenth is a division by ten: 3 × 0.1 is 0.30000000000000004, which neither reads nor compresses well.
    fn scaled(&self, number: f64) -> Option<f64> {
        let parts = (1.0 / self.scale).round();
        let exact = parts.abs() > 1.0 && (parts * self.scale - 1.0).abs() < 1e-12;
        let scaled = if exact { number / parts } else { number * self.scale };
        Some(scaled + self.offset).filter(|value| value.is_finite())
    }
}

/// The number that a float of 32 bits stands for: 23.1, not 23.100000381469727.
fn decimal(float: f32) -> Option<f64> {
    if float.is_finite() { float.to_string().parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(yaml: &str) -> Register {
        serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"))
    }

    fn value(yaml: &str, data: &[u8]) -> Option<f64> {
        let register = register(&format!("{{ metric: m, address: 16, {yaml} }}"));
        register.value(data, 16)
    }

    #[test]
    fn numbers_are_read_as_they_were_meant() {
        for (yaml, data, wanted) in [
            ("table: input, scale: 0.1", &[0xff, 0x47][..], -18.5),
            ("table: input, scale: 0.1", &[0, 3], 0.3),
            ("table: input, scale: 0.1, offset: -40", &[0x02, 0x80], 24.0),
            ("table: holding, type: u16", &[0xff, 0x47], 65_351.0),
            ("table: holding, type: i32", &[0xff, 0xfe, 0x79, 0x60], -100_000.0),
            ("table: holding, type: i32, word_order: little", &[0x79, 0x60, 0xff, 0xfe], -100_000.0),
            ("table: holding, type: u32", &[0xff, 0xff, 0xff, 0xff], 4_294_967_295.0),
            ("table: holding, type: f32", &[0xc1, 0x94, 0, 0], -18.5),
            ("table: holding, type: f32, word_order: little", &[0xcc, 0xcd, 0x41, 0xb8], 23.1),
            ("table: holding, type: f32, scale: 3600000", &[0x40, 0, 0, 0], 7_200_000.0),
            ("table: coil", &[0b0000_0001], 1.0),
            ("table: holding, type: bit, bit: 9", &[0b0000_0010, 0], 1.0),
            ("table: holding, type: u16, mask: 0x0F00", &[0xf3, 0xff], 3.0),
            ("table: holding, type: u16, mask: 0x0F00, states: { 0: 0, 3: 1 }", &[0xf3, 0xff], 1.0),
            ("table: discrete, states: { 0: 1, 1: 0 }", &[0], 1.0),
        ] {
            assert_eq!(value(yaml, data), Some(wanted), "{yaml}");
        }
    }

    #[test]
    fn a_number_that_says_nothing_is_no_value() {
        for (yaml, data) in [
            ("table: input", &[0x80, 0x00][..]),
            ("table: input", &[0x7f, 0xff]),
            ("table: input, invalid: [-999]", &[0xfc, 0x19]),
            ("table: input, type: u16, invalid: [0xFFFF]", &[0xff, 0xff]),
            ("table: input, type: i32", &[0x80, 0, 0, 0]),
            ("table: input, type: f32", &[0x7f, 0xc0, 0, 0]),
            ("table: input, type: f32, invalid: [0xC2FE0000]", &[0xc2, 0xfe, 0, 0]),
            ("table: input, states: { 0: 0 }", &[0, 1]),
            ("table: input, type: i32", &[0, 0]),
            ("table: coil", &[]),
        ] {
            assert_eq!(value(yaml, data), None, "{yaml}");
        }
        assert_eq!(value("table: input, invalid: []", &[0x7f, 0xff]), Some(32_767.0));
        assert_eq!(value("table: input, type: u16", &[0x80, 0x00]), Some(32_768.0));
    }

    #[test]
    fn a_value_is_found_wherever_it_lies_in_an_answer() {
        let third = register("{ metric: m, table: input, address: 18 }");
        assert_eq!(third.value(&[0, 1, 0, 2, 0, 3], 16), Some(3.0));
        let twelfth = register("{ metric: m, table: coil, address: 27 }");
        assert_eq!(twelfth.value(&[0, 0b0000_1000], 16), Some(1.0));
        assert_eq!(third.value(&[0, 1], 19), None);
    }

    #[test]
    fn a_mistake_is_named() {
        for (yaml, why) in [
            ("metric: 'a b', table: input, address: 1", "not a metric name"),
            ("metric: m, table: output, address: 1", "unknown variant"),
            ("metric: m, table: coil, address: 1, type: i16", "has the type bit"),
            ("metric: m, table: coil, address: 1, bit: 1", "one bit already"),
            ("metric: m, table: input, address: 1, type: bit", "goes with type: bit"),
            ("metric: m, table: input, address: 1, bit: 1", "goes with type: bit"),
            ("metric: m, table: input, address: 1, type: bit, bit: 16", "0 to 15"),
            ("metric: m, table: input, address: 1, mask: 1", "u16 and u32"),
            ("metric: m, table: input, address: 1, type: u16, mask: 0", "leaves nothing"),
            ("metric: m, table: input, address: 1, type: f32, states: { 1: 1 }", "whole numbers"),
            ("metric: m, table: input, address: 1, scale: 0", "scale is not 0"),
            ("metric: m, table: input, address: 65535, type: u32", "last address"),
            ("metric: m, table: input, address: 65536", "65536"),
            ("metric: m, table: input, adress: 1", "unknown field"),
        ] {
            let error = serde_yaml::from_str::<Register>(&format!("{{ {yaml} }}")).unwrap_err().to_string();
            assert!(error.contains(why), "{yaml}\n{error}");
        }
    }
}
