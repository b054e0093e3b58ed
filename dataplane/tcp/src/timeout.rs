//! Timeouts, RFC 9293 section 3.10.8, and when their timers run.
//!
//! | timer | what happens | from |
//! |---|---|---|
//! | user | the connection is given up | 3.8.3, RFC 5482 |
//! | reordering | what was late is lost; or the tail is probed | RFC 8985 6.3, 7.3 |
//! | retransmission | the oldest segment goes again, the RTO doubles; R2 ends it | 3.8.1, RFC 6298 |
//! | persist | the closed window is probed | 3.8.6.1 |
//! | keep-alive | a silent peer is probed, and given up after some probes | 3.8.4 |
//! | delayed ACK | the ACK is due | 3.8.6.3 |
//! | pace | what waits for its departure time goes out | `pacing` |
//! | closing | TIME_WAIT, an orphan's FIN_WAIT2 or linger is over | 3.6.1 |

use core::time::Duration;

use tidegate_wire::Instant;

use crate::Context;
use crate::events::{End, Events};
use crate::settings::{RETRIES_1, Settings};
use crate::state::{Event, State};
use crate::tcb::{Flags, Owes, Tcb};
use crate::timers::Timer;

/// RFC 9293 3.8.6.2.1, MUST-38: how long a window too small to be polite may hold text back. The RFC
/// proposes 0.1 to 1 s; below that it is one RTO.
const OVERRIDE_MAX: Duration = Duration::from_secs(1);

/// RFC 9293 3.8.4, MUST-29: probes before a silent peer counts as dead, whatever is asked for. A
/// single one, or its answer, can be lost like anything else.
const KEEPALIVE_PROBES_MIN: u8 = 2;

impl Tcb {
    /// When [`on_timeout`](Self::on_timeout) is to be called next, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Carries out every timer that is due. Afterwards the TCB may want to transmit.
    pub fn on_timeout(&mut self, cx: &mut Context<'_>) -> Events {
        let was_over = self.end().is_some();
        let mut events = Events::empty();
        self.check_app_limited(cx);
        for timer in Timer::ALL {
            if !self.timers.take_due(timer, cx.now) {
                continue;
            }
            match timer {
                Timer::User => self.finish(Event::TimedOut, End::TimedOut, cx.memory),
                Timer::Closing => self.on_closing_timeout(cx),
                Timer::Reorder if self.is_tail_watched() => self.on_probe_timeout(cx),
                Timer::Reorder => self.on_reorder_timeout(cx),
                Timer::Retransmit => self.on_retransmit_timeout(&mut events, cx),
                Timer::Persist => self.on_persist_timeout(cx),
                Timer::Keepalive => self.on_keepalive_timeout(cx),
                Timer::DelayedAck => self.owes.insert(Owes::ACK),
                Timer::Pace => self.on_pace_timeout(cx),
            }
        }
        if !was_over && self.end().is_some() {
            events.insert(Events::ENDED);
        }
        self.settle_timers(cx);
        events
    }

    fn on_closing_timeout(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::TimeWait => self.finish(Event::TimeWaitOver, End::Closed, cx.memory),
            // Nobody is left who could read what the peer may still send.
            State::FinWait2 => self.finish(Event::TimedOut, End::TimedOut, cx.memory),
            // Linger is over.
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::CloseWait
            | State::Closing
            | State::LastAck => self.reset_with(Event::Abort, End::Aborted, cx.memory),
            State::Closed | State::Listen | State::SynSent => {
                debug_assert!(false, "nothing is being closed in {:?}", self.state);
            }
        }
    }

    fn on_retransmit_timeout(&mut self, events: &mut Events, cx: &mut Context<'_>) {
        let settings = cx.settings;
        let is_opening = matches!(self.state, State::SynSent | State::SynReceived);
        let allowed = match (is_opening, self.has(Flags::PASSIVE)) {
            (true, true) => settings.syn_ack_retries,
            (true, false) => settings.syn_retries_allowed(),
            (false, _) => settings.retries2,
        };
        // MUST-20: R2 closes the connection; MUST-22, MUST-23: that of a SYN is another.
        if self.retries >= allowed {
            self.finish(Event::TimedOut, End::TimedOut, cx.memory);
            return;
        }
        self.retries += 1;
        self.rtt.back_off(&settings.rtt_bounds());
        if self.retries == RETRIES_1 {
            // MUST-20, SHLD-9: R1. The worker may look for another way, the user may be told.
            events.insert(Events::TROUBLE);
        }
        if is_opening {
            self.owes.insert(Owes::SYN);
        } else {
            self.check_black_hole(settings, cx.now);
            self.note_timeout(cx);
            self.on_retransmission_timeout(cx.memory);
        }
    }

    fn on_persist_timeout(&mut self, cx: &mut Context<'_>) {
        // MUST-37: probes may go on for ever while they are answered; an answer resets `retries`.
        if self.snd.wnd == 0 {
            if self.retries >= cx.settings.retries2 {
                self.finish(Event::TimedOut, End::TimedOut, cx.memory);
                return;
            }
            self.retries += 1;
        }
        self.owes.insert(Owes::PROBE);
    }

    fn on_keepalive_timeout(&mut self, cx: &mut Context<'_>) {
        let Some(keepalive) = cx.settings.keepalive.filter(|_| self.has(Flags::KEEPALIVE)) else {
            return;
        };
        // MUST-26: only while nothing is outstanding and nothing has come for so long.
        let is_idle = self.flight_size() == 0 && self.unsent() == 0;
        let due = self.heard_at.instant() + keepalive.idle;
        if !is_idle || (self.keepalive_probes == 0 && cx.now < due) {
            let at = if is_idle {
                due
            } else {
                cx.now + keepalive.idle
            };
            self.timers.arm(Timer::Keepalive, at);
            return;
        }
        // MUST-29: never after one probe alone.
        if self.keepalive_probes >= keepalive.count.max(KEEPALIVE_PROBES_MIN) {
            self.reset_with(Event::TimedOut, End::TimedOut, cx.memory);
            return;
        }
        self.keepalive_probes += 1;
        self.owes.insert(Owes::KEEPALIVE);
        self.timers
            .arm(Timer::Keepalive, cx.now + keepalive.interval);
    }

    /// Makes the timers of the send queue fit the state of affairs. Every call that can change it
    /// ends with this.
    pub(crate) fn settle_timers(&mut self, cx: &Context<'_>) {
        self.totals.note_state(self.state, cx.now);
        if !self.state.can_transmit_text() {
            if self.state.is_synchronized() {
                self.timers.disarm(Timer::Reorder);
                self.timers.disarm(Timer::Retransmit);
                self.timers.disarm(Timer::Persist);
                self.timers.disarm(Timer::User);
                self.timers.disarm(Timer::Pace);
            }
            return;
        }
        self.settle_pacing(cx);
        let flight_size = self.flight_size();
        let is_waiting = flight_size > 0 || self.unsent() > 0;
        if flight_size == 0 || self.snd.wnd == 0 {
            self.owes.remove(Owes::TAIL_PROBE);
            self.watch_kept_log(cx);
        }
        if self.snd.wnd == 0 && is_waiting {
            // SHLD-17: what lies beyond the edge does not time out; MUST-35: it is probed.
            self.timers.disarm(Timer::Retransmit);
            self.start_persist_timer(cx);
        } else if flight_size > 0 {
            self.timers.disarm(Timer::Persist);
            self.owes.remove(Owes::PROBE);
            if !self.timers.is_armed(Timer::Retransmit) && !self.recovery.is_first_owed() {
                self.restart_retransmit_timer(cx.now);
            }
        } else if is_waiting && self.is_held_by_window(cx) {
            self.timers.disarm(Timer::Retransmit);
            self.start_persist_timer(cx);
        } else {
            self.timers.disarm(Timer::Retransmit);
            self.timers.disarm(Timer::Persist);
        }
    }

    /// SHLD-29, SHLD-30: the first probe after one RTO, then twice as long each time. A window that
    /// is small and not closed is used after one RTO each time, a second at most (MUST-38).
    fn start_persist_timer(&mut self, cx: &Context<'_>) {
        if self.timers.is_armed(Timer::Persist) || self.owes.contains(Owes::PROBE) {
            return;
        }
        let rto = self.rtt.rto();
        let wait = if self.snd.wnd == 0 {
            let doubled = rto.saturating_mul(1 << self.window_probes.min(16));
            doubled.min(cx.settings.rto_max)
        } else {
            rto.min(OVERRIDE_MAX)
        };
        self.timers.arm(Timer::Persist, cx.now + wait);
    }

    /// A probe went out; the persist timer starts when the timers are settled.
    pub(crate) fn on_probe_sent(&mut self) {
        self.owes.remove(Owes::PROBE);
        if self.snd.wnd == 0 {
            self.window_probes = self.window_probes.saturating_add(1);
        }
    }

    /// RFC 6298 5.2, 5.3: the RTO runs from now, while something is outstanding.
    pub(crate) fn restart_retransmit_timer(&mut self, now: Instant) {
        if self.flight_size() > 0 && self.snd.wnd > 0 {
            self.timers.arm(Timer::Retransmit, now + self.rtt.rto());
        } else {
            self.timers.disarm(Timer::Retransmit);
        }
    }

    /// Starts the user timeout, unless it runs already.
    pub(crate) fn start_user_timer(&mut self, now: Instant) {
        if self.user_timeout_ms > 0 && !self.timers.is_armed(Timer::User) {
            let timeout = Duration::from_millis(u64::from(self.user_timeout_ms));
            self.timers.arm(Timer::User, now + timeout);
        }
    }

    /// There was progress: the user timeout begins anew where something is still outstanding.
    pub(crate) fn restart_user_timer(&mut self, now: Instant) {
        self.timers.disarm(Timer::User);
        if self.flight_size() > 0 || self.unsent() > 0 {
            self.start_user_timer(now);
        }
    }

    /// Starts keep-alive, where the user wants it.
    pub(crate) fn start_keepalive_timer(&mut self, now: Instant, settings: &Settings) {
        match settings.keepalive {
            Some(keepalive) if self.has(Flags::KEEPALIVE) => {
                self.timers.arm(Timer::Keepalive, now + keepalive.idle);
            }
            _ => self.timers.disarm(Timer::Keepalive),
        }
    }

    /// FIN_WAIT2 of a connection that the user has closed does not wait for ever.
    pub(crate) fn start_orphan_timer(&mut self, now: Instant, settings: &Settings) {
        if self.has(Flags::ORPHAN) && self.state == State::FinWait2 {
            self.timers.arm(Timer::Closing, now + settings.fin_timeout);
        }
    }
}
