//! One direction of a simulated link: the frames under way, each with the time at which it
//! arrives.
//!
//! Frames are copied in and out, so a sender has its frame back at once, as after a transmission,
//! and the number of frames under way is not limited by anybody's packet memory. The buffers are
//! kept and used again.

use std::collections::VecDeque;

use tidegate_wire::Instant;

use crate::Impairment;
use crate::impairment::flip_bit;
use crate::path::{LinkStatistics, Path, Plan};

/// The most frames under way in one direction, for a receiver that never comes to fetch them:
/// at 2 KiB a frame this is 128 MiB. What exceeds it is dropped as if the queue were full.
const IN_FLIGHT_MAX: usize = 65_536;

/// A frame under way.
#[derive(Debug)]
struct Transit {
    due: Instant,
    bytes: Vec<u8>,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    path: Path,
    /// Ordered by `due`, among equals by the order of sending.
    in_flight: VecDeque<Transit>,
    /// Empty buffers to be used again.
    spare: Vec<Vec<u8>>,
}

impl Lane {
    pub(super) fn new(seed: u64, impairment: Impairment) -> Self {
        Self {
            path: Path::new(seed, impairment),
            in_flight: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    pub(super) fn set_impairment(&mut self, impairment: Impairment) {
        self.path.set_impairment(impairment);
    }

    pub(super) const fn lose_next(&mut self, frames: u64) {
        self.path.lose_next(frames);
    }

    pub(super) fn statistics(&self) -> LinkStatistics {
        LinkStatistics {
            in_flight: self.in_flight.len() as u64,
            ..self.path.statistics
        }
    }

    /// When the next frame arrives.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.in_flight.front().map(|transit| transit.due)
    }

    /// Puts a copy of a frame on the line, or drops it.
    pub(super) fn send(&mut self, frame: &[u8], now: Instant) {
        let plan = self.path.plan(frame.len(), now);
        let Plan::Arrives {
            due,
            duplicated,
            corrupted,
        } = plan
        else {
            return;
        };
        if duplicated {
            self.path.statistics.duplicated += 1;
            self.insert(frame, due, None);
        }
        self.insert(frame, due, corrupted);
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
            self.path.statistics.delivered += 1;
        } else {
            self.path.statistics.no_frame += 1;
        }
    }

    fn insert(&mut self, frame: &[u8], due: Instant, corrupted: Option<u64>) {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.path.statistics.queue_dropped += 1;
            return;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.extend_from_slice(frame);
        if corrupted.is_some_and(|random| flip_bit(&mut bytes, random)) {
            self.path.statistics.corrupted += 1;
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
