//! What comes next, decided and not done: debts, what is to be sent again, new text, probes, ACKs.
//!
//! Nothing here changes the TCB, so "does it want to transmit" and "what" cannot disagree. New text
//! passes Nagle's algorithm (RFC 9293 3.7.4), the sender's silly-window avoidance (3.8.6.2.1), the
//! peer's window and the congestion window, in one place.

use tidegate_wire::FastOpen;

use crate::memory::Memory;
use crate::ranges::Range;
use crate::state::State;
use crate::tcb::{Flags, Owes, TIMESTAMPS_LEN, Tcb};
use crate::{Context, SeqNum};

/// A segment that is to go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The RST of an ABORT.
    Reset,
    /// The RST at `snd.refused`.
    Refusal,
    /// SYN, or SYN and ACK, as the state has it, with what Fast Open adds.
    Syn(Extra),
    /// Text, a FIN, or both.
    Text(Piece),
    /// A probe of an idle peer (RFC 9293 3.8.4, SHLD-12: without text).
    Keepalive,
    /// An ACK alone.
    Ack,
}

/// What Fast Open adds to a SYN or SYN-ACK (RFC 7413).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extra {
    pub(super) fast_open: Option<FastOpen>,
    /// Octets of text, the first of the send queue.
    pub(super) text_len: u32,
}

impl Extra {
    const NONE: Self = Self {
        fast_open: None,
        text_len: 0,
    };
}

/// A piece of the send queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) seq: SeqNum,
    /// Octets of text.
    pub(super) len: u32,
    /// Our FIN follows the text.
    pub(super) has_fin: bool,
    /// It could have been longer, had there been more text; Nagle remembers it.
    pub(super) is_small: bool,
    pub(super) why: Why,
}

/// Why a piece is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// For the first time.
    New,
    /// Into a closed window, or one too small to be polite.
    Probe,
    /// It counts as lost.
    Again {
        /// RFC 6675's rescue retransmission.
        is_rescue: bool,
    },
    /// Nothing was heard for two round trips: a tail loss probe.
    TailProbe,
    /// For the first time, and larger than others: a probe of the path (RFC 8899).
    MtuProbe,
}

impl Plan {
    /// Whether it is text that goes out for the first time, and not as a probe.
    pub(super) fn is_new_text(&self, nxt: SeqNum) -> bool {
        match self {
            Self::Text(piece) => piece.len > 0 && piece.seq == nxt && piece.why != Why::Probe,
            Self::Reset | Self::Refusal | Self::Syn(_) | Self::Keepalive | Self::Ack => false,
        }
    }
}

impl Piece {
    /// The sequence number after it.
    pub(super) fn end(&self) -> SeqNum {
        self.seq + self.len + u32::from(self.has_fin)
    }
}

impl Tcb {
    /// The next segment.
    pub(super) fn plan(&self, cx: &Context<'_>) -> Option<Plan> {
        let debts = [
            (Owes::RESET, Plan::Reset),
            (Owes::REFUSAL, Plan::Refusal),
            (Owes::SYN, Plan::Syn(Extra::NONE)),
        ];
        let debt = debts
            .into_iter()
            .find(|(owed, _)| self.owes.contains(*owed));
        if let Some((_, plan)) = debt {
            return Some(plan);
        }
        let text = if self.state.can_transmit_text() {
            self.next_text(cx)
        } else {
            None
        };
        if let Some(piece) = text {
            return Some(Plan::Text(piece));
        }
        if self.owes.contains(Owes::KEEPALIVE) {
            return Some(Plan::Keepalive);
        }
        let is_ack_owed = self.owes.contains(Owes::ACK) || self.rcv.dup_acks_owed > 0;
        (is_ack_owed && self.state != State::SynSent).then_some(Plan::Ack)
    }

    /// The next piece of the send queue that may go out now.
    fn next_text(&self, cx: &Context<'_>) -> Option<Piece> {
        let max = self.text_max(cx.memory);
        if self.snd.wnd == 0 {
            return self.next_probe(max);
        }
        if self.owes.contains(Owes::TAIL_PROBE) {
            return self.next_tail_probe(max);
        }
        if self.is_paced_out(cx) {
            return self.next_probe(max);
        }
        let room = self.cwnd_room(cx.memory);
        let again = self.next_again(cx.memory).and_then(|(range, is_forced)| {
            let piece = self.piece_again(range, max, false)?;
            (is_forced || piece.len <= room).then_some(piece)
        });
        again
            .or_else(|| self.next_mtu_probe(max, room, cx.memory))
            .or_else(|| self.next_new(max, room))
            .or_else(|| self.next_spare_piece(max, room, cx.memory))
            .or_else(|| self.next_probe(max))
    }

    /// RFC 8985 7.3: a new segment, whatever the congestion window says, or else the last one again.
    fn next_tail_probe(&self, max: u32) -> Option<Piece> {
        let why = Why::TailProbe;
        if let Some(piece) = self.offer_new(max) {
            return Some(Piece { why, ..piece });
        }
        let last = Range {
            left: (self.snd.nxt - max).latest(self.snd.una),
            right: self.snd.nxt,
        };
        let piece = self.piece_again(last, max, false)?;
        Some(Piece { why, ..piece })
    }

    /// Octets of text that a segment has room for beside its options (MUST-16).
    fn text_max(&self, memory: &Memory) -> u32 {
        let sack = match self.sack_blocks(memory).len() {
            0 => 0,
            blocks => 4 + 8 * u32::try_from(blocks).unwrap_or(0),
        };
        let timestamps = if self.has(Flags::TIMESTAMPS) {
            u32::from(TIMESTAMPS_LEN)
        } else {
            0
        };
        u32::from(self.snd.mss) - timestamps - sack
    }

    /// New text: SND.NXT moves.
    fn next_new(&self, max: u32, room: u32) -> Option<Piece> {
        let piece = self.offer_new(max)?;
        (piece.len <= room).then_some(piece)
    }

    /// New text in a segment that is larger than others (RFC 8899 4.1), where its time has come.
    fn next_mtu_probe(&self, max: u32, room: u32, memory: &Memory) -> Option<Piece> {
        // SACK blocks would make it smaller than it is meant to be.
        let len = (max == self.smss()).then(|| self.mtu_probe_len(room, memory))??;
        Some(Piece {
            seq: self.snd.nxt,
            len,
            has_fin: false,
            is_small: false,
            why: Why::MtuProbe,
        })
    }

    /// What would go out if the congestion window let it.
    fn offer_new(&self, max: u32) -> Option<Piece> {
        if self.unsent() == 0 {
            return None;
        }
        let seq = self.snd.nxt;
        let text = self.text_end() - seq;
        let text = u32::try_from(text).unwrap_or(0);
        // MUST-34: the usable window of a peer that took some back is negative.
        let usable = u32::try_from(self.window_edge() - seq).unwrap_or(0);
        let len = text.min(usable).min(max);
        // The FIN takes an octet of the window like any other.
        let has_fin = self.is_fin_queued() && len == text && usable > len;
        if len == 0 && !has_fin {
            return None;
        }
        let is_all = len == text;
        let is_small = len < max;
        let is_polite = if !is_small {
            true
        } else if is_all {
            has_fin || self.is_small_segment_welcome()
        } else {
            // MUST-38 (3): the window cuts it short. Half of the largest window is worth a segment.
            self.flight_size() == 0 && len >= self.snd.wnd_max / 2
        };
        is_polite.then_some(Piece {
            seq,
            len,
            has_fin,
            is_small,
            why: Why::New,
        })
    }

    /// SHLD-7, Nagle's algorithm in the form of RFC 9293 appendix A.3: one small segment at a time
    /// may be outstanding. MUST-17: unless the user does not want it. A FIN behind it pushes it
    /// out.
    fn is_small_segment_welcome(&self) -> bool {
        let is_one_outstanding = self.snd.small.is_within(self.snd.una + 1, self.snd.nxt + 1);
        self.has(Flags::NODELAY) || self.is_fin_queued() || !is_one_outstanding
    }

    /// RFC 6675 4, NextSeg (3) and (4).
    fn next_spare_piece(&self, max: u32, room: u32, memory: &Memory) -> Option<Piece> {
        let (range, is_rescue) = self.next_spare(memory)?;
        let piece = self.piece_again(range, max, is_rescue)?;
        (piece.len <= room).then_some(piece)
    }

    /// The first piece of `range`, sent before, that the peer's window still covers (SHLD-16).
    fn piece_again(&self, range: Range, max: u32, is_rescue: bool) -> Option<Piece> {
        let right = range
            .right
            .earliest(self.window_edge())
            .earliest(range.left + max);
        let text_right = right.earliest(self.text_end());
        let len = u32::try_from(text_right - range.left).unwrap_or(0);
        let has_fin = range.right.after(self.text_end())
            && range.left + len == self.text_end()
            && self.window_edge().after(self.text_end());
        let why = Why::Again { is_rescue };
        let piece = Piece {
            seq: range.left,
            len,
            has_fin,
            is_small: len < max,
            why,
        };
        (len > 0 || has_fin).then_some(piece)
    }

    /// MUST-36: a probe of the closed window, one octet at SND.UNA; or, where the window is not
    /// closed but too small, what fits, because it stayed so for too long (MUST-38, the override).
    fn next_probe(&self, max: u32) -> Option<Piece> {
        if !self.owes.contains(Owes::PROBE) {
            return None;
        }
        let text = u32::try_from(self.text_end() - self.snd.una).unwrap_or(0);
        let len = text.min(self.snd.wnd.max(1)).min(max);
        let has_fin = text == 0 && self.is_fin_queued();
        let piece = Piece {
            seq: self.snd.una,
            len,
            has_fin,
            is_small: false,
            why: Why::Probe,
        };
        (len > 0 || has_fin).then_some(piece)
    }

    /// Whether it is the peer's window that holds back what would go out.
    pub(crate) fn is_held_by_window(&self, cx: &Context<'_>) -> bool {
        self.offer_new(self.text_max(cx.memory)).is_none()
    }

    /// Whether the congestion window, and nothing else, holds back what would go out.
    pub(super) fn is_held_by_cwnd(&self, cx: &Context<'_>) -> bool {
        if !self.state.can_transmit_text() || self.snd.wnd == 0 {
            return false;
        }
        let max = self.text_max(cx.memory);
        let has_text = self.next_again(cx.memory).is_some() || self.offer_new(max).is_some();
        has_text && self.is_window_used(cx)
    }
}
