//! The load balancer: each accepted flow is joined with one of our own to a backend.
//!
//! The two flows of a [`Pair`] are called its **client** and its **server** side. What happens on one side
//! is carried to the other:
//!
//! | on one side | on the other |
//! |---|---|
//! | text | text; what the other's send queue does not take stays here, and the window closes |
//! | room in the send queue | the kept text is offered again |
//! | FIN, after all text | our FIN, after all text: half-close goes through in both directions |
//! | RST, or a timeout | RST |
//!
//! Until a backend has accepted, nothing of the client's text is taken, so that the next backend can be
//! tried without loss when one refuses or stays silent.

mod pair;

use tidegate_tcp::End;
use tidegate_worker::{FlowId, Open, Stack};

use crate::pool::{BackendCounts, Pool, PoolSpec};
use pair::{Pair, Pairs, Phase, Side};

/// What the proxy has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounts {
    /// Clients accepted.
    pub accepted: u64,
    /// Clients reset because no backend took them.
    pub unserved: u64,
    /// Pairs reset because both directions were silent for too long.
    pub idle: u64,
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
        self.counts
    }

    /// Each backend with what it has been given.
    pub fn backends(&self) -> impl Iterator<Item = (&crate::Backend, BackendCounts)> {
        self.pool
            .spec
            .backends
            .iter()
            .zip(self.pool.counts.iter().copied())
    }

    /// Name of the pool.
    #[must_use]
    pub fn pool_name(&self) -> &str {
        &self.pool.spec.name
    }

    /// A client: a backend is asked.
    pub(crate) fn on_accept(&mut self, stack: &mut Stack, client: FlowId) {
        self.counts.accepted += 1;
        let pair = self
            .pairs
            .insert(client, self.pool.spec.retries, stack.now());
        self.try_backends(stack, pair);
    }

    /// A backend has accepted: the client's text may come.
    pub(crate) fn on_connected(&mut self, stack: &mut Stack, server: FlowId) {
        let Some((number, Side::Server)) = self.pairs.find(server) else {
            return;
        };
        let pair = self.pairs.at(number);
        pair.phase = Phase::Joined;
        pair.active_at = stack.now();
        let (client, client_has_closed) = (pair.client, pair.client_has_closed);
        stack.set_timer(server, None);
        let idle_at = stack.now() + self.pool.spec.idle_timeout;
        stack.set_timer(client, Some(idle_at));
        stack.resume(client);
        if client_has_closed {
            carry_close(stack, server);
        }
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
        let (other, backend) = (pair.other(side), pair.backend);
        let Some(other) = other else {
            return text.len();
        };
        // An error means that the other side is going down; its end is told and takes this one along.
        let Ok(taken) = stack.send(other, text) else {
            return text.len();
        };
        let counts = &mut self.pool.counts[backend];
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
        if pair.phase == Phase::Joined {
            if let Some(other) = pair.other(side) {
                carry_close(stack, other);
            }
        } else if side == Side::Client {
            pair.client_has_closed = true;
        }
    }

    /// One side is gone, in order or not.
    pub(crate) fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        let Some((number, side)) = self.pairs.forget(flow) else {
            return;
        };
        if side == Side::Server {
            self.pool.counts[self.pairs.at(number).backend].active -= 1;
        }
        let pair = self.pairs.at(number);
        match (side, pair.phase) {
            // The backend did not take us; the next may.
            (Side::Server, Phase::Connecting) => {
                let backend = pair.backend;
                self.pool.counts[backend].failed += 1;
                self.try_backends(stack, number);
            }
            // Both FINs have gone through here; the other side ends by itself.
            (_, Phase::Joined) if end == End::Closed => {}
            _ => {
                if let Some(other) = pair.other(side) {
                    pair.phase = Phase::Ending;
                    stack.abort(other);
                }
            }
        }
        self.pairs.remove_if_empty(number);
    }

    /// A backend has taken too long, or a pair has been silent for too long.
    pub(crate) fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some((number, side)) = self.pairs.find(flow) else {
            return;
        };
        let pair = self.pairs.at(number);
        if side == Side::Server {
            // The end is told after this, and then the next backend is tried.
            stack.abort(flow);
            return;
        }
        // The timer is not moved at every segment: it looks, when it fires, how long the silence is.
        let idle_at = pair.active_at + self.pool.spec.idle_timeout;
        if stack.now() < idle_at {
            stack.set_timer(flow, Some(idle_at));
            return;
        }
        self.counts.idle += 1;
        stack.abort(flow);
    }

    /// Opens to the backend in turn, or resets the client when there is none left to try.
    fn try_backends(&mut self, stack: &mut Stack, number: u32) {
        while self.pairs.at(number).client_is_here() && self.pairs.at(number).take_try() {
            let turn = self.pool.take_turn();
            self.pool.counts[turn].opened += 1;
            let spec = &self.pool.spec;
            let opened = stack.open(Open {
                remote: spec.backends[turn].address,
                local: spec.source,
                local_port: None,
                settings: spec.settings,
                tag: self.tag,
            });
            if let Ok(server) = opened {
                self.pool.counts[turn].active += 1;
                self.pairs.join(number, server, turn);
                let timeout_at = stack.now() + self.pool.spec.connect_timeout;
                stack.set_timer(server, Some(timeout_at));
                return;
            }
            self.pool.counts[turn].failed += 1;
        }
        let pair: &mut Pair = self.pairs.at(number);
        if let Some(client) = pair.other(Side::Server) {
            pair.phase = Phase::Ending;
            self.counts.unserved += 1;
            stack.abort(client);
        }
    }
}

/// Sends our FIN on `flow` after what is queued; a flow that cannot is reset.
fn carry_close(stack: &mut Stack, flow: FlowId) {
    if stack.shutdown(flow).is_err() {
        stack.abort(flow);
    }
}
