//! The timers of a connection: a table of deadlines, no wheel and no clock.
//!
//! The worker asks for the earliest deadline and calls `on_timeout` when it has passed; what each
//! timer does then stands in `timeout.rs`, with the sections of RFC 9293 that they come from.

use tidegate_wire::Instant;

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
    /// What waits for its departure time may go out (draft-ietf-ccwg-bbr-06 5.6.2).
    Pace,
}

impl Timer {
    /// All of them, in the order in which those due at the same time are carried out. What ends a
    /// connection comes first.
    pub(crate) const ALL: [Self; 8] = [
        Self::User,
        Self::Closing,
        Self::Reorder,
        Self::Retransmit,
        Self::Persist,
        Self::Keepalive,
        Self::DelayedAck,
        Self::Pace,
    ];
}

/// How many slots there are; some timers share one, see [`Timer::slot`].
const SLOTS: usize = 6;

impl Timer {
    /// The slot it has. Two that never run at the same time share one: a closed window is probed
    /// where else the oldest octet would go again (RFC 9293 3.8.6, SHLD-17), and nobody keeps
    /// alive what is being closed.
    const fn slot(self) -> usize {
        match self {
            Self::Retransmit | Self::Persist => 0,
            Self::DelayedAck => 1,
            Self::Keepalive | Self::Closing => 2,
            Self::User => 3,
            Self::Reorder => 4,
            Self::Pace => 5,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// When each timer is due, in whole microseconds of 48 bits: room for nine years after the start.
/// A part of a microsecond counts as one, so that none is early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timers {
    low: [u32; SLOTS],
    high: [u16; SLOTS],
    /// Which timers are on, a bit each.
    armed: u8,
}

const _: () = assert!(size_of::<Timers>() <= 40, "it is in every idle flow");

impl Timers {
    /// All off.
    pub(crate) const fn new() -> Self {
        Self {
            low: [u32::MAX; SLOTS],
            high: [u16::MAX; SLOTS],
            armed: 0,
        }
    }

    /// Starts `timer`, or moves it. The one that shares its slot ends, but for the end of a
    /// closing state, which no keep-alive puts off.
    pub(crate) const fn arm(&mut self, timer: Timer, at: Instant) {
        if matches!(timer, Timer::Keepalive) && self.armed & Timer::Closing.bit() != 0 {
            return;
        }
        self.set(timer.slot(), at.as_nanos().div_ceil(1_000));
        self.armed &= !Self::sharing(timer.slot());
        self.armed |= timer.bit();
    }

    /// Turns `timer` off.
    pub(crate) const fn disarm(&mut self, timer: Timer) {
        if self.is_armed(timer) {
            self.armed &= !timer.bit();
            self.set(timer.slot(), u64::MAX);
        }
    }

    /// When `timer` is due, if it is on.
    pub(crate) fn at(&self, timer: Timer) -> Option<Instant> {
        self.is_armed(timer)
            .then(|| Instant::from_micros(self.micros(timer.slot())))
    }

    /// Whether `timer` is on.
    pub(crate) const fn is_armed(&self, timer: Timer) -> bool {
        self.armed & timer.bit() != 0
    }

    /// Turns `timer` off if it is due, and says whether it was.
    pub(crate) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        let due = self.at(timer).is_some_and(|at| at <= now);
        if due {
            self.disarm(timer);
        }
        due
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let earliest = (0..SLOTS).map(|slot| self.micros(slot)).min()?;
        (self.armed != 0).then(|| Instant::from_micros(earliest))
    }

    const fn micros(&self, slot: usize) -> u64 {
        (self.high[slot] as u64) << 32 | self.low[slot] as u64
    }

    /// Writes a deadline down; one that is too far away for the slot is as far as there is room.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cut in two, 48 bits in all"
    )]
    const fn set(&mut self, slot: usize, micros: u64) {
        let bounded = if micros >> 48 == 0 {
            micros
        } else {
            (1 << 48) - 1
        };
        self.low[slot] = bounded as u32;
        self.high[slot] = (bounded >> 32) as u16;
    }

    /// The bits of all timers of a slot.
    const fn sharing(slot: usize) -> u8 {
        let mut bits = 0;
        let mut index = 0;
        while index < Timer::ALL.len() {
            if Timer::ALL[index].slot() == slot {
                bits |= Timer::ALL[index].bit();
            }
            index += 1;
        }
        bits
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
    use core::time::Duration;

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

    #[test]
    fn of_two_that_share_a_slot_the_later_armed_runs() {
        let mut timers = Timers::new();
        timers.arm(Timer::Retransmit, Instant::from_secs(1));
        timers.arm(Timer::Persist, Instant::from_secs(2));
        assert!(!timers.is_armed(Timer::Retransmit));
        timers.disarm(Timer::Retransmit);
        assert_eq!(timers.at(Timer::Persist), Some(Instant::from_secs(2)));
    }

    #[test]
    fn no_keep_alive_puts_off_the_end_of_a_closing_state() {
        let mut timers = Timers::new();
        timers.arm(Timer::Keepalive, Instant::from_secs(7_200));
        timers.arm(Timer::Closing, Instant::from_secs(60));
        timers.arm(Timer::Keepalive, Instant::from_secs(7_200));
        assert_eq!(
            timers.first(),
            Some((Timer::Closing, Instant::from_secs(60)))
        );
    }

    #[test]
    fn a_deadline_is_kept_for_nine_years_and_never_early() {
        let mut timers = Timers::new();
        let late = Instant::from_secs(9 * 31_000_000);
        timers.arm(Timer::User, late + Duration::from_nanos(1));
        assert_eq!(timers.next(), Some(late + Duration::from_micros(1)));
        timers.arm(Timer::User, Instant::from_nanos(u64::MAX));
        assert!(timers.next() > Some(late), "as far as there is room");
    }
}
