//! The protobuf wire format, read where it lies, one field after the other: nothing is built for a field that nobody asks
//! for. Source: "Encoding" in the protobuf documentation.
//!
//! The cloud has a reader of its own for what it takes; this one tells what was cut from what is none.

use crate::collector::fault::FaultKind;

/// The bytes of a message.
pub(super) type Message<'a> = &'a [u8];

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Field<'a> {
    pub number: u64,
    value: Value<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields in the order in which they stand; the first error ends them.
pub(super) fn fields(mut rest: Message<'_>) -> impl Iterator<Item = Result<Field<'_>, FaultKind>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = take_field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

/// The messages in the fields of one number.
pub(super) fn messages(
    message: Message<'_>,
    number: u64,
) -> impl Iterator<Item = Result<Message<'_>, FaultKind>> {
    fields(message).filter_map(move |field| match field {
        Ok(field) if field.number == number => Some(field.message()),
        Ok(_) => None,
        Err(kind) => Some(Err(kind)),
    })
}

/// The bytes as text; what is none becomes one that no name can be.
pub(super) fn text(message: Message<'_>) -> &str {
    std::str::from_utf8(message).unwrap_or("\0")
}

impl<'a> Field<'a> {
    /// A message, text or bytes.
    pub(super) fn message(&self) -> Result<Message<'a>, FaultKind> {
        if let Value::Bytes(bytes) = self.value { Ok(bytes) } else { Err(FaultKind::Parse) }
    }

    /// `int64`, `uint32`, `bool`, an enum.
    pub(super) fn varint(&self) -> Result<u64, FaultKind> {
        if let Value::Varint(value) = self.value { Ok(value) } else { Err(FaultKind::Parse) }
    }

    /// `fixed64`, or the bits of a `double` or `sfixed64`.
    pub(super) fn fixed64(&self) -> Result<u64, FaultKind> {
        if let Value::Fixed64(value) = self.value { Ok(value) } else { Err(FaultKind::Parse) }
    }

    /// `double`.
    pub(super) fn double(&self) -> Result<f64, FaultKind> {
        self.fixed64().map(f64::from_bits)
    }

    /// Adds the values of a `repeated fixed64` or `repeated double`, packed or one by one, as bits, up to a number of them.
    pub(super) fn extend_fixed64(&self, values: &mut Vec<u64>, max: usize) -> Result<(), FaultKind> {
        match self.value {
            Value::Fixed64(value) => values.push(value),
            Value::Bytes(packed) => {
                let (eights, rest) = packed.as_chunks();
                if !rest.is_empty() {
                    return Err(FaultKind::Parse);
                }
                values.extend(eights.iter().take(max + 1).map(|bytes| u64::from_le_bytes(*bytes)));
            }
            _ => return Err(FaultKind::Parse),
        }
        if values.len() > max { Err(FaultKind::TooLarge) } else { Ok(()) }
    }
}

fn take_field<'a>(rest: &mut Message<'a>) -> Result<Field<'a>, FaultKind> {
    let tag = take_varint(rest)?;
    let value = match tag & 7 {
        0 => Value::Varint(take_varint(rest)?),
        1 => {
            let bytes = rest.split_off(..8).ok_or(FaultKind::ShortFrame)?;
            Value::Fixed64(u64::from_le_bytes(bytes.try_into().map_err(|_| FaultKind::ShortFrame)?))
        }
        2 => {
            let length = usize::try_from(take_varint(rest)?).map_err(|_| FaultKind::ShortFrame)?;
            Value::Bytes(rest.split_off(..length).ok_or(FaultKind::ShortFrame)?)
        }
        5 => {
            rest.split_off(..4).ok_or(FaultKind::ShortFrame)?;
            Value::Fixed32
        }
        _ => return Err(FaultKind::Parse),
    };
    match tag >> 3 {
        0 => Err(FaultKind::Parse),
        number => Ok(Field { number, value }),
    }
}

fn take_varint(rest: &mut Message<'_>) -> Result<u64, FaultKind> {
    let mut value = 0;
    for place in 0..10 {
        let byte = *rest.split_off_first().ok_or(FaultKind::ShortFrame)?;
        // Of the tenth byte one bit has a place; the others are dropped, as everybody does.
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(FaultKind::Parse)
}

/// Appends a varint field.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u64, value: u64) {
    put_raw_varint(out, number << 3);
    put_raw_varint(out, value);
}

/// Appends a field of bytes: a text, a message.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_raw_varint(out, number << 3 | 2);
    put_raw_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_raw_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, FaultKind> {
        fields(bytes).collect()
    }

    #[test]
    fn the_documented_example_is_read() {
        // `{1: 150}` and `{2: "testing"}`, as the documentation of the format spells them.
        let bytes = [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat();
        let fields = read(&bytes).unwrap();
        assert_eq!((fields[0].number, fields[0].varint()), (1, Ok(150)));
        assert_eq!((fields[1].number, fields[1].message().map(text)), (2, Ok("testing")));
        assert_eq!(fields[1].varint(), Err(FaultKind::Parse));
    }

    #[test]
    fn what_was_cut_is_told_from_what_is_none() {
        for cut in [&[0x08][..], &[0x12, 0x05, b'a'], &[0x09, 1, 2, 3], &[0x0d, 1], &[0x80]] {
            assert_eq!(read(cut), Err(FaultKind::ShortFrame), "{cut:?}");
        }
        for bad in [&[0x0b][..], &[0x00, 0x00], &[0xff; 11], &[0x0c]] {
            assert_eq!(read(bad), Err(FaultKind::Parse), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in [0, 1, 127, 128, 150, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, 1, value);
            put_bytes(&mut bytes, 300, b"x");
            let fields = read(&bytes).unwrap();
            assert_eq!((fields[0].number, fields[0].varint()), (1, Ok(value)));
            assert_eq!((fields[1].number, fields[1].message()), (300, Ok(&b"x"[..])));
        }
    }

    #[test]
    fn packed_numbers_and_single_ones_are_the_same() {
        let one = 1.5_f64.to_le_bytes();
        for bytes in [[&[0x0a, 16][..], &one, &one].concat(), [&[0x09][..], &one, &[0x09], &one].concat()] {
            let mut values = Vec::new();
            for field in read(&bytes).unwrap() {
                field.extend_fixed64(&mut values, 2).unwrap();
            }
            assert_eq!(values, [1.5_f64.to_bits(); 2]);
        }
        let ragged = [&[0x0a, 9][..], &one, &[0]].concat();
        assert_eq!(read(&ragged).unwrap()[0].extend_fixed64(&mut Vec::new(), 9), Err(FaultKind::Parse));
        let three = [&[0x0a, 24][..], &one, &one, &one].concat();
        assert_eq!(read(&three).unwrap()[0].extend_fixed64(&mut Vec::new(), 2), Err(FaultKind::TooLarge));
    }
}
