//! JSON as tshark writes it: the same key many times in one object, in an order that matters.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    /// An object, with its keys as they came.
    Object(Vec<(String, Node)>),
    /// A list.
    List(Vec<Node>),
    /// A string.
    Text(String),
    /// Anything else.
    Other,
}

impl Node {
    /// The members of an object.
    pub(super) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The first member called so.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find_map(|(name, node)| (name == key).then_some(node))
    }

    /// A field's raw bytes, in hexadecimal as tshark gives them: `[hex, position, length, …]`.
    pub(super) fn raw(&self) -> Option<&str> {
        match self {
            Self::List(parts) => match parts.first()? {
                Self::Text(hex) => Some(hex),
                _ => None,
            },
            _ => None,
        }
    }

    /// The first member called so, anywhere in here.
    pub(super) fn find(&self, key: &str) -> Option<&Self> {
        self.get(key).or_else(|| self.members().iter().find_map(|(_, node)| node.find(key)))
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(Node::List(parts))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Other)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Other)
    }
}
