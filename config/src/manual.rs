//! `default.toml`: the manual, and at the same time the defaults.
//!
//! The file is compiled in and parsed once. No default stands anywhere else in this crate, so what
//! an operator reads there is what runs.

use std::sync::OnceLock;

use toml::de::{DeTable, DeValue};

use crate::{
    fault::Findings,
    source::Source,
    value::{Kind, Node, Place},
};

/// The text of the manual: every key with its meaning, what it accepts and its default.
pub const DEFAULT_TOML: &str = include_str!("../default.toml");

/// The manual as a document.
#[derive(Debug)]
pub(crate) enum Manual {}

impl Manual {
    /// The whole document.
    pub(crate) fn defaults() -> &'static DeTable<'static> {
        static DOCUMENT: OnceLock<DeTable<'static>> = OnceLock::new();
        DOCUMENT.get_or_init(|| {
            let document = DeTable::parse(DEFAULT_TOML);
            document
                .expect("default.toml is TOML: a test reads it")
                .into_inner()
        })
    }

    /// The line of the manual that sets `key` in one of `tables`.
    pub(crate) fn example(tables: &[&'static DeTable<'static>], key: &str) -> &'static str {
        let entry = tables.iter().find_map(|table| table.get_key_value(key));
        let slice =
            entry.and_then(|(name, node)| DEFAULT_TOML.get(name.span().start..node.span().end));
        slice.unwrap_or_default()
    }

    /// The tables of the manual that have the key `key`, as their headers are written.
    pub(crate) fn sections_with(key: &str) -> Vec<String> {
        let mut found = Vec::new();
        list_sections_with(key, Self::defaults(), "", &mut found);
        found
    }
}

/// The tables at a key: one, or each of an array.
pub(crate) fn tables<'a>(node: &'a Node<'a>) -> Vec<&'a DeTable<'a>> {
    match node.get_ref() {
        DeValue::Table(table) => vec![table],
        DeValue::Array(items) => items
            .iter()
            .filter_map(|item| item.get_ref().as_table())
            .collect(),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => Vec::new(),
    }
}

/// Reads a default. That it can be read is proven by the test that reads all of them.
pub(crate) fn read_default<K: Kind>(kind: &K, node: &Node<'_>) -> K::Value {
    let source = Source {
        name: "default.toml",
        text: DEFAULT_TOML,
    };
    let findings = Findings::new(&source, Vec::new(), false);
    let value = kind.read(
        node,
        &Place {
            key: "",
            findings: &findings,
        },
    );
    value.expect("default.toml is valid: a test reads it")
}

fn list_sections_with(
    key: &str,
    table: &'static DeTable<'static>,
    path: &str,
    found: &mut Vec<String>,
) {
    for (name, node) in table {
        let path = if path.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{path}.{}", name.get_ref())
        };
        let header = if node.get_ref().is_array() {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        };
        for inner in tables(node) {
            if inner.contains_key(key) && !found.contains(&header) {
                found.push(header.clone());
            }
            list_sections_with(key, inner, &path, found);
        }
    }
}

#[cfg(test)]
mod tests;
