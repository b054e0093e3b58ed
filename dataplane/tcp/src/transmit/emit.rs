//! The segment that was planned, as bytes: header, options, text, checksum (RFC 9293 3.1).

use tidegate_wire::Instant;
use tidegate_wire::{PROTOCOL_TCP, SackBlocks, Sum, Tcp, TcpFlags, TcpOptions, Timestamps};

use super::plan::{Piece, Plan};
use crate::memory::Memory;
use crate::settings::Settings;
use crate::state::State;
use crate::tcb::{Flags, Tcb};
use crate::{Context, FourTuple, SeqNum};

/// Who computes the checksum (RFC 9293 3.1, MUST-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxChecksumMode {
    /// It is complete.
    Full,
    /// The field holds the sum of the pseudo-header; hardware adds header and text, and finishes.
    Partial,
}

/// The octet range of text in a segment that has none.
const NO_TEXT: (u32, u32) = (0, 0);

impl Tcb {
    /// Writes the segment, or nothing where `out` is too short. RCV.WND becomes what it offers.
    pub(super) fn emit(
        &mut self,
        plan: &Plan,
        out: &mut [u8],
        checksum: TxChecksumMode,
        cx: &Context<'_>,
    ) -> Option<usize> {
        let (offset, text_len) = match plan {
            Plan::Text(piece) => (piece.seq.since(self.text_start()), piece.len),
            Plan::Syn(extra) => (0, extra.text_len),
            Plan::Reset | Plan::Refusal | Plan::Keepalive | Plan::Ack => NO_TEXT,
        };
        let mut header = self.header(plan, cx);
        let header_len = header.header_len();
        let len = header_len + text_len as usize;
        let out = out.get_mut(..len)?;
        if !header.flags.contains(TcpFlags::RST) {
            header.wnd = self.advertise(header.flags.contains(TcpFlags::SYN), cx);
        }
        header.emit(out);
        let (head, mut rest) = out.split_at_mut(header_len);
        let mut sum = Sum::new().add(head);
        for slice in self.snd.queue.slices(cx.memory, offset, text_len) {
            let (place, after) = rest.split_at_mut(slice.len());
            match checksum {
                TxChecksumMode::Full => sum = sum.add_copy(place, slice),
                TxChecksumMode::Partial => place.copy_from_slice(slice),
            }
            rest = after;
        }
        debug_assert!(rest.is_empty(), "the queue holds what is sent");
        store_checksum(&self.tuple, sum, checksum, out);
        Some(len)
    }

    /// The header, all but the window.
    fn header(&self, plan: &Plan, cx: &Context<'_>) -> Tcp {
        let (seq, mut flags) = match plan {
            Plan::Reset => (self.acceptable_seq(), TcpFlags::RST | TcpFlags::ACK),
            Plan::Refusal => (self.snd.refused, TcpFlags::RST),
            Plan::Syn(_) if self.state == State::SynSent => (self.snd.iss, TcpFlags::SYN),
            Plan::Syn(_) => (self.snd.iss, TcpFlags::SYN | TcpFlags::ACK),
            Plan::Text(piece) => (piece.seq, self.flags_of(piece)),
            // RFC 9293 3.8.4: an octet that was acknowledged provokes an ACK.
            Plan::Keepalive => (self.snd.nxt - 1, TcpFlags::ACK),
            Plan::Ack => (self.acceptable_seq(), TcpFlags::ACK),
        };
        let urgent = self
            .urgent_pointer(seq)
            .filter(|_| matches!(plan, Plan::Text(_)));
        flags.set(TcpFlags::URG, urgent.is_some());
        flags |= match plan {
            Plan::Reset | Plan::Refusal => TcpFlags::empty(),
            Plan::Syn(_) => self.ecn_bits_of_syn(cx.settings),
            Plan::Text(_) | Plan::Keepalive | Plan::Ack => {
                self.ecn_bits(plan.is_new_text(self.snd.nxt))
            }
        };
        Tcp {
            src_port: self.tuple.local_port,
            dst_port: self.tuple.remote_port,
            seq: seq.value(),
            ack: if flags.contains(TcpFlags::ACK) {
                self.rcv.nxt.value()
            } else {
                0
            },
            flags,
            wnd: 0,
            urgent: urgent.unwrap_or(0),
            options: match plan {
                Plan::Refusal => TcpOptions::default(),
                // RFC 7323 3.2: a RST of a connection with timestamps should carry them, too.
                Plan::Reset => self.reset_options(cx.now),
                Plan::Syn(extra) => TcpOptions {
                    fast_open: extra.fast_open,
                    ..self.syn_options(cx.now, cx.settings)
                },
                Plan::Text(_) | Plan::Keepalive | Plan::Ack => self.options(cx.now, cx.memory),
            },
        }
    }

    /// MUST-31, MUST-62: how far behind `seq` the urgent text ends, as far as 16 bits can say.
    fn urgent_pointer(&self, seq: SeqNum) -> Option<u16> {
        let is_ahead = self.has(Flags::URGENT_SENT) && self.snd.up.after(seq);
        is_ahead.then(|| u16::try_from(self.snd.up.since(seq)).unwrap_or(u16::MAX))
    }

    /// Where a segment without text stands: at SND.NXT, but not beyond the peer's window. What was
    /// sent there, a probe's octet or text before the window was taken back, the peer has not kept,
    /// and it would discard an ACK or a RST from there as outside its window (RFC 9293 3.10.7.4,
    /// first).
    fn acceptable_seq(&self) -> SeqNum {
        self.snd.nxt.earliest(self.window_edge())
    }

    /// MUST-61: the last segment of what is queued carries PSH.
    fn flags_of(&self, piece: &Piece) -> TcpFlags {
        let mut flags = TcpFlags::ACK;
        flags.set(TcpFlags::FIN, piece.has_fin);
        flags.set(
            TcpFlags::PSH,
            piece.len > 0 && piece.seq + piece.len == self.text_end(),
        );
        flags
    }

    /// SYN: all that is offered. SYN-ACK: of that, what the peer's SYN offered too.
    fn syn_options(&self, now: Instant, settings: &Settings) -> TcpOptions {
        let is_first = self.state == State::SynSent;
        let has = |flag, offered: bool| if is_first { offered } else { self.has(flag) };
        TcpOptions {
            // SHLD-5, MAY-3: always.
            mss: Some(self.rcv.mss),
            wnd_shift: has(Flags::WND_SCALING, settings.wnd_scaling).then_some(self.rcv.wnd_shift),
            sack_permitted: has(Flags::SACK, settings.sack),
            timestamps: has(Flags::TIMESTAMPS, settings.timestamps).then(|| self.timestamps(now)),
            ..TcpOptions::default()
        }
    }

    /// The options of a segment without SYN (MUST-65: no MSS).
    fn options(&self, now: Instant, memory: &Memory) -> TcpOptions {
        TcpOptions {
            timestamps: self.has(Flags::TIMESTAMPS).then(|| self.timestamps(now)),
            sack: self.sack_blocks(memory),
            ..TcpOptions::default()
        }
    }

    /// The options of a RST: it acknowledges nothing selectively.
    fn reset_options(&self, now: Instant) -> TcpOptions {
        TcpOptions {
            timestamps: self.has(Flags::TIMESTAMPS).then(|| self.timestamps(now)),
            ..TcpOptions::default()
        }
    }

    /// RFC 2018 3 and 4: the newest blocks, as many as there is room for. RFC 2883 4: before them
    /// what came twice.
    pub(super) fn sack_blocks(&self, memory: &Memory) -> SackBlocks {
        if !self.has(Flags::SACK) {
            return SackBlocks::default();
        }
        let max = if self.has(Flags::TIMESTAMPS) { 3 } else { 4 };
        self.rcv
            .reassembly
            .sack_blocks(memory, self.rcv.duplicate, max)
    }

    /// RFC 7323 3.2: TSecr is zero while there is nothing to echo.
    fn timestamps(&self, now: Instant) -> Timestamps {
        let echo = if self.has(Flags::TS_RECENT) {
            self.rcv.ts_recent
        } else {
            0
        };
        Timestamps {
            value: self.ts_value(now),
            echo,
        }
    }

    /// The timestamp clock: milliseconds (RFC 7323 5.4), from where this connection's offset puts
    /// it.
    #[expect(clippy::cast_possible_truncation, reason = "the wrap at 2^32 is meant")]
    pub(crate) const fn ts_value(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.snd.ts_offset)
    }
}

/// Writes the checksum of a whole segment.
pub(crate) fn finish_checksum(tuple: &FourTuple, segment: &mut [u8], checksum: TxChecksumMode) {
    let sum = Sum::new().add(segment);
    store_checksum(tuple, sum, checksum, segment);
}

/// Writes the checksum of a segment whose bytes add up to `sum`.
fn store_checksum(tuple: &FourTuple, sum: Sum, checksum: TxChecksumMode, segment: &mut [u8]) {
    let len = u32::try_from(segment.len()).expect("a segment is shorter than 64 KiB");
    let pseudo = |sum: Sum| sum.add_pseudo_header(tuple.local, tuple.remote, PROTOCOL_TCP, len);
    let stored = match checksum {
        TxChecksumMode::Full => pseudo(sum).finish(),
        TxChecksumMode::Partial => pseudo(Sum::new()).partial(),
    };
    segment[Tcp::CHECKSUM_AT..Tcp::CHECKSUM_AT + 2].copy_from_slice(&stored.to_be_bytes());
}
