//! When a repair begins, what is sent again in it, and when it is over: RFC 6582 (NewReno), RFC
//! 6675 (SACK), RFC 3042 (limited transmit), and going back after a timeout (RFC 6298, RFC 5681
//! 3.1). With SACK it is `rack` that finds what is lost, as long as a send log is to be had.
//!
//! SND.NXT never goes back. [`Recovery`] has a cursor instead: what lies before it was sent again
//! in this repair. How large the window is in each phase is the business of `congestion`.

use crate::memory::Memory;
use crate::ranges::Range;
use crate::scoreboard::{DUP_THRESH, Outstanding};
use crate::sent::SendLog;
use crate::tcb::{Flags, Owes, Tcb};
use crate::{Context, SeqNum};

/// What an ACK says about loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckKind {
    /// It acknowledges so many octets that were not acknowledged before.
    New {
        /// Octets.
        acked: u32,
    },
    /// Something arrived at the peer, but not what it waits for.
    Duplicate,
    /// Nothing.
    Nothing,
}

/// Why text is sent again, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is.
    Open,
    /// Fast recovery: duplicates or SACK told of a loss.
    Fast,
    /// All that was outstanding is sent again: the timer went off, or the window was closed.
    GoBack,
}

/// How far a repair is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    pub(crate) phase: Phase,
    /// Duplicate ACKs in a row.
    dup_acks: u8,
    /// The segment at SND.UNA is to be sent again whatever the congestion window says.
    is_first_owed: bool,
    /// RFC 6675's rescue retransmission has been used in this recovery.
    is_rescued: bool,
    /// RecoveryPoint of RFC 6675, `recover` of RFC 6582: SND.NXT when the repair began.
    point: SeqNum,
    /// What lies before it was sent again (HighRxt + 1 of RFC 6675).
    pub(crate) cursor: SeqNum,
    /// A count of octets. While nothing is repaired: FlightSize when the first of the duplicates
    /// came. In a repair without SACK: what duplicates say has left the network (RFC 6582's
    /// inflation).
    counted: u32,
}

impl Recovery {
    pub(crate) const fn new(una: SeqNum) -> Self {
        Self {
            phase: Phase::Open,
            dup_acks: 0,
            is_first_owed: false,
            is_rescued: false,
            point: una,
            cursor: una,
            counted: 0,
        }
    }

    /// The handshake is over; nothing is lost yet.
    pub(crate) const fn restart(&mut self, una: SeqNum) {
        *self = Self::new(una);
    }

    /// It is over; nothing counts as lost.
    pub(crate) fn ended(&self, una: SeqNum) -> Self {
        Self {
            point: self.point,
            ..Self::new(una)
        }
    }

    /// Whether something is being sent again.
    pub(crate) const fn is_repairing(&self) -> bool {
        !matches!(self.phase, Phase::Open)
    }

    /// Where the repair is over, or the last one was.
    pub(crate) const fn point(&self) -> SeqNum {
        self.point
    }

    /// Whether the segment at SND.UNA is to be sent again and has not been yet.
    pub(crate) const fn is_first_owed(&self) -> bool {
        self.is_first_owed
    }

    /// RFC 5681 3.2: in fast recovery the window does not grow; after a timeout it does.
    pub(crate) const fn lets_cwnd_grow(&self) -> bool {
        !matches!(self.phase, Phase::Fast)
    }

    /// Whether `ack` is of something sent after the last repair, or the last reduction, began.
    pub(crate) fn is_passed_by(&self, ack: SeqNum) -> bool {
        ack.after(self.point)
    }

    /// The window is reduced while nothing is repaired: no more for what was sent before `nxt`.
    pub(crate) const fn set_point(&mut self, nxt: SeqNum) {
        self.point = nxt;
    }

    /// All from `una` to `nxt` is sent again, from the beginning.
    pub(crate) fn go_back(&mut self, una: SeqNum, nxt: SeqNum) {
        if una != nxt {
            *self = Self {
                phase: Phase::GoBack,
                point: nxt,
                cursor: una,
                ..Self::new(una)
            };
        }
    }

    /// Octets beyond the congestion window for the first two duplicates (RFC 3042).
    pub(crate) fn limited_transmit(&self, smss: u32) -> u32 {
        match self.phase {
            Phase::Open => u32::from(self.dup_acks.min(2)) * smss,
            Phase::Fast | Phase::GoBack => 0,
        }
    }

    /// The segment at SND.UNA goes again whatever the congestion window says.
    pub(crate) const fn owe_first(&mut self) {
        self.is_first_owed = true;
    }

    /// A piece that was sent again went out.
    pub(crate) fn on_sent_again(&mut self, range: Range, is_rescue: bool) {
        self.is_first_owed = false;
        if is_rescue {
            // RFC 6675 4, NextSeg (4): HighRxt stays.
            self.is_rescued = true;
        } else {
            self.cursor = self.cursor.latest(range.right);
        }
    }

    /// What must hold between the cursor and the send variables.
    pub(crate) fn assert_invariants(&self, una: SeqNum, nxt: SeqNum) {
        if self.is_repairing() {
            assert!(
                self.point.after(una) && self.point.before_or_eq(nxt),
                "repair ends in flight"
            );
            assert!(
                self.cursor.after_or_eq(una) && self.cursor.before_or_eq(nxt),
                "cursor in flight"
            );
        }
    }
}

impl Tcb {
    /// An ACK has been taken; `kind` is what it says about loss.
    ///
    /// `undelivered` is how many octets in flight were not known to have arrived before it.
    pub(crate) fn on_ack_kind(&mut self, kind: AckKind, undelivered: u32, cx: &mut Context<'_>) {
        match kind {
            AckKind::New { acked } => self.on_new_ack(acked, cx.memory),
            AckKind::Duplicate => self.on_duplicate_ack(),
            AckKind::Nothing => return,
        }
        self.step_frto(kind, cx);
        let is_loss_found = if self.send_log(cx.memory).is_some() {
            self.find_losses(cx)
        } else {
            self.is_loss_found(cx.memory)
        };
        let delivered = undelivered.saturating_sub(self.undelivered());
        match self.recovery.phase {
            Phase::Open if is_loss_found => {
                // Without SACK each duplicate is a segment.
                let is_counted = self.has(Flags::SACK);
                let delivered = if is_counted { delivered } else { self.smss() };
                self.on_loss_found(delivered, cx);
            }
            Phase::Fast if delivered > 0 => {
                // RFC 9937 4, SafeACK. Without SACK a partial ACK is another loss.
                let is_progress = matches!(kind, AckKind::New { .. });
                let is_safe = is_progress && !is_loss_found && self.has(Flags::SACK);
                self.reduce(delivered, is_safe, cx.memory);
            }
            Phase::Open | Phase::Fast | Phase::GoBack => {}
        }
    }

    /// A loss was found, by an ACK that delivered so many octets or by the clock; the first one of
    /// a window begins its repair.
    pub(crate) fn on_loss_found(&mut self, delivered: u32, cx: &mut Context<'_>) {
        if self.recovery.phase == Phase::Open && !self.is_only_mtu_probe_lost(cx) {
            self.enter_fast_recovery(delivered, cx.memory);
        }
    }

    /// Octets in flight that are not known to have arrived.
    pub(crate) fn undelivered(&self) -> u32 {
        let arrived = match (self.has(Flags::SACK), self.recovery.phase) {
            (true, _) => self.scoreboard.sacked_bytes(),
            (false, Phase::Fast) => self.recovery.counted,
            (false, Phase::Open | Phase::GoBack) => 0,
        };
        self.flight_size().saturating_sub(arrived)
    }

    fn on_new_ack(&mut self, acked: u32, memory: &mut Memory) {
        let smss = self.smss();
        let una = self.snd.una;
        let recovery = &mut self.recovery;
        recovery.dup_acks = 0;
        if !recovery.is_repairing() {
            if una.after(recovery.point) {
                // It follows at a distance, or it would seem to lie ahead after 2^31 octets.
                recovery.point = una - 1;
            }
            return;
        }
        if una.after_or_eq(recovery.point) {
            self.leave_repair(memory);
            return;
        }
        recovery.cursor = recovery.cursor.latest(una);
        if recovery.phase == Phase::GoBack {
            recovery.counted = 0;
        }
        if recovery.phase == Phase::Fast && !self.flags.contains(Flags::SACK) {
            // RFC 6582 3.2 step 5: a partial ACK. The next segment is lost too, and the window
            // goes down by what was acknowledged and up by the segment that is sent again.
            recovery.is_first_owed = true;
            recovery.counted = recovery.counted.saturating_sub(acked);
            if acked >= smss {
                recovery.counted += smss;
            }
        }
    }

    fn on_duplicate_ack(&mut self) {
        let smss = self.smss();
        let recovery = &mut self.recovery;
        match recovery.phase {
            Phase::Open => {
                if recovery.dup_acks == 0 {
                    recovery.counted = self.snd.nxt.since(self.snd.una);
                }
                recovery.dup_acks = recovery.dup_acks.saturating_add(1);
            }
            // What is sent again in order brings none; new text does, where F-RTO let it go first.
            Phase::Fast | Phase::GoBack => {
                recovery.counted = recovery.counted.saturating_add(smss);
            }
        }
    }

    /// RFC 6675 5 step 2 and RFC 6582 3.2 step 2: whether a loss is found.
    fn is_loss_found(&self, memory: &Memory) -> bool {
        if self.flight_size() == 0 {
            return false;
        }
        let has_enough_duplicates = u32::from(self.recovery.dup_acks) >= DUP_THRESH;
        if self.has(Flags::SACK) {
            let is_lost = self.scoreboard.is_lost(memory, self.snd.una, self.smss());
            return has_enough_duplicates || is_lost;
        }
        // RFC 6582: duplicates of what a timeout made us send twice tell of no new loss.
        let is_new = self.snd.una.after(self.recovery.point) || self.has(Flags::CWR);
        has_enough_duplicates && is_new
    }

    /// Fast recovery begins, with an ACK that delivered so many octets.
    fn enter_fast_recovery(&mut self, delivered: u32, memory: &mut Memory) {
        self.owes.remove(Owes::TAIL_PROBE);
        let flight_size = self.flight_size_before();
        self.begin_undo(false, memory);
        // RFC 3168 6.1.2: one reduction for a window, whether by a mark or by a loss.
        if !self.has(Flags::CWR) {
            self.congestion.on_loss(flight_size, self.smss());
        }
        self.flags.remove(Flags::CWR);
        self.owe_cwr();
        self.recovery = Recovery {
            phase: Phase::Fast,
            is_first_owed: true,
            point: self.snd.nxt,
            counted: DUP_THRESH * self.smss(),
            ..Recovery::new(self.snd.una)
        };
        // What the ACKs of this turn delivered and a full window let out has not been sent yet.
        let is_full = self.has(Flags::CWND_LIMITED);
        let unsent = flight_size.saturating_sub(self.undelivered());
        let delivered = delivered.max(if is_full { unsent } else { 0 });
        self.begin_reduction(delivered, memory);
    }

    /// FlightSize (RFC 5681 3.1) before the ACKs of this turn, which have been taken while what they
    /// let out has not been sent: a congestion window that held text back was full.
    pub(crate) fn flight_size_before(&self) -> u32 {
        // RFC 5681 3.2 step 2: what limited transmit has sent since does not count.
        let flight_size = if self.recovery.dup_acks > 0 {
            self.recovery.counted
        } else {
            self.flight_size()
        };
        if self.has(Flags::CWND_LIMITED) {
            flight_size.max(self.congestion.cwnd())
        } else {
            flight_size
        }
    }

    fn leave_repair(&mut self, memory: &mut Memory) {
        self.narrow_reordering_window();
        if self.recovery.phase == Phase::Fast {
            self.congestion.on_recovered();
            if !self.has(Flags::SACK) {
                // RFC 6582 3.2 step 3 (1): no burst when little is outstanding.
                let smss = self.smss();
                let cwnd = self.flight_size().max(smss) + smss;
                self.congestion.set_cwnd(cwnd.min(self.congestion.cwnd()));
            }
        }
        self.end_reduction(memory);
        self.recovery = self.recovery.ended(self.snd.una);
    }

    /// What is outstanding, as the scoreboard asks for it.
    fn outstanding(&self) -> Outstanding {
        Outstanding {
            una: self.snd.una,
            nxt: self.snd.nxt,
            high_rxt: self.recovery.cursor,
            mss: self.smss(),
        }
    }

    /// An estimate of the octets that are in the network (RFC 6675's pipe).
    pub(crate) fn pipe(&self, memory: &Memory) -> u32 {
        if let Some(log) = self.send_log(memory) {
            return self.logged_pipe(log, memory);
        }
        let recovery = &self.recovery;
        match recovery.phase {
            Phase::Open => self.flight_size(),
            Phase::Fast if self.has(Flags::SACK) => {
                self.scoreboard.pipe(memory, &self.outstanding())
            }
            Phase::Fast => {
                // What is to be sent again is lost.
                let lost = if recovery.is_first_owed {
                    self.smss()
                } else {
                    0
                };
                self.flight_size().saturating_sub(recovery.counted + lost)
            }
            // Only what was sent again, and what was first sent since.
            Phase::GoBack => {
                let again = recovery.cursor.since(self.snd.una);
                let new = self.snd.nxt.since(recovery.point.latest(recovery.cursor));
                (again + new).saturating_sub(recovery.counted)
            }
        }
    }

    /// Octets that the congestion window lets go out now.
    pub(crate) fn cwnd_room(&self, memory: &Memory) -> u32 {
        // RFC 3042. RFC 6675 5 (3.1): where the pipe is known it has gone down already.
        let more = match self.send_log(memory) {
            Some(_) => 0,
            None => self.recovery.limited_transmit(self.smss()),
        };
        (self.congestion.cwnd() + more).saturating_sub(self.pipe(memory))
    }

    /// What is to be sent again before anything new, and whether the congestion window has no say.
    pub(crate) fn next_again(&self, memory: &Memory) -> Option<(Range, bool)> {
        let is_forced = self.recovery.is_first_owed;
        let range = match (self.recovery.phase, self.send_log(memory)) {
            (Phase::Open, _) => None,
            (Phase::GoBack, _) if self.is_asking(memory) => None,
            (_, Some(log)) => self.next_logged(log, memory),
            (Phase::GoBack, None) => self.next_back(memory),
            (Phase::Fast, None) if is_forced => Some(self.first_hole(memory)),
            (Phase::Fast, None) if self.has(Flags::SACK) => {
                self.scoreboard.next_lost(memory, &self.outstanding())
            }
            (Phase::Fast, None) => None,
        };
        range.map(|range| (range, is_forced))
    }

    /// What may be sent again where there is nothing new to send (RFC 6675 4, NextSeg 3 and 4), and
    /// whether it is the rescue retransmission.
    pub(crate) fn next_spare(&self, memory: &Memory) -> Option<(Range, bool)> {
        // RACK needs neither: what is lost without being SACKed above is found by its time.
        let is_logged = self.send_log(memory).is_some();
        if self.recovery.phase != Phase::Fast || !self.has(Flags::SACK) || is_logged {
            return None;
        }
        let outstanding = self.outstanding();
        if let Some(hole) = self.scoreboard.next_hole(memory, &outstanding) {
            return Some((hole, false));
        }
        if self.recovery.is_rescued {
            return None;
        }
        // What was sent again in this recovery is not rescued: it is still on its way.
        let hole = self.scoreboard.last_hole(memory, &outstanding)?;
        hole.right
            .after(self.recovery.cursor)
            .then_some((hole, true))
    }

    /// With a log: the first part that is lost, or what stands at SND.UNA where that is owed.
    fn next_logged(&self, log: &SendLog, memory: &Memory) -> Option<Range> {
        let lost = self.next_logged_loss(log, memory);
        let is_forced = self.recovery.is_first_owed;
        let range = lost.or_else(|| is_forced.then(|| self.first_hole(memory)))?;
        Some(self.with_new_text(range))
    }

    /// From SND.UNA to the first octet that the peer has reported.
    fn first_hole(&self, memory: &Memory) -> Range {
        let all = Outstanding {
            high_rxt: self.snd.una,
            ..self.outstanding()
        };
        let rest = Range {
            left: self.snd.una,
            right: self.snd.nxt,
        };
        self.scoreboard.next_hole(memory, &all).unwrap_or(rest)
    }

    /// Going back: the next part before the point that the peer has not reported since.
    fn next_back(&self, memory: &Memory) -> Option<Range> {
        let point = self.recovery.point;
        let hole = self
            .scoreboard
            .next_hole(memory, &self.outstanding())
            .unwrap_or_else(|| {
                let highest = self.scoreboard.highest_sacked(memory);
                let left = self
                    .recovery
                    .cursor
                    .latest(highest.unwrap_or(self.recovery.cursor));
                Range { left, right: point }
            });
        let range = Range {
            right: hole.right.earliest(point),
            ..hole
        };
        let is_left = range.left.before(range.right);
        is_left.then(|| self.with_new_text(range))
    }

    /// Going back, the last part takes new text with it, which a probe's single octet leaves much
    /// room for.
    fn with_new_text(&self, range: Range) -> Range {
        let is_last = range.right == self.snd.nxt && self.recovery.phase == Phase::GoBack;
        let right = if is_last {
            range.right + self.unsent()
        } else {
            range.right
        };
        Range { right, ..range }
    }
}
