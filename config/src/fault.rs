//! What is wrong with a configuration, and how it is shown.
//!
//! A [`Fault`] carries everything it prints, so it outlives the text it was found in. One fault is
//! one mistake: the collector drops what only follows from a mistake that is named already.

use std::{cell::RefCell, fmt};

use crate::source::{Excerpt, Source, Span, harmless};

/// Faults of one configuration at most. More of them are not read by anyone, and a file with more
/// is another kind of file.
const FAULTS_MAX: usize = 1000;

/// One thing that is wrong: where, which key, what, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    file: String,
    span: Option<Span>,
    excerpt: Option<Excerpt>,
    key: String,
    what: String,
    help: String,
}

/// Everything that is wrong with one configuration, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    file: String,
    list: Vec<Fault>,
}

/// Collects faults while a text is read and validated.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    source: &'a Source<'a>,
    /// Where the text is not TOML. What is read there is a guess, so nothing more is said of it.
    broken: Vec<Span>,
    /// Whether parts of the text could not be read at all. Then nothing is called missing.
    partial: bool,
    list: RefCell<Vec<Fault>>,
    /// Every key that was asked for, with what it accepts: what the manual has to say.
    #[cfg(test)]
    asked: RefCell<std::collections::BTreeMap<String, String>>,
}

impl Fault {
    /// A fault of a whole file, not of a place in it.
    pub(crate) fn of_file(file: &str, what: String, help: &str) -> Self {
        Self {
            file: file.to_owned(),
            span: None,
            excerpt: None,
            key: String::new(),
            what,
            help: help.to_owned(),
        }
    }

    /// Line of the file, from 1; `None` where the fault is of the file as a whole.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.excerpt.as_ref().map(|excerpt| excerpt.line)
    }

    /// Column in characters, from 1; `None` where the fault is of the file as a whole.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.excerpt.as_ref().map(|excerpt| excerpt.column)
    }

    /// The key with the table it stands in, as in `port.mtu`; empty where no key is concerned.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What would be right.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            writeln!(f, "error: {}", self.what)?;
        } else {
            writeln!(f, "error[{}]: {}", self.key, self.what)?;
        }
        let margin = match &self.excerpt {
            None => {
                writeln!(f, " --> {}", self.file)?;
                String::new()
            }
            Some(Excerpt {
                line,
                column,
                text,
                underline,
            }) => {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                writeln!(f, "{margin} --> {}:{line}:{column}", self.file)?;
                writeln!(f, "{margin} |")?;
                writeln!(f, "{number} | {text}")?;
                writeln!(f, "{margin} | {underline}")?;
                margin
            }
        };
        writeln!(f, "{margin} = help: {}", self.help)
    }
}

impl Faults {
    /// One fault of a whole file.
    pub(crate) fn of_file(file: &str, what: String, help: &str) -> Self {
        Self {
            file: file.to_owned(),
            list: vec![Fault::of_file(file, what, help)],
        }
    }

    /// The faults in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.list.iter()
    }

    /// Number of faults, at least 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a fault")]
    pub fn len(&self) -> usize {
        self.list.len()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Every fault with a blank line after it, then one line that counts them.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.list {
            writeln!(f, "{fault}")?;
        }
        match self.list.len() {
            1 => write!(f, "{}: 1 fault", self.file),
            count => write!(f, "{}: {count} faults", self.file),
        }
    }
}

impl std::error::Error for Faults {}

impl<'a> Findings<'a> {
    /// An empty collection for `source`, whose text is not TOML in the places `broken`.
    pub(crate) fn new(source: &'a Source<'a>, broken: Vec<Span>, partial: bool) -> Self {
        Self {
            source,
            broken,
            partial,
            list: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Notes that the schema has `key`, and what it accepts there.
    #[cfg(test)]
    pub(crate) fn record(&self, key: String, expects: String) {
        self.asked.borrow_mut().insert(key, expects);
    }

    /// Every key of the schema that was read, with what it accepts.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> std::collections::BTreeMap<String, String> {
        self.asked.borrow().clone()
    }

    /// The text that is being read.
    pub(crate) fn source(&self) -> &Source<'a> {
        self.source
    }

    /// Whether the whole text could be read, so that what was not found is not there.
    pub(crate) fn is_whole(&self) -> bool {
        !self.partial
    }

    /// Notes that the text is not TOML at `span`.
    pub(crate) fn add_syntax(&self, span: Span, what: impl Into<String>, help: impl Into<String>) {
        self.push(Some(span), String::new(), what.into(), help.into());
    }

    /// Notes a fault of `key` at `span`, unless the text is broken there and named already.
    pub(crate) fn add(
        &self,
        span: Span,
        key: impl Into<String>,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let Some(broken) = self.broken.iter().find(|broken| broken.touches(span)) else {
            self.push(Some(span), key.into(), what.into(), help.into());
            return;
        };
        // A word without quotes was read as if it had them. If the key takes no such word, quotes
        // are not what is missing, and the key knows better what is.
        let mut list = self.list.borrow_mut();
        let named = list
            .iter_mut()
            .find(|fault| fault.span == Some(*broken) && span == *broken);
        if let Some(named) = named.filter(|fault| fault.key.is_empty()) {
            named.key = harmless(&key.into());
            named.help = harmless(&help.into());
        }
    }

    /// Notes that something is not there, if that is certain. `span` is where it belongs; `None`
    /// where it may stand anywhere.
    pub(crate) fn add_missing(
        &self,
        span: Option<Span>,
        key: impl Into<String>,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.is_whole() {
            self.push(span, key.into(), what.into(), help.into());
        }
    }

    /// Place, what and help of what was found, for a kind that puts it in other words.
    pub(crate) fn into_parts(self) -> Vec<(Span, String, String)> {
        let list = self.list.into_inner();
        list.into_iter()
            .filter_map(|f| Some((f.span?, f.what, f.help)))
            .collect()
    }

    /// What was found, or `None` if nothing is wrong.
    pub(crate) fn into_faults(self) -> Option<Faults> {
        let mut list = self.list.into_inner();
        // Stable: faults of one place stay in the order of discovery, faults of the file come last.
        list.sort_by_key(|fault| {
            fault
                .excerpt
                .as_ref()
                .map_or((usize::MAX, 0), |e| (e.line, e.column))
        });
        (!list.is_empty()).then(|| Faults {
            file: self.source.name.to_owned(),
            list,
        })
    }

    fn push(&self, span: Option<Span>, key: String, what: String, help: String) {
        let (key, what, help) = (harmless(&key), harmless(&what), harmless(&help));
        // `[tcp]` is read again for every listener and pool that builds on it: said once is enough.
        let said = |fault: &Fault| fault.span == span && fault.what == what;
        let list_len = self.list.borrow().len();
        if list_len >= FAULTS_MAX || self.list.borrow().iter().any(said) {
            return;
        }
        let excerpt = span.map(|span| self.source.excerpt(span));
        let file = self.source.name.to_owned();
        self.list.borrow_mut().push(Fault {
            file,
            span,
            excerpt,
            key,
            what,
            help,
        });
    }
}
