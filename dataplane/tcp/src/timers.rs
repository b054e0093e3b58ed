//! The timers of a connection: a table with one slot each, no wheel and no clock.
//!
//! The worker asks for the earliest deadline and calls `on_timeout` when it has passed; what each
//! timer does then stands in `timeout.rs`. A slot holds an instant, or [`NEVER`].

use tidegate_wire::Instant;

/// The deadline of a timer that is off. It lies 584 years after the start.
pub(crate) const NEVER: Instant = Instant::from_nanos(u64::MAX);

/// What may be waited for. The timers of RFC 9293 3.10.8 and of 3.8.3, 3.8.4 and 3.8.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The RTO (RFC 6298): the oldest unacknowledged octet is sent again.
    Retransmit,
    /// The peer's window is closed: it is probed (RFC 9293 3.8.6.1).
    Persist,
    /// An ACK that was held back is due (RFC 9293 3.8.6.3).
    DelayedAck,
    /// The peer was silent for too long (RFC 9293 3.8.4).
    Keepalive,
    /// Text stayed unacknowledged for the user timeout (RFC 9293 3.8.3).
    User,
    /// The end of a closing state, and which one the state tells: 2 MSL in TIME_WAIT, the orphan's
    /// wait in FIN_WAIT2, linger while our FIN is not acknowledged.
    Closing,
    /// What is late may only have been overtaken, until now (RFC 8985 6.3); or, where nothing that
    /// is outstanding is SACKed, the tail is probed (RFC 8985 7.2).
    Reorder,
}

impl Timer {
    /// All of them, in the order in which those due at the same time are carried out. What ends a
    /// connection comes first.
    pub(crate) const ALL: [Self; 7] = [
        Self::User,
        Self::Closing,
        Self::Reorder,
        Self::Retransmit,
        Self::Persist,
        Self::Keepalive,
        Self::DelayedAck,
    ];
}

/// When each timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timers([Instant; Timer::ALL.len()]);

impl Timers {
    /// All off.
    pub(crate) const fn new() -> Self {
        Self([NEVER; Timer::ALL.len()])
    }

    /// Starts `timer`, or moves it.
    pub(crate) const fn arm(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    /// Turns `timer` off.
    pub(crate) const fn disarm(&mut self, timer: Timer) {
        self.0[timer as usize] = NEVER;
    }

    /// When `timer` is due, if it is on.
    pub(crate) fn at(&self, timer: Timer) -> Option<Instant> {
        Some(self.0[timer as usize]).filter(|at| *at != NEVER)
    }

    /// Whether `timer` is on.
    pub(crate) fn is_armed(&self, timer: Timer) -> bool {
        self.0[timer as usize] != NEVER
    }

    /// Turns `timer` off if it is due, and says whether it was.
    pub(crate) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.is_armed(timer) && self.0[timer as usize] <= now;
        if due {
            self.disarm(timer);
        }
        due
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let earliest = self.0.iter().copied().min().unwrap_or(NEVER);
        Some(earliest).filter(|at| *at != NEVER)
    }

    /// The timer that is due first, and when.
    pub(crate) fn first(&self) -> Option<(Timer, Instant)> {
        let armed = Timer::ALL
            .into_iter()
            .filter_map(|timer| Some((timer, self.at(timer)?)));
        armed.min_by_key(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_wins_and_is_taken_once() {
        let mut timers = Timers::new();
        assert_eq!(timers.next(), None);
        timers.arm(Timer::Keepalive, Instant::from_secs(7_200));
        timers.arm(Timer::Retransmit, Instant::from_secs(1));
        assert_eq!(timers.next(), Some(Instant::from_secs(1)));
        assert_eq!(
            timers.first(),
            Some((Timer::Retransmit, Instant::from_secs(1)))
        );
        assert!(!timers.take_due(Timer::Retransmit, Instant::from_millis(999)));
        assert!(timers.take_due(Timer::Retransmit, Instant::from_secs(1)));
        assert!(!timers.take_due(Timer::Retransmit, Instant::from_secs(2)));
        assert_eq!(timers.next(), Some(Instant::from_secs(7_200)));
    }
}
