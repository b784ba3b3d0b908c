//! Arrays of numbers as the server sends them, read at once: the driver looks at every element by itself, which takes longer
//! than everything else that is done with a sample.
//!
//! The binary form of `array_send`: dimensions, whether there are NULLs, the element's type, then for each dimension its length
//! and first index, then each element with its length in bytes before it; all big-endian.

use std::ops::Deref;

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

/// An array without NULLs, of one dimension.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Numbers<T>(pub(crate) Vec<T>);

/// A number of fixed size.
pub(crate) trait Number: Sized {
    /// From its bytes, if there are as many as it has.
    fn read(bytes: &[u8]) -> Option<Self>;
    /// Bytes of one.
    const BYTES: usize;
}

macro_rules! number {
    ($($number:ty),*) => {
        $(impl Number for $number {
            const BYTES: usize = size_of::<Self>();

            fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_be_bytes(bytes.try_into().ok()?))
            }
        })*
    };
}
number!(i16, i32, f64);

impl<T> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: PgHasArrayType> Type<Postgres> for Numbers<T> {
    fn type_info() -> PgTypeInfo {
        T::array_type_info()
    }

    fn compatible(of: &PgTypeInfo) -> bool {
        T::array_compatible(of)
    }
}

impl<'r, T: Number> Decode<'r, Postgres> for Numbers<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(read(value.as_bytes()?).ok_or("not an array of numbers in binary form, without NULLs")?))
    }
}

fn read<T: Number>(bytes: &[u8]) -> Option<Vec<T>> {
    let int = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (dimensions, has_nulls) = (int(0)?, int(4)?);
    if dimensions == 0 {
        return Some(Vec::new());
    }
    let count = usize::try_from(int(12)?).ok()?;
    let elements = bytes.get(20..)?;
    let size = i32::try_from(T::BYTES).ok()?.to_be_bytes();
    if dimensions != 1 || has_nulls != 0 || elements.len() != count.checked_mul(4 + T::BYTES)? {
        return None;
    }
    let mut numbers = Vec::with_capacity(count);
    for element in elements.chunks_exact(4 + T::BYTES) {
        numbers.push(T::read(element.strip_prefix(&size)?)?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(dimensions: i32, has_nulls: i32, elements: &[(i32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = i32::try_from(elements.len()).unwrap();
        for head in [dimensions, has_nulls, 701, count, 1] {
            bytes.extend_from_slice(&head.to_be_bytes());
        }
        for (size, element) in elements {
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(element);
        }
        bytes
    }

    #[test]
    fn numbers_are_read_and_nothing_else() {
        let (one, two) = (1.5_f64.to_be_bytes(), (-0.0_f64).to_be_bytes());
        let array = sent(1, 0, &[(8, &one), (8, &two)]);
        let read_again: Vec<u64> = read::<f64>(&array).unwrap().into_iter().map(f64::to_bits).collect();
        assert_eq!(read_again, [1.5_f64.to_bits(), (-0.0_f64).to_bits()]);
        assert_eq!(read::<i32>(&[0; 12]), Some(Vec::new()), "an empty one has no dimension");
        assert_eq!(read::<i32>(&sent(1, 0, &[(4, &[0, 0, 1, 0])])), Some(vec![256]));
        for other in [
            sent(2, 0, &[(8, &one)]),
            sent(1, 1, &[(8, &one), (-1, &[])]),
            sent(1, 0, &[(4, &one)]),
            array[..array.len() - 1].to_vec(),
            array[..10].to_vec(),
        ] {
            assert_eq!(read::<f64>(&other), None);
        }
    }
}
