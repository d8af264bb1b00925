//! The JSON form, read as a stream.
//!
//! Readers are lenient where no meaning is lost: numbers quoted or bare, hex of any case with or
//! without `0x`, fields in any order, unknown fields. A value that cannot be understood is handed on as
//! such, to refuse the validator it belongs to; only what is not JSON, or has another shape, ends the
//! reading.

use std::fmt;
use std::io::Read;

use eth_types::{Epoch, PublicKey, Root, Slot};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::record::{MAX_NUMBER, SignedAttestation, SignedBlock};

/// The only version there is a file of.
pub(crate) const VERSION: &str = "5";

/// How much of a strange value an error repeats.
const SHOWN: usize = 100;

/// The file's `metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileMetadata {
    pub(crate) version: String,
    pub(crate) genesis_validators_root: Result<Root, String>,
}

/// Takes what is read, in the order of the file. An error ends the reading.
pub(crate) trait Sink {
    fn metadata(&mut self, metadata: FileMetadata) -> Result<(), Stop>;
    /// A new entry of `data`.
    fn begin(&mut self) -> Result<(), Stop>;
    /// The entry's key; may come after its records.
    fn key(&mut self, key: Result<PublicKey, String>) -> Result<(), Stop>;
    fn block(&mut self, block: Result<SignedBlock, String>) -> Result<(), Stop>;
    fn vote(&mut self, vote: Result<SignedAttestation, String>) -> Result<(), Stop>;
    fn end(&mut self) -> Result<(), Stop>;
}

/// The sink wants no more; it knows why.
#[derive(Debug)]
pub(crate) struct Stop;

impl Stop {
    fn into_error<E: Error>(self) -> E {
        E::custom("stopped")
    }
}

/// Reads one file into `sink`.
pub(crate) fn read(from: impl Read, sink: &mut impl Sink) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_reader(from);
    File(sink).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Declares how a borrowed sink reads one shape.
macro_rules! seed {
    ($name:ident, $shape:ident) => {
        struct $name<'a, S>(&'a mut S);

        impl<'de, S: Sink> DeserializeSeed<'de> for $name<'_, S> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.$shape(self)
            }
        }
    };
}

seed!(File, deserialize_map);
seed!(Entries, deserialize_seq);
seed!(Entry, deserialize_map);
seed!(Blocks, deserialize_any);
seed!(Votes, deserialize_any);

impl<'de, S: Sink> Visitor<'de> for File<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an interchange file: an object with `metadata` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut metadata, mut data) = (false, false);
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "metadata" if !metadata => {
                    metadata = true;
                    let value: RawMetadata = map.next_value()?;
                    let value = FileMetadata {
                        version: value.interchange_format_version.0,
                        genesis_validators_root: fixed(
                            "genesis validators root",
                            &value.genesis_validators_root.0,
                        ),
                    };
                    self.0.metadata(value).map_err(Stop::into_error)?;
                }
                "data" if !data => {
                    data = true;
                    map.next_value_seed(Entries(self.0))?;
                }
                "metadata" => return Err(A::Error::duplicate_field("metadata")),
                "data" => return Err(A::Error::duplicate_field("data")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !metadata {
            return Err(A::Error::missing_field("metadata"));
        }
        if !data {
            return Err(A::Error::missing_field("data"));
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
#[serde(
    expecting = "`metadata`, an object with `interchange_format_version` and `genesis_validators_root`"
)]
struct RawMetadata {
    interchange_format_version: Text,
    genesis_validators_root: Text,
}

impl<'de, S: Sink> Visitor<'de> for Entries<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`data`, a list of validators")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Entry(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de, S: Sink> Visitor<'de> for Entry<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a validator: an object with `pubkey`, `signed_blocks` and `signed_attestations`",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.begin().map_err(Stop::into_error)?;
        let mut key = false;
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "pubkey" if key => return Err(A::Error::duplicate_field("pubkey")),
                "pubkey" => {
                    key = true;
                    let text: Text = map.next_value()?;
                    self.0.key(fixed("public key", &text.0)).map_err(Stop::into_error)?;
                }
                "signed_blocks" => map.next_value_seed(Blocks(&mut *self.0))?,
                "signed_attestations" => map.next_value_seed(Votes(&mut *self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if !key {
            return Err(A::Error::missing_field("pubkey"));
        }
        self.0.end().map_err(Stop::into_error)
    }
}

impl<'de, S: Sink> Visitor<'de> for Blocks<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of signed blocks")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<RawBlock>()? {
            self.0.block(raw.check()).map_err(Stop::into_error)?;
        }
        Ok(())
    }
}

impl<'de, S: Sink> Visitor<'de> for Votes<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of signed attestations")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<RawVote>()? {
            self.0.vote(raw.check()).map_err(Stop::into_error)?;
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct RawBlock {
    slot: Text,
    #[serde(default)]
    signing_root: Option<Text>,
}

impl RawBlock {
    fn check(&self) -> Result<SignedBlock, String> {
        Ok(SignedBlock {
            slot: Slot::new(number("slot", &self.slot)?),
            signing_root: root(self.signing_root.as_ref())?,
        })
    }
}

#[derive(serde::Deserialize)]
struct RawVote {
    source_epoch: Text,
    target_epoch: Text,
    #[serde(default)]
    signing_root: Option<Text>,
}

impl RawVote {
    fn check(&self) -> Result<SignedAttestation, String> {
        Ok(SignedAttestation {
            source: Epoch::new(number("source epoch", &self.source_epoch)?),
            target: Epoch::new(number("target epoch", &self.target_epoch)?),
            signing_root: root(self.signing_root.as_ref())?,
        })
    }
}

/// A string or a number, as it is written.
struct Text(String);

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a number")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
        Ok(Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Text, E> {
        Ok(Text(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value.to_string()))
    }

    /// Not exact, so it must not read as a whole number: `{:?}` always has a point or an exponent.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(format!("{value:?}")))
    }
}

fn number(what: &str, text: &Text) -> Result<u64, String> {
    let digits = &text.0;
    // `parse` would accept a leading plus sign.
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(value) if plain && value <= MAX_NUMBER => Ok(value),
        _ => Err(format!("{what} `{}` is no number from 0 to 2^63 - 1", shorten(digits))),
    }
}

fn root(text: Option<&Text>) -> Result<Option<Root>, String> {
    match text {
        None => Ok(None),
        // Some writers leave the field in and the root out.
        Some(text) if text.0.is_empty() || text.0 == "0x" => Ok(None),
        Some(text) => fixed("signing root", &text.0).map(Some),
    }
}

fn fixed<T: std::str::FromStr<Err: fmt::Display>>(what: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{what} `{}`: {error}", shorten(text)))
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
