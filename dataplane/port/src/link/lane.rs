//! One direction of a simulated link: the frames under way, each with the time at which it
//! arrives.
//!
//! Frames are copied in and out, so a sender has its frame back at once, as after a transmission,
//! and the number of frames under way is not limited by anybody's packet memory. The buffers are
//! kept and used again.

use core::time::Duration;
use std::collections::VecDeque;

use tidegate_wire::Instant;

use super::LinkStatistics;
use crate::Impairment;
use crate::impairment::{Dice, Fate, flip_bit};

/// The most frames under way in one direction, for a receiver that never comes to fetch them:
/// at 2 KiB a frame this is 128 MiB. What exceeds it is dropped as if the queue were full.
const IN_FLIGHT_MAX: usize = 65_536;

const NANOS_PER_SEC: u128 = 1_000_000_000;

/// A frame under way.
#[derive(Debug)]
struct Transit {
    due: Instant,
    bytes: Vec<u8>,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    dice: Dice,
    /// Ordered by `due`, among equals by the order of sending.
    in_flight: VecDeque<Transit>,
    /// Empty buffers to be used again.
    spare: Vec<Vec<u8>>,
    /// When the line has sent what was given to it so far; matters with a bandwidth only.
    line_free: Instant,
    /// When the last frame that was not held back arrives: jitter does not overtake it.
    last_due: Instant,
    /// Frames still to be lost by order.
    lose_next: u64,
    statistics: LinkStatistics,
}

impl Lane {
    pub(super) fn new(seed: u64, impairment: Impairment) -> Self {
        Self {
            dice: Dice::new(seed, impairment),
            in_flight: VecDeque::new(),
            spare: Vec::new(),
            line_free: Instant::ZERO,
            last_due: Instant::ZERO,
            lose_next: 0,
            statistics: LinkStatistics::default(),
        }
    }

    pub(super) fn set_impairment(&mut self, impairment: Impairment) {
        self.dice.set(impairment);
    }

    pub(super) const fn lose_next(&mut self, frames: u64) {
        self.lose_next = frames;
    }

    pub(super) fn statistics(&self) -> LinkStatistics {
        LinkStatistics {
            in_flight: self.in_flight.len() as u64,
            ..self.statistics
        }
    }

    /// When the next frame arrives.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.in_flight.front().map(|transit| transit.due)
    }

    /// Puts a copy of a frame on the line, or drops it.
    pub(super) fn send(&mut self, frame: &[u8], now: Instant) {
        self.statistics.sent += 1;
        let fate = self.dice.roll();
        if self.lose_next > 0 {
            self.lose_next -= 1;
            self.statistics.lost += 1;
            return;
        }
        let Some(sent_at) = self.transmit(frame.len(), now) else {
            self.statistics.queue_dropped += 1;
            return;
        };
        // A frame that is lost has still used the line.
        if fate.lost {
            self.statistics.lost += 1;
            return;
        }
        let due = self.arrival(sent_at, fate);
        if fate.duplicated && self.in_flight.len() + 1 < IN_FLIGHT_MAX {
            self.statistics.duplicated += 1;
            self.insert(frame, due, None);
        }
        self.insert(frame, due, fate.corrupted);
    }

    /// Takes a frame that has arrived by `now` off the line, as the caller copies it.
    pub(super) fn receive<T>(&mut self, now: Instant, copy: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if self.next_due()? > now {
            return None;
        }
        let mut transit = self.in_flight.pop_front()?;
        let copied = copy(&transit.bytes);
        transit.bytes.clear();
        self.spare.push(transit.bytes);
        Some(copied)
    }

    /// Counts what became of a frame that was received.
    pub(super) const fn count_received(&mut self, delivered: bool) {
        if delivered {
            self.statistics.delivered += 1;
        } else {
            self.statistics.no_frame += 1;
        }
    }

    /// When the line has sent `len` more bytes, or `None` when its queue is full.
    fn transmit(&mut self, len: usize, now: Instant) -> Option<Instant> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
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
        // A delay that was made shorter while frames are under way lets later ones overtake.
        self.last_due = if impairment.jitter.is_zero() {
            Instant::ZERO
        } else {
            due
        };
        due
    }

    fn insert(&mut self, frame: &[u8], due: Instant, corrupted: Option<u64>) {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(frame);
        if corrupted.is_some_and(|random| flip_bit(&mut bytes, random)) {
            self.statistics.corrupted += 1;
        }
        let transit = Transit { due, bytes };
        match self.in_flight.back() {
            Some(last) if last.due > due => {
                let place = self.in_flight.partition_point(|other| other.due <= due);
                self.in_flight.insert(place, transit);
            }
            _ => self.in_flight.push_back(transit),
        }
    }
}
