//! ICMP for IPv6 (RFC 4443) with the two messages of neighbour discovery that a host needs to be
//! found and to find others (RFC 4861 4.3 and 4.4).
//!
//! Not done: router discovery, redirects, multicast listener discovery; they come out as
//! [`Icmpv6::Other`].

use core::net::{IpAddr, Ipv6Addr};

use crate::{Discard, Ip, MacAddr, PROTOCOL_ICMPV6, Sum};

mod ndp;

pub use ndp::solicited_node;

/// Bytes that every message has: type, code, checksum.
const COMMON_LEN: usize = 4;
/// Bytes before the text of an echo or the quoted datagram of an error.
const HEADER_LEN: usize = 8;

/// Type: destination unreachable.
const UNREACHABLE: u8 = 1;
/// Type: packet too big.
const PACKET_TOO_BIG: u8 = 2;
/// Type: time exceeded.
const TIME_EXCEEDED: u8 = 3;
/// Type: parameter problem.
const PARAMETER_PROBLEM: u8 = 4;
/// Type: echo request.
const ECHO_REQUEST: u8 = 128;
/// Type: echo reply.
const ECHO_REPLY: u8 = 129;
/// Type: neighbour solicitation.
const NEIGHBOUR_SOLICITATION: u8 = 135;
/// Type: neighbour advertisement.
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// An ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icmpv6<'a> {
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
    /// A datagram was longer than the MTU of a link on its way.
    PacketTooBig {
        /// The MTU of that link in bytes.
        mtu: u32,
        /// The beginning of that datagram, for [`crate::Quoted::parse`].
        quoted: &'a [u8],
    },
    /// A datagram did not get to its destination.
    Unreachable {
        /// Why: 0 no route, 1 prohibited, 3 address, 4 port, ...
        code: u8,
        /// The beginning of that datagram.
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
        /// 0 a field, 1 a next header, 2 an option.
        code: u8,
        /// The byte of the quoted datagram that is at fault.
        pointer: u32,
        /// The beginning of that datagram.
        quoted: &'a [u8],
    },
    /// Who has the target address?
    NeighbourSolicitation {
        /// The address that is asked for.
        target: Ipv6Addr,
        /// Where the answer can be sent; none while the sender tests its own address.
        source_mac: Option<MacAddr>,
    },
    /// The sender has the target address.
    NeighbourAdvertisement {
        /// The address that is told of.
        target: Ipv6Addr,
        /// Where it lives.
        target_mac: Option<MacAddr>,
        /// The sender is a router.
        router: bool,
        /// This answers a solicitation.
        solicited: bool,
        /// What is known of the address is to be replaced.
        override_: bool,
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

impl<'a> Icmpv6<'a> {
    /// Reads the message that a datagram with the header `ip` carries, checks its checksum, and
    /// for neighbour discovery what RFC 4861 7.1 asks of it.
    ///
    /// # Errors
    /// The message is cut short, its checksum is wrong, or it breaks a rule of neighbour discovery.
    pub fn parse(bytes: &'a [u8], ip: &Ip) -> Result<Self, Discard> {
        let (&[kind, code, _, _], body) = bytes
            .split_first_chunk::<COMMON_LEN>()
            .ok_or(Discard::IcmpTruncated)?;
        if pseudo_header(ip, bytes.len()).add(bytes).partial() != 0xffff {
            return Err(Discard::IcmpChecksum);
        }
        match kind {
            NEIGHBOUR_SOLICITATION => ndp::parse_solicitation(ip, code, body),
            NEIGHBOUR_ADVERTISEMENT => ndp::parse_advertisement(ip, code, body),
            UNREACHABLE | PACKET_TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM | ECHO_REQUEST
            | ECHO_REPLY => Self::parse_plain(kind, code, body),
            _ => Ok(Self::Other { kind, code, body }),
        }
    }

    /// Reads an echo or an error: one word, then text or the quoted datagram.
    fn parse_plain(kind: u8, code: u8, body: &'a [u8]) -> Result<Self, Discard> {
        let (&word, rest) = body
            .split_first_chunk::<4>()
            .ok_or(Discard::IcmpTruncated)?;
        let (id, seq) = (
            u16::from_be_bytes([word[0], word[1]]),
            u16::from_be_bytes([word[2], word[3]]),
        );
        let word = u32::from_be_bytes(word);
        Ok(match kind {
            UNREACHABLE => Self::Unreachable { code, quoted: rest },
            PACKET_TOO_BIG => Self::PacketTooBig {
                mtu: word,
                quoted: rest,
            },
            TIME_EXCEEDED => Self::TimeExceeded { code, quoted: rest },
            PARAMETER_PROBLEM => Self::ParameterProblem {
                code,
                pointer: word,
                quoted: rest,
            },
            ECHO_REQUEST => Self::EchoRequest {
                id,
                seq,
                text: rest,
            },
            _ => Self::EchoReply {
                id,
                seq,
                text: rest,
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
            | Self::PacketTooBig { quoted, .. }
            | Self::TimeExceeded { quoted, .. }
            | Self::ParameterProblem { quoted, .. } => HEADER_LEN + quoted.len(),
            Self::NeighbourSolicitation {
                source_mac: mac, ..
            }
            | Self::NeighbourAdvertisement {
                target_mac: mac, ..
            } => ndp::len(*mac),
            Self::Other { body, .. } => COMMON_LEN + body.len(),
        }
    }

    /// Never: the shortest message has four bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the message, with the checksum it has in a datagram with the header `ip`, at the
    /// start of `out`, and answers how long it is. For neighbour discovery the caller sees to a hop
    /// limit of 255.
    ///
    /// # Panics
    /// `out` is shorter than [`Self::len`].
    pub fn emit(&self, ip: &Ip, out: &mut [u8]) -> usize {
        let out = &mut out[..self.len()];
        let (kind, code, word, rest) = match *self {
            Self::EchoRequest { id, seq, text } => {
                (ECHO_REQUEST, 0, u32::from(id) << 16 | u32::from(seq), text)
            }
            Self::EchoReply { id, seq, text } => {
                (ECHO_REPLY, 0, u32::from(id) << 16 | u32::from(seq), text)
            }
            Self::PacketTooBig { mtu, quoted } => (PACKET_TOO_BIG, 0, mtu, quoted),
            Self::Unreachable { code, quoted } => (UNREACHABLE, code, 0, quoted),
            Self::TimeExceeded { code, quoted } => (TIME_EXCEEDED, code, 0, quoted),
            Self::ParameterProblem {
                code,
                pointer,
                quoted,
            } => (PARAMETER_PROBLEM, code, pointer, quoted),
            Self::NeighbourSolicitation { target, source_mac } => {
                ndp::emit_solicitation(target, source_mac, &mut out[COMMON_LEN..]);
                return finish(ip, NEIGHBOUR_SOLICITATION, 0, out);
            }
            Self::NeighbourAdvertisement {
                target,
                target_mac,
                router,
                solicited,
                override_,
            } => {
                let flags = ndp::flags(router, solicited, override_);
                ndp::emit_advertisement(target, target_mac, flags, &mut out[COMMON_LEN..]);
                return finish(ip, NEIGHBOUR_ADVERTISEMENT, 0, out);
            }
            Self::Other { kind, code, body } => {
                out[COMMON_LEN..].copy_from_slice(body);
                return finish(ip, kind, code, out);
            }
        };
        out[COMMON_LEN..HEADER_LEN].copy_from_slice(&word.to_be_bytes());
        out[HEADER_LEN..].copy_from_slice(rest);
        finish(ip, kind, code, out)
    }
}

/// Writes type, code and checksum of the message `out`, whose body is in place.
fn finish(ip: &Ip, kind: u8, code: u8, out: &mut [u8]) -> usize {
    out[..COMMON_LEN].copy_from_slice(&[kind, code, 0, 0]);
    let sum = pseudo_header(ip, out.len()).add(out).finish();
    out[2..4].copy_from_slice(&sum.to_be_bytes());
    out.len()
}

/// The sum of the pseudo-header of a message of `len` bytes.
fn pseudo_header(ip: &Ip, len: usize) -> Sum {
    let len = u32::try_from(len).expect("a message is at most as long as a datagram");
    Sum::new().add_pseudo_header(ip.src, ip.dst, PROTOCOL_ICMPV6, len)
}

/// Whether `address` is an IPv6 group.
fn is_group(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_multicast())
}
