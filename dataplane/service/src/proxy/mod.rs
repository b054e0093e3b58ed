//! The load balancer: each accepted flow is joined with one of our own to a backend.
//!
//! The two flows of a [`Pair`](pair::Pair) are called its **client** and its **server** side. What
//! happens on one side is carried to the other:
//!
//! | on one side | on the other |
//! |---|---|
//! | text | text; what the other's send queue does not take stays here, and the window closes |
//! | room in the send queue | the kept text is offered again |
//! | FIN, after all text | our FIN, after all text: half-close goes through in both directions |
//! | RST, or a timeout | RST |
//!
//! Until a backend has accepted, nothing of the client's text is taken, so that the next backend
//! can be tried without loss when one refuses or stays silent.

mod pair;

use tidegate_tcp::{End, State};
use tidegate_wire::Instant;
use tidegate_worker::{FlowId, Open, Stack};

use crate::pool::{Backend, BackendCounts, Pool, PoolSpec};
use pair::{Pairs, Phase, Side};

/// What the proxy has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounts {
    /// Clients accepted.
    pub accepted: u64,
    /// Clients reset because no backend took them.
    pub unserved: u64,
    /// Pairs reset because both directions were silent for too long.
    pub idle: u64,
    /// Pairs there are now: clients that wait for a backend or have one.
    pub pairs: u64,
}

/// The proxy in front of one pool.
#[derive(Debug)]
pub struct Proxy {
    pool: Pool,
    pairs: Pairs,
    counts: ProxyCounts,
    /// Tag of the flows that it opens: the number of its own service.
    tag: u32,
}

impl Proxy {
    /// A proxy for `pool` that is service number `tag` of a worker with `flows_max` flows.
    ///
    /// # Panics
    /// Where the pool has no backend.
    #[must_use]
    pub fn new(pool: PoolSpec, tag: u32, flows_max: u32) -> Self {
        Self {
            pool: Pool::new(pool),
            pairs: Pairs::new(flows_max),
            counts: ProxyCounts::default(),
            tag,
        }
    }

    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> ProxyCounts {
        ProxyCounts {
            pairs: self.pairs.len() as u64,
            ..self.counts
        }
    }

    /// Each backend with what it has been given.
    pub fn backends(&self) -> impl Iterator<Item = (&Backend, BackendCounts)> {
        let counts = self.pool.counts.iter().copied();
        self.pool.spec.backends.iter().zip(counts)
    }

    /// Name of the pool.
    #[must_use]
    pub fn pool_name(&self) -> &str {
        &self.pool.spec.name
    }

    /// A client: a backend is asked.
    pub(crate) fn on_accept(&mut self, stack: &mut Stack, client: FlowId) {
        self.counts.accepted += 1;
        let retries = self.pool.spec.retries;
        let number = self.pairs.insert(client, retries, stack.now());
        self.try_backends(stack, number);
    }

    /// A backend has accepted: the client's text may come.
    pub(crate) fn on_connected(&mut self, stack: &mut Stack, server: FlowId) {
        let Some((number, Side::Server)) = self.pairs.find(server) else {
            return;
        };
        let now = stack.now();
        let pair = self.pairs.at(number);
        pair.phase = Phase::Joined;
        pair.active_at = now;
        if pair.client_has_closed {
            carry_close(stack, server);
        }
        stack.set_timer(server, None);
        if let Some(client) = pair.client {
            stack.set_timer(client, Some(now + self.pool.spec.idle_timeout));
            stack.resume(client);
        }
        self.look_at_room(stack, number);
    }

    /// Carries text across; returns how much of it the other side's queue took.
    pub(crate) fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        let Some((number, side)) = self.pairs.find(flow) else {
            return text.len();
        };
        let pair = self.pairs.at(number);
        if pair.phase != Phase::Joined {
            return 0;
        }
        pair.active_at = stack.now();
        let Some(other) = pair.other(side) else {
            return text.len();
        };
        // An error means that the other side is going down; its end is told and takes this one
        // along.
        let Ok(taken) = stack.send(other, text) else {
            return text.len();
        };
        let counts = &mut self.pool.counts[pair.backend];
        match side {
            Side::Client => counts.text_to += taken as u64,
            Side::Server => counts.text_from += taken as u64,
        }
        taken
    }

    /// One side's queue has room again: the other's kept text is offered again.
    pub(crate) fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some((number, side)) = self.pairs.find(flow) else {
            return;
        };
        let pair = self.pairs.at(number);
        if pair.phase == Phase::Connecting && stack.state(flow) == Some(State::Closed) {
            // The client has gone before a backend took what it had to say: there is nobody to be
            // served.
            return stack.abort(flow);
        }
        pair.active_at = stack.now();
        if let Some(other) = pair.other(side) {
            stack.resume(other);
        }
    }

    /// One side has sent its last: so do we on the other.
    pub(crate) fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some((number, side)) = self.pairs.find(flow) else {
            return;
        };
        let pair = self.pairs.at(number);
        pair.active_at = stack.now();
        match pair.phase {
            Phase::Connecting => pair.client_has_closed = true,
            Phase::Joined => {
                if let Some(other) = pair.other(side) {
                    carry_close(stack, other);
                }
            }
            Phase::Ending => {}
        }
    }

    /// One side is gone, in order or not.
    pub(crate) fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        let Some((number, side)) = self.pairs.forget(flow) else {
            return;
        };
        let pair = self.pairs.at(number);
        let counts = &mut self.pool.counts[pair.backend];
        if side == Side::Server {
            counts.active -= 1;
        }
        match (side, pair.phase) {
            // The backend did not take us; the next may.
            (Side::Server, Phase::Connecting) => {
                counts.failed += 1;
                self.try_backends(stack, number);
            }
            // Both FINs have gone through here. The other side ends by itself, or is idle some day.
            (_, Phase::Joined) if end == End::Closed => {
                if let Some(other) = pair.other(side) {
                    let idle_at = pair.active_at + self.pool.spec.idle_timeout;
                    stack.set_timer(other, Some(idle_at));
                }
            }
            _ => {
                pair.phase = Phase::Ending;
                if let Some(other) = pair.other(side) {
                    stack.abort(other);
                }
            }
        }
        self.pairs.remove_if_empty(number);
    }

    /// A backend has taken too long, or a pair may have been silent for too long.
    pub(crate) fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some((number, _)) = self.pairs.find(flow) else {
            return;
        };
        match self.pairs.at(number).phase {
            // Only the server's timer runs. Its end is told after this, and then the next is tried.
            Phase::Connecting => stack.abort(flow),
            Phase::Joined => {
                let idle_at = self.idle_at(stack, number);
                if stack.now() < idle_at {
                    stack.set_timer(flow, Some(idle_at));
                } else {
                    self.counts.idle += 1;
                    stack.abort(flow);
                }
            }
            Phase::Ending => {}
        }
    }

    /// When the pair will have been silent for too long, as it looks now. The timer is not moved at
    /// every segment; it looks when it fires.
    ///
    /// A send queue that drains is not silence, though it calls nobody back: a slow reader may take
    /// longer over its last bytes than the timeout.
    fn idle_at(&mut self, stack: &mut Stack, number: u32) -> Instant {
        let now = stack.now();
        let has_moved = self.look_at_room(stack, number);
        let pair = self.pairs.at(number);
        let idle_at = pair.active_at + self.pool.spec.idle_timeout;
        if has_moved && idle_at <= now {
            pair.active_at = now;
            return now + self.pool.spec.idle_timeout;
        }
        idle_at
    }

    /// Notes how much room the send queues have; whether that has changed.
    fn look_at_room(&mut self, stack: &mut Stack, number: u32) -> bool {
        let pair = self.pairs.at(number);
        let room =
            [pair.client, pair.server].map(|flow| flow.map_or(0, |flow| stack.send_space(flow)));
        core::mem::replace(&mut pair.room_seen, room) != room
    }

    /// Opens to the backend in turn, or resets the client when there is none left to try.
    fn try_backends(&mut self, stack: &mut Stack, number: u32) {
        let pair = self.pairs.at(number);
        while pair.take_try() {
            let turn = self.pool.take_turn(&mut pair.tried);
            let spec = &self.pool.spec;
            let opened = stack.open(Open {
                remote: spec.backends[turn].address,
                local: spec.source,
                local_port: None,
                fast_open: false,
                settings: spec.settings,
                tag: self.tag,
            });
            let counts = &mut self.pool.counts[turn];
            let Ok(server) = opened else {
                counts.failed += 1;
                continue;
            };
            counts.opened += 1;
            counts.active += 1;
            let timeout_at = stack.now() + spec.connect_timeout;
            stack.set_timer(server, Some(timeout_at));
            self.pairs.join(number, server, turn);
            return;
        }
        pair.phase = Phase::Ending;
        if let Some(client) = pair.client {
            self.counts.unserved += 1;
            stack.abort(client);
        }
    }
}

/// Sends our FIN on `flow` after what is queued.
fn carry_close(stack: &mut Stack, flow: FlowId) {
    // Refused where the flow has ended, not in order: then its end is told and takes the other
    // along.
    let _ = stack.shutdown(flow);
}
