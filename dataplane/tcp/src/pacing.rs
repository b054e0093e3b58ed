//! When text may go out: pacing, draft-ietf-ccwg-bbr-06 sections 5.6.2 and 5.6.3; RFC 9293 leaves
//! the moment to us.
//!
//! A flow that is paced has a departure time: what was sent until now is paid for by then, at the
//! pacing rate. It sends in bursts of a quantum, which is what the rate brings in a tick of the
//! timer wheel and two segments at least, and then waits until its departure time has come. A timer
//! that goes off late, which the wheel's do by up to a tick, is made good by a larger burst; so the
//! rate is exact at any speed, and only the bursts grow with it. Silence is not made good.
//!
//! BBR says its rate itself. For the others it is Linux's: twice the window in a round trip in slow
//! start, 1.2 times it afterwards, so that the window is still what limits.

use core::time::Duration;

use tidegate_wire::Instant;

use crate::Context;
use crate::memory::Memory;
use crate::settings::Settings;
use crate::tcb::{Flags, Tcb};
use crate::timers::Timer;

/// When a flow is paced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pacing {
    /// Where its congestion control asks for it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never, whatever congestion control wants.
    Off,
}

/// How long a quantum lasts. A tick of the worker's timer wheel: shorter ones could not be kept
/// apart, longer ones make larger bursts.
const QUANTUM_US: u64 = 1_050;

/// How much lateness is made good. A worker that is so busy that its timers are later than four
/// ticks would send bursts that no queue takes.
const LATENESS_MAX_NS: u32 = 4_200_000;

/// The longest wait between two bursts, in nanoseconds; the least rate follows from it. Departure
/// times are known modulo 4.3 s, so it has to be well below half of that.
const WAIT_NS_MAX: u64 = 1_000_000_000;

/// After so long without sending, the departure time is forgotten; longer than any wait.
const FORGET_AFTER: Duration = Duration::from_nanos(WAIT_NS_MAX + 500_000_000);

/// Rates in slow start and afterwards, in per cent of the window in a round trip: Linux's
/// `tcp_pacing_ss_ratio` and `tcp_pacing_ca_ratio`.
const SLOW_START_PERCENT: u64 = 200;
/// See [`SLOW_START_PERCENT`].
const AVOIDANCE_PERCENT: u64 = 120;

/// C.send_quantum of section 5.6.3 in octets, for a rate in bytes a second.
pub(crate) fn quantum(rate: u64, mss: u32) -> u32 {
    let bytes = u128::from(rate) * u128::from(QUANTUM_US) / 1_000_000;
    u32::try_from(bytes).unwrap_or(u32::MAX).max(2 * mss)
}

/// A time in nanoseconds modulo 2^32, compared the shorter way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure(u32);

impl Departure {
    /// Now.
    #[expect(clippy::cast_possible_truncation, reason = "the wrap at 2^32 is meant")]
    pub(crate) const fn at(now: Instant) -> Self {
        Self(now.as_nanos() as u32)
    }

    /// How long it is from `now` until then, in nanoseconds; negative where it is past.
    const fn after(self, now: Self) -> i32 {
        self.0.wrapping_sub(now.0).cast_signed()
    }

    const fn later_by(self, nanos: u32) -> Self {
        Self(self.0.wrapping_add(nanos))
    }
}

/// How long octets take at a rate, in nanoseconds, rounded up: the segments of a quantum are
/// together not shorter than it.
fn duration_ns(len: u32, rate: u64) -> u32 {
    let nanos = (u64::from(len) * 1_000_000_000).div_ceil(rate.max(1));
    u32::try_from(nanos.min(WAIT_NS_MAX)).unwrap_or(u32::MAX)
}

impl Tcb {
    /// The pacing rate in bytes a second; none where the flow is not paced.
    pub(crate) fn pacing_rate(&self, settings: &Settings, memory: &Memory) -> Option<u64> {
        let asked = memory
            .bbr(self.congestion.record())
            .map(crate::congestion::Bbr::pacing_rate);
        match settings.pacing {
            Pacing::Off => None,
            Pacing::Auto => asked,
            Pacing::On => asked.or_else(|| self.window_rate()),
        }
    }

    /// The rate of a window-based algorithm.
    fn window_rate(&self) -> Option<u64> {
        let srtt_us = u64::try_from(self.rtt.srtt()?.as_micros()).ok()?.max(1);
        let cwnd = self.congestion.cwnd().max(self.flight_size());
        // As in Linux, the gentler rate begins where slow start is about to end.
        let percent = if self.congestion.cwnd() < self.congestion.ssthresh() / 2 {
            SLOW_START_PERCENT
        } else {
            AVOIDANCE_PERCENT
        };
        Some(u64::from(cwnd) * 10_000 * percent / srtt_us)
    }

    /// How long text has to wait, in nanoseconds; none where it may go out.
    fn pacing_wait_ns(&self, cx: &Context<'_>) -> Option<u32> {
        let is_recent = cx.now.saturating_since(self.snd.sent_at.instant()) < FORGET_AFTER;
        let ahead = self.snd.departure.after(Departure::at(cx.now));
        if !is_recent || ahead <= 0 {
            return None;
        }
        let rate = self.pacing_rate(cx.settings, cx.memory)?;
        // A burst of a quantum may be ahead of its time.
        let burst_ns = duration_ns(quantum(rate, self.smss()), rate);
        let wait = ahead.cast_unsigned();
        (wait >= burst_ns).then_some(wait)
    }

    /// Whether pacing holds text back now.
    pub(crate) fn is_paced_out(&self, cx: &Context<'_>) -> bool {
        self.pacing_wait_ns(cx).is_some()
    }

    /// Whether the congestion window is used up, or will be in this round trip: a paced flow may be
    /// looked at between two bursts, when there is room for the next one. As in Linux, half of the
    /// window is enough in slow start, where the rate is twice the window.
    pub(crate) fn is_window_used(&self, cx: &Context<'_>) -> bool {
        if !self.is_paced_out(cx) {
            return true;
        }
        let rate = self.pacing_rate(cx.settings, cx.memory).unwrap_or(u64::MAX);
        let room = self.cwnd_room(cx.memory);
        let is_half_used = room <= self.congestion.cwnd() / 2;
        room <= quantum(rate, self.smss()) || (self.congestion.is_in_slow_start() && is_half_used)
    }

    /// Text goes out, `len` octets of it, and is not noted as sent yet: the departure time moves.
    pub(crate) fn pace(&mut self, len: u32, cx: &Context<'_>) {
        let now = Departure::at(cx.now);
        let Some(rate) = self.pacing_rate(cx.settings, cx.memory) else {
            self.snd.departure = now;
            return;
        };
        let is_recent = cx.now.saturating_since(self.snd.sent_at.instant()) < FORGET_AFTER;
        let ahead = self.snd.departure.after(now);
        let late = ahead.min(0).unsigned_abs();
        let is_waiting = self.has(Flags::PACED) || self.timers.is_armed(Timer::Pace);
        let is_lateness = is_waiting && late <= LATENESS_MAX_NS;
        let from = if is_recent && (ahead >= 0 || is_lateness) {
            self.snd.departure
        } else {
            now
        };
        self.snd.departure = from.later_by(duration_ns(len, rate));
    }

    /// The wait is over. That it was one, and that the timer may be late, is remembered until there
    /// is nothing that waits.
    pub(crate) fn on_pace_timeout(&mut self, cx: &Context<'_>) {
        let is_waiting = self.cwnd_room(cx.memory) >= self.smss();
        self.flags.set(Flags::PACED, is_waiting);
    }

    /// Starts the timer where text waits for its departure time, and stops it where none does.
    pub(crate) fn settle_pacing(&mut self, cx: &Context<'_>) {
        let has_text = self.unsent() > 0 || self.recovery.is_repairing();
        match self.pacing_wait_ns(cx).filter(|_| has_text) {
            Some(wait_ns) => {
                let wait = Duration::from_nanos(wait_ns.into());
                self.timers.arm(Timer::Pace, cx.now + wait);
            }
            None => self.timers.disarm(Timer::Pace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantum_is_a_tick_and_two_segments_at_least() {
        assert_eq!(quantum(1_000, 1_448), 2_896);
        // 10 Gbit/s.
        assert_eq!(quantum(1_250_000_000, 1_448), 1_312_500);
        assert_eq!(quantum(u64::MAX, 1_448), u32::MAX);
    }

    #[test]
    fn departure_times_go_round() {
        let early = Departure(u32::MAX - 5);
        let late = early.later_by(10);
        assert_eq!((late.after(early), early.after(late)), (10, -10));
        assert_eq!(
            duration_ns(1_448, 1),
            1_000_000_000,
            "no wait is longer than a second"
        );
        assert_eq!(duration_ns(1_250, 1_250_000), 1_000_000);
    }
}
