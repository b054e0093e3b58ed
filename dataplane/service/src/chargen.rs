//! The character generator (RFC 864): lines of printable characters for as long as the peer reads.
//!
//! Each line has 72 of the 95 printable ASCII characters and CR LF; each begins one character
//! further than the line before. The pattern repeats after 95 lines, so the whole service is one
//! table of 7,030 bytes and, for each flow, the place in it.

use tidegate_worker::{FlowId, Stack};

use crate::PerFlow;

/// Characters in a line, without its CR LF (RFC 864 proposes 72).
const LINE: usize = 72;
/// The printable ASCII characters: 0x20 to 0x7e.
const PRINTABLE: usize = 95;
/// Bytes after which the text repeats.
const PERIOD: usize = PRINTABLE * (LINE + 2);

/// The generator with the place that each of its flows has reached.
#[derive(Debug)]
pub struct Chargen {
    pattern: Vec<u8>,
    /// Offset in `pattern` of the next byte to be sent.
    places: PerFlow<usize>,
}

impl Chargen {
    /// A generator for flows with slots below `flows_max`.
    #[must_use]
    pub fn new(flows_max: u32) -> Self {
        Self {
            pattern: pattern(),
            places: PerFlow::new(flows_max),
        }
    }

    /// A new reader: begins to send.
    pub(crate) fn on_accept(&mut self, stack: &mut Stack, flow: FlowId) {
        self.places.insert(flow, 0);
        self.on_writable(stack, flow);
    }

    /// Fills the send queue until it takes no more.
    pub(crate) fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some(place) = self.places.of_mut(flow) else {
            return;
        };
        loop {
            let rest = &self.pattern[*place..];
            let Ok(taken) = stack.send(flow, rest) else {
                return;
            };
            let is_full = taken < rest.len();
            *place = (*place + taken) % PERIOD;
            if is_full {
                return;
            }
        }
    }

    /// What the reader says is thrown away (RFC 864).
    pub(crate) const fn on_text(text: &[u8]) -> usize {
        text.len()
    }

    /// The reader has closed: what is queued goes out, then our FIN.
    pub(crate) fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        self.places.take(flow);
        stack.close(flow);
    }

    /// The flow is gone.
    pub(crate) fn on_end(&mut self, flow: FlowId) {
        self.places.take(flow);
    }
}

/// One whole period of the text.
fn pattern() -> Vec<u8> {
    let printable: Vec<u8> = (b' '..=b'~').collect();
    let mut text = Vec::with_capacity(PERIOD);
    for line in 0..PRINTABLE {
        text.extend((0..LINE).map(|column| printable[(line + column) % PRINTABLE]));
        text.extend_from_slice(b"\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_begins_one_character_further() {
        let text = pattern();
        assert_eq!(text.len(), PERIOD);
        let lines: Vec<&[u8]> = text.chunks(LINE + 2).collect();
        assert!(lines[0].starts_with(b" !\"#$%&'()*+,-./0123456789"));
        assert!(lines[1].starts_with(b"!\"#$%"));
        assert!(lines.iter().all(|line| line.ends_with(b"\r\n")));
        // After the last printable character the line goes on with the space.
        assert!(lines[94].starts_with(b"~ !\""));
    }
}
