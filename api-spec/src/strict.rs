//! A deserializer around another that reads a struct from a JSON object only.
//!
//! Derived readers also take an array for a struct, its items being the fields in the order in which
//! the Rust code happens to have them. Nobody means that, and it would sign something else than was
//! meant. They also name the Rust type in their errors; here it is `a JSON object`.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor,
};

/// Reads `T`, with every struct in it from an object.
///
/// # Errors
/// What the deserializer says.
pub(crate) fn read<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    T::deserialize(Strict(deserializer))
}

/// Whatever is wrapped, with what comes out of it wrapped too.
struct Strict<T>(T);

/// A visitor, and whether it is one of a struct.
struct StrictVisitor<V> {
    inner: V,
    is_struct: bool,
}

impl<V> StrictVisitor<V> {
    const fn new(inner: V) -> Self {
        Self { inner, is_struct: false }
    }
}

/// Hands on the methods that have no struct to look at.
macro_rules! hand_on {
    ($($method:ident($($arg:ident: $type:ty),*),)+) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($arg: $type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.0.$method($($arg,)* StrictVisitor::new(visitor))
        })+
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    hand_on! {
        deserialize_any(), deserialize_bool(), deserialize_i8(), deserialize_i16(),
        deserialize_i32(), deserialize_i64(), deserialize_i128(), deserialize_u8(),
        deserialize_u16(), deserialize_u32(), deserialize_u64(), deserialize_u128(),
        deserialize_f32(), deserialize_f64(), deserialize_char(), deserialize_str(),
        deserialize_string(), deserialize_bytes(), deserialize_byte_buf(), deserialize_option(),
        deserialize_unit(), deserialize_seq(), deserialize_map(), deserialize_identifier(),
        deserialize_ignored_any(),
        deserialize_unit_struct(name: &'static str),
        deserialize_newtype_struct(name: &'static str),
        deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(StrictVisitor { inner: visitor, is_struct: true })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Hands on a value that is not made of others.
macro_rules! hand_on_value {
    ($($method:ident($type:ty),)+) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })+
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StrictVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_struct { f.write_str("a JSON object") } else { self.inner.expecting(f) }
    }

    hand_on_value! {
        visit_bool(bool), visit_i8(i8), visit_i16(i16), visit_i32(i32), visit_i64(i64),
        visit_i128(i128), visit_u8(u8), visit_u16(u16), visit_u32(u32), visit_u64(u64),
        visit_u128(u128), visit_f32(f32), visit_f64(f64), visit_char(char), visit_str(&str),
        visit_borrowed_str(&'de str), visit_string(String), visit_bytes(&[u8]),
        visit_borrowed_bytes(&'de [u8]), visit_byte_buf(Vec<u8>),
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Strict(fields))
    }

    // No enum of the contract holds a struct.
    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(variant)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(Strict(seed))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Inner {
        number: u64,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Outer<'a> {
        inner: Inner,
        list: Vec<Inner>,
        maybe: Option<Inner>,
        #[serde(borrow)]
        raw: &'a RawValue,
    }

    fn read_outer(text: &str) -> Result<Outer<'_>, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        read(&mut json).map_err(|error| error.to_string())
    }

    #[test]
    fn objects_are_read_at_every_depth() {
        let text =
            r#"{"raw":[1, 2],"list":[{"number":1}],"maybe":{"number":2},"inner":{"number":3}}"#;
        let outer = read_outer(text).unwrap();
        assert_eq!((outer.inner, outer.maybe), (Inner { number: 3 }, Some(Inner { number: 2 })));
        assert_eq!((outer.list, outer.raw.get()), (vec![Inner { number: 1 }], "[1, 2]"));
    }

    #[test]
    fn an_array_in_place_of_an_object_is_refused_at_every_depth() {
        for text in [
            r#"[{"number":3},[],null,[]]"#,
            r#"{"inner":[3],"list":[],"maybe":null,"raw":[]}"#,
            r#"{"inner":{"number":3},"list":[[1]],"maybe":null,"raw":[]}"#,
            r#"{"inner":{"number":3},"list":[],"maybe":[2],"raw":[]}"#,
        ] {
            let error = read_outer(text).unwrap_err();
            let expected = "invalid type: sequence, expected a JSON object";
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
