//! The loss laboratory: how much of a line of 20 Mbit/s a sender gets, for each loss, round trip
//! and reordering, next to what theory has for it. The table is committed, so that a change of
//! behaviour is a visible difference.
//!
//! Before the line is a queue of one bandwidth-delay product, 32 segments at least. The sender has
//! text all the time; a run lasts a hundred round trips, two seconds at least, its slow start
//! included. After a wanted change: `UPDATE=1 cargo test --test simulation laboratory`, and look at
//! the difference.
//!
//! Theory: the response functions of Reno and CUBIC (RFC 9438 5.2 and figure 6 there; Mathis et
//! al. for Reno) give the window that periodic losses leave, and no more than the line fits. They
//! know neither slow start nor timeouts, of which there are many at 3 % and more.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_tcp::{CongestionKind, Settings};

use crate::world::{Line, Weather, World};

/// 20 Mbit/s.
const OCTETS_PER_SECOND: u64 = 2_500_000;

/// Losses of the table, in a million.
const LOSSES: [u64; 6] = [0, 100, 1_000, 10_000, 30_000, 50_000];

/// Round trips of the table, in milliseconds.
const ROUND_TRIPS_MS: [u64; 4] = [1, 10, 50, 100];

/// Text of a segment with timestamps, and what it takes of the line.
const TEXT_LEN: f64 = 1_448.0;
const DATAGRAM_LEN: f64 = 1_500.0;

/// How the path keeps the order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Kept,
    /// One in a hundred is late, by a quarter of a round trip at most.
    Seldom,
    /// One in ten is late, by a whole round trip at most.
    Deep,
}

impl Order {
    /// How many in a thousand are late, and by how much.
    fn lateness(self, rtt: Duration) -> (u64, Duration) {
        match self {
            Self::Kept => (0, Duration::ZERO),
            Self::Seldom => (10, (rtt / 4).max(Duration::from_millis(2))),
            Self::Deep => (100, rtt.max(Duration::from_millis(4))),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kept => "the order is kept",
            Self::Seldom => "1 % late by a quarter of a round trip",
            Self::Deep => "10 % late by a whole round trip",
        }
    }
}

/// A cell of the table.
#[derive(Clone, Copy)]
struct Cell {
    congestion: CongestionKind,
    order: Order,
    rtt: Duration,
    lost_per_million: u64,
}

impl Cell {
    /// Kilobytes a second that arrive, the mean of some seeds.
    fn goodput(self) -> u64 {
        let (late_per_mille, lateness) = self.order.lateness(self.rtt);
        let product = OCTETS_PER_SECOND * micros(self.rtt) / 1_000_000;
        let weather = Weather {
            lost_per_mille: 0,
            doubled_per_mille: 0,
            late_per_mille,
            marked_per_mille: 0,
            delay: self.rtt / 2,
            lateness,
            mtu: 1_500,
            line: Some(Line {
                octets_per_second: OCTETS_PER_SECOND,
                queue: product.max(32 * 1_500),
                lost_per_million: self.lost_per_million,
            }),
        };
        let settings = Settings {
            congestion: self.congestion,
            ..Settings::default()
        };
        let time = (100 * self.rtt).max(Duration::from_secs(2));
        // Where little is lost one run is like the other.
        let seeds = if self.lost_per_million < 1_000 { 1 } else { 3 };
        let delivered: u64 = (0..seeds)
            .map(|seed| {
                let mut world = World::new(seed, [settings, settings], weather, 1_500);
                world.hosts[0].to_write = u64::MAX;
                world.hosts[0].writes_at_once = true;
                let start = world.now;
                world.hosts[0].open(start);
                world.run(start + time, |_| ());
                world.hosts[1].delivered
            })
            .sum();
        delivered * 1_000 / (seeds * micros(time))
    }

    /// What theory has for it, in kilobytes a second.
    fn theory(self) -> f64 {
        let line = OCTETS_PER_SECOND as f64 * TEXT_LEN / DATAGRAM_LEN;
        let rtt = self.rtt.as_secs_f64();
        let p = self.lost_per_million as f64 / 1e6;
        let reno = (1.5 / p).sqrt();
        let segments = match self.congestion {
            // Its model does not follow losses by chance; the line is its bound.
            CongestionKind::Bbr => f64::INFINITY,
            CongestionKind::NewReno => reno,
            // RFC 9438 5.2: with C of 0.4. Never less than Reno.
            CongestionKind::Cubic => (1.054 * rtt.powf(0.75) / p.powf(0.75)).max(reno),
        };
        (segments * TEXT_LEN / rtt).min(line) / 1_000.0
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("short")
}

/// The cells of one part of the table, a line each round trip.
fn part(congestion: CongestionKind, order: Order, table: &mut String) {
    let _ = write!(
        table,
        "\n{}, {}\n{:>8}",
        congestion.name(),
        order.name(),
        ""
    );
    for lost in LOSSES {
        let _ = write!(table, "{:>14} %", lost as f64 / 10_000.0);
    }
    table.push('\n');
    for rtt_ms in ROUND_TRIPS_MS {
        let _ = write!(table, "{rtt_ms:>5} ms");
        for lost_per_million in LOSSES {
            let cell = Cell {
                congestion,
                order,
                rtt: Duration::from_millis(rtt_ms),
                lost_per_million,
            };
            let (goodput, theory) = (cell.goodput(), cell.theory());
            // Whatever is committed: with few losses and in order, theory is about right.
            let is_known = order == Order::Kept && lost_per_million <= 10_000;
            assert!(
                !is_known || goodput as f64 >= 0.7 * theory,
                "{goodput} of {theory} kB/s at {rtt_ms} ms and {lost_per_million} lost in a million"
            );
            let _ = write!(table, "{goodput:>8} of {theory:>4.0}");
        }
        table.push('\n');
    }
}

#[test]
fn the_loss_laboratory_is_as_committed() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/laboratory.txt");
    let mut table =
        String::from("kilobytes a second over 20 Mbit/s, of what theory has; see laboratory.rs\n");
    for order in [Order::Kept, Order::Seldom, Order::Deep] {
        part(CongestionKind::Cubic, order, &mut table);
    }
    part(CongestionKind::NewReno, Order::Kept, &mut table);
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, &table).expect("it can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        table, committed,
        "the table has changed; see the head of this file"
    );
}
