//! One table of the document, read key by key.
//!
//! A section knows the keys it was asked for, so at the end it knows which keys of the file nobody
//! asked for. What the file does not say comes from `default.toml`: the defaults are that file.

use std::cell::RefCell;

use toml::de::DeTable;

use crate::{
    fault::Findings,
    manual::{self, Manual},
    source::{Located, Span},
    value::{Kind, Node, Place, nearest, type_of},
};

/// What was read of a key: nothing if it is wrong, which is then among the faults.
pub(crate) type Read<T> = Option<Located<T>>;

/// The value of a key that is not the word for "none of these".
pub(crate) fn chosen<T>(read: &Read<Option<T>>) -> Option<(&T, Span)> {
    let read = read.as_ref()?;
    Some((read.value.as_ref()?, read.span))
}

/// Names that other programs have for what is called otherwise here.
const KNOWN_ELSEWHERE: [(&str, &str); 12] = [
    ("maxconn", "flows_max"),
    ("max_connections", "flows_max"),
    ("threads", "count"),
    ("nbthread", "count"),
    ("somaxconn", "backlog"),
    ("bind", "addresses"),
    ("listen", "addresses"),
    ("address", "addresses"),
    ("server", "backend"),
    ("gateway", "gateways"),
    ("hop_limit", "ttl"),
    ("queue_count", "queues"),
];

/// One table of the document, or its absence.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// Where the table is, as keys name it: `port.fault`. Empty for the whole document.
    pub(crate) path: String,
    /// The header; `None` for the whole document and for a table that is not in the file.
    span: Option<Span>,
    /// The table of the file.
    table: Option<&'a DeTable<'a>>,
    /// Tables of the file that answer for what this one does not say, nearest first.
    fallbacks: Vec<&'a DeTable<'a>>,
    /// The same table in `default.toml`, several where the file shows several.
    defaults: Vec<&'static DeTable<'static>>,
    known: RefCell<Vec<&'static str>>,
    /// Keys that must be there and are not: key, what, help.
    missing: RefCell<Vec<(String, String, String)>>,
    findings: &'a Findings<'a>,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(crate) fn root(table: &'a DeTable<'a>, findings: &'a Findings<'a>) -> Self {
        Self {
            path: String::new(),
            span: None,
            table: Some(table),
            fallbacks: Vec::new(),
            defaults: vec![Manual::defaults()],
            known: RefCell::default(),
            missing: RefCell::default(),
            findings,
        }
    }

    /// Whether the table of the file itself says something of `key`.
    pub(crate) fn says(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// The value of `key`, its default if the file does not say.
    pub(crate) fn value<K: Kind>(&self, key: &'static str, kind: &K) -> Read<K::Value> {
        self.know(key, kind);
        let place = Place {
            key: &self.full(key),
            findings: self.findings,
        };
        let tables = self.table.iter().chain(&self.fallbacks);
        if let Some(node) = tables.filter_map(|table| table.get(key)).next() {
            let value = kind.read(node, &place)?;
            return Some(Located {
                value,
                span: node.span().into(),
                said: true,
            });
        }
        let default = self.defaults.iter().find_map(|table| table.get(key));
        let node = default.expect("default.toml has every key: a test reads it");
        let value = manual::read_default(kind, node);
        Some(Located {
            value,
            span: self.here(),
            said: false,
        })
    }

    /// The value of `key`, which has no default but must be there.
    pub(crate) fn required<K: Kind>(&self, key: &'static str, kind: &K) -> Read<K::Value> {
        if !self.says(key) {
            self.know(key, kind);
            let what = format!("`{key}` is missing");
            let example = Manual::example(&self.defaults, key);
            let help = format!("expected {}, as in `{example}`", kind.expects());
            self.missing(key, what, help);
            return None;
        }
        self.value(key, kind)
    }

    /// The value of `key` if the file has it; it has no default.
    pub(crate) fn optional<K: Kind>(&self, key: &'static str, kind: &K) -> Option<Read<K::Value>> {
        if !self.says(key) {
            self.know(key, kind);
            return None;
        }
        Some(self.value(key, kind))
    }

    /// The table `key` of this one.
    pub(crate) fn child(&self, key: &'static str) -> Self {
        self.known.borrow_mut().push(key);
        let node = self.table.and_then(|table| table.get(key));
        let mut table = None;
        if let Some(node) = node {
            table = manual::tables(node).first().copied();
            if !node.get_ref().is_table() {
                let help = format!("write [{}] with one pair of brackets", self.full(key));
                self.refuse(node, "a table", key, help);
            }
        }
        let span = node.map(|node| node.span().into()).or(self.span);
        self.section(key, table, span)
    }

    /// The tables `[[key]]` of this one.
    pub(crate) fn children(&self, key: &'static str) -> Vec<Self> {
        self.known.borrow_mut().push(key);
        let Some(node) = self.table.and_then(|table| table.get(key)) else {
            return Vec::new();
        };
        let help = || format!("write [[{}]] with two pairs of brackets", self.full(key));
        let section = |node: &'a Node<'a>| {
            let table = node.get_ref().as_table();
            self.section(key, table, Some(node.span().into()))
        };
        let Some(items) = node.get_ref().as_array() else {
            self.refuse(node, "a list of tables", key, help());
            // What stands in it is read all the same, so that its mistakes are named as well.
            return node
                .get_ref()
                .is_table()
                .then(|| section(node))
                .into_iter()
                .collect();
        };
        for item in items.iter().filter(|item| !item.get_ref().is_table()) {
            self.refuse(item, "a table", key, help());
        }
        items
            .iter()
            .filter(|item| item.get_ref().is_table())
            .map(section)
            .collect()
    }

    /// This section, with what it does not say answered by `other` before the defaults.
    pub(crate) fn falling_back_to(mut self, other: &Self) -> Self {
        self.fallbacks.extend(other.table);
        self.defaults.clone_from(&other.defaults);
        self
    }

    /// Notes that `key` belongs here and is missing.
    pub(crate) fn missing(&self, key: &str, what: impl Into<String>, help: impl Into<String>) {
        self.missing
            .borrow_mut()
            .push((key.to_owned(), what.into(), help.into()));
    }

    /// Says that `key`, which the file has here, does not belong here.
    pub(crate) fn misplaced(&self, key: &str, what: impl Into<String>, help: impl Into<String>) {
        if let Some((name, _)) = self.table.and_then(|table| table.get_key_value(key)) {
            self.findings
                .add(name.span().into(), self.full(key), what, help);
        }
    }

    /// Says which keys of the file nobody asked for, and which are missing. To be called when all
    /// were asked for.
    pub(crate) fn finish(&self) {
        let known = self.known.borrow();
        let mut meant = Vec::new();
        let keys = self.table.into_iter().flat_map(|table| table.keys());
        for key in keys.filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let name: &str = key.get_ref();
            let what = match self.path.as_str() {
                "" => format!("there is no table or key `{name}`"),
                path => format!("[{path}] has no key `{name}`"),
            };
            let suggestion = suggest(name, &known, &self.path);
            meant.extend(suggestion.key);
            self.findings
                .add(key.span().into(), self.full(name), what, suggestion.help);
        }
        for (key, what, help) in self.missing.take() {
            // A key with a slip in it is one mistake, not a wrong one and a missing one.
            if !meant.contains(&key.as_str()) {
                self.findings
                    .add_missing(self.span, self.full(&key), what, help);
            }
        }
    }

    /// A section below this one.
    fn section(&self, key: &str, table: Option<&'a DeTable<'a>>, span: Option<Span>) -> Self {
        Self {
            path: self.full(key),
            span,
            table,
            fallbacks: Vec::new(),
            defaults: self.default_children(key),
            known: RefCell::default(),
            missing: RefCell::default(),
            findings: self.findings,
        }
    }

    /// Says that the value of `key` should be `wanted`.
    fn refuse(&self, node: &Node<'_>, wanted: &str, key: &str, help: String) {
        let what = format!("{} stands where {wanted} belongs", type_of(node.get_ref()));
        self.findings
            .add(node.span().into(), self.full(key), what, help);
    }

    /// The path of `key` in this section.
    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Where a fault of something that stands nowhere is shown.
    fn here(&self) -> Span {
        self.span.unwrap_or(Span { start: 0, end: 0 })
    }

    /// The tables of this key in `default.toml`.
    fn default_children(&self, key: &str) -> Vec<&'static DeTable<'static>> {
        let nodes = self.defaults.iter().filter_map(|table| table.get(key));
        nodes.flat_map(manual::tables).collect()
    }

    /// Notes that `key` exists, and in tests what it accepts.
    fn know<K: Kind>(&self, key: &'static str, kind: &K) {
        self.known.borrow_mut().push(key);
        #[cfg(test)]
        self.findings.record(self.full(key), kind.expects());
        #[cfg(not(test))]
        let _ = kind;
    }
}

/// What is said of an unknown key.
struct Suggestion {
    /// The key of this section that was meant, if one comes near.
    key: Option<&'static str>,
    help: String,
}

/// What was most likely meant by the unknown key `name` in a section with the keys `known`.
fn suggest(name: &str, known: &[&'static str], path: &str) -> Suggestion {
    let bare = name.strip_prefix("tcp_").unwrap_or(name).replace('-', "_");
    let known_elsewhere = KNOWN_ELSEWHERE.iter().find(|(other, _)| *other == bare);
    if let Some((_, ours)) = known_elsewhere.filter(|(_, ours)| known.contains(ours)) {
        return Suggestion {
            key: Some(ours),
            help: format!("it is called `{ours}` here"),
        };
    }
    let near = |name: &str| {
        let near = nearest(name, known.iter().copied())?;
        known.iter().copied().find(|key| *key == near)
    };
    if let Some(near) = near(name).or_else(|| near(&bare)) {
        return Suggestion {
            key: Some(near),
            help: format!("did you mean `{near}`?"),
        };
    }
    let elsewhere = Manual::sections_with(&bare);
    if let Some(section) = elsewhere.first().filter(|section| section.as_str() != path) {
        return Suggestion {
            key: None,
            help: format!("`{bare}` is a key of {section}"),
        };
    }
    let mut keys: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    keys.sort();
    keys.dedup();
    Suggestion {
        key: None,
        help: format!("known here: {}", keys.join(", ")),
    }
}
