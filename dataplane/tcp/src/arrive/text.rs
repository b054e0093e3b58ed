//! Seventh, the text, and eighth, the FIN bit (RFC 9293 3.10.7.4).
//!
//! Text in order is offered to the user in the frame while nothing waits in the receive queue; all
//! other text is copied there. Text ahead of its turn waits behind it (SHLD-31).

use core::time::Duration;

use tidegate_wire::{Discard, TcpFlags};

use super::Stop;
use crate::events::{Arrival, End, Events};
use crate::memory::Memory;
use crate::ranges::Range;
use crate::state::{Event, State};
use crate::tcb::{Flags, Owes, Tcb};
use crate::timers::Timer;
use crate::{Context, Segment};

/// Duplicate ACKs owed at most: what three of them mean, more of them do not change much.
const DUP_ACKS_OWED_MAX: u8 = 8;

/// RFC 9293 3.8.6.3, MUST-40: an ACK is delayed by less than half a second.
const DELAYED_ACK_MAX: Duration = Duration::from_millis(499);

impl Tcb {
    /// Seventh: the text. In CLOSE-WAIT and later states there should be none, and it is ignored.
    pub(super) fn take_text<'t>(
        &mut self,
        seg: &Segment<'t>,
        arrival: &mut Arrival<'t>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        if self.state == State::TimeWait && !seg.is_empty() {
            // Nothing can follow the peer's FIN. An ACK says where it stood, as Linux and BSD do.
            self.owes.insert(Owes::ACK);
        }
        if seg.text.is_empty() || !self.state.can_receive_text() {
            return Ok(());
        }
        if self.has(Flags::ORPHAN) {
            // SHLD-3: nobody will read it, and the peer learns that. The RST stands where the peer
            // expects us, our FIN may not have reached it; else it would only be challenged.
            self.finish(Event::Abort, End::Aborted, cx.memory);
            self.owe_refusal(seg.ack);
            return Err(Discard::TcpTextAfterClose.into());
        }
        self.take_marks(seg);
        self.tune_rcv_buffer(seg, cx);
        let mss_seen = u16::try_from(seg.text.len()).unwrap_or(u16::MAX);
        self.rcv.mss_seen = self.rcv.mss_seen.max(mss_seen.min(self.rcv.mss));
        let taken = if seg.seq != self.rcv.nxt {
            self.take_text_ahead(seg, cx.memory)
        } else if self.is_text_offered(seg) {
            arrival.text = seg.text;
            self.advance(seg.text_len());
            Ok(())
        } else {
            self.take_text_in_order(seg, arrival, cx.memory)
        };
        self.owe_ack_of_text(cx);
        arrival.discard = taken.err();
        if self.has(Flags::READ_CLOSED) {
            arrival.text = &[];
            arrival.events.remove(Events::READABLE);
            self.throw_text_away(cx.memory);
        }
        Ok(())
    }

    /// Whether the text can be offered to the user where it lies: all that is before it is read,
    /// and neither text nor FIN behind it has come, so that it can be taken back.
    fn is_text_offered(&self, seg: &Segment<'_>) -> bool {
        let is_fin_near = seg.has(TcpFlags::FIN) || self.has(Flags::FIN_AHEAD);
        self.rcv.queue.is_empty() && self.rcv.reassembly.is_empty() && !is_fin_near
    }

    /// The next text, into the queue; with it, what had come ahead of its turn and now follows.
    fn take_text_in_order(
        &mut self,
        seg: &Segment<'_>,
        arrival: &mut Arrival<'_>,
        memory: &mut Memory,
    ) -> Result<(), Discard> {
        let pushed = self.push_received(memory, seg.text);
        let pushed = u32::try_from(pushed).unwrap_or(seg.text_len());
        self.advance(pushed);
        if pushed > 0 {
            arrival.events.insert(Events::READABLE);
        }
        if !self.rcv.reassembly.is_empty() {
            let pushed = Range {
                left: seg.seq,
                right: self.rcv.nxt,
            };
            self.note_known_ahead(pushed, memory);
            let reached = self.rcv.reassembly.take_contiguous(memory, self.rcv.nxt);
            self.rcv
                .queue
                .extend_to(self.rcv.queue.len() + reached.since(self.rcv.nxt));
            self.advance(reached.since(self.rcv.nxt));
            // RFC 5681 4.2: what fills a gap is acknowledged at once.
            self.owes.insert(Owes::ACK);
        }
        if pushed < seg.text_len() {
            Err(Discard::TextMemoryFull)
        } else {
            Ok(())
        }
    }

    /// Puts text in order into the receive queue, where the pool has room for it; says how much.
    ///
    /// Blocks that the queue holds already are always used: what fills a gap would otherwise wait
    /// for memory that the text behind the gap holds.
    fn push_received(&mut self, memory: &mut Memory, text: &[u8]) -> usize {
        let fitting = if memory.has_room_in_order() {
            text.len()
        } else {
            text.len().min(self.rcv.queue.room() as usize)
        };
        self.rcv.queue.push(memory, &text[..fitting])
    }

    /// Text ahead of its turn. SHLD-31: it is kept, as far as there is memory.
    fn take_text_ahead(&mut self, seg: &Segment<'_>, memory: &mut Memory) -> Result<(), Discard> {
        // RFC 5681 4.2: what shows a gap is acknowledged at once. With SACK one ACK for the whole
        // burst says it all; without, the peer counts them.
        self.owes.insert(Owes::ACK);
        if !self.has(Flags::SACK) {
            self.rcv.dup_acks_owed = (self.rcv.dup_acks_owed + 1).min(DUP_ACKS_OWED_MAX);
        }
        let right = seg.seq + seg.text_len();
        let left = seg.seq;
        self.note_known_ahead(Range { left, right }, memory);
        // The bytes first: a range that is noted is there.
        let offset = self.rcv.queue.len() + seg.seq.since(self.rcv.nxt);
        let missing = self
            .rcv
            .queue
            .blocks_missing(offset.saturating_add(seg.text_len()));
        if !memory.has_room_ahead(missing) {
            return Err(Discard::TextMemoryFull);
        }
        let written = self.rcv.queue.write_at(memory, offset, seg.text);
        written.map_err(|_| Discard::TextMemoryFull)?;
        let noted = self.rcv.reassembly.insert(memory, seg.seq, right);
        if noted.is_err() && self.rcv.reassembly.is_empty() {
            self.rcv.queue.drop_ahead(memory);
        }
        noted.map_err(|_| Discard::RangeMemoryFull)
    }

    /// What of `part` came ahead of its turn before came twice (RFC 2883 4.1).
    fn note_known_ahead(&mut self, part: Range, memory: &Memory) {
        if let Some(known) = self.rcv.reassembly.known(memory, part) {
            self.note_duplicate_text(known.left, known.right);
        }
    }

    /// RCV.NXT moves; the right edge of the window does not.
    pub(crate) fn advance(&mut self, len: u32) {
        if len > 0 {
            self.rcv.dup_acks_owed = 0;
        }
        let nxt = self.rcv.nxt + len;
        self.totals.on_rcv_nxt(self.rcv.irs, self.rcv.nxt, nxt);
        self.rcv.nxt = nxt;
        self.rcv.wnd = self.rcv.wnd.saturating_sub(len);
        if self.has(Flags::URGENT) && self.rcv.up.before_or_eq(self.rcv.nxt) {
            self.flags.remove(Flags::URGENT);
        }
    }

    /// SHLD-18, SHLD-19, MUST-40: an ACK may wait a little for company, but every second full-sized
    /// segment has one. At the start of a connection none waits: the peer is in slow start, and
    /// whether the user answers is not known yet.
    fn owe_ack_of_text(&mut self, cx: &Context<'_>) {
        let unacknowledged = self.rcv.nxt.since(self.rcv.ack_sent);
        let delay = cx.settings.delayed_ack.min(DELAYED_ACK_MAX);
        let is_quick = self.quick_acks > 0 || delay.is_zero();
        let is_due =
            unacknowledged >= 2 * u32::from(self.rcv.mss_seen) || (unacknowledged > 0 && is_quick);
        if is_due {
            self.owes.insert(Owes::ACK);
        } else if unacknowledged > 0 && !self.timers.is_armed(Timer::DelayedAck) {
            self.timers.arm(Timer::DelayedAck, cx.now + delay);
        }
    }

    /// Eighth: the FIN bit. A FIN ahead of its turn is remembered until all before it has come.
    pub(super) fn check_fin(
        &mut self,
        seg: &Segment<'_>,
        arrival: &mut Arrival<'_>,
        cx: &mut Context<'_>,
    ) {
        if seg.has(TcpFlags::FIN) && self.state.can_receive_text() {
            self.flags.insert(Flags::FIN_AHEAD);
            self.rcv.fin = seg.seq + seg.text_len();
            self.owes.insert(Owes::ACK);
        }
        if !self.has(Flags::FIN_AHEAD) || self.rcv.fin.after(self.rcv.nxt) {
            return;
        }
        self.flags.remove(Flags::FIN_AHEAD);
        if self.rcv.fin != self.rcv.nxt {
            // There was text where the FIN stood: the peer contradicts itself, and text goes first.
            return;
        }
        self.take_fin(arrival, cx);
    }

    /// The peer's FIN has its turn.
    fn take_fin(&mut self, arrival: &mut Arrival<'_>, cx: &mut Context<'_>) {
        self.advance(1);
        // Whatever came for beyond the FIN was never the peer's.
        self.rcv.reassembly.clear(cx.memory);
        self.rcv.queue.drop_ahead(cx.memory);
        self.owes.insert(Owes::ACK);
        self.change(Event::FinArrived);
        arrival.events.insert(Events::PEER_CLOSED);
        if self.state == State::TimeWait {
            self.enter_time_wait(cx);
        }
    }

    /// Takes back into the receive queue what the user did not take of [`Arrival::text`].
    ///
    /// Answers how many bytes did not find memory, because the user's own calls have used it up
    /// meanwhile. They were not acknowledged, so the peer sends them again.
    pub fn keep_text(&mut self, rest: &[u8], cx: &mut Context<'_>) -> u32 {
        debug_assert!(
            rest.is_empty() || self.rcv.queue.is_empty(),
            "text is offered while the queue is empty"
        );
        if self.has(Flags::ORPHAN) && !rest.is_empty() {
            // The user closed in answer to this text and left some of it: SHLD-3.
            self.abort(cx);
        }
        if self.state == State::Closed {
            return 0;
        }
        let kept = self.push_received(cx.memory, rest);
        let lost = u32::try_from(rest.len() - kept).unwrap_or(0);
        let nxt = self.rcv.nxt - lost;
        self.totals.on_rcv_nxt_back(self.rcv.irs, self.rcv.nxt, nxt);
        self.rcv.nxt = nxt;
        self.rcv.wnd += lost;
        lost
    }
}
