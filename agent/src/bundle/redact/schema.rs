//! Every setting that there is, asked of the types themselves: a configuration is read again and again, each time along one
//! path, by a reader that has nothing to give and writes down what it is asked for.

use std::cell::RefCell;

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer as _,
    MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Setting {
    /// `devices.*.snmp.v3.auth.password`; `*` stands for names that people choose, `[]` for a place in a list.
    pub path: String,
    /// Whether it takes several forms, as a secret does: a text, or the name of a file.
    pub has_forms: bool,
}

#[derive(Default)]
struct Walk {
    /// Which of several ways is taken at each fork.
    ways: Vec<usize>,
    at: usize,
    path: Vec<String>,
    /// How many ways there are at the first fork that nothing was said of.
    fork: Option<usize>,
    end: Option<bool>,
}

/// All settings of a type.
pub(super) fn settings<T: DeserializeOwned>() -> Vec<Setting> {
    let mut open = vec![Vec::new()];
    let mut all = Vec::new();
    while let Some(ways) = open.pop() {
        let walk = RefCell::new(Walk { ways: ways.clone(), ..Walk::default() });
        let _ = T::deserialize(Reader(&walk));
        let walk = walk.into_inner();
        if let Some(count) = walk.fork {
            open.extend((0..count).map(|way| [ways.as_slice(), &[way]].concat()));
        } else if let Some(has_forms) = walk.end {
            all.push(Setting { path: walk.path.join("."), has_forms });
        }
    }
    all.sort();
    all
}

#[derive(Clone, Copy)]
struct Reader<'a>(&'a RefCell<Walk>);

impl Reader<'_> {
    /// Which way to go here, if that is known.
    fn fork(self, count: usize) -> Result<usize, Error> {
        let mut walk = self.0.borrow_mut();
        let way = walk.ways.get(walk.at).copied();
        walk.at += 1;
        way.ok_or_else(|| {
            walk.fork = Some(count);
            Error::custom("a fork")
        })
    }

    fn enter(self, name: &str) {
        self.0.borrow_mut().path.push(name.to_owned());
    }

    fn end<T>(self, has_forms: bool) -> Result<T, Error> {
        self.0.borrow_mut().end = Some(has_forms);
        Err(Error::custom("the end"))
    }
}

macro_rules! ends {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> { self.end(false) })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    ends! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_identifier deserialize_ignored_any
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.end(true)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Error> {
        self.end(false)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.enter("[]");
        visitor.visit_seq(One { reader: self, name: None })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.enter("*");
        visitor.visit_map(One { reader: self, name: Some("x") })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = fields[self.fork(fields.len())?];
        self.enter(name);
        visitor.visit_map(One { reader: self, name: Some(name) })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let name = variants[self.fork(variants.len())?];
        self.enter(name);
        visitor.visit_enum(One { reader: self, name: Some(name) })
    }
}

/// One entry, item or variant.
struct One<'a> {
    reader: Reader<'a>,
    name: Option<&'static str>,
}

fn name<'de, S: DeserializeSeed<'de>>(name: &'static str, seed: S) -> Result<S::Value, Error> {
    let name: StrDeserializer<'de, Error> = name.into_deserializer();
    seed.deserialize(name)
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        seed.deserialize(self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.name.take().map(|text| name(text, seed)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.reader)
    }
}

impl<'de> EnumAccess<'de> for One<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), Error> {
        let text = self.name.take().unwrap_or_default();
        Ok((name(text, seed)?, self))
    }
}

impl<'de> VariantAccess<'de> for One<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.reader.end(false)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.reader.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.reader.deserialize_struct("", fields, visitor)
    }
}
