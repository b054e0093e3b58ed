//! Lines of a control connection, none longer than a limit, whatever the client sends.

use std::io::{BufRead, Result};

/// The longest line, in bytes, its end not counted: the text of a `send` in base64 and what is
/// around it. A client that sends more holds no more of our memory than this.
pub(super) const LINE_MAX: usize = 4 << 20;

/// What comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line that was longer than [`LINE_MAX`] and is gone.
    TooLong,
    /// There are no more. What stands after the last end of a line is no line.
    End,
}

/// Reads a line.
pub(super) fn read(from: &mut impl BufRead) -> Result<Line> {
    let mut line = Vec::new();
    let mut is_too_long = false;
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok(Line::End);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        is_too_long |= line.len() + part.len() > LINE_MAX;
        if is_too_long {
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let consumed = part.len() + usize::from(end.is_some());
        from.consume(consumed);
        if end.is_some() {
            return Ok(if is_too_long {
                Line::TooLong
            } else {
                Line::Whole(line)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn lines_end_and_long_ones_are_skipped() {
        let long = vec![b'x'; LINE_MAX + 1];
        let text = [b"one\n\n", &long[1..], b"\n", &long, b"\nlast\nrest"].concat();
        let mut reader = BufReader::with_capacity(7, text.as_slice());
        let mut next = || read(&mut reader).unwrap();
        assert_eq!(next(), Line::Whole(b"one".to_vec()));
        assert_eq!(next(), Line::Whole(Vec::new()));
        assert_eq!(next(), Line::Whole(long[1..].to_vec()));
        assert_eq!(next(), Line::TooLong);
        assert_eq!(next(), Line::Whole(b"last".to_vec()));
        assert_eq!(next(), Line::End);
        assert_eq!(next(), Line::End);
    }
}
