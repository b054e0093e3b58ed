//! Flows over a line that is slower than they could be, with a queue in front of it: how much of
//! the line they use, how long the queue is, and how they share it (draft-ietf-ccwg-bbr-06 3.2,
//! RFC 9438 5).
//!
//! The line has 20 Mbit/s and a round trip of 40 ms, so 100 kB are in flight where it is just full.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use hashbrown::HashMap;
use sim::{B4, Net, Plan, ip};
use tidegate_port::{End as LinkEnd, Impairment};
use tidegate_tcp::{CongestionKind, End, Pacing, Settings};
use tidegate_worker::{App, FlowId, Listen, ListenerId, Open, Stack};

/// Bits a second of the line.
const LINE: u64 = 20_000_000;
/// One way.
const DELAY: Duration = Duration::from_millis(20);
/// Bytes that the line carries in a round trip.
const BDP: u64 = LINE / 8 / 25;
/// Bytes of text in a frame of 1514.
const TEXT_LEN: f64 = 1_448.0;

/// Sends without end on each flow, or a piece now and then.
#[derive(Debug, Default)]
struct Sender {
    /// Where the application limits itself: so many bytes, so often.
    pieces: Option<(usize, Duration)>,
    ended: u32,
}

const TEXT: [u8; 16_384] = [7; 16_384];

impl Sender {
    fn push(&self, stack: &mut Stack, flow: FlowId) {
        if let Some((len, every)) = self.pieces {
            stack.send(flow, &TEXT[..len]).unwrap();
            stack.set_timer(flow, Some(stack.now() + every));
            return;
        }
        while stack.send(flow, &TEXT).unwrap() == TEXT.len() {}
    }
}

impl App for Sender {
    type Command = ();

    fn on_accept(&mut self, _: &mut Stack, _: FlowId, _: ListenerId) {}

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        self.push(stack, flow);
    }

    fn on_text(&mut self, _: &mut Stack, _: FlowId, text: &[u8]) -> usize {
        text.len()
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        match self.pieces {
            Some((_, every)) => stack.set_timer(flow, Some(stack.now() + every)),
            None => self.push(stack, flow),
        }
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        self.push(stack, flow);
    }

    fn on_peer_closed(&mut self, _: &mut Stack, _: FlowId) {}

    fn on_end(&mut self, _: &mut Stack, _: FlowId, _: End) {
        self.ended += 1;
    }
}

/// Counts what comes on each flow.
#[derive(Debug, Default)]
struct Sink {
    received: HashMap<FlowId, u64>,
}

impl Sink {
    fn total(&self) -> u64 {
        self.received.values().sum()
    }
}

impl App for Sink {
    type Command = ();

    fn on_accept(&mut self, _: &mut Stack, flow: FlowId, _: ListenerId) {
        self.received.insert(flow, 0);
    }

    fn on_text(&mut self, _: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        *self.received.get_mut(&flow).unwrap() += text.len() as u64;
        text.len()
    }

    fn on_peer_closed(&mut self, _: &mut Stack, _: FlowId) {}

    fn on_end(&mut self, _: &mut Stack, _: FlowId, _: End) {}
}

/// What was seen in a stretch of time.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Part of the line's rate that was text of ours, headers allowed for.
    share: f64,
    /// Bytes that waited for the line, on average over time.
    queue: f64,
    /// Frames that found the queue full.
    dropped: u64,
}

struct Lab {
    net: Net<Sender, Sink>,
}

impl Lab {
    /// Flows with these settings, over a line whose queue has room for so many bytes.
    fn new(settings: Settings, loss: f64, queue_bytes: u64, sender: Sender) -> Self {
        let mut plan = Plan::new(7);
        plan.settings = Settings {
            rmem: 4 << 20,
            wmem: 4 << 20,
            ..settings
        };
        plan.config.text_blocks = 8_192;
        plan.link.frames = 8_192;
        plan.link.a_to_b = Impairment {
            loss,
            delay: DELAY,
            bandwidth: Some(LINE),
            queue_bytes,
            ..Impairment::default()
        };
        plan.link.b_to_a.delay = DELAY;
        let mut net = plan.build(sender, Sink::default());
        net.b.stack_mut().listen(Listen::on(9)).unwrap();
        Self { net }
    }

    fn open(&mut self) -> FlowId {
        let stack = self.net.a.stack_mut();
        stack.open(Open::to((ip(B4), 9).into())).unwrap()
    }

    /// The part of the line's rate that a flow's model believes in, headers allowed for.
    fn believed(&mut self, flow: FlowId) -> f64 {
        let status = self.net.a.stack_mut().status(flow).unwrap();
        let bw = status.bbr.unwrap().bw as f64;
        bw * 8.0 / TEXT_LEN * 1_514.0 / LINE as f64
    }

    /// Lets time pass, and says what was seen in it.
    fn watch(&mut self, time: Duration) -> Seen {
        let (start, end) = (self.net.now, self.net.now + time);
        let before = (self.net.b.app().total(), self.dropped());
        let mut queued = 0.0;
        let mut since = start;
        loop {
            let goes_on = self.net.step(end);
            let passed = self.net.now.saturating_since(since).as_secs_f64();
            queued += self.queue() * passed;
            since = self.net.now;
            if !goes_on || self.net.now >= end {
                break;
            }
        }
        let seconds = time.as_secs_f64();
        let text = (self.net.b.app().total() - before.0) as f64;
        Seen {
            share: text / TEXT_LEN * 1_514.0 * 8.0 / seconds / LINE as f64,
            queue: queued / seconds,
            dropped: self.dropped() - before.1,
        }
    }

    fn dropped(&self) -> u64 {
        self.net.link.statistics(LinkEnd::A).queue_dropped
    }

    /// Bytes that wait for the line: what is under way to B, less what is on the wire.
    fn queue(&self) -> f64 {
        let under_way = self.net.link.statistics(LinkEnd::A).in_flight as f64 * 1_514.0;
        let on_the_wire = LINE as f64 / 8.0 * DELAY.as_secs_f64();
        (under_way - on_the_wire).max(0.0)
    }
}

fn bbr() -> Settings {
    Settings {
        congestion: CongestionKind::Bbr,
        ..Settings::default()
    }
}

fn cubic() -> Settings {
    Settings::default()
}

/// The settings' flow alone on the line for a while, and then for a minute.
fn alone(settings: Settings, loss: f64, queue_bytes: u64) -> Seen {
    let mut lab = Lab::new(settings, loss, queue_bytes, Sender::default());
    lab.open();
    lab.watch(Duration::from_secs(5));
    lab.watch(Duration::from_secs(60))
}

#[test]
fn bbr_fills_the_line_and_leaves_the_queue_short() {
    let seen = alone(bbr(), 0.0, 20 * BDP);
    assert!(seen.share >= 0.93, "{seen:?}");
    assert!(seen.queue <= 0.2 * BDP as f64, "{seen:?}");
    assert_eq!(seen.dropped, 0);
    // CUBIC fills whatever there is, and nobody has a short round trip any more.
    let seen = alone(cubic(), 0.0, 20 * BDP);
    assert!(
        seen.share >= 0.8 && seen.queue >= 5.0 * BDP as f64,
        "{seen:?}"
    );
}

#[test]
fn startup_fills_the_line_in_a_second_and_its_queue_is_drained() {
    let mut lab = Lab::new(bbr(), 0.0, 20 * BDP, Sender::default());
    lab.open();
    let start = lab.watch(Duration::from_secs(1));
    assert!(
        start.share >= 0.7 && start.queue <= 1.5 * BDP as f64,
        "{start:?}"
    );
    let after = lab.watch(Duration::from_secs(1));
    assert!(
        after.share >= 0.95 && after.queue <= 0.1 * BDP as f64,
        "{after:?}"
    );
}

#[test]
fn a_short_queue_is_enough_for_bbr() {
    for part in [4, 2, 1] {
        let seen = alone(bbr(), 0.0, BDP / part);
        assert!(seen.share >= 0.9, "{seen:?}");
    }
}

#[test]
fn losses_by_chance_hardly_matter_to_bbr() {
    for loss in [0.001, 0.01] {
        let seen = alone(bbr(), loss, 20 * BDP);
        assert!(seen.share >= 0.8, "{loss}: {seen:?}");
    }
    // What they do to CUBIC: its response function has a third of the line at 1 %.
    let seen = alone(cubic(), 0.01, 20 * BDP);
    assert!(seen.share <= 0.5, "{seen:?}");
}

#[test]
fn two_flows_share_the_line() {
    let mut lab = Lab::new(bbr(), 0.0, 4 * BDP, Sender::default());
    lab.open();
    lab.watch(Duration::from_secs(10));
    lab.open();
    lab.watch(Duration::from_secs(30));
    let before = lab.net.b.app().received.clone();
    let seen = lab.watch(Duration::from_secs(60));
    let after = &lab.net.b.app().received;
    let shares: Vec<u64> = after
        .iter()
        .map(|(flow, bytes)| bytes - before[flow])
        .collect();
    assert!(
        seen.share >= 0.9 && seen.queue <= 1.5 * BDP as f64,
        "{seen:?}"
    );
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(most * 10 <= least * 15, "{shares:?}");
}

#[test]
fn an_application_that_sends_little_does_not_lower_the_rate() {
    let mut lab = Lab::new(bbr(), 0.0, 20 * BDP, Sender::default());
    let flow = lab.open();
    lab.watch(Duration::from_secs(10));
    let before = lab.believed(flow);
    // 16 kB ten times a second are a fifteenth of the line.
    lab.net.a.app_mut().pieces = Some((TEXT.len(), Duration::from_millis(100)));
    let little = lab.watch(Duration::from_secs(15));
    assert!(little.share <= 0.3, "{little:?}");
    let after = lab.believed(flow);
    assert!(before >= 0.98 && after >= 0.98, "{before}, then {after}");
    lab.net.a.app_mut().pieces = None;
    lab.watch(Duration::from_millis(500));
    let seen = lab.watch(Duration::from_secs(5));
    assert!(seen.share >= 0.93, "the rate was forgotten: {seen:?}");
}

#[test]
fn a_line_that_becomes_slower_or_faster_is_followed() {
    let mut lab = Lab::new(bbr(), 0.0, 4 * BDP, Sender::default());
    lab.open();
    lab.watch(Duration::from_secs(10));
    for part in [2, 1] {
        lab.net.link.set_impairment(
            LinkEnd::A,
            Impairment {
                delay: DELAY,
                bandwidth: Some(LINE / part),
                queue_bytes: 4 * BDP,
                ..Impairment::default()
            },
        );
        lab.watch(Duration::from_secs(20));
        let seen = lab.watch(Duration::from_secs(20));
        let share = seen.share * part as f64;
        assert!(share >= 0.85, "{part}: {seen:?}");
        assert!(seen.queue <= BDP as f64, "{part}: {seen:?}");
    }
}

#[test]
fn paced_cubic_is_as_fast_and_needs_less_queue() {
    let paced = Settings {
        pacing: Pacing::On,
        ..cubic()
    };
    let (paced, bursts) = (alone(paced, 0.0, BDP), alone(cubic(), 0.0, BDP));
    assert!(
        paced.share >= 0.9 && paced.share >= bursts.share - 0.02,
        "{paced:?} {bursts:?}"
    );
}

#[test]
fn bbr_that_cannot_be_had_is_counted() {
    // The peer's settings are the same, so that neither end has SACK.
    let settings = Settings {
        sack: false,
        ..bbr()
    };
    let mut lab = Lab::new(settings, 0.0, BDP, Sender::default());
    let flow = lab.open();
    lab.watch(Duration::from_secs(1));
    let stack = lab.net.a.stack_mut();
    let status = stack.status(flow).unwrap();
    assert_eq!(status.congestion, CongestionKind::Cubic);
    assert_eq!((status.bbr, stack.memory().bbr_denied), (None, 1));
    lab.net.a.publish();
    assert_eq!(
        lab.net.a.counters().snapshot().of("bbr_denied"),
        Some(1),
        "the operator sees it"
    );
}
