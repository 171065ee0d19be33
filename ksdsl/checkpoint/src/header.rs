//! The header of a file: which tensors there are, and where. Hostile headers cost time and memory in proportion
//! to their length alone, which is bounded.

use crate::file::Damage;
use crate::kind::Kind;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::Error as _};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;

/// Bytes of the longest header that the format allows.
const LONGEST: u64 = 100_000_000;
/// More tensors than any network has: four for each of as many layers as the language allows would be more.
const MOST_TENSORS: usize = 500_000;
/// More sizes than any tensor has.
const MOST_SIZES: usize = 16;
/// Bytes of the longest key.
const LONGEST_KEY: usize = 4096;
/// Letters of the longest message.
const LONGEST_MESSAGE: usize = 300;
/// The key of what is not a tensor.
const METADATA: &str = "__metadata__";

/// What a header says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    pub(crate) tensors: BTreeMap<String, TensorEntry>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A tensor: type, sizes, and where it is, which fit each other.
#[derive(Clone, Debug)]
pub(crate) struct TensorEntry {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<u64>,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The length of a header, from its 8 bytes.
pub(crate) fn length(bytes: [u8; 8]) -> Result<u64, Damage> {
    match u64::from_le_bytes(bytes) {
        length if length > LONGEST => Err(malformed(format!(
            "a header of {length} bytes exceeds the format's limit"
        ))),
        length => Ok(length),
    }
}

impl Header {
    /// The header of this text.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("the header is not valid UTF-8"))?;
        if !text.starts_with('{') {
            return Err(malformed("the header does not start with `{`"));
        }
        serde_json::from_str(text).map_err(|error| malformed(format!("invalid header: {}", shown(&error))))
    }

    /// The number of bytes of data the tensors have: each begins where the one before it ends.
    pub(crate) fn data(&self) -> Result<u64, Damage> {
        let mut order: Vec<(&String, &TensorEntry)> = self.tensors.iter().collect();
        order.sort_by_key(|(_, entry)| (entry.start, entry.end));
        order.into_iter().try_fold(0, |at, (key, entry)| match entry.start {
            start if start == at => Ok(entry.end),
            start => Err(malformed(format!(
                "`{key}` starts at byte {start} of the data, but the previous tensor ends at {at}"
            ))),
        })
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
                let (mut header, mut has_metadata) = (Header::default(), false);
                while let Some(key) = map.next_key_seed(Key)? {
                    if key == METADATA {
                        if std::mem::replace(&mut has_metadata, true) {
                            return Err(twice(METADATA));
                        }
                        header.metadata = map.next_value::<Texts>()?.0;
                        continue;
                    }
                    header.add::<M>(key, &mut map)?;
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Header {
    fn add<'de, M: MapAccess<'de>>(&mut self, key: String, map: &mut M) -> Result<(), M::Error> {
        if self.tensors.len() == MOST_TENSORS {
            return Err(M::Error::custom(format_args!("more than {MOST_TENSORS} tensors")));
        }
        let entry = map
            .next_value::<Info>()
            .and_then(|info| info.entry().map_err(M::Error::custom));
        let entry = entry.map_err(|error| M::Error::custom(format_args!("`{key}`: {error}")))?;
        match self.tensors.entry(key) {
            Slot::Vacant(slot) => {
                slot.insert(entry);
                Ok(())
            }
            Slot::Occupied(slot) => Err(twice(slot.key())),
        }
    }
}

/// A tensor as the header has it.
#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Sizes,
    data_offsets: [u64; 2],
}

impl Info {
    /// The tensor, if its type, sizes and place fit each other.
    fn entry(self) -> Result<TensorEntry, String> {
        let shown: String = self.dtype.chars().take(32).flat_map(char::escape_debug).collect();
        let kind = Kind::parse(&self.dtype).ok_or_else(|| format!("unknown element type `{shown}`"))?;
        let ([start, end], shape) = (self.data_offsets, self.shape.0);
        let bytes = shape.iter().try_fold(kind.bytes(), |all, size| all.checked_mul(*size));
        match bytes.is_some() && bytes == end.checked_sub(start) {
            true => Ok(TensorEntry {
                kind,
                shape,
                start,
                end,
            }),
            false => Err(format!(
                "the shape {shape:?} of type {kind} does not match its data, bytes {start} to {end}"
            )),
        }
    }
}

/// A key that can be shown: not too long, and no control characters, which a terminal would obey.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let key = String::deserialize(deserializer)?;
        if key.len() > LONGEST_KEY {
            return Err(D::Error::custom(format_args!(
                "a key is longer than {LONGEST_KEY} bytes"
            )));
        }
        match key.chars().any(char::is_control) {
            true => Err(D::Error::custom(format_args!(
                "the key {key:?} contains control characters"
            ))),
            false => Ok(key),
        }
    }
}

/// The sizes of a tensor.
struct Sizes(Vec<u64>);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Sizes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST_SIZES} whole numbers")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Sizes, S::Error> {
                let mut sizes = Vec::new();
                while let Some(size) = list.next_element()? {
                    if sizes.len() == MOST_SIZES {
                        return Err(de::Error::invalid_length(MOST_SIZES + 1, &self));
                    }
                    sizes.push(size);
                }
                Ok(Sizes(sizes))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Texts by keys of which none is duplicated.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{METADATA}` to be a map of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Texts, M::Error> {
                let mut texts = BTreeMap::new();
                while let Some(key) = map.next_key_seed(Key)? {
                    if texts.contains_key(&key) {
                        return Err(twice(&key));
                    }
                    texts.insert(key, map.next_value()?);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// An error that may quote the header, in so many letters that it can be read.
fn shown(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}… (line {}, column {})", &text[..end], error.line(), error.column()),
        None => text,
    }
}

fn twice<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("duplicate key `{key}`"))
}

pub(crate) fn malformed(what: impl Into<String>) -> Damage {
    Damage::Malformed(what.into())
}
