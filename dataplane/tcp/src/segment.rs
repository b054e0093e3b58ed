//! A received segment as the state machine sees it: the RFC's SEG variables (RFC 9293 3.3.1).

use tidegate_wire::{Ip, Tcp, TcpFlags, TcpOptions};

use crate::ecn::{CE, ECN_BITS};
use crate::{FourTuple, SeqNum};

/// A segment whose headers were parsed and whose checksum was verified (MUST-3, in `wire`).
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The connection it belongs to, seen from our side.
    pub tuple: FourTuple,
    /// SEG.SEQ: the sequence number of its first octet, a SYN included.
    pub seq: SeqNum,
    /// SEG.ACK, of no meaning without the ACK bit.
    pub ack: SeqNum,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field as it stands in the header, not scaled.
    pub wnd: u16,
    /// The urgent pointer as it stands in the header, an offset from `seq`.
    pub urgent: u16,
    /// The options that this stack knows.
    pub options: TcpOptions,
    /// The text.
    pub text: &'a [u8],
    /// Diffserv and ECN of the datagram.
    pub traffic_class: u8,
}

impl<'a> Segment<'a> {
    /// Reads the SEG variables out of the headers of a received datagram.
    #[must_use]
    pub fn new(ip: &Ip, tcp: &Tcp, text: &'a [u8]) -> Self {
        let tuple = FourTuple {
            local: ip.dst,
            local_port: tcp.dst_port,
            remote: ip.src,
            remote_port: tcp.src_port,
        };
        Self {
            tuple,
            seq: SeqNum::new(tcp.seq),
            ack: SeqNum::new(tcp.ack),
            flags: tcp.flags,
            wnd: tcp.wnd,
            urgent: tcp.urgent,
            options: tcp.options,
            text,
            traffic_class: ip.traffic_class,
        }
    }

    /// SEG.LEN: octets of sequence space, SYN and FIN counted (RFC 9293 3.4).
    #[must_use]
    pub fn len(&self) -> u32 {
        self.text_len() + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }

    /// Whether it takes no sequence space at all, as a pure ACK does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a router on the way has marked it for congestion (CE, RFC 3168 5).
    #[must_use]
    pub const fn is_marked(&self) -> bool {
        self.traffic_class & ECN_BITS == CE
    }

    /// Octets of text.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a datagram holds at most 65535 octets"
    )]
    pub(crate) const fn text_len(&self) -> u32 {
        self.text.len() as u32
    }

    /// Whether all of `flags` are set.
    pub(crate) fn has(&self, flags: TcpFlags) -> bool {
        self.flags.contains(flags)
    }
}
