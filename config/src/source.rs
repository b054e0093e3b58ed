//! The text of a configuration, and places in it: what turns a byte offset into the line, the
//! column and the underlined excerpt that a fault shows.

use std::ops::Range;

/// Characters of a source line that a fault shows at most. Longer lines are cut at the right, so
/// that a pasted body of kilobytes does not bury the message.
const EXCERPT_CHARS_MAX: usize = 120;

/// Characters of a message at most: it may quote a key or a value of any length.
const MESSAGE_CHARS_MAX: usize = 400;

/// Bytes `start..end` of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A value, and where it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
    /// Whether the file says it; otherwise it is a default, and `span` is where it would stand.
    pub(crate) said: bool,
}

/// A place as people name it, with the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// The line itself, harmless on a terminal.
    pub(crate) text: String,
    /// What stands under the line: blanks up to the place, then carets.
    pub(crate) underline: String,
}

/// The text of a configuration and what to call it.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end.max(range.start),
        }
    }
}

impl Span {
    /// Whether the two share a byte or touch; an empty span touches what it stands at the edge of.
    pub(crate) fn touches(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

impl Source<'_> {
    /// The line, counted from 1, in which the byte at `offset` stands.
    pub(crate) fn line(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// What stands in `span`.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// The line in which `span` begins, with the span underlined up to the end of that line.
    pub(crate) fn excerpt(&self, span: Span) -> Excerpt {
        let start = floor_char_boundary(self.text, span.start);
        let end = floor_char_boundary(self.text, span.end.max(start));
        let line_start = self.text[..start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |at| start + at);
        let line = self.text[line_start..line_end].trim_end_matches('\r');
        let before = &self.text[line_start..start];
        let marked = self.text[start..end.min(line_end)]
            .trim_end()
            .chars()
            .count();
        let mut text: String = line
            .chars()
            .take(EXCERPT_CHARS_MAX)
            .map(printable)
            .collect();
        if line.chars().nth(EXCERPT_CHARS_MAX).is_some() {
            text.push_str(" ..");
        }
        let column = before.chars().count() + 1;
        // A tab stays a tab, so that the caret stands under its character whatever the tab width
        // is.
        let mut underline: String = before
            .chars()
            .take(EXCERPT_CHARS_MAX)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let room = (EXCERPT_CHARS_MAX + 1).saturating_sub(column).max(1);
        underline.push_str(&"^".repeat(marked.clamp(1, room)));
        Excerpt {
            line: self.line(start),
            column,
            text,
            underline,
        }
    }
}

/// The last boundary between characters at or before `offset`.
fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Text for a message as it may be shown: on one line, of a length that can be read.
pub(crate) fn harmless(text: &str) -> String {
    let show = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    let mut shown: String = text.chars().take(MESSAGE_CHARS_MAX).map(show).collect();
    if text.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        shown.push_str(" ..");
    }
    shown
}

/// A character as it may be shown: control characters could move the cursor of a terminal.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, range: Range<usize>) -> Excerpt {
        Source { name: "t", text }.excerpt(range.into())
    }

    #[test]
    fn span_is_underlined_in_its_line() {
        let found = excerpt("a = 1\nmtu = 9000 # big\n", 12..16);
        assert_eq!((found.line, found.column), (2, 7));
        assert_eq!(found.text, "mtu = 9000 # big");
        assert_eq!(found.underline, "      ^^^^");
    }

    #[test]
    fn empty_span_at_the_end_has_one_caret() {
        let found = excerpt("a = 1\n", 6..6);
        assert_eq!(
            (found.line, found.column, found.underline.as_str()),
            (2, 1, "^")
        );
    }

    #[test]
    fn columns_count_characters_and_tabs_stay() {
        let found = excerpt("\tñ = \"é\" x\r\n", 6..10);
        assert_eq!((found.column, found.underline.as_str()), (6, "\t    ^^^"));
        assert_eq!(found.text, "\tñ = \"é\" x");
    }

    #[test]
    fn span_over_several_lines_is_underlined_in_the_first() {
        let found = excerpt("a = [\n1,\n2]\n", 4..11);
        assert_eq!((found.line, found.underline.as_str()), (1, "    ^"));
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_shown_as_such() {
        let text = format!("a\u{1b}[2J{}", "x".repeat(500));
        let found = excerpt(&text, 3..400);
        assert!(found.text.starts_with("a\u{fffd}[2J"), "{}", found.text);
        assert_eq!(found.text.chars().count(), EXCERPT_CHARS_MAX + 3);
        assert_eq!(found.underline.chars().count(), EXCERPT_CHARS_MAX);
    }
}
