//! Two TCBs on a link that loses, delays, reorders and doubles segments, in simulated time, all
//! from one seed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tidegate_tcp::{FourTuple, Settings};
use tidegate_wire::Instant;

use crate::host::{Datagram, Host};

/// A generator of numbers that is good enough for a test (splitmix64).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// True so many times in a thousand.
    pub(crate) const fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// One of the choices.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("small")]
    }

    pub(crate) const fn word(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }
}

/// What the link does to segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) lost_per_mille: u64,
    pub(crate) doubled_per_mille: u64,
    pub(crate) late_per_mille: u64,
    /// How often a datagram that may be marked is (RFC 3168 5).
    pub(crate) marked_per_mille: u64,
    pub(crate) delay: Duration,
    /// How much later a late segment is, at most.
    pub(crate) lateness: Duration,
    /// Larger datagrams are lost, and no router says so.
    pub(crate) mtu: usize,
    /// What the segments have to share; without one nothing is ever full.
    pub(crate) line: Option<Line>,
}

/// A line with a queue before it, the same each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Octets a second, IP headers included.
    pub(crate) octets_per_second: u64,
    /// Octets that may wait for it. What comes when it is full is dropped.
    pub(crate) queue: u64,
    /// How many in a million are lost beside.
    pub(crate) lost_per_million: u64,
}

/// The link: segments under way, by the time when they arrive.
struct Link {
    weather: Weather,
    under_way: BTreeMap<(Instant, u64), (usize, Datagram)>,
    count: u64,
    /// Octets of the IP header.
    ip_header: usize,
    /// When the line to each host has sent what was given to it.
    free_at: [Instant; 2],
}

impl Link {
    /// A segment leaves for host `to`.
    fn send(&mut self, now: Instant, to: usize, mut segment: Datagram, dice: &mut Dice) {
        let is_too_big = segment.segment.len() + self.ip_header > self.weather.mtu;
        if dice.per_mille(self.weather.lost_per_mille) || is_too_big {
            return;
        }
        if self.weather.marked_per_mille > 0
            && segment.ecn != 0
            && dice.per_mille(self.weather.marked_per_mille)
        {
            segment.ecn = 0b11;
        }
        let Some(now) = self.pass_line(now, to, &segment, dice) else {
            return;
        };
        let copies = if dice.per_mille(self.weather.doubled_per_mille) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let is_late = dice.per_mille(self.weather.late_per_mille);
            let lateness = u64::try_from(self.weather.lateness.as_micros()).expect("short");
            let late = if is_late { dice.below(lateness + 1) } else { 0 };
            // Whole tenths of a millisecond make bursts.
            let late = Duration::from_micros(late / 100 * 100);
            self.count += 1;
            let key = (now + self.weather.delay + late, self.count);
            self.under_way.insert(key, (to, segment.clone()));
        }
    }

    /// When the line has sent it; never, where its queue is full or it is lost there.
    fn pass_line(
        &mut self,
        now: Instant,
        to: usize,
        segment: &Datagram,
        dice: &mut Dice,
    ) -> Option<Instant> {
        let Some(line) = self.weather.line else {
            return Some(now);
        };
        let nanos =
            |octets: u64| Duration::from_nanos(octets * 1_000_000_000 / line.octets_per_second);
        let octets = (segment.segment.len() + self.ip_header) as u64;
        let start = self.free_at[to].max(now);
        if start.saturating_since(now) + nanos(octets) > nanos(line.queue) {
            return None;
        }
        self.free_at[to] = start + nanos(octets);
        let is_lost = dice.below(1_000_000) < line.lost_per_million;
        (!is_lost).then_some(self.free_at[to])
    }

    fn next(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// What arrives at `now`, in order.
    fn arriving(&mut self, now: Instant) -> Vec<(usize, Datagram)> {
        let later = self
            .under_way
            .split_off(&(now + Duration::from_nanos(1), 0));
        std::mem::replace(&mut self.under_way, later)
            .into_values()
            .collect()
    }
}

/// Two hosts and the link between them.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now: Instant,
    pub(crate) hosts: [Host; 2],
    link: Link,
}

impl World {
    /// Host 0 opens to host 1; with `is_simultaneous` each opens to the other.
    pub(crate) fn new(seed: u64, settings: [Settings; 2], weather: Weather, mtu: u32) -> Self {
        let mut dice = Dice::new(seed);
        let is_ipv4 = dice.per_mille(500);
        let (local, remote) = if is_ipv4 {
            (
                Ipv4Addr::new(192, 0, 2, 1).into(),
                Ipv4Addr::new(192, 0, 2, 2).into(),
            )
        } else {
            let address = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into();
            (address(1), address(2))
        };
        let tuple = FourTuple {
            local,
            local_port: 40_000,
            remote,
            remote_port: 80,
        };
        let now = Instant::from_secs(5);
        let hosts = [
            Host::new(tuple, settings[0], mtu, &mut dice),
            Host::new(tuple.reversed(), settings[1], mtu, &mut dice),
        ];
        let link = Link {
            weather,
            under_way: BTreeMap::new(),
            count: 0,
            free_at: [Instant::ZERO; 2],
            ip_header: if is_ipv4 { 20 } else { 40 },
        };
        Self {
            dice,
            now,
            hosts,
            link,
        }
    }

    /// Plays until nothing is left to happen, or until `end`; `each` is called after every turn.
    pub(crate) fn run(&mut self, end: Instant, mut each: impl FnMut(&mut Self)) {
        loop {
            self.turn();
            each(self);
            self.transmit();
            let next = [
                self.link.next(),
                self.hosts[0].next_event(),
                self.hosts[1].next_event(),
            ];
            let Some(next) = next.into_iter().flatten().min() else {
                return;
            };
            if next > end {
                return;
            }
            self.now = self.now.max(next);
        }
    }

    /// From now on everything is lost.
    pub(crate) fn cut(&mut self) {
        self.link.weather.lost_per_mille = 1_000;
        self.link.under_way.clear();
    }

    /// Receive everything, expire timers, then the users; as a worker does it.
    fn turn(&mut self) {
        for (to, segment) in self.link.arriving(self.now) {
            self.hosts[to].receive(&segment, self.now);
        }
        for host in &mut self.hosts {
            host.expire(self.now);
            host.act(self.now, &mut self.dice);
        }
    }

    fn transmit(&mut self) {
        for from in 0..2 {
            for segment in self.hosts[from].transmit(self.now) {
                self.link.send(self.now, 1 - from, segment, &mut self.dice);
            }
        }
    }
}
