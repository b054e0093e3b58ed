//! Applications for the simulation: a client that checks what comes back, and servers.

use core::net::SocketAddr;
use core::time::Duration;

use hashbrown::HashMap;
use tidegate_tcp::End;
use tidegate_worker::{App, FlowId, ListenerId, Notice, Open, Stack};

/// The byte at a place of the text of flow number `number`.
pub(crate) fn byte_at(number: u32, place: u64) -> u8 {
    let mixed = (place ^ (u64::from(number) << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

/// What a client knows of one flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trip {
    pub(crate) number: u32,
    pub(crate) to_send: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) is_connected: bool,
    pub(crate) peer_closed: u32,
    pub(crate) ends: Vec<End>,
    pub(crate) notices: Vec<Notice>,
}

/// Opens flows, sends a pattern on each, closes its side, and checks that the same comes back.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) trips: HashMap<FlowId, Trip>,
    /// Takes at most so much of each text, and the rest a little later; 0 takes all.
    pub(crate) bite: usize,
}

impl Client {
    /// Opens a flow that is to send `to_send` bytes.
    pub(crate) fn open(&mut self, stack: &mut Stack, remote: SocketAddr, to_send: u64) -> FlowId {
        let flow = stack
            .open(Open::to(remote))
            .expect("there is room and a route");
        let number = u32::try_from(self.trips.len()).expect("few flows");
        let trip = Trip {
            number,
            to_send,
            ..Trip::default()
        };
        assert!(self.trips.insert(flow, trip).is_none(), "an id came twice");
        flow
    }

    /// Whether every flow has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.trips.values().all(|trip| !trip.ends.is_empty())
    }

    /// Asserts that every byte came back in order and that all flows were closed in order.
    pub(crate) fn assert_complete(&self) {
        for (flow, trip) in &self.trips {
            assert_eq!(trip.received, trip.to_send, "flow {flow}: {trip:?}");
            assert_eq!(trip.ends, [End::Closed], "flow {flow}: {trip:?}");
            assert_eq!(trip.peer_closed, 1, "flow {flow}");
        }
    }

    /// The same, but an open may have failed because the other end could not be found.
    pub(crate) fn assert_complete_or_unreachable(&mut self) {
        let is_unreachable = |trip: &Trip| !trip.is_connected && trip.ends == [End::Unreachable];
        self.trips.retain(|_, trip| !is_unreachable(trip));
        self.assert_complete();
    }

    fn push(&mut self, stack: &mut Stack, flow: FlowId) {
        let trip = self.trips.get_mut(&flow).expect("one of ours");
        while trip.sent < trip.to_send {
            let len = (trip.to_send - trip.sent).min(3_000);
            let text: Vec<u8> = (trip.sent..trip.sent + len)
                .map(|place| byte_at(trip.number, place))
                .collect();
            let taken = stack.send(flow, &text).expect("our side is open");
            trip.sent += taken as u64;
            if taken < text.len() {
                return;
            }
        }
        stack.shutdown(flow).expect("our side is open");
    }
}

impl App for Client {
    type Command = ();

    fn on_accept(&mut self, _: &mut Stack, _: FlowId, _: ListenerId) {
        panic!("a client accepts nothing");
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        let trip = self.trips.get_mut(&flow).expect("one of ours");
        assert!(!trip.is_connected, "connected twice");
        trip.is_connected = true;
        self.push(stack, flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        let trip = self.trips.get_mut(&flow).expect("one of ours");
        assert!(
            trip.ends.is_empty() && trip.peer_closed == 0,
            "text after the end"
        );
        let taken = if self.bite == 0 {
            text.len()
        } else {
            text.len().min(self.bite)
        };
        for byte in &text[..taken] {
            assert_eq!(
                *byte,
                byte_at(trip.number, trip.received),
                "at {}",
                trip.received
            );
            trip.received += 1;
        }
        if taken < text.len() {
            stack.set_timer(flow, Some(stack.now() + Duration::from_millis(3)));
        }
        taken
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        self.push(stack, flow);
    }

    fn on_peer_closed(&mut self, _: &mut Stack, flow: FlowId) {
        let trip = self.trips.get_mut(&flow).expect("one of ours");
        assert_eq!(trip.received, trip.to_send, "the end comes after all text");
        trip.peer_closed += 1;
    }

    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        assert!(
            stack.tuple(flow).is_some(),
            "the id is good until the end was told"
        );
        self.trips
            .get_mut(&flow)
            .expect("one of ours")
            .ends
            .push(end);
    }

    fn on_notice(&mut self, _: &mut Stack, flow: FlowId, notice: Notice) {
        let trip = self.trips.get_mut(&flow).expect("one of ours");
        trip.notices.push(notice);
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        stack.resume(flow);
    }
}

/// What happened to a server's flows.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    pub(crate) accepted: Vec<FlowId>,
    pub(crate) ends: HashMap<FlowId, Vec<End>>,
    /// While false, flows wait in the accept queue.
    pub(crate) is_ready: bool,
}

impl Echo {
    pub(crate) fn ready() -> Self {
        Self {
            is_ready: true,
            ..Self::default()
        }
    }

    /// Asserts that each flow that was accepted ended so, once.
    pub(crate) fn assert_ends(&self, end: End) {
        assert_eq!(self.ends.len(), self.accepted.len());
        for flow in &self.accepted {
            assert_eq!(self.ends[flow], [end], "flow {flow}");
        }
    }
}

impl App for Echo {
    type Command = ();

    fn is_ready(&self, _: ListenerId) -> bool {
        self.is_ready
    }

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, listener: ListenerId) {
        assert_eq!(stack.listener_tag(listener), Some(stack.tag(flow)));
        self.accepted.push(flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        assert!(
            self.accepted.contains(&flow),
            "text before the flow was ours"
        );
        // Where nothing can be sent any more, the text has nowhere to go.
        stack.send(flow, text).unwrap_or(text.len())
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        stack.resume(flow);
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        stack.close(flow);
    }

    fn on_end(&mut self, _: &mut Stack, flow: FlowId, end: End) {
        self.ends.entry(flow).or_default().push(end);
    }
}
