//! ICMP for IPv4 (RFC 792): echo, and the errors that TCP listens to.
//!
//! Not done: redirects, timestamps, source quench, extensions (RFC 4884); they come out as
//! [`Icmpv4::Other`].

use crate::{Discard, Sum};

/// Bytes before the text of an echo or the quoted datagram of an error.
const HEADER_LEN: usize = 8;
/// Bytes that every message has: type, code, checksum.
const COMMON_LEN: usize = 4;

/// Type: echo reply.
const ECHO_REPLY: u8 = 0;
/// Type: destination unreachable.
const UNREACHABLE: u8 = 3;
/// Type: echo request.
const ECHO_REQUEST: u8 = 8;
/// Type: time exceeded.
const TIME_EXCEEDED: u8 = 11;
/// Type: parameter problem.
const PARAMETER_PROBLEM: u8 = 12;

/// An ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icmpv4<'a> {
    /// Somebody asks whether we are here.
    EchoRequest {
        /// Which program asks.
        id: u16,
        /// Which of its questions this is.
        seq: u16,
        /// To be sent back as it is.
        text: &'a [u8],
    },
    /// The answer to an echo request, with the same fields.
    EchoReply {
        /// The request's.
        id: u16,
        /// The request's.
        seq: u16,
        /// The request's.
        text: &'a [u8],
    },
    /// A datagram did not get to its destination.
    Unreachable {
        /// Why: 0 net, 1 host, 2 protocol, 3 port, 4 would have to be fragmented, ...
        code: u8,
        /// With code 4, the MTU of the next hop in bytes; zero from a router that does not follow
        /// RFC 1191, and with other codes.
        next_hop_mtu: u16,
        /// The beginning of that datagram, for [`crate::Quoted::parse`].
        quoted: &'a [u8],
    },
    /// A datagram passed too many routers, or its fragments did not all come.
    TimeExceeded {
        /// 0 in transit, 1 in reassembly.
        code: u8,
        /// The beginning of that datagram.
        quoted: &'a [u8],
    },
    /// A header was not understood.
    ParameterProblem {
        /// 0: `pointer` says where.
        code: u8,
        /// The byte of the quoted datagram that is at fault.
        pointer: u8,
        /// The beginning of that datagram.
        quoted: &'a [u8],
    },
    /// A message of another type.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// What follows the checksum.
        body: &'a [u8],
    },
}

impl<'a> Icmpv4<'a> {
    /// Reads the message that a datagram carries, and checks its checksum.
    ///
    /// # Errors
    /// The message is cut short, or its checksum is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Discard> {
        let (&[kind, code, _, _], body) = bytes
            .split_first_chunk::<COMMON_LEN>()
            .ok_or(Discard::IcmpTruncated)?;
        if Sum::new().add(bytes).partial() != 0xffff {
            return Err(Discard::IcmpChecksum);
        }
        if !matches!(
            kind,
            ECHO_REPLY | UNREACHABLE | ECHO_REQUEST | TIME_EXCEEDED | PARAMETER_PROBLEM
        ) {
            return Ok(Self::Other { kind, code, body });
        }
        let (&[r0, r1, r2, r3], rest) = body
            .split_first_chunk::<4>()
            .ok_or(Discard::IcmpTruncated)?;
        let (id, seq) = (u16::from_be_bytes([r0, r1]), u16::from_be_bytes([r2, r3]));
        Ok(match kind {
            ECHO_REPLY => Self::EchoReply {
                id,
                seq,
                text: rest,
            },
            ECHO_REQUEST => Self::EchoRequest {
                id,
                seq,
                text: rest,
            },
            UNREACHABLE => Self::Unreachable {
                code,
                next_hop_mtu: seq,
                quoted: rest,
            },
            TIME_EXCEEDED => Self::TimeExceeded { code, quoted: rest },
            _ => Self::ParameterProblem {
                code,
                pointer: r0,
                quoted: rest,
            },
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::EchoRequest { text, .. } | Self::EchoReply { text, .. } => {
                HEADER_LEN + text.len()
            }
            Self::Unreachable { quoted, .. }
            | Self::TimeExceeded { quoted, .. }
            | Self::ParameterProblem { quoted, .. } => HEADER_LEN + quoted.len(),
            Self::Other { body, .. } => COMMON_LEN + body.len(),
        }
    }

    /// Never: the shortest message has four bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message with its checksum at the start of `out` and answers how long it is.
    ///
    /// # Panics
    /// `out` is shorter than [`Self::len`].
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let (kind, code, word, rest) = match *self {
            Self::EchoRequest { id, seq, text } => (ECHO_REQUEST, 0, words(id, seq), text),
            Self::EchoReply { id, seq, text } => (ECHO_REPLY, 0, words(id, seq), text),
            Self::Unreachable {
                code,
                next_hop_mtu,
                quoted,
            } => (UNREACHABLE, code, words(0, next_hop_mtu), quoted),
            Self::TimeExceeded { code, quoted } => (TIME_EXCEEDED, code, [0; 4], quoted),
            Self::ParameterProblem {
                code,
                pointer,
                quoted,
            } => (PARAMETER_PROBLEM, code, [pointer, 0, 0, 0], quoted),
            Self::Other { kind, code, body } => {
                return finish(out, kind, code, &[], body);
            }
        };
        finish(out, kind, code, &word, rest)
    }
}

/// Two fields of 16 bits as they stand behind the checksum.
const fn words(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
    [a, b, c, d]
}

/// Writes a message of these parts, checksum included.
fn finish(out: &mut [u8], kind: u8, code: u8, word: &[u8], rest: &[u8]) -> usize {
    let text_at = COMMON_LEN + word.len();
    let (header, text) = out.split_at_mut(text_at);
    header[..COMMON_LEN].copy_from_slice(&[kind, code, 0, 0]);
    header[COMMON_LEN..].copy_from_slice(word);
    let sum = Sum::new().add(header).add_copy(text, rest).finish();
    header[2..4].copy_from_slice(&sum.to_be_bytes());
    text_at + rest.len()
}
