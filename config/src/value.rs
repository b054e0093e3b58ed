//! Kinds of values: what a key accepts, how that is read, and how it is said.
//!
//! A kind states once what it accepts ([`Kind::expects`]). The same words stand in the help of
//! every fault and, checked by a test, in `default.toml`, so neither can promise what the reader
//! refuses.

pub(crate) mod address;
pub(crate) mod number;
pub(crate) mod text;

use serde_spanned::Spanned;
use toml::de::DeValue;

use crate::{
    fault::Findings,
    source::{Located, Span},
};

/// A value of the document with its place.
pub(crate) type Node<'a> = Spanned<DeValue<'a>>;

/// What a key accepts.
pub(crate) trait Kind {
    /// What reading gives.
    type Value;

    /// What is accepted, as a noun phrase: `a whole number from 1 to 9`.
    fn expects(&self) -> String;

    /// Reads `node`; says what is wrong with it otherwise.
    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<Self::Value>;

    /// What is wrong with a value of another type, where a kind can say more than its type.
    fn describe(&self, node: &Node<'_>) -> String {
        format!("{} cannot stand here", type_of(node.get_ref()))
    }
}

/// Where a kind puts its faults: the key, and the collection.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) key: &'a str,
    pub(crate) findings: &'a Findings<'a>,
}

/// `true` or `false`.
#[derive(Debug)]
pub(crate) struct Flag;

/// One of some words.
#[derive(Debug)]
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

/// One word that means "none of these", or a value of another kind.
#[derive(Debug)]
pub(crate) struct OrWord<K>(pub(crate) &'static str, pub(crate) K);

/// A list of values of one kind, each in the same key.
#[derive(Debug)]
pub(crate) struct List<K> {
    pub(crate) of: K,
    /// What the list is called: `a list of addresses, like ["10.0.0.2:80"]`.
    pub(crate) expects: &'static str,
}

/// A list as far as it could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Items<T> {
    /// The items that could be read.
    pub(crate) known: Vec<Located<T>>,
    /// How the others are written. Their faults are noted.
    pub(crate) unread: Vec<String>,
}

impl<T> Items<T> {
    /// The values, if all of them could be read.
    pub(crate) fn complete(self) -> Option<Vec<T>> {
        let complete = self.unread.is_empty();
        complete.then(|| self.known.into_iter().map(|item| item.value).collect())
    }

    /// Whether nothing stands in the list.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.unread.is_empty()
    }
}

impl Place<'_> {
    /// Says that the value at `node` is wrong: `what`, with the kind's `expects` as help.
    pub(crate) fn refuse(&self, node: &Node<'_>, what: String, kind: &impl Kind) {
        self.complain(node, what, format!("expected {}", kind.expects()));
    }

    /// Says that the value at `node` is wrong.
    pub(crate) fn complain(&self, node: &Node<'_>, what: String, help: String) {
        self.findings
            .add(Span::from(node.span()), self.key.to_owned(), what, help);
    }
}

impl Kind for Flag {
    type Value = bool;

    fn expects(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<bool> {
        let flag = node.get_ref().as_bool();
        if flag.is_none() {
            place.refuse(node, self.describe(node), self);
        }
        flag
    }
}

impl<T: Copy> Kind for Choice<T> {
    type Value = T;

    fn expects(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("{word:?}")).collect();
        match words.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<T> {
        let Some(found) = node.get_ref().as_str() else {
            place.refuse(node, self.describe(node), self);
            return None;
        };
        let value = self
            .0
            .iter()
            .find(|(word, _)| *word == found)
            .map(|(_, value)| *value);
        if value.is_none() {
            let near = nearest(found, self.0.iter().map(|(word, _)| *word));
            let expected = format!("expected {}", self.expects());
            let help = match near {
                Some(word) => format!("did you mean {word:?}? {expected}"),
                None => expected,
            };
            place.complain(node, format!("{found:?} is not known here"), help);
        }
        value
    }
}

impl<K: Kind> Kind for OrWord<K> {
    type Value = Option<K::Value>;

    fn expects(&self) -> String {
        format!("{:?} or {}", self.0, self.1.expects())
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<Self::Value> {
        if node.get_ref().as_str() == Some(self.0) {
            return Some(None);
        }
        // The other kind finds what is wrong; its own help would leave the word out.
        let inner = Findings::new(place.findings.source(), Vec::new(), false);
        let read = self.1.read(
            node,
            &Place {
                key: place.key,
                findings: &inner,
            },
        );
        for (span, what, help) in inner.into_parts() {
            // What is said of a part of the value is said already.
            let whole = span == Span::from(node.span());
            let help = match help.strip_prefix("expected ").filter(|_| whole) {
                Some(expected) => format!("expected {:?} or {expected}", self.0),
                None => help,
            };
            place.findings.add(span, place.key.to_owned(), what, help);
        }
        read.map(Some)
    }
}

impl<K: Kind> Kind for List<K> {
    type Value = Items<K::Value>;

    fn expects(&self) -> String {
        self.expects.to_owned()
    }

    /// An item that cannot be read does not hide what is to be said of the others.
    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<Self::Value> {
        let Some(items) = node.get_ref().as_array() else {
            place.refuse(node, self.describe(node), self);
            return None;
        };
        let mut list = Items {
            known: Vec::new(),
            unread: Vec::new(),
        };
        for item in items {
            let span = Span::from(item.span());
            match self.of.read(item, place) {
                Some(value) => list.known.push(Located {
                    value,
                    span,
                    said: true,
                }),
                None => {
                    let written = place.findings.source().slice(span);
                    list.unread
                        .push(written.trim_matches(['"', '\'']).to_owned());
                }
            }
        }
        Some(list)
    }

    fn describe(&self, node: &Node<'_>) -> String {
        format!("{} stands where a list belongs", type_of(node.get_ref()))
    }
}

/// The type of a value, with its article.
pub(crate) fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The one of `words` that `found` was most likely meant to be.
///
/// A third of the letters may be wrong, one always: more than that and the suggestion misleads.
pub(crate) fn nearest<'w>(
    found: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let found = found.to_lowercase().replace('-', "_");
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&found, word), word))
        .filter(|(distance, word)| *distance <= (word.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests;
