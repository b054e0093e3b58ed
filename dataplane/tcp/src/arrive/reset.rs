//! The stateless RST, RFC 9293 section 3.5.3: the answer to a segment that belongs to nothing.

use tidegate_wire::{Tcp, TcpFlags, TcpOptions};

use crate::transmit::{TxChecksumMode, finish_checksum};
use crate::{FourTuple, Segment, SeqNum};

/// A RST that is owed for a segment for which there is no TCB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetReply {
    tuple: FourTuple,
    seq: SeqNum,
    /// Nothing where the RST goes without an ACK.
    ack: Option<SeqNum>,
}

impl ResetReply {
    /// Octets that [`emit`](Self::emit) writes: a header without options.
    pub const LEN: usize = Tcp::LEN;

    /// The answer to `seg`, which is not a RST itself (RFC 9293 3.5.3, group 1).
    pub(super) fn to(seg: &Segment<'_>) -> Self {
        let (seq, ack) = if seg.has(TcpFlags::ACK) {
            // The RST is believed because it stands where the peer expects us.
            (seg.ack, None)
        } else {
            (SeqNum::new(0), Some(seg.seq + seg.len()))
        };
        Self {
            tuple: seg.tuple,
            seq,
            ack,
        }
    }

    /// The sockets between which it goes, seen from our side.
    #[must_use]
    pub const fn tuple(&self) -> FourTuple {
        self.tuple
    }

    /// Writes the segment to the start of `out`, with its whole checksum, and says how long it is.
    ///
    /// # Panics
    ///
    /// `out` is shorter than [`LEN`](Self::LEN).
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let ack_flag = if self.ack.is_some() {
            TcpFlags::ACK
        } else {
            TcpFlags::empty()
        };
        let header = Tcp {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: self.seq.value(),
            ack: self.ack.map_or(0, SeqNum::value),
            flags: TcpFlags::RST | ack_flag,
            wnd: 0,
            urgent: 0,
            options: TcpOptions::default(),
        };
        let len = header.emit(out);
        finish_checksum(&self.tuple, &mut out[..len], TxChecksumMode::Full);
        len
    }
}
