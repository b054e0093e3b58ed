//! Taking back a reduction of the window that was not needed.
//!
//! A segment that was only late looks lost: it is sent again, and the window goes down. That it was
//! for nothing shows afterwards, in one of three ways. The peer reports everything that was sent
//! again as a duplicate (D-SACK, RFC 2883 5). It acknowledges with a timestamp from before
//! (Eifel, RFC 3522). Or, after a timeout, it has what never went out again (F-RTO, RFC 5682).
//! Then the congestion control is what it was (RFC 4015 3, RFC 9438 4.9), and so is the RTO.
//!
//! What there is to go back to stands in the send log, so a connection that got none keeps its
//! reduction.

use core::time::Duration;

use tidegate_wire::TcpFlags;

use crate::congestion::Congestion;
use crate::memory::{Memory, NONE};
use crate::rack::duplicate_of;
use crate::ranges::Range;
use crate::recovery::{AckKind, Phase};
use crate::tcb::{Flags, Tcb};
use crate::timers::Timer;
use crate::{Context, Segment};

/// How far F-RTO is, RFC 5682 2.1 and 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frto {
    /// Nothing is asked, or it is answered.
    Off,
    /// Step 1: the timer went off and the oldest segment goes again.
    TimedOut,
    /// Step 2b: it is acknowledged, and new text goes out to see what comes of it.
    Asking,
}

/// What was, before the last reduction of the window.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    congestion: Congestion,
    /// What was sent again since: from the first octet of it to the last.
    again: Option<Range>,
    /// Octets sent again and not reported as duplicates. One that went out twice counts twice.
    unreported: u32,
    /// The TSval of the first segment that was sent again.
    ts_first: u32,
    /// RFC 3522 3.2: an ACK of what was sent again has told that it was needed.
    is_needed: bool,
    /// It was a timeout.
    is_timeout: bool,
    frto: Frto,
}

impl Undo {
    fn on_sent_again(&mut self, range: Range, ts_value: u32) {
        self.again = match self.again {
            Some(again) => Some(Range {
                left: again.left.earliest(range.left),
                right: again.right.latest(range.right),
            }),
            None => {
                self.ts_first = ts_value;
                Some(range)
            }
        };
        self.unreported = self.unreported.saturating_add(range.len());
    }

    /// RFC 2883 5: the peer has got `duplicate` twice.
    pub(crate) fn on_duplicate(&mut self, duplicate: Range) {
        let ours = self.again.and_then(|again| again.overlap(duplicate));
        let reported = ours.map_or(0, Range::len);
        self.unreported = self.unreported.saturating_sub(reported);
    }

    fn is_all_reported(&self) -> bool {
        self.again.is_some() && self.unreported == 0
    }

    /// Whether something may still be reported.
    const fn is_pending(&self) -> bool {
        self.again.is_some()
    }
}

impl Tcb {
    /// The window is about to be reduced.
    pub(crate) fn begin_undo(&self, is_timeout: bool, memory: &mut Memory) {
        let is_begun = is_timeout && (self.retries > 1 || self.recovery.phase == Phase::Fast);
        let Some(log) = memory.log_mut(self.snd.log) else {
            return;
        };
        // A timeout within a repair belongs to it: what was before the repair was before both.
        let congestion = match log.undo.take() {
            Some(undo) if is_begun => {
                log.undo = Some(Undo { is_timeout, ..undo });
                return;
            }
            _ => self.congestion.clone(),
        };
        log.undo = Some(Undo {
            congestion,
            again: None,
            unreported: 0,
            ts_first: 0,
            is_needed: false,
            is_timeout,
            frto: Frto::Off,
        });
    }

    /// There is nothing to go back to any more.
    pub(crate) fn forget_undo(&self, memory: &mut Memory) {
        if let Some(log) = memory.log_mut(self.snd.log) {
            log.undo = None;
        }
    }

    /// RFC 5682 2.1 step 1. Not within a repair, where new text has no meaning of its own.
    pub(crate) fn begin_frto(&self, was_recovering: bool, memory: &mut Memory) {
        let log = memory.log_mut(self.snd.log);
        if let Some(undo) = log.and_then(|log| log.undo.as_mut()) {
            undo.frto = if was_recovering {
                Frto::Off
            } else {
                Frto::TimedOut
            };
        }
    }

    /// A piece goes out again in a repair.
    pub(crate) fn note_sent_again(&self, range: Range, cx: &mut Context<'_>) {
        let ts_value = self.ts_value(cx.now);
        let log = cx.memory.log_mut(self.snd.log);
        if let Some(undo) = log.and_then(|log| log.undo.as_mut()) {
            undo.on_sent_again(range, ts_value);
        }
    }

    /// Whether the last repair was for nothing, asked before SND.UNA moves; then it is taken back.
    /// `is_original` where the ACK is of text below the point of repair that went out only once.
    pub(crate) fn check_undo(
        &mut self,
        seg: &Segment<'_>,
        is_original: bool,
        cx: &mut Context<'_>,
    ) {
        if self.has(Flags::ECN) && seg.has(TcpFlags::ECE) {
            // RFC 4015 3.2 step 4: a mark says that there is congestion indeed.
            self.forget_undo(cx.memory);
            return;
        }
        let is_back = self.recovery.phase == Phase::GoBack;
        let is_late = self.is_late(seg);
        let log = cx.memory.log_mut(self.snd.log);
        let Some(undo) = log.and_then(|log| log.undo.as_mut()) else {
            return;
        };
        let is_progress = undo.again.is_some_and(|again| seg.ack.after(again.left));
        let is_last = undo.again.is_some_and(|a| seg.ack.after_or_eq(a.right));
        let is_repairing = self.recovery.phase != Phase::Open;
        let is_eifel = match is_late(undo.ts_first) {
            Some(is_late) if is_progress && is_repairing && !undo.is_needed => {
                undo.is_needed = !is_late;
                // Of several gaps in fast recovery each may have been one: wait for the last.
                is_late && (is_back || is_last)
            }
            _ => false,
        };
        let is_frto = is_back && undo.frto != Frto::Off && is_original;
        if undo.is_all_reported() || is_frto || is_eifel {
            let rtt = self.age_of_echo(seg, cx).filter(|_| is_eifel);
            self.undo(rtt, cx);
        }
    }

    /// RFC 3522 3.2 step 4: whether the segment that caused the ACK went out before the time of a
    /// TSval; nobody knows without timestamps.
    fn is_late(&self, seg: &Segment<'_>) -> impl Fn(u32) -> Option<bool> + use<> {
        let echo = seg.options.timestamps.map(|timestamps| timestamps.echo);
        let echo = echo.filter(|_| self.has(Flags::TIMESTAMPS) && seg.ack.after(self.snd.una));
        move |ts_value| Some(echo?.wrapping_sub(ts_value).cast_signed() < 0)
    }

    /// The round trip of an original that was late (RFC 7323 4), where the ACK is of that for
    /// certain. Where the original's own ACK was lost it is an answer to what went again, and
    /// would count the whole wait for the timer; that one has a D-SACK, and is not sooner than a
    /// round trip.
    fn age_of_echo(&self, seg: &Segment<'_>, cx: &Context<'_>) -> Option<Duration> {
        let timestamps = seg.options.timestamps?;
        let is_soon = self.rtt.min_rtt()? > cx.now.saturating_since(self.snd.sent_at.instant());
        let is_certain = match self.has(Flags::SACK) {
            true => duplicate_of(seg).is_none(),
            false => is_soon,
        };
        let age_ms = self.ts_value(cx.now).wrapping_sub(timestamps.echo);
        is_certain.then(|| Duration::from_millis(age_ms.into()))
    }

    /// The reduction is taken back, and nothing counts as lost; what is, RACK finds again.
    fn undo(&mut self, rtt: Option<Duration>, cx: &mut Context<'_>) {
        let Some(log) = cx.memory.log_mut(self.snd.log) else {
            return;
        };
        let Some(undo) = log.undo.take() else {
            return;
        };
        log.prr = None;
        log.mark_none_lost();
        // RFC 4015 3.3, RFC 9438 4.9.
        self.congestion.undo(&undo.congestion);
        self.undo_model(cx);
        // It was the reduced window that held text back.
        self.flags.remove(Flags::CWND_LIMITED);
        if undo.is_timeout {
            // RFC 4015 3.4: the RTO was too short; as long as this round trip it is not.
            let bounds = cx.settings.rtt_bounds();
            self.rtt.on_spurious_timeout(rtt, &bounds);
        } else {
            // What was taken for lost was overtaken (RFC 8985 6.2 step 3).
            self.flags.insert(Flags::REORDERING);
        }
        if self.recovery.is_repairing() {
            self.recovery = self.recovery.ended(self.snd.una);
        }
    }

    /// RFC 5682 2.1 and 3.1, steps 2 and 3, for an ACK that has been taken and did not tell that
    /// the timeout was for nothing.
    pub(crate) fn step_frto(&mut self, kind: AckKind, cx: &mut Context<'_>) {
        if self.recovery.phase != Phase::GoBack {
            return;
        }
        let has_new_text = !self.is_held_by_window(cx);
        let log = cx.memory.log_mut(self.snd.log);
        let Some(undo) = log.and_then(|log| log.undo.as_mut()) else {
            return;
        };
        undo.frto = match (undo.frto, kind) {
            (Frto::TimedOut, AckKind::New { .. }) if has_new_text => Frto::Asking,
            (Frto::TimedOut, AckKind::Duplicate) => Frto::TimedOut,
            // Step 3a: the loss was real. And where nothing new is to be sent nothing can be asked.
            _ => Frto::Off,
        };
    }

    /// RFC 5682 2.1 step 2b: whether new text goes before what counts as lost.
    pub(crate) fn is_asking(&self, memory: &Memory) -> bool {
        let undo = self.log(memory).and_then(|log| log.undo.as_ref());
        undo.is_some_and(|undo| undo.frto == Frto::Asking)
    }

    /// An ACK has been taken. A flow without text in flight holds no log, but for one RTO where
    /// the peer may still report that all was for nothing.
    pub(crate) fn settle_log(&mut self, memory: &mut Memory) {
        if self.snd.log == NONE || self.flight_size() > 0 {
            return;
        }
        let undo = self.log(memory).and_then(|log| log.undo.as_ref());
        let is_kept = self.has(Flags::SACK) && undo.is_some_and(Undo::is_pending);
        if !is_kept || !self.state.can_transmit_text() {
            self.end_log(memory);
        }
    }

    /// Neither reordering nor the tail is watched. A log that is kept all the same is given back
    /// after one RTO.
    pub(crate) fn watch_kept_log(&mut self, cx: &Context<'_>) {
        if self.snd.log == NONE || self.flight_size() > 0 {
            self.timers.disarm(Timer::Reorder);
        } else if !self.timers.is_armed(Timer::Reorder) {
            self.timers.arm(Timer::Reorder, cx.now + self.rtt.rto());
        }
    }
}
