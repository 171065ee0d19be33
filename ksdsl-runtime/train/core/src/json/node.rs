//! JSON as a tree that remembers the order of keys and rejects duplicate keys, and deserialisation from it.

use super::JsonError;
use serde::de::value::{MapAccessDeserializer, SeqDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use std::fmt;

/// A JSON value.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Whether every key of this value is one of `written` as well; the error names the first that is not.
    pub(super) fn is_within(&self, written: &Value, path: &str) -> Result<(), JsonError> {
        match (self, written) {
            (Self::Map(entries), Value::Object(written)) => entries.iter().try_for_each(|(key, node)| {
                let known: Vec<&str> = written.keys().map(String::as_str).collect();
                match written.get(key) {
                    Some(value) => node.is_within(value, &inner(path, key)),
                    None => Err(JsonError::unknown("key", key, &known).at(path)),
                }
            }),
            (Self::List(nodes), Value::Array(written)) => {
                let mut pairs = nodes.iter().zip(written).enumerate();
                pairs.try_for_each(|(index, (node, value))| node.is_within(value, &format!("{path}[{index}]")))
            }
            _ => Ok(()),
        }
    }
}

/// The path of a key's value.
fn inner(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

/// Builds a tree.
struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Node::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut all: Vec<(String, Node)> = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            if all.iter().any(|(other, _)| *other == key) {
                return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
            }
            all.push((key, entries.next_value()?));
        }
        Ok(Node::Map(all))
    }
}

/// A part of a tree and where it is.
pub(super) struct Place {
    pub(super) path: String,
    pub(super) node: Node,
}

impl IntoDeserializer<'_, JsonError> for Place {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Place {
    type Error = JsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        let path = self.path;
        let value = match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(value),
            Node::Unsigned(value) => visitor.visit_u64(value),
            Node::Signed(value) => visitor.visit_i64(value),
            Node::Float(value) => visitor.visit_f64(value),
            Node::Text(value) => visitor.visit_string(value),
            Node::List(nodes) => list(&path, nodes, visitor),
            Node::Map(entries) => visitor.visit_map(Entries::new(&path, entries)),
        };
        value.map_err(|error| error.at(&path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, JsonError> {
        match self.node {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, JsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, JsonError> {
        let path = self.path;
        let value = match self.node {
            Node::Text(name) => visitor.visit_enum(IntoDeserializer::<JsonError>::into_deserializer(name)),
            Node::Map(entries) => visitor.visit_enum(MapAccessDeserializer::new(Entries::new(&path, entries))),
            _ => Err(JsonError::new("expected the name of a variant")),
        };
        value.map_err(|error| error.at(&path))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

fn list<'de, V: Visitor<'de>>(path: &str, nodes: Vec<Node>, visitor: V) -> Result<V::Value, JsonError> {
    let place = |(index, node)| Place {
        path: format!("{path}[{index}]"),
        node,
    };
    let mut items = SeqDeserializer::new(nodes.into_iter().enumerate().map(place));
    let value = visitor.visit_seq(&mut items)?;
    items.end().map(|()| value)
}

/// The entries of a map, each with its place.
struct Entries {
    path: String,
    rest: std::vec::IntoIter<(String, Node)>,
    value: Option<Place>,
}

impl Entries {
    fn new(path: &str, entries: Vec<(String, Node)>) -> Self {
        Self {
            path: path.to_owned(),
            rest: entries.into_iter(),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = JsonError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, JsonError> {
        let Some((key, node)) = self.rest.next() else {
            return Ok(None);
        };
        let path = inner(&self.path, &key);
        self.value = Some(Place { path, node });
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, JsonError> {
        let place = self.value.take().ok_or_else(|| JsonError::new("a value is missing"))?;
        // Variants with a tag are made of the value after it was read.
        let path = place.path.clone();
        seed.deserialize(place).map_err(|error| error.at(&path))
    }
}
