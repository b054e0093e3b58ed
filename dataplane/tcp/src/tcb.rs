//! The record of one connection, RFC 9293 section 3.3.1: the transmission control block.
//!
//! [`Tcb`] holds the RFC's variables under the RFC's names, `snd.una` for SND.UNA. What happens to
//! them stands elsewhere, in files named as the RFC names the occasions: `call` (3.10.1 to 3.10.6),
//! `arrive` (3.10.7), `timeout` (3.10.8), and `transmit` for what follows from all three. No step
//! sends; a step leaves the TCB wanting to, and [`Tcb::poll_transmit`] carries it out, so that a
//! burst of segments is answered once (RFC 9293 3.10.7.4, MUST-58 and MUST-59).
//!
//! A TCB holds no buffer while there is no text, and knows neither its settings nor the pool its
//! text lies in; both come with each call in a [`Context`](crate::Context). An idle one is about
//! 405 bytes.

use bitflags::bitflags;
use tidegate_wire::{Instant, Moment};

use crate::congestion::Congestion;
use crate::events::End;
use crate::memory::Memory;
use crate::pacing::Departure;
use crate::ranges::Range;
use crate::reassembly::Reassembly;
use crate::recovery::Recovery;
use crate::rtt::Rtt;
use crate::scoreboard::Scoreboard;
use crate::sent::Stamp;
use crate::state::{Event, State};
use crate::text::TextQueue;
use crate::timers::Timers;
use crate::totals::Totals;
use crate::{FourTuple, SeqNum};

/// Octets that the timestamps option takes in a header, padding included (RFC 7323 appendix A).
pub(crate) const TIMESTAMPS_LEN: u16 = 12;

bitflags! {
    /// What was agreed with the peer or asked for by the user, and what has to be remembered. Never
    /// what [`State`] knows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Flags: u32 {
        /// RFC 9293 3.5, MUST-11: it came from a passive open.
        const PASSIVE = 1;
        /// Both SYNs had timestamps (RFC 7323 3.2).
        const TIMESTAMPS = 1 << 1;
        /// Both SYNs permitted SACK (RFC 2018 2).
        const SACK = 1 << 2;
        /// Nagle's algorithm is off (RFC 9293 3.7.4, MUST-17).
        const NODELAY = 1 << 3;
        /// Keep-alive is on (RFC 9293 3.8.4, MUST-24).
        const KEEPALIVE = 1 << 4;
        /// The user has closed: nobody reads and nobody writes any more.
        const ORPHAN = 1 << 5;
        /// CLOSE or shutdown was called before our SYN was acknowledged; the FIN waits for that.
        const CLOSE_QUEUED = 1 << 6;
        /// The last SEND was short, so the user waits for `WRITABLE`.
        const SEND_WAS_SHORT = 1 << 7;
        /// The congestion window, and nothing else, held back text since the last ACK.
        const CWND_LIMITED = 1 << 8;
        /// There is urgent text before `rcv.up` that the user has not passed (RFC 9293 3.8.5).
        const URGENT = 1 << 9;
        /// The peer's FIN came ahead of its turn; it stands at `rcv.fin`.
        const FIN_AHEAD = 1 << 10;
        /// `rcv.ts_recent` holds a timestamp of the peer.
        const TS_RECENT = 1 << 11;
        /// Our SYN or SYN-ACK was lost, or late, and went out again.
        const SYN_RETRIED = 1 << 12;
        /// Both SYNs had the window scale option (RFC 7323 2.2).
        const WND_SCALING = 1 << 13;
        /// The user has text of the receive queue in hand and has not said how much it takes.
        const TEXT_DETACHED = 1 << 14;
        /// There is urgent text before `snd.up` that is not acknowledged.
        const URGENT_SENT = 1 << 15;
        /// The user reads no more; what comes is acknowledged and thrown away.
        const READ_CLOSED = 1 << 16;
        /// RACK.reordering_seen: the path has delivered segments out of order (RFC 8985 5.3).
        const REORDERING = 1 << 17;
        /// All is acknowledged, the last of it by a tail loss probe or by what it repeated.
        const TAIL_PROBED = 1 << 18;
        /// A round trip is being timed (RFC 6298 3); it ends with `snd.timed`.
        const TIMED = 1 << 19;
        /// The segment size is searched for by probes (RFC 8899).
        const MTU_PROBING = 1 << 20;
        /// Segments of SND.MSS have been acknowledged.
        const MSS_PASSES = 1 << 21;
        /// Both SYNs agreed on ECN (RFC 3168 6.1.1).
        const ECN = 1 << 22;
        /// Text came with a mark, and the peer has not said CWR since: ECE is sent.
        const CE_SEEN = 1 << 23;
        /// The window was reduced; the next new text says CWR.
        const CWR_OWED = 1 << 24;
        /// The window was reduced for ECE, and text sent before that is outstanding.
        const CWR = 1 << 25;
        /// The segment written last is to go out as ECT(0).
        const ECT_SENT = 1 << 26;
        /// Our first SYN asks for Fast Open (RFC 7413).
        const FAST_OPEN = 1 << 30;
        /// The segment that came last had text.
        const HEARD_TEXT = 1 << 27;
        /// Text waited for its departure time, and the timer that ended this may have been late.
        const PACED = 1 << 28;
    }
}

bitflags! {
    /// What the TCB wants to transmit beside text, oldest debt irrelevant: `plan` has the order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Owes: u8 {
        /// SYN in SYN_SENT, SYN-ACK in SYN_RECV.
        const SYN = 1;
        /// An ACK, now.
        const ACK = 1 << 1;
        /// The RST that tells the peer of our ABORT.
        const RESET = 1 << 2;
        /// A RST at `snd.refused`, for an unacceptable ACK during the handshake or text after CLOSE.
        const REFUSAL = 1 << 3;
        /// A probe into a closed window, or what fits into one that is too small to be polite.
        const PROBE = 1 << 4;
        /// A keep-alive probe.
        const KEEPALIVE = 1 << 5;
        /// A tail loss probe (RFC 8985 7.3).
        const TAIL_PROBE = 1 << 6;
    }
}

const _: () = assert!(
    Flags::all().bits().count_ones() as usize == <Flags as bitflags::Flags>::FLAGS.len(),
    "no two flags are the same bit"
);

/// The send sequence variables and what belongs to them.
#[derive(Debug)]
pub(crate) struct Snd {
    /// SND.UNA: the oldest octet not acknowledged.
    pub(crate) una: SeqNum,
    /// SND.NXT: the next octet never sent before. It does not go back to retransmit; `recovery` has
    /// a cursor for that.
    pub(crate) nxt: SeqNum,
    /// SND.WND, in octets, scaled (RFC 9293 3.1, REC-1).
    pub(crate) wnd: u32,
    /// MAX.SND.WND (RFC 5961 5.2): the largest the peer offered.
    pub(crate) wnd_max: u32,
    /// SND.WL1: SEG.SEQ of the last window update.
    pub(crate) wl1: SeqNum,
    /// SND.WL2: SEG.ACK of the last window update.
    pub(crate) wl2: SeqNum,
    /// ISS.
    pub(crate) iss: SeqNum,
    /// SND.UP: the octet after the last urgent one (RFC 9293 MUST-62).
    pub(crate) up: SeqNum,
    /// End of the last segment sent that was smaller than it could have been; Nagle asks for it.
    pub(crate) small: SeqNum,
    /// The octet whose acknowledgement ends the round trip being timed (RFC 6298 3).
    pub(crate) timed: SeqNum,
    /// Where a RST that is owed as [`Owes::REFUSAL`] stands.
    pub(crate) refused: SeqNum,
    /// What is added to the clock for TSval (RFC 7323 7.1).
    pub(crate) ts_offset: u32,
    /// Eff.snd.MSS before options are deducted (RFC 9293 3.7.1, MUST-16).
    pub(crate) mss: u16,
    /// The most that Eff.snd.MSS can be, by both SYNs and the way out.
    pub(crate) mss_cap: u16,
    /// Larger ones than this are known not to pass (RFC 8899), or not thought to.
    pub(crate) mss_high: u16,
    /// When `mss_high` was lowered last, in seconds.
    pub(crate) mss_bound_s: u16,
    /// Snd.Wind.Shift: what the peer's windows are shifted by (RFC 7323 2.3).
    pub(crate) wnd_shift: u8,
    /// Since when the round trip is being timed; meaningless unless [`Flags::TIMED`].
    pub(crate) timed_at: Stamp,
    /// When text, SYN or FIN was sent last.
    pub(crate) sent_at: Moment,
    /// Until when what was sent is paid for at the pacing rate.
    pub(crate) departure: Departure,
    /// Which log in [`Memory`] says when what is outstanding was sent; none, where SACK is off,
    /// nothing is outstanding, or none was free.
    pub(crate) log: u32,
    /// Text from SND.UNA on.
    pub(crate) queue: TextQueue,
}

/// The receive sequence variables and what belongs to them.
#[derive(Debug)]
pub(crate) struct Rcv {
    /// RCV.NXT: the next octet expected.
    pub(crate) nxt: SeqNum,
    /// RCV.WND as the peer was told: the right edge, from RCV.NXT. The edge never moves left.
    pub(crate) wnd: u32,
    /// IRS.
    pub(crate) irs: SeqNum,
    /// RCV.UP: the octet after the last urgent one (RFC 9293 MUST-62).
    pub(crate) up: SeqNum,
    /// Where a FIN stands that came ahead of its turn.
    pub(crate) fin: SeqNum,
    /// Last.ACK.sent (RFC 7323 4.3).
    pub(crate) ack_sent: SeqNum,
    /// TS.Recent (RFC 7323 4.3).
    pub(crate) ts_recent: u32,
    /// When TS.Recent was taken, in seconds (RFC 7323 5.5).
    pub(crate) ts_recent_at_s: u32,
    /// The segment size we announced.
    pub(crate) mss: u16,
    /// The longest text that came in one segment: what "full-sized" means to this peer.
    pub(crate) mss_seen: u16,
    /// Blocks by which the receive buffer has grown beyond `rmem`.
    pub(crate) grown: u16,
    /// Up to where the user had taken text when the round trip began that is measured for `grown`.
    pub(crate) round_from: SeqNum,
    /// When it began, as our timestamps say it.
    pub(crate) round_ms: u32,
    /// Rcv.Wind.Shift: what our windows are shifted by.
    pub(crate) wnd_shift: u8,
    /// Duplicate ACKs still owed to a peer without SACK, for whom their number is the message.
    pub(crate) dup_acks_owed: u8,
    /// What came twice and is not reported yet (RFC 2883 4); empty where nothing did.
    pub(crate) duplicate: Range,
    /// What is there of text ahead of its turn.
    pub(crate) reassembly: Reassembly,
    /// Text before RCV.NXT that the user has not read, and room for text ahead of its turn.
    pub(crate) queue: TextQueue,
}

/// The record of a connection; see the module.
#[derive(Debug)]
pub struct Tcb {
    pub(crate) tuple: FourTuple,
    pub(crate) state: State,
    pub(crate) end: Option<End>,
    pub(crate) flags: Flags,
    pub(crate) owes: Owes,
    /// Times the oldest segment, the SYN or a probe went out again without an answer.
    pub(crate) retries: u8,
    /// Probes into the closed window so far; each doubles the wait for the next.
    pub(crate) window_probes: u8,
    /// Keep-alive probes without an answer.
    pub(crate) keepalive_probes: u8,
    /// Challenge ACKs in the second `challenge_s` (RFC 5961 7).
    pub(crate) challenges: u8,
    pub(crate) challenge_s: u32,
    /// RACK.reo_wnd_mult, how wide the reordering window is, less one (RFC 8985 5.3).
    pub(crate) reo_wnd_more: u8,
    /// RACK.reo_wnd_persist: recoveries for which it stays so.
    pub(crate) reo_wnd_persist: u8,
    /// ACKs of text that need not wait any more.
    pub(crate) quick_acks: u8,
    /// Segments sent again since the connection began.
    pub(crate) retransmits: u32,
    /// The user timeout in milliseconds, 0 where there is none.
    pub(crate) user_timeout_ms: u32,
    /// When a segment of the peer was last taken.
    pub(crate) heard_at: Moment,
    pub(crate) snd: Snd,
    pub(crate) rcv: Rcv,
    pub(crate) rtt: Rtt,
    pub(crate) congestion: Congestion,
    pub(crate) recovery: Recovery,
    pub(crate) scoreboard: Scoreboard,
    pub(crate) timers: Timers,
    pub(crate) totals: Totals,
}

impl Tcb {
    /// TS.Recent := SEG.TSval (RFC 7323 4.3), with the time, for section 5.5.
    pub(crate) fn take_ts_recent(&mut self, value: u32, now: Instant) {
        self.flags.insert(Flags::TS_RECENT);
        self.rcv.ts_recent = value;
        self.rcv.ts_recent_at_s = seconds(now);
    }

    /// The state changes; `event` is one that can happen in it.
    pub(crate) fn change(&mut self, event: Event) {
        let next = self.state.on(event);
        debug_assert!(
            next.is_some(),
            "{event:?} cannot happen in {:?}",
            self.state
        );
        self.state = next.unwrap_or(self.state);
    }

    /// The connection is over: the TCB is in CLOSED and holds no memory. A RST may still be owed.
    pub(crate) fn finish(&mut self, event: Event, end: End, memory: &mut Memory) {
        let is_stream_whole = self.state.is_receive_closed();
        self.change(event);
        debug_assert_eq!(self.state, State::Closed, "{event:?} ends a connection");
        self.end.get_or_insert(end);
        self.owes = self.owes.intersection(Owes::RESET);
        self.rcv.dup_acks_owed = 0;
        self.timers = Timers::new();
        // Text that came in order before the peer's FIN is still the user's, unless it is the user
        // who ends it. RFC 9293 3.10.7.4 has a RST in CLOSE-WAIT flush it, and nobody does: the peer
        // may have sent that RST because it was done and has forgotten us, and the user would take
        // a stream that was cut for one that has ended.
        let is_whole = end == End::Closed || is_stream_whole && end != End::Aborted;
        let is_text_kept = is_whole && !self.flags.contains(Flags::ORPHAN);
        self.give_back(memory, is_text_kept);
    }

    /// Gives all text blocks and range sets back. The TCB is of no use afterwards.
    pub fn release(&mut self, memory: &mut Memory) {
        self.give_back(memory, false);
    }

    fn give_back(&mut self, memory: &mut Memory, is_received_text_kept: bool) {
        self.snd.queue.clear(memory);
        self.scoreboard.clear(memory);
        self.end_log(memory);
        self.end_model(memory);
        self.rcv.reassembly.clear(memory);
        if !is_received_text_kept {
            self.rcv.queue.clear(memory);
        }
    }

    /// The state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The sockets of this connection.
    #[must_use]
    pub const fn tuple(&self) -> FourTuple {
        self.tuple
    }

    /// How it ended, once it has: for the user it is over. In TIME_WAIT this is already so.
    ///
    /// Where the peer had closed in order, it ends for the user when the text that came before is
    /// read, so ask again after [`attach_text`](Self::attach_text).
    #[must_use]
    pub fn end(&self) -> Option<End> {
        let is_text_waiting = !self.rcv.queue.is_empty() && !self.flags.contains(Flags::ORPHAN);
        self.end.filter(|_| !is_text_waiting)
    }

    /// Whether it may be removed: CLOSED, known to the user, and nothing left to transmit.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.owes.is_empty() && self.end().is_some()
    }

    /// Whether it came from a passive open (RFC 9293 3.5, MUST-11).
    #[must_use]
    pub const fn is_passive(&self) -> bool {
        self.flags.contains(Flags::PASSIVE)
    }

    /// Whether the peer's FIN has come; text before it may still be in the receive queue.
    #[must_use]
    pub const fn is_peer_closed(&self) -> bool {
        self.state.is_receive_closed()
    }

    /// An initial sequence number for a new incarnation of this connection, from TIME_WAIT:
    /// `proposed` where that is beyond all that the old one sent (RFC 9293 3.6.1, MAY-2).
    #[must_use]
    pub fn iss_after(&self, proposed: SeqNum) -> SeqNum {
        crate::time_wait::iss_after(self.snd.nxt, proposed)
    }

    /// Segments sent again since the connection began.
    #[must_use]
    pub const fn retransmits(&self) -> u32 {
        self.retransmits
    }

    /// Whether the flag is on.
    pub(crate) const fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }

    /// SND.NXT - SND.UNA: octets of sequence space sent and not acknowledged (RFC 5681 FlightSize).
    pub(crate) const fn flight_size(&self) -> u32 {
        self.snd.nxt.since(self.snd.una)
    }

    /// The sequence number of the first octet in the send queue.
    pub(crate) fn text_start(&self) -> SeqNum {
        match self.state {
            State::SynSent | State::SynReceived => self.snd.iss + 1,
            State::Closed
            | State::Listen
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => self.snd.una,
        }
    }

    /// The sequence number after the last octet in the send queue: where our FIN stands.
    pub(crate) fn text_end(&self) -> SeqNum {
        self.text_start() + self.snd.queue.len()
    }

    /// Whether our FIN is in the send queue, sent or not, and not acknowledged.
    pub(crate) const fn is_fin_queued(&self) -> bool {
        matches!(
            self.state,
            State::FinWait1 | State::Closing | State::LastAck
        )
    }

    /// Octets of sequence space queued and never sent: text, and the FIN if it is queued.
    pub(crate) fn unsent(&self) -> u32 {
        (self.text_end() + u32::from(self.is_fin_queued())).since(self.snd.nxt)
    }

    /// The right edge of the peer's window.
    pub(crate) fn window_edge(&self) -> SeqNum {
        self.snd.una + self.snd.wnd
    }

    /// Octets of text in a full-sized segment without SACK blocks: what congestion control counts
    /// in (RFC 5681's SMSS; RFC 6691 2 deducts the options).
    pub(crate) const fn smss(&self) -> u32 {
        let options = if self.has(Flags::TIMESTAMPS) {
            TIMESTAMPS_LEN
        } else {
            0
        };
        (self.snd.mss - options) as u32
    }
}

/// A length of time in milliseconds, rounded up so that what is not zero stays so.
pub(crate) fn millis(duration: core::time::Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// Whole seconds since the start. They wrap after 136 years.
#[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
pub(crate) const fn seconds(now: Instant) -> u32 {
    (now.as_millis() / 1_000) as u32
}

const _: () = assert!(
    size_of::<Tcb>() <= 404,
    "an idle flow is 512 bytes, all counted"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_bit_of_its_own() {
        use bitflags::Flags as _;

        let count = |bits: u32| bits.count_ones() as usize;
        assert_eq!(count(Flags::all().bits()), Flags::FLAGS.len());
        assert_eq!(count(Owes::all().bits().into()), Owes::FLAGS.len());
    }
}
