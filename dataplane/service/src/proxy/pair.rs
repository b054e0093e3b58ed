//! The two flows that belong together.

use tidegate_wire::Instant;
use tidegate_worker::FlowId;

use crate::PerFlow;
use crate::pool::Tried;

/// Which of the two flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that we accepted.
    Client,
    /// The one that we opened.
    Server,
}

/// How far a pair has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A backend has been asked and has not answered yet.
    Connecting,
    /// Text goes across.
    Joined,
    /// One side was reset; the other is being reset.
    Ending,
}

/// A client and the backend's connection that serves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    /// The client's flow, while it lives.
    pub(super) client: Option<FlowId>,
    /// The flow to the backend, while it lives.
    pub(super) server: Option<FlowId>,
    pub(super) phase: Phase,
    /// The client's FIN came before a backend had accepted.
    pub(super) client_has_closed: bool,
    /// Number of the backend in its pool.
    pub(super) backend: usize,
    /// Backends that did not take this client.
    pub(super) tried: Tried,
    tries_left: u32,
    /// When something last went across.
    pub(super) active_at: Instant,
    /// Room in the send queues, the client's first, when the timer last looked.
    pub(super) room_seen: [u32; 2],
}

impl Pair {
    /// The flow opposite to `side`, while it lives.
    pub(super) const fn other(&self, side: Side) -> Option<FlowId> {
        match side {
            Side::Client => self.server,
            Side::Server => self.client,
        }
    }

    /// Uses up one try; false when none is left, or nobody is there to be served.
    pub(super) const fn take_try(&mut self) -> bool {
        if self.client.is_none() || self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        true
    }
}

/// All pairs of one proxy: a slab, found by either flow.
#[derive(Debug)]
pub(super) struct Pairs {
    slots: Vec<Option<Pair>>,
    free: Vec<u32>,
    sides: PerFlow<(u32, Side)>,
}

impl Pairs {
    /// Room for every flow of the worker to be a client.
    pub(super) fn new(flows_max: u32) -> Self {
        Self {
            slots: vec![None; flows_max as usize],
            free: (0..flows_max).rev().collect(),
            sides: PerFlow::new(flows_max),
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A new client, with one try for the first backend and `retries` for others; returns its
    /// number.
    pub(super) fn insert(&mut self, client: FlowId, retries: u32, now: Instant) -> u32 {
        let number = self
            .free
            .pop()
            .expect("there are as many pairs as the worker has flows");
        self.slots[number as usize] = Some(Pair {
            client: Some(client),
            server: None,
            phase: Phase::Connecting,
            client_has_closed: false,
            backend: 0,
            tried: Tried::default(),
            tries_left: retries.saturating_add(1),
            active_at: now,
            room_seen: [0; 2],
        });
        self.sides.insert(client, (number, Side::Client));
        number
    }

    /// Gives the pair its server side: a flow to backend number `backend`.
    pub(super) fn join(&mut self, number: u32, server: FlowId, backend: usize) {
        let pair = self.at(number);
        pair.server = Some(server);
        pair.backend = backend;
        self.sides.insert(server, (number, Side::Server));
    }

    /// The pair that `flow` belongs to, and which side it is.
    pub(super) fn find(&self, flow: FlowId) -> Option<(u32, Side)> {
        self.sides.of(flow).copied()
    }

    /// The pair with this number.
    ///
    /// # Panics
    /// Where there is none: a number comes from `find` and lives as long as one of its flows.
    pub(super) fn at(&mut self, number: u32) -> &mut Pair {
        self.slots[number as usize]
            .as_mut()
            .expect("a pair lives as long as one of its flows")
    }

    /// `flow` has ended: its pair goes on without it.
    pub(super) fn forget(&mut self, flow: FlowId) -> Option<(u32, Side)> {
        let (number, side) = self.sides.take(flow)?;
        let pair = self.at(number);
        match side {
            Side::Client => pair.client = None,
            Side::Server => pair.server = None,
        }
        Some((number, side))
    }

    /// Frees the pair when both of its flows have ended.
    pub(super) fn remove_if_empty(&mut self, number: u32) {
        let pair = self.at(number);
        if pair.client.is_none() && pair.server.is_none() {
            self.slots[number as usize] = None;
            self.free.push(number);
        }
    }
}
