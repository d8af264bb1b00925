//! The outermost fields of a signing request. Their values stay text until the type is known: it may
//! come after them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::duty_type::DutyType;

/// The fields that the program knows, `null` counting as absent.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) duty_type: Option<Cow<'a, str>>,
    /// `signing_root`, as the specification has it.
    pub(super) signing_root: Option<&'a RawValue>,
    /// `signingRoot`, as all clients have it.
    pub(super) signing_root_camel: Option<&'a RawValue>,
    pub(super) fork_info: Option<&'a RawValue>,
    /// Nimbus's verifying extension.
    pub(super) proofs: Option<&'a RawValue>,
    /// The objects of all types, by the names of their fields.
    objects: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> Envelope<'a> {
    /// The object in a field.
    pub(super) fn object(&self, field: &str) -> Option<&'a RawValue> {
        self.objects.iter().find(|(name, _)| *name == field).map(|(_, raw)| *raw)
    }
}

/// A key of the outermost object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Type,
    SigningRoot,
    SigningRootCamel,
    ForkInfo,
    Proofs,
    Object(&'static str),
    Unknown,
}

impl Key {
    fn from_text(text: &str) -> Self {
        match text {
            "type" => Self::Type,
            "signing_root" => Self::SigningRoot,
            "signingRoot" => Self::SigningRootCamel,
            "fork_info" => Self::ForkInfo,
            "proofs" => Self::Proofs,
            _ => DutyType::ALL
                .iter()
                .flat_map(|known| {
                    std::iter::once(known.object_field())
                        .chain(known.other_object_fields().iter().copied())
                })
                .find(|field| *field == text)
                .map_or(Self::Unknown, Self::Object),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::SigningRoot => "signing_root",
            Self::SigningRootCamel => "signingRoot",
            Self::ForkInfo => "fork_info",
            Self::Proofs => "proofs",
            Self::Object(field) => field,
            Self::Unknown => "an unknown field",
        }
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key, E> {
                Ok(Key::from_text(text))
            }
        }

        deserializer.deserialize_identifier(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        let mut seen = Vec::new();
        while let Some(key) = fields.next_key::<Key>()? {
            if key == Key::Unknown {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            // Of two values nobody can say which one is meant.
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", key.as_str())));
            }
            seen.push(key);
            match key {
                Key::Type => envelope.duty_type = fields.next_value::<Text<'de>>()?.0,
                Key::SigningRoot => envelope.signing_root = fields.next_value()?,
                Key::SigningRootCamel => envelope.signing_root_camel = fields.next_value()?,
                Key::ForkInfo => envelope.fork_info = fields.next_value()?,
                Key::Proofs => envelope.proofs = fields.next_value()?,
                Key::Object(field) => {
                    if let Some(raw) = fields.next_value::<Option<&RawValue>>()? {
                        envelope.objects.push((field, raw));
                    }
                }
                Key::Unknown => {}
            }
        }
        Ok(envelope)
    }
}

/// The value of `type`.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string as type")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}
