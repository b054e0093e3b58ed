//! From text to a TOML document, also where the text is not TOML everywhere.
//!
//! The parser of the `toml` crate recovers within a value, but a header without its bracket or a
//! list without its end makes it lose what follows. So a statement that it cannot read is blanked,
//! in place, and the rest is parsed again: every later mistake is still found, at its own line and
//! column.

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::source::{Source, Span};

/// Statements that are blanked before the rest is left as it is: each costs one more parse, and a
/// text with more of them is not a configuration.
const BLANKED_MAX: usize = 32;

/// A text of which the unreadable statements were blanked.
#[derive(Debug)]
pub(crate) struct Readable {
    /// As long as the original; parsing it recovers everything that can be.
    text: String,
    /// What is not TOML, in the order of discovery.
    pub(crate) faults: Vec<SyntaxFault>,
    /// Whether statements are missing from the document, so that nothing can be called missing.
    pub(crate) partial: bool,
}

/// One place where a text is not TOML.
#[derive(Debug)]
pub(crate) struct SyntaxFault {
    pub(crate) span: Span,
    pub(crate) what: String,
    pub(crate) help: String,
}

impl Readable {
    /// Finds what is not TOML in `source`, and blanks what nothing can be read from.
    pub(crate) fn new(source: &Source<'_>) -> Self {
        let mut readable = Self {
            text: source.text.to_owned(),
            faults: Vec::new(),
            partial: false,
        };
        while readable.faults.len() < BLANKED_MAX && readable.blank_one(source) {}
        let (root, errors) = DeTable::parse_recoverable(&readable.text);
        let mut rest: Vec<SyntaxFault> = Vec::new();
        for error in &errors {
            let span = error_span(error, &readable.text);
            readable.partial |= surrounding_value(root.get_ref(), span, &readable.text).is_none();
            // The parser can stumble twice over one place.
            if rest.last().is_none_or(|last| last.span != span) {
                rest.push(describe(error.message(), span, source));
            }
        }
        readable.faults.extend(rest);
        readable
    }

    /// The document, as far as it could be read. Spans in it are spans of the original text.
    pub(crate) fn document(&self) -> DeTable<'_> {
        DeTable::parse_recoverable(&self.text).0.into_inner()
    }

    /// Blanks the first statement that nothing can be read from; `false` if there is none.
    fn blank_one(&mut self, source: &Source<'_>) -> bool {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        let found = errors.iter().find_map(|error| {
            let span = error_span(error, &self.text);
            match surrounding_value(root.get_ref(), span, &self.text) {
                // The value swallowed the rest of the text.
                Some(value) if is_unclosed(value, &errors, &self.text) => {
                    Some(unclosed(value, source))
                }
                Some(_) => None,
                None if error.message() == "duplicate key" => None,
                None => Some(describe(error.message(), span, source)),
            }
        });
        let Some(fault) = found else { return false };
        let blanked = blank_statement(&self.text, fault.span.start);
        if blanked == self.text {
            return false;
        }
        self.text = blanked;
        self.partial = true;
        self.faults.push(fault);
        true
    }
}

/// Where an error stands. All errors of the parser have a place; the end of the text stands in for
/// one.
fn error_span(error: &Error, text: &str) -> Span {
    error.span().unwrap_or(text.len()..text.len()).into()
}

/// The outermost value around `span`, if the parser was within one.
fn surrounding_value(table: &DeTable<'_>, span: Span, text: &str) -> Option<Span> {
    table.iter().find_map(|(_, value)| {
        let own = Span::from(value.span());
        let headed = headed_tables(value, text);
        if headed.is_empty() {
            return own.touches(span).then_some(own);
        }
        headed
            .into_iter()
            .find_map(|table| surrounding_value(table, span, text))
    })
}

/// The tables under headers of their own, or made by dotted keys, that a value is; not inline ones.
fn headed_tables<'a>(value: &'a Spanned<DeValue<'a>>, text: &str) -> Vec<&'a DeTable<'a>> {
    let inline = |value: &Spanned<_>| text.as_bytes().get(value.span().start) == Some(&b'{');
    if let Some(items) = value.get_ref().as_array() {
        let headed = items.iter().filter(|item| !inline(item));
        return headed
            .filter_map(|item| item.get_ref().as_table())
            .collect();
    }
    value
        .get_ref()
        .as_table()
        .filter(|_| !inline(value))
        .into_iter()
        .collect()
}

/// Whether a value goes on to the end of the text because it was never closed.
fn is_unclosed(value: Span, errors: &[Error], text: &str) -> bool {
    value.end >= text.trim_end().len()
        && errors.iter().any(|error| {
            error_span(error, text).start >= value.end
                && (error.message().starts_with("unclosed")
                    || error.message().contains("multi-line"))
        })
}

/// The fault of a value that is never closed.
fn unclosed(value: Span, source: &Source<'_>) -> SyntaxFault {
    let (what, close) = match source.text.as_bytes().get(value.start) {
        Some(b'[') => ("this list is not closed", "`]`"),
        Some(b'{') => ("this table is not closed", "`}`"),
        _ => (
            "this text is not closed",
            "the same three quotes that it begins with",
        ),
    };
    let span = Span {
        start: value.start,
        end: value.start + 1,
    };
    SyntaxFault {
        span,
        what: what.to_owned(),
        help: format!("close it with {close}"),
    }
}

/// What the parser means, in the words of this crate.
fn describe(message: &str, span: Span, source: &Source<'_>) -> SyntaxFault {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    if what == "string values must be quoted" {
        let text = source.slice(span);
        let what = format!("`{text}` stands without quotes");
        return SyntaxFault {
            span,
            what,
            help: format!("write \"{text}\""),
        };
    }
    let help = match what {
        "duplicate key" => "keep one of the two; a table that may stand several times has \
                            two brackets, like [[listener]]"
            .to_owned(),
        "key with no value" => "write `key = value`".to_owned(),
        "unclosed table" => "close the header with `]`".to_owned(),
        "unclosed array table" => "close the header with `]]`".to_owned(),
        _ if expected.is_empty() => "see https://toml.io for how TOML is written".to_owned(),
        _ => format!("expected {expected}"),
    };
    SyntaxFault {
        span,
        what: format!("not TOML: {what}"),
        help,
    }
}

/// `text` without the statement at `at`: blanks in its place, line breaks kept.
///
/// A header takes its keys with it, since they would end up in the table before; a key takes the
/// lines that belong to no other key or header.
fn blank_statement(text: &str, at: usize) -> String {
    let at = at.min(text.len());
    let start = text.as_bytes()[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |n| n + 1);
    let is_header = text[start..]
        .trim_start_matches([' ', '\t'])
        .starts_with('[');
    let mut end = start;
    for line in text[start..].split_inclusive('\n') {
        let begins_anew = begins_header(line) || (!is_header && begins_key(line));
        if end > start && begins_anew {
            break;
        }
        end += line.len();
    }
    let blank = |c: char| match c {
        '\n' | '\r' => c.to_string(),
        _ => " ".repeat(c.len_utf8()),
    };
    let middle: String = text[start..end].chars().map(blank).collect();
    [&text[..start], &middle, &text[end..]].concat()
}

/// Whether a line begins a table.
fn begins_header(line: &str) -> bool {
    let name = line.trim_start().trim_start_matches('[');
    line.trim_start().starts_with('[') && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Whether a line begins with `key =`, or with `key:`, which is what people write who mean it.
fn begins_key(line: &str) -> bool {
    line.split_once(['=', ':']).is_some_and(|(key, _)| {
        let key = key.trim();
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
    })
}

#[cfg(test)]
mod tests;
