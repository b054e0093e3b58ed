//! Counters: a page that only the worker writes and anybody may read.
//!
//! Each counter is an atomic that its worker changes with a relaxed load and a relaxed store, which
//! cost what a plain addition costs; a read-modify-write would not. A reader sees each counter as
//! it was a moment ago, and two counters of slightly different moments. Who wants them all from
//! between two turns asks with [`Command::Counts`](crate::Command::Counts).
//!
//! Always, between two turns:
//!
//! ```text
//! rx_frames = delivered + answered + sum of discard.*
//! ```

use core::sync::atomic::{AtomicU64, Ordering};

use tidegate_port::{PortCounters, PortDrop, PortFrameCounts};
use tidegate_tcp::{End, State};
use tidegate_wire::Discard;

#[expect(
    clippy::disallowed_types,
    reason = "a page of counters that one thread writes and others read"
)]
pub(crate) type SharedCounters = std::sync::Arc<Counters>;

/// A number that only one thread writes.
#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl Cell {
    fn of(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn add(&self, n: u64) {
        self.set(self.of().wrapping_add(n));
    }
}

/// Makes [`Counter`] from rows of variant, name and sentence.
macro_rules! counters {
    ($($variant:ident $name:literal $sentence:literal;)+) => {
        /// What a worker counts beside discards, states and ports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Counter {
            $(#[doc = $sentence] $variant,)+
        }

        impl Counter {
            /// All of them, in the order of the list.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = [$($name,)+].len();

            /// The name in snapshots and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)+
                }
            }
        }
    };
}

counters! {
    Turns "turns" "Turns of the loop.";
    TurnsIdle "turns_idle" "Turns in which there was nothing to do.";
    Sleeps "sleeps" "Times the worker went to sleep.";
    RxFrames "rx_frames" "Frames taken from the ports.";
    Delivered "delivered" "Received frames whose content reached a flow or the neighbour table.";
    Answered "answered" "Received frames answered at once: ARP, neighbour discovery, echo.";
    RxSegments "rx_segments" "Segments that a flow took.";
    RxTextBytes "rx_text_bytes" "Bytes of text in segments that a flow took.";
    RxMarks "rx_marks" "Segments that a flow took and a router had marked for congestion (CE).";
    TxSegments "tx_segments" "Segments sent by flows.";
    TxTextBytes "tx_text_bytes" "Bytes of text in segments sent, what was sent again included.";
    Retransmits "retransmits" "Segments sent again.";
    TxWaits "tx_waits" "Times a flow had to wait with what it wants to send for a frame or for room in a ring.";
    ResetsSent "resets_sent" "RSTs sent for segments that belong to no flow.";
    ArpRequests "arp_requests" "ARP requests sent, announcements included.";
    ArpReplies "arp_replies" "ARP replies sent.";
    Solicitations "solicitations" "Neighbour solicitations sent.";
    Advertisements "advertisements" "Neighbour advertisements sent.";
    EchoReplies "echo_replies" "ICMP and ICMPv6 echo replies sent.";
    IcmpErrors "icmp_errors" "ICMP errors that reached the flow they are about.";
    HalfOpened "half_opened" "SYNs that began a handshake which is kept, as a half-open connection.";
    HalfOpenRecycled "half_open_recycled" "Half-open connections that nobody answered and that made room for a new SYN.";
    SyncookiesSent "syncookies_sent" "SYNs answered by a cookie, of which nothing is kept.";
    SyncookiesReceived "syncookies_recv" "Cookies that came back and were good.";
    SyncookiesFailed "syncookies_failed" "ACKs with a cookie that was wrong or too old.";
    FastOpenCookiesSent "fast_open_cookies_sent" "Fast Open cookies given to clients.";
    FastOpenTaken "fast_open_taken" "SYNs with a good Fast Open cookie whose text was taken.";
    FastOpenWrong "fast_open_wrong" "SYNs with a Fast Open cookie that is none of ours; their handshake is an ordinary one.";
    FastOpenRefused "fast_open_refused" "SYNs with a good Fast Open cookie while the listener has too many pending.";
    FastOpenSent "fast_open_sent" "SYNs of ours that brought a Fast Open cookie.";
    FastOpenLost "fast_open_lost" "Opens whose SYN had to go again without Fast Open; the address is left alone for an hour.";
    Accepted "accepted" "Flows given to the application by a listener.";
    AcceptQueued "accept_queued" "Flows that had to wait in an accept queue.";
    AcceptAborted "accept_aborted" "Flows reset because the accept queue was full.";
    HandshakesLost "handshakes_lost" "Flows that came to a listener and ended before the application had them.";
    Opened "opened" "Flows opened by the application.";
    OpensRefused "opens_refused" "Opens refused to the application: no route, no port, no room.";
    Connected "connected" "Opened flows that finished their handshake.";
    EndedClosed "ended_closed" "Flows that were closed in order in both directions.";
    EndedReset "ended_reset" "Flows that the peer reset.";
    EndedRefused "ended_refused" "Opens that the peer refused.";
    EndedTimedOut "ended_timed_out" "Flows that ended for want of an answer.";
    EndedAborted "ended_aborted" "Flows that we reset.";
    EndedUnreachable "ended_unreachable" "Opens whose peer could not be reached.";
    TimeWaitReused "time_wait_reused" "Connections in TIME_WAIT that gave way to a new SYN.";
    TimeWaitTakenOver "time_wait_taken_over" "Connections in TIME_WAIT whose sockets an open of ours took over.";
    TimeWaitRecycled "time_wait_recycled" "Connections in TIME_WAIT forgotten early to make room for another.";
    TimersFired "timers_fired" "Timers of flows that fired.";
    Commands "commands" "Commands obeyed.";
}

/// Figures that go up and down, published beside the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Text blocks that are free.
    pub text_blocks_free: u32,
    /// All text blocks.
    pub text_blocks: u32,
    /// Range sets that are free.
    pub range_sets_free: u32,
    /// All range sets.
    pub range_sets: u32,
    /// 1 while text memory is under pressure, so that no window grows.
    pub memory_pressed: u32,
    /// How often that has begun.
    pub memory_pressures: u32,
    /// Records of BBR that are free.
    pub bbr_records_free: u32,
    /// All records of BBR.
    pub bbr_records: u32,
    /// Flows that wanted BBR and use CUBIC: no record was free, or the peer has no SACK.
    pub bbr_denied: u32,
    /// Stations in the neighbour table.
    pub neighbours: u32,
    /// Flows that want to transmit.
    pub sending: u32,
}

impl Gauges {
    const COUNT: usize = 11;
    const NAMES: [&'static str; Self::COUNT] = [
        "text_blocks_free",
        "text_blocks",
        "range_sets_free",
        "range_sets",
        "memory_pressed",
        "memory_pressures",
        "bbr_records_free",
        "bbr_records",
        "bbr_denied",
        "neighbours",
        "sending",
    ];

    fn values(&self) -> [u64; Self::COUNT] {
        [
            self.text_blocks_free,
            self.text_blocks,
            self.range_sets_free,
            self.range_sets,
            self.memory_pressed,
            self.memory_pressures,
            self.bbr_records_free,
            self.bbr_records,
            self.bbr_denied,
            self.neighbours,
            self.sending,
        ]
        .map(u64::from)
    }
}

/// Figures of one port: what it counts, its drops, and where its frames are.
#[derive(Debug)]
struct PortPage {
    name: String,
    counts: [Cell; PORT_NAMES.len()],
    drops: [Cell; PortDrop::COUNT],
}

const PORT_NAMES: [&str; 11] = [
    "rx_frames",
    "rx_bytes",
    "tx_frames",
    "tx_bytes",
    "rx_dropped",
    "tx_dropped",
    "frames_total",
    "frames_free",
    "frames_fill",
    "frames_held",
    "frames_tx",
];

/// The page of one worker.
#[derive(Debug)]
pub struct Counters {
    counts: [Cell; Counter::COUNT],
    discards: [Cell; Discard::COUNT],
    losses: [Cell; Discard::COUNT],
    states: [Cell; State::COUNT],
    gauges: [Cell; Gauges::COUNT],
    ports: Vec<PortPage>,
}

impl Counters {
    /// A page of zeros for ports of these names.
    pub(crate) fn new(ports: impl IntoIterator<Item = String>) -> SharedCounters {
        let ports = ports.into_iter().map(|name| PortPage {
            name,
            counts: cells(),
            drops: cells(),
        });
        SharedCounters::new(Self {
            counts: cells(),
            discards: cells(),
            losses: cells(),
            states: cells(),
            gauges: cells(),
            ports: ports.collect(),
        })
    }

    /// One counter.
    #[must_use]
    pub fn of(&self, counter: Counter) -> u64 {
        self.counts[counter as usize].of()
    }

    /// Received frames that were discarded for this reason.
    #[must_use]
    pub fn discarded(&self, discard: Discard) -> u64 {
        self.discards[discard.index()].of()
    }

    /// Received frames that were discarded, for whatever reason.
    #[must_use]
    pub fn discarded_total(&self) -> u64 {
        self.discards.iter().map(Cell::of).sum()
    }

    /// Frames of our own that were not sent, or text that was dropped later than its frame, for
    /// this reason.
    #[must_use]
    pub fn lost(&self, discard: Discard) -> u64 {
        self.losses[discard.index()].of()
    }

    /// Flows that are in this state now.
    #[must_use]
    pub fn in_state(&self, state: State) -> u64 {
        self.states[state.index()].of()
    }

    /// All of it by name, in a fixed order. The names are those of [`Counter`] and the gauges, and
    /// `discard.<name>`, `tx_discard.<name>`, `state.<NAME>`, `port.<port>.<name>`.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut rows = Vec::new();
        for counter in Counter::ALL {
            rows.push((counter.name().to_owned(), self.of(counter)));
        }
        for (name, cell) in Gauges::NAMES.into_iter().zip(&self.gauges) {
            rows.push((name.to_owned(), cell.of()));
        }
        for state in State::ALL {
            rows.push((format!("state.{}", state.name()), self.in_state(state)));
        }
        for discard in Discard::ALL {
            let name = discard.name();
            rows.push((format!("discard.{name}"), self.discarded(discard)));
            rows.push((format!("tx_discard.{name}"), self.lost(discard)));
        }
        for PortPage {
            name: port,
            counts,
            drops,
        } in &self.ports
        {
            for (name, cell) in PORT_NAMES.into_iter().zip(counts) {
                rows.push((format!("port.{port}.{name}"), cell.of()));
            }
            for (drop, cell) in PortDrop::ALL.iter().zip(drops) {
                rows.push((format!("port.{port}.drop.{}", drop.name()), cell.of()));
            }
        }
        Snapshot(rows)
    }

    pub(crate) fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    pub(crate) fn add(&self, counter: Counter, n: u64) {
        self.counts[counter as usize].add(n);
    }

    pub(crate) fn discard(&self, discard: Discard) {
        self.discards[discard.index()].add(1);
    }

    pub(crate) fn lose(&self, discard: Discard) {
        self.losses[discard.index()].add(1);
    }

    pub(crate) fn count_end(&self, end: End) {
        self.count(match end {
            End::Closed => Counter::EndedClosed,
            End::Reset => Counter::EndedReset,
            End::Refused => Counter::EndedRefused,
            End::TimedOut => Counter::EndedTimedOut,
            End::Aborted => Counter::EndedAborted,
            End::Unreachable => Counter::EndedUnreachable,
        });
    }

    pub(crate) fn enter_state(&self, state: State) {
        self.states[state.index()].add(1);
    }

    pub(crate) fn leave_state(&self, state: State) {
        let cell = &self.states[state.index()];
        cell.set(cell.of().saturating_sub(1));
    }

    pub(crate) fn set_gauges(&self, gauges: &Gauges) {
        for (cell, value) in self.gauges.iter().zip(gauges.values()) {
            cell.set(value);
        }
    }

    pub(crate) fn set_port(&self, port: usize, counts: &PortCounters, frames: PortFrameCounts) {
        let page = &self.ports[port];
        let values = [
            counts.rx_frames,
            counts.rx_bytes,
            counts.tx_frames,
            counts.tx_bytes,
            counts.rx_dropped,
            counts.tx_dropped,
            u64::from(frames.total),
            u64::from(frames.free),
            u64::from(frames.fill),
            u64::from(frames.held),
            u64::from(frames.tx),
        ];
        for (cell, value) in page.counts.iter().zip(values) {
            cell.set(value);
        }
        for (cell, (_, count)) in page.drops.iter().zip(counts.drops.iter()) {
            cell.set(count);
        }
    }
}

fn cells<const N: usize>() -> [Cell; N] {
    core::array::from_fn(|_| Cell::default())
}

/// All figures of a worker by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(Vec<(String, u64)>);

impl Snapshot {
    /// Every name with its value, in an order that never changes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The value of a name; `None` for a name that does not exist.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<u64> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_figure_has_a_name_of_its_own() {
        let counters = Counters::new(["eth0".to_owned(), "eth1".to_owned()]);
        let snapshot = counters.snapshot();
        let names: HashSet<&str> = snapshot.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), snapshot.iter().count());
        assert!(names.contains("discard.tcp_checksum"));
        assert!(names.contains("state.TIME_WAIT"));
        assert!(names.contains("port.eth1.drop.rx_no_frame"));
    }

    #[test]
    fn what_is_counted_is_found_under_its_name() {
        let counters = Counters::new(["eth0".to_owned()]);
        counters.count(Counter::Opened);
        counters.add(Counter::RxTextBytes, 1_000);
        counters.discard(Discard::NoRoute);
        counters.lose(Discard::TxRingFull);
        counters.count_end(End::Refused);
        counters.enter_state(State::Established);
        counters.enter_state(State::Established);
        counters.leave_state(State::Established);
        let mut port = PortCounters::default();
        port.count_rx(60);
        counters.set_port(0, &port, PortFrameCounts::default());
        let snapshot = counters.snapshot();
        for (name, value) in [
            ("opened", 1),
            ("rx_text_bytes", 1_000),
            ("discard.no_route", 1),
            ("tx_discard.tx_ring_full", 1),
            ("ended_refused", 1),
            ("state.ESTABLISHED", 1),
            ("port.eth0.rx_bytes", 60),
        ] {
            assert_eq!(snapshot.of(name), Some(value), "{name}");
        }
        assert_eq!(snapshot.of("no such name"), None);
        assert_eq!(counters.discarded_total(), 1);
    }

    #[test]
    fn each_sentence_is_one() {
        for counter in Counter::ALL {
            assert!(counter.sentence().ends_with('.'), "{}", counter.name());
        }
    }
}
