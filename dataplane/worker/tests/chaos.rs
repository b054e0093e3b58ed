//! Applications that do whatever is allowed, at random: each flow is told of in the right order and
//! its end exactly once.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use hashbrown::HashMap;
use sim::{B4, B6, Net, Plan, ip, seeds};
use tidegate_port::{Impairment, LinkPort};
use tidegate_tcp::End;
use tidegate_worker::{App, FlowId, Listen, ListenerId, Open, Stack, Worker};

/// Numbers from a seed.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// How far a flow has come, as far as we were told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Opening,
    Open,
    PeerClosed,
    /// We have closed or aborted it: only the end may come.
    Left,
    Ended,
}

#[derive(Debug)]
struct Chaos {
    dice: Dice,
    flows: HashMap<FlowId, Known>,
    live: Vec<FlowId>,
    /// Flows still to be opened.
    to_open: u32,
}

impl Chaos {
    fn new(seed: u64, to_open: u32) -> Self {
        Self {
            dice: Dice(seed ^ 0x5eed),
            flows: HashMap::new(),
            live: Vec::new(),
            to_open,
        }
    }

    fn enter(&mut self, flow: FlowId, known: Known) {
        assert_eq!(self.flows.insert(flow, known), None, "an id came twice");
        self.live.push(flow);
    }

    fn expect(&self, flow: FlowId, allowed: &[Known]) {
        let known = self.flows[&flow];
        assert!(allowed.contains(&known), "{flow}: told while {known:?}");
    }

    /// Does something to some flow, perhaps not the one that we were called for.
    fn act(&mut self, stack: &mut Stack) {
        if self.live.is_empty() {
            return;
        }
        let nth = self.dice.below(self.live.len());
        let flow = self.live[nth];
        assert!(
            stack.tuple(flow).is_some(),
            "{flow} is alive until its end was told"
        );
        match self.dice.below(12) {
            0..=4 => {
                let _ = stack.send(flow, &[1; 4_000][..self.dice.below(4_000)]);
            }
            5 => stack.resume(flow),
            6 => stack.set_timer(flow, Some(stack.now() + Duration::from_millis(5))),
            7 => stack.set_timer(flow, None),
            8 => {
                let _ = stack.shutdown(flow);
            }
            9 => {
                stack.close(flow);
                self.flows.insert(flow, Known::Left);
            }
            10 if self.dice.below(4) == 0 => {
                stack.abort(flow);
                self.flows.insert(flow, Known::Left);
            }
            _ => self.open(stack),
        }
    }

    fn open(&mut self, stack: &mut Stack) {
        if self.to_open == 0 {
            return;
        }
        self.to_open -= 1;
        let to = if self.dice.below(2) == 0 { B4 } else { B6 };
        let port = if self.dice.below(8) == 0 { 9 } else { 7 };
        if let Ok(flow) = stack.open(Open::to((ip(to), port).into())) {
            self.enter(flow, Known::Opening);
            stack.set_timer(flow, Some(stack.now() + Duration::from_millis(20)));
        }
    }
}

impl App for Chaos {
    type Command = ();

    fn is_ready(&self, _: ListenerId) -> bool {
        self.live.len() < 20
    }

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, _: ListenerId) {
        self.enter(flow, Known::Open);
        stack.set_timer(flow, Some(stack.now() + Duration::from_millis(10)));
        self.act(stack);
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        self.expect(flow, &[Known::Opening]);
        self.flows.insert(flow, Known::Open);
        self.act(stack);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        self.expect(flow, &[Known::Open]);
        assert!(!text.is_empty());
        let taken = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.below(text.len() + 1),
            _ => text.len(),
        };
        self.act(stack);
        if taken < text.len() && self.flows[&flow] == Known::Open {
            stack.set_timer(flow, Some(stack.now() + Duration::from_millis(2)));
        }
        taken
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        self.expect(flow, &[Known::Open, Known::PeerClosed]);
        self.act(stack);
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        self.expect(flow, &[Known::Open]);
        self.flows.insert(flow, Known::PeerClosed);
        self.act(stack);
    }

    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        let known = self.flows.insert(flow, Known::Ended);
        assert!(
            known.is_some_and(|known| known != Known::Ended),
            "{flow} ended twice"
        );
        if end == End::Aborted {
            // Whether our abort or our close came first, we had left; or text came for nobody.
            assert_eq!(known, Some(Known::Left), "{flow}");
        }
        self.live.retain(|other| *other != flow);
        self.act(stack);
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        self.expect(flow, &[Known::Opening, Known::Open, Known::PeerClosed]);
        stack.resume(flow);
        self.act(stack);
        // In the end everything has to go.
        if self.flows[&flow] != Known::Left {
            if self.dice.below(30) == 0 {
                stack.close(flow);
                self.flows.insert(flow, Known::Left);
            } else {
                stack.set_timer(flow, Some(stack.now() + Duration::from_millis(10)));
            }
        }
    }
}

/// Sets the timer of every flow that was not left.
fn wake_all(worker: &mut Worker<LinkPort, Chaos>) {
    let (app, stack) = worker.app_and_stack();
    for flow in app
        .live
        .iter()
        .filter(|flow| app.flows[*flow] != Known::Left)
    {
        stack.set_timer(*flow, Some(stack.now()));
    }
}

fn run(seed: u64) {
    let plan = Plan::new(seed).impaired(Impairment {
        loss: if seed.is_multiple_of(3) { 0.0 } else { 0.05 },
        duplication: 0.02,
        reordering: 0.05,
        delay: Duration::from_millis(1),
        ..Impairment::default()
    });
    let mut net: Net<Chaos, Chaos> = plan.build(Chaos::new(seed, 60), Chaos::new(!seed, 0));
    let listen = Listen {
        backlog: 4,
        syn_backlog: 8,
        abort_on_overflow: seed.is_multiple_of(2),
        ..Listen::on(7)
    };
    net.b.stack_mut().listen(listen).unwrap();
    for _ in 0..10 {
        let (app, stack) = net.a.app_and_stack();
        app.open(stack);
    }
    // What was left to itself by timers that we have switched off is ended here.
    for _ in 0..200 {
        net.run_for(Duration::from_secs(2));
        wake_all(&mut net.a);
        wake_all(&mut net.b);
    }
    net.run_until_empty(Duration::from_secs(2_000));
    for app in [net.a.app(), net.b.app()] {
        assert!(app.flows.values().all(|known| *known == Known::Ended));
    }
}

#[test]
fn every_flow_is_told_of_in_order_and_ended_once() {
    for seed in seeds(0, 60) {
        run(seed);
    }
}
