//! Takes nodes apart and collects what is wrong with them, so that one run reports all problems.

use std::str::FromStr;

use crate::diagnostic::{Diagnostic, Severity};
use crate::node::{Key, Node, Place, Value};

/// Collects problems.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// A map with known keys.
pub(crate) struct Fields<'n> {
    pub(crate) place: Place,
    what: String,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// The value of a key, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        let (_, node) = self.entries.iter().find(|(known, _)| known.name == key)?;
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// The place of a key that is there, whatever its value.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        self.entries.iter().find(|(known, _)| known.name == key).map(|(known, _)| known.place)
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&self, key: &str, reader: &mut Reader) -> Option<&'n Node> {
        let node = self.get(key);
        if node.is_none() {
            let place = self.place_of(key).unwrap_or(self.place);
            reader.error(place, format!("{}: `{key}` is missing", self.what));
        }
        node
    }
}

impl Reader {
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.diagnostics.push(place.error(message));
    }

    pub(crate) fn unavailable(&mut self, place: Place, message: impl Into<String>) {
        self.diagnostics.push(place.unavailable(message));
    }

    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) {
        self.diagnostics.push(place.warning(message));
    }

    pub(crate) fn failed(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Keeps a rule's verdict as a problem of this place.
    pub(crate) fn check(&mut self, place: Place, verdict: Result<(), String>) {
        if let Err(message) = verdict {
            self.error(place, message);
        }
    }

    /// The entries of a map; null is an empty one.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            other => {
                self.error(node.place, format!("{what}: a map is needed here, not {}", other.kind()));
                &[]
            }
        }
    }

    /// A map in which every key must be one of `known`.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, what: &str, known: &[&str]) -> Fields<'n> {
        let entries = self.entries(node, what);
        for (key, _) in entries {
            if !known.contains(&key.name.as_str()) {
                let known = known.join(", ");
                self.error(
                    key.place,
                    format!("{what}: unknown key `{}`; known here: {known}", shown(&key.name)),
                );
            }
        }
        Fields { place: node.place, what: what.to_owned(), entries }
    }

    /// The items of a list; null is an empty one.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            other => {
                self.error(node.place, format!("{what}: a list is needed here, not {}", other.kind()));
                &[]
            }
        }
    }

    /// A scalar's text.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar(text) => Some(text),
            other => {
                self.error(node.place, format!("{what}: a plain value is needed here, not {}", other.kind()));
                None
            }
        }
    }

    /// A list of scalars.
    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        let items = self.list(node, what);
        items.iter().filter_map(|item| self.text(item, what).map(str::to_owned)).collect()
    }

    /// A scalar that parses; the type's own error is the message.
    pub(crate) fn parsed<T>(&mut self, node: &Node, what: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(node, what)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(why) => {
                self.error(node.place, format!("{what}: {why}"));
                None
            }
        }
    }

    /// A whole number between two bounds.
    pub(crate) fn number(&mut self, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
        let text = self.text(node, what)?;
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                let text = shown(text);
                self.error(node.place, format!("{what}: `{text}` is no whole number from {least} to {most}"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match self.text(node, what)? {
            text if text.eq_ignore_ascii_case("true") => Some(true),
            text if text.eq_ignore_ascii_case("false") => Some(false),
            text => {
                let text = shown(text);
                self.error(node.place, format!("{what}: `{text}` is neither true nor false"));
                None
            }
        }
    }
}

/// Enough of a text to recognise it by.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}
