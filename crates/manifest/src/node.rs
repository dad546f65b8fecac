//! YAML as a tree in which every node knows its line and column, so that all problems can be reported at their places
//! and scalars keep the text they were written with (`0.10` stays `0.10`).

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Diagnostic, Severity};
use crate::limits::MAX_FILE_BYTES;

/// A place in the file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) const START: Place = Place { line: 1, column: 1 };

    pub(crate) fn error(self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, message)
    }

    pub(crate) fn unavailable(self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Unavailable, message)
    }

    pub(crate) fn warning(self, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Warning, message)
    }

    fn diagnostic(self, severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic { line: self.line, column: self.column, severity, message: message.into() }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let bounded = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Self { line: bounded(location.line()), column: bounded(location.column()) }
    }
}

/// A node and where it is used.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    /// Any scalar, as written.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a plain value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads one YAML document.
pub(crate) fn read(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes, the most is {MAX_FILE_BYTES}", text.len());
        return Err(Place::START.error(message));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 60_000,
            max_nodes: 30_000,
            max_depth: 24,
            max_documents: 1,
            max_aliases: 200,
            max_anchors: 100,
            max_merge_keys: 100,
            max_total_scalar_bytes: 2 * MAX_FILE_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 8,
        },
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(Place::START, Place::from);
        place.error(format!("no valid YAML: {}", without_place(&error.to_string())))
    })?;
    Ok(finish(raw, text))
}

/// The library ends its messages with the place, which stands in the diagnostic already.
fn without_place(message: &str) -> &str {
    let end = message.find(" at line ").unwrap_or(message.len());
    &message[..end]
}

/// A node as the deserializer yields it: numbers and booleans have lost their text and are looked up in the source.
enum Raw {
    Null,
    Text(String),
    Literal(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn finish(raw: Spanned<Raw>, source: &str) -> Node {
    let place = Place::from(raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => Value::Scalar(text),
        Raw::Literal(fallback) => {
            let span = raw.defined.span();
            let bounds = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
                Some((usize::try_from(start).ok()?, usize::try_from(start.checked_add(len)?).ok()?))
            });
            let written = bounds.and_then(|(start, end)| source.get(start..end)).map(str::trim);
            // Tags and anchors may be part of the span; a literal never contains blanks.
            let literal = written.and_then(|text| text.split_whitespace().last());
            Value::Scalar(literal.map_or(fallback, str::to_owned))
        }
        Raw::List(items) => Value::List(items.into_iter().map(|item| finish(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let key_place = Place::from(key.referenced);
                    (Key { place: key_place, name: key.value }, finish(value, source))
                })
                .collect(),
        ),
    };
    Node { place, value }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;

        impl<'de> Visitor<'de> for AnyNode {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any YAML node")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Raw, E> {
                Ok(Raw::Text(text))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Literal(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Literal(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
                Ok(Raw::Literal(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Literal(value.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Raw::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
                let mut map = Vec::new();
                while let Some(key) = entries.next_key()? {
                    map.push((key, entries.next_value()?));
                }
                Ok(Raw::Map(map))
            }
        }

        deserializer.deserialize_any(AnyNode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_text_and_place() {
        let root = read("a: 0.10\nb:\n  - 1.0\n  - yes\n  - \"2.0\"\n  - ~\n").unwrap();
        let Value::Map(entries) = root.value else { panic!("a map") };
        assert!(matches!(&entries[0].1.value, Value::Scalar(text) if text == "0.10"));
        assert_eq!(entries[0].1.place, Place { line: 1, column: 4 });
        let Value::List(items) = &entries[1].1.value else { panic!("a list") };
        let texts: Vec<_> = items
            .iter()
            .map(|item| match &item.value {
                Value::Scalar(text) => text.as_str(),
                other => other.kind(),
            })
            .collect();
        assert_eq!(texts, ["1.0", "yes", "2.0", "nothing"]);
        assert_eq!(items[2].place, Place { line: 5, column: 5 });
        assert_eq!(entries[1].0.place, Place { line: 2, column: 1 });
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 9].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(read(&bomb).is_err());
        assert!(read(&"[".repeat(200)).is_err());
        assert!(read(&"x".repeat(MAX_FILE_BYTES + 1)).is_err());
        assert!(read("a: 1\na: 2\n").unwrap_err().message.contains("duplicate"));
    }
}
