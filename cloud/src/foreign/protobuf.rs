//! The protobuf wire format, read where it lies: nothing is allocated, and unknown fields are passed over.
//!
//! Generated message types would hold a whole request as a tree, in which an empty element of two bytes becomes a
//! hundred: a body within its limit could still fill the memory. A reader that is asked for one field after the other
//! has no such place. Source: "Encoding" in the protobuf documentation.

/// Not protobuf, or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken protobuf at byte {at}: {why}")]
pub(super) struct Broken {
    /// Where, in the inflated body.
    at: usize,
    why: &'static str,
}

/// The bytes of a message, and where they are in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// Its number.
    pub(super) number: u64,
    value: Value<'a>,
    at: usize,
}

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    /// The message that is the whole body.
    pub(super) const fn of_body(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Its fields in the order in which they stand; the first error ends them.
    pub(super) fn fields(self) -> impl Iterator<Item = Result<Field<'a>, Broken>> {
        let mut rest = self;
        std::iter::from_fn(move || {
            if rest.bytes.is_empty() {
                return None;
            }
            let field = rest.take_field();
            if field.is_err() {
                rest.bytes = &[];
            }
            Some(field)
        })
    }

    /// The fields of one number.
    pub(super) fn all(self, number: u64) -> impl Iterator<Item = Result<Field<'a>, Broken>> {
        self.fields().filter(move |field| field.as_ref().map_or(true, |field| field.number == number))
    }

    /// The bytes as text.
    pub(super) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes).ok()
    }

    fn broken<T>(&self, why: &'static str) -> Result<T, Broken> {
        Err(Broken { at: self.at, why })
    }

    fn take_field(&mut self) -> Result<Field<'a>, Broken> {
        let at = self.at;
        let tag = self.take_varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.take_varint()?),
            1 => Value::Fixed64(self.take_fixed64()?),
            2 => {
                let length = self.take_varint()?;
                let Some(length) = usize::try_from(length).ok().filter(|n| *n <= self.bytes.len()) else {
                    return self.broken("a length that passes the end");
                };
                Value::Bytes(self.take(length))
            }
            5 if self.bytes.len() >= 4 => {
                self.take(4);
                Value::Fixed32
            }
            5 => return self.broken("a number that passes the end"),
            _ => return self.broken("an unknown wire type"),
        };
        match tag >> 3 {
            0 => Err(Broken { at, why: "field number 0" }),
            number => Ok(Field { number, value, at }),
        }
    }

    /// The first `length` bytes, which must be there.
    fn take(&mut self, length: usize) -> Message<'a> {
        let (head, rest) = self.bytes.split_at(length);
        let taken = Message { bytes: head, at: self.at };
        *self = Message { bytes: rest, at: self.at + length };
        taken
    }

    fn take_fixed64(&mut self) -> Result<u64, Broken> {
        match self.bytes.first_chunk() {
            Some(bytes) => {
                self.take(8);
                Ok(u64::from_le_bytes(*bytes))
            }
            None => self.broken("a number that passes the end"),
        }
    }

    fn take_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for (place, byte) in self.bytes.iter().take(10).enumerate() {
            // Of the tenth byte one bit has a place; the others are dropped, as everybody does.
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.take(place + 1);
                return Ok(value);
            }
        }
        self.broken(if self.bytes.len() < 10 {
            "a number that passes the end"
        } else {
            "a number of more than 10 bytes"
        })
    }
}

impl<'a> Field<'a> {
    /// A message, text or bytes.
    pub(super) fn message(&self) -> Result<Message<'a>, Broken> {
        match self.value {
            Value::Bytes(message) => Ok(message),
            _ => self.unlike(),
        }
    }

    /// `int64`, `uint32`, `bool`, an enum.
    pub(super) fn varint(&self) -> Result<u64, Broken> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => self.unlike(),
        }
    }

    /// `fixed64`, or the bits of a `double` or `sfixed64`.
    pub(super) fn fixed64(&self) -> Result<u64, Broken> {
        match self.value {
            Value::Fixed64(value) => Ok(value),
            _ => self.unlike(),
        }
    }

    /// `double`.
    pub(super) fn double(&self) -> Result<f64, Broken> {
        self.fixed64().map(f64::from_bits)
    }

    /// Adds the values of a `repeated fixed64` or `repeated double`, packed or one by one, as bits.
    pub(super) fn extend_fixed64(&self, values: &mut Vec<u64>) -> Result<(), Broken> {
        match self.value {
            Value::Fixed64(value) => values.push(value),
            Value::Bytes(mut packed) => {
                while !packed.bytes.is_empty() {
                    values.push(packed.take_fixed64()?);
                }
            }
            _ => return self.unlike(),
        }
        Ok(())
    }

    fn unlike<T>(&self) -> Result<T, Broken> {
        Err(Broken { at: self.at, why: "a field of another type than it should have" })
    }
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

/// Fields for the tests of those who read messages.
#[cfg(test)]
pub(super) mod by_hand {
    use super::{put_bytes, put_raw_varint, put_varint};

    pub(in crate::foreign) fn varint(number: u64, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, number, value);
        out
    }

    pub(in crate::foreign) fn fixed64(number: u64, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_raw_varint(&mut out, number << 3 | 1);
        [out, value.to_le_bytes().to_vec()].concat()
    }

    pub(in crate::foreign) fn double(number: u64, value: f64) -> Vec<u8> {
        fixed64(number, value.to_bits())
    }

    pub(in crate::foreign) fn bytes(number: u64, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, number, value);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first_error(bytes: &[u8]) -> String {
        Message::of_body(bytes).fields().find_map(Result::err).unwrap().to_string()
    }

    #[test]
    fn the_documented_example_is_read() {
        // `{1: 150}` and `{2: "testing"}`, as the documentation of the format spells them.
        let bytes = [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat();
        let fields: Vec<_> = Message::of_body(&bytes).fields().collect::<Result<_, _>>().unwrap();
        assert_eq!((fields[0].number, fields[0].varint()), (1, Ok(150)));
        assert_eq!((fields[1].number, fields[1].message().unwrap().text()), (2, Some("testing")));
        assert_eq!(fields[1].varint().unwrap_err().at, 3);
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_broken_and_says_where() {
        for (bytes, says) in [
            (&[0x08][..], "byte 1: a number that passes the end"),
            (&[0x12, 0x05, b'a'], "byte 2: a length that passes the end"),
            (&[0x09, 1, 2, 3], "byte 1: a number that passes the end"),
            (&[0x0d, 1], "byte 1: a number that passes the end"),
            (&[0x0b], "byte 1: an unknown wire type"),
            (&[0x00, 0x00], "byte 0: field number 0"),
            (&[0xff; 11], "byte 0: a number of more than 10 bytes"),
        ] {
            assert!(first_error(bytes).ends_with(says), "{bytes:?}: {}", first_error(bytes));
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for value in [0, 1, 127, 128, 150, u64::from(u32::MAX), u64::MAX] {
            let bytes = [by_hand::varint(1, value), by_hand::bytes(300, b"x")].concat();
            let fields: Vec<_> = Message::of_body(&bytes).fields().collect::<Result<_, _>>().unwrap();
            assert_eq!((fields[0].number, fields[0].varint()), (1, Ok(value)));
            assert_eq!((fields[1].number, fields[1].message().unwrap().text()), (300, Some("x")));
        }
    }

    #[test]
    fn packed_numbers_and_single_ones_are_the_same() {
        let one = 1.5_f64.to_le_bytes();
        let packed = [&[0x0a, 16][..], &one, &one].concat();
        let single = [&[0x09][..], &one, &[0x09], &one].concat();
        for bytes in [packed, single] {
            let mut values = Vec::new();
            for field in Message::of_body(&bytes).fields() {
                field.unwrap().extend_fixed64(&mut values).unwrap();
            }
            assert_eq!(values, [1.5_f64.to_bits(); 2]);
        }
        let ragged = [&[0x0a, 9][..], &one, &[0]].concat();
        let field = Message::of_body(&ragged).fields().next().unwrap().unwrap();
        assert!(field.extend_fixed64(&mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Message::of_body(&bytes).fields().count() <= bytes.len());
        }
    }
}
