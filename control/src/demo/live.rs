//! The demo's line a second.

use std::time::Instant;

use super::load::Tally;
use super::stage::BACKENDS;
use crate::admin::Counters;

/// Lines after which the heading is printed again.
const HEADING_EVERY: u32 = 20;

/// Remembers the last second, to show what was new in this one.
#[derive(Debug)]
pub(super) struct Live {
    begun: Instant,
    last: Instant,
    lines: u32,
    connections: u64,
    right: [u64; BACKENDS.len()],
}

impl Live {
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            last: begun,
            lines: 0,
            connections: 0,
            right: [0; BACKENDS.len()],
        }
    }

    /// Prints what happened since the last call.
    pub(super) fn show(&mut self, tally: &Tally, counters: &Counters) {
        if self.lines.is_multiple_of(HEADING_EVERY) {
            let names: String = BACKENDS.iter().map(|name| format!("{name:>8}")).collect();
            say!("   time    req/s   conn/s{names}   connections by state; discards");
        }
        self.lines += 1;
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        let mut new = [0; BACKENDS.len()];
        for (backend, new) in new.iter_mut().enumerate() {
            let right = tally.right_of(backend);
            *new = right - self.right[backend];
            self.right[backend] = right;
        }
        let requests: u64 = new.iter().sum();
        let connections = tally.connections() - self.connections;
        self.connections += connections;
        let shares: String = new
            .iter()
            .map(|new| format!("{:>7.1}%", percent(*new, requests)))
            .collect();
        say!(
            "{:>5.0} s {:>8.0} {:>8.0}{shares}   {}; {}",
            now.duration_since(self.begun).as_secs_f64(),
            rate(requests, seconds),
            rate(connections, seconds),
            states(counters),
            discards(counters),
        );
    }
}

/// `ESTABLISHED 64, TIME_WAIT 12`.
fn states(counters: &Counters) -> String {
    let present = counters.flows.iter().filter(|(_, count)| **count > 0);
    let list: Vec<String> = present
        .map(|(state, count)| format!("{state} {count}"))
        .collect();
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

/// `no discards`, or each name with its number.
pub(super) fn discards(counters: &Counters) -> String {
    let all = counters.discards.iter().chain(&counters.tx_discards);
    let present = all.filter(|(_, discarded)| discarded.count > 0);
    let list: Vec<String> = present
        .map(|(name, discarded)| format!("{name} {}", discarded.count))
        .collect();
    if list.is_empty() {
        "no discards".to_owned()
    } else {
        format!("discards: {}", list.join(", "))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate shown with no digit after the point"
)]
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(0.001)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share shown with one digit after the point"
)]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
