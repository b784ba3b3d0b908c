//! Reads what a deserializer has with an overlay over it: an entry of the overlay takes the place of the entry with its name,
//! and one that has no such place is added.
//!
//! The text is never edited and never read without knowing what is expected of it: a value means the same as without an
//! overlay. A variant of an enum has its name in the text and its settings in the overlay, as `devices` have them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, IntoDeserializer as _, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde_json::{Map, Value};

/// An overlay at a place, and how much of all overlays has found its place.
#[derive(Clone, Copy)]
pub(super) struct Over<'o> {
    entries: &'o Map<String, Value>,
    path: Path<'o>,
    laid: &'o Cell<usize>,
}

/// Where we are, from the inside.
#[derive(Clone, Copy)]
struct Path<'o> {
    name: &'o str,
    outer: Option<&'o Path<'o>>,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer.filter(|outer| !outer.name.is_empty()) {
            write!(f, "{outer}.")?;
        }
        f.write_str(self.name)
    }
}

impl<'o> Over<'o> {
    /// At the root. `laid` counts the values that have found their place.
    pub(super) fn new(entries: &'o Map<String, Value>, laid: &'o Cell<usize>) -> Self {
        Self { entries, path: Path { name: "", outer: None }, laid }
    }

    /// Reads a value of the overlay itself.
    fn read<'de, S: DeserializeSeed<'de>, E: serde::de::Error>(
        &self,
        name: &str,
        value: &Value,
        seed: S,
    ) -> Result<S::Value, E> {
        let path = Path { name, outer: Some(&self.path) };
        self.laid.set(self.laid.get() + count(value));
        seed.deserialize(value.clone()).map_err(|error| E::custom(format_args!("{path}: {error}")))
    }
}

/// The values in it.
pub(super) fn count(value: &Value) -> usize {
    value.as_object().map_or(1, |entries| entries.values().map(count).sum())
}

/// A deserializer with an overlay over it.
pub(super) struct Overlaid<'o, D> {
    pub inner: D,
    pub over: Over<'o>,
}

/// A visitor, a seed or an access on its way through.
struct Through<'o, T> {
    inner: T,
    over: Over<'o>,
}

macro_rules! as_it_is {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* visitor)
        })*
    };
}

macro_rules! laid_over {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($argument,)* Through { inner: visitor, over: self.over })
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Overlaid<'_, D> {
    type Error = D::Error;

    as_it_is! {
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128() deserialize_f32()
        deserialize_f64() deserialize_char() deserialize_str() deserialize_string() deserialize_bytes()
        deserialize_byte_buf() deserialize_unit() deserialize_unit_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_identifier() deserialize_ignored_any()
    }

    laid_over! {
        deserialize_any() deserialize_option() deserialize_newtype_struct(name: &'static str) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visits {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method<E: serde::de::Error>(self, value: $type) -> Result<V::Value, E> { self.inner.$method(value) })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Through<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visits! {
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_char: char, visit_str: &str,
        visit_borrowed_str: &'de str, visit_string: String, visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8],
        visit_byte_buf: Vec<u8>,
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Overlaid { inner, over: self.over })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Overlaid { inner, over: self.over })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let at = At::Text(String::new());
        self.inner.visit_map(Entries { inner, over: self.over, met: BTreeSet::new(), at })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Through { inner, over: self.over })
    }
}

/// The entries of the text, and then those that only the overlay has.
struct Entries<'o, A> {
    inner: A,
    over: Over<'o>,
    met: BTreeSet<String>,
    at: At<'o>,
}

/// Whose value comes next.
enum At<'o> {
    /// The entry of the text with this name.
    Text(String),
    /// This one of the overlay.
    Added(&'o str, &'o Value),
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        if matches!(self.at, At::Text(_))
            && let Some(name) = self.inner.next_key::<String>()?
        {
            let key: StringDeserializer<A::Error> = name.clone().into_deserializer();
            self.met.insert(name.clone());
            self.at = At::Text(name);
            return seed.deserialize(key).map(Some);
        }
        let added = self.over.entries.iter().find(|(name, _)| !self.met.contains(*name));
        let Some((name, value)) = added else { return Ok(None) };
        self.met.insert(name.clone());
        self.at = At::Added(name, value);
        let key: StringDeserializer<A::Error> = name.clone().into_deserializer();
        let path = self.over.path;
        seed.deserialize(key).map(Some).map_err(|error| A::Error::custom(format_args!("{path}: {error}")))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let over = self.over;
        let name = match &self.at {
            At::Added(name, value) => return over.read(name, value, seed),
            At::Text(name) => name.as_str(),
        };
        match over.entries.get(name) {
            None => self.inner.next_value_seed(seed),
            Some(Value::Object(entries)) => {
                let path = Path { name, outer: Some(&over.path) };
                let over = Over { entries, path, laid: over.laid };
                self.inner.next_value_seed(Through { inner: seed, over })
            }
            Some(value) => {
                self.inner.next_value::<IgnoredAny>()?;
                over.read(name, value, seed)
            }
        }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Through<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Overlaid { inner, over: self.over })
    }
}

impl<'de, 'o, A: EnumAccess<'de>> EnumAccess<'de> for Through<'o, A> {
    type Error = A::Error;
    type Variant = Through<'o, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let over = self.over;
        self.inner.variant_seed(seed).map(|(name, inner)| (name, Through { inner, over }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Through<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Through { inner: seed, over: self.over })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Through { inner: visitor, over: self.over })
    }
}
