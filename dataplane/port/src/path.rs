//! What happens to frames on a path with faults, and when they come out at its end: the timing
//! that a simulated link and the fault wrapper share.

use core::time::Duration;

use tidegate_wire::Instant;

use crate::Impairment;
use crate::impairment::{Dice, Fate};

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// What became of the frames that entered a path. Always `sent + duplicated` is
/// `delivered + lost + queue_dropped + no_frame + in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStatistics {
    /// Frames that were sent into it.
    pub sent: u64,
    /// Copies that were added.
    pub duplicated: u64,
    /// Frames and copies that came out at the other end.
    pub delivered: u64,
    /// Frames lost by chance or by order.
    pub lost: u64,
    /// Frames dropped because the queue in front of the line was full.
    pub queue_dropped: u64,
    /// Frames dropped because the receiving end had no frame for them.
    pub no_frame: u64,
    /// Frames and copies under way.
    pub in_flight: u64,
    /// Frames with a bit flipped.
    pub corrupted: u64,
    /// Frames held back to be overtaken.
    pub reordered: u64,
}

/// What is to be done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It does not arrive.
    Dropped,
    /// It arrives.
    Arrives {
        due: Instant,
        duplicated: bool,
        /// The random number by which a bit is flipped, where one is.
        corrupted: Option<u64>,
    },
}

/// One direction of a path. It counts what it decides; what its user does is the user's to count.
#[derive(Debug)]
pub(crate) struct Path {
    dice: Dice,
    /// When the line has sent what was given to it so far; matters with a bandwidth only.
    line_free: Instant,
    /// When the last frame arrives that jitter has delayed: later ones do not overtake it.
    last_due: Instant,
    /// Frames still to be lost by order.
    lose_next: u64,
    pub(crate) statistics: LinkStatistics,
}

impl Path {
    pub(crate) fn new(seed: u64, impairment: Impairment) -> Self {
        Self {
            dice: Dice::new(seed, impairment),
            line_free: Instant::ZERO,
            last_due: Instant::ZERO,
            lose_next: 0,
            statistics: LinkStatistics::default(),
        }
    }

    pub(crate) fn set_impairment(&mut self, impairment: Impairment) {
        self.last_due = Instant::ZERO;
        self.dice.set(impairment);
    }

    pub(crate) const fn lose_next(&mut self, frames: u64) {
        self.lose_next = frames;
    }

    /// Decides about the next frame, which has `len` bytes.
    pub(crate) fn plan(&mut self, len: usize, now: Instant) -> Plan {
        self.statistics.sent += 1;
        let fate = self.dice.roll();
        if self.lose_next > 0 {
            self.lose_next -= 1;
            self.statistics.lost += 1;
            return Plan::Dropped;
        }
        let Some(sent_at) = self.transmit(len, now) else {
            self.statistics.queue_dropped += 1;
            return Plan::Dropped;
        };
        // A frame that is lost has still used the line.
        if fate.lost {
            self.statistics.lost += 1;
            return Plan::Dropped;
        }
        Plan::Arrives {
            due: self.arrival(sent_at, fate),
            duplicated: fate.duplicated,
            corrupted: fate.corrupted,
        }
    }

    /// When the line has sent `len` more bytes, or `None` when its queue is full.
    fn transmit(&mut self, len: usize, now: Instant) -> Option<Instant> {
        let impairment = self.dice.impairment();
        let Some(bandwidth) = impairment.bandwidth else {
            return Some(now);
        };
        let bandwidth = u128::from(bandwidth.max(1));
        let backlog_ns = self.line_free.saturating_since(now).as_nanos();
        let waiting_bytes = backlog_ns * bandwidth / (8 * NANOS_PER_SEC);
        if waiting_bytes + len as u128 > u128::from(impairment.queue_bytes) {
            return None;
        }
        let bits = len as u128 * 8;
        let sending_ns = u64::try_from((bits * NANOS_PER_SEC).div_ceil(bandwidth));
        let start = self.line_free.max(now);
        self.line_free = start + Duration::from_nanos(sending_ns.unwrap_or(u64::MAX));
        Some(self.line_free)
    }

    /// When a frame arrives that the line has sent at `sent_at`.
    fn arrival(&mut self, sent_at: Instant, fate: Fate) -> Instant {
        let impairment = self.dice.impairment();
        let due = (sent_at + impairment.delay + fate.jitter).max(self.last_due);
        if fate.reordered {
            self.statistics.reordered += 1;
            return due + impairment.reorder_delay;
        }
        // Without jitter, a delay that is made shorter may let later frames overtake.
        if !impairment.jitter.is_zero() {
            self.last_due = due;
        }
        due
    }
}
