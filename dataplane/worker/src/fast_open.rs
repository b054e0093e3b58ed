//! Fast Open (RFC 7413) of listeners and opens: who may, and what is remembered of whom.
//!
//! A listener that takes text on SYNs has a limit of connections that are so far and no further
//! (section 5.1): a flood with stolen cookies costs that many flows. An open that asks for it brings
//! the cookie that the same address gave before, out of a table of fixed size. An address towards
//! which a SYN with a cookie had to go again without is left alone for an hour, because something on
//! the way may swallow such SYNs (section 7.1).

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashMap;
use tidegate_tcp::{Brought, Segment, Tcb};
use tidegate_wire::{Discard, FastOpen, Instant, TcpFlags};

use crate::app::App;
use crate::counters::Counter;
use crate::flow::FlowId;
use crate::listener::{Listener, ListenerId};
use crate::reply::Reply;
use crate::stack::Stack;

/// Addresses whose cookies are remembered; one more, and the oldest is forgotten.
const PEERS_MAX: usize = 1_024;

/// How long an address is left alone towards which text on a SYN was lost.
const PAUSE: Duration = Duration::from_secs(3_600);

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
struct Peer {
    cookie: FastOpen,
    paused_until: Instant,
}

/// What is known of those to whom we open.
#[derive(Debug)]
pub(crate) struct Peers {
    known: HashMap<IpAddr, Peer>,
    /// In the order in which they came.
    order: VecDeque<IpAddr>,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self {
            // Twice, so that what was removed leaves room without allocating.
            known: HashMap::with_capacity(PEERS_MAX * 2),
            order: VecDeque::with_capacity(PEERS_MAX),
        }
    }

    /// The option for a SYN to `address`: its cookie, or the request for one; nothing while it is
    /// left alone.
    pub(crate) fn offer(&self, address: IpAddr, now: Instant) -> Option<FastOpen> {
        match self.known.get(&address) {
            Some(peer) if peer.paused_until > now => None,
            Some(peer) => Some(peer.cookie),
            None => Some(FastOpen::REQUEST),
        }
    }

    fn note(&mut self, address: IpAddr, peer: Peer) {
        if self.known.insert(address, peer).is_some() {
            return;
        }
        if self.order.len() == PEERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(address);
    }

    /// The address gave us a cookie.
    pub(crate) fn learn(&mut self, address: IpAddr, cookie: FastOpen) {
        let paused_until = Instant::ZERO;
        self.note(
            address,
            Peer {
                cookie,
                paused_until,
            },
        );
    }

    /// A SYN with its cookie had to go again without.
    pub(crate) fn pause(&mut self, address: IpAddr, now: Instant) {
        let peer = Peer {
            cookie: FastOpen::REQUEST,
            paused_until: now + PAUSE,
        };
        self.note(address, peer);
    }
}

impl Listener {
    /// Whether it would take text on a SYN now.
    const fn has_fast_open_room(&self) -> bool {
        self.listen.fast_open && self.fast_open_pending < self.listen.fast_open_max
    }
}

/// What a SYN asks of a listener that knows Fast Open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its text may be taken.
    pub(crate) is_open: bool,
    /// Its cookie is good and there is text, but too many are pending.
    pub(crate) is_refused: bool,
    /// It brought a cookie that is none of ours.
    pub(crate) is_wrong: bool,
    /// The cookie for the SYN-ACK.
    pub(crate) cookie: Option<FastOpen>,
}

impl Asked {
    pub(crate) const NOTHING: Self = Self {
        is_open: false,
        is_refused: false,
        is_wrong: false,
        cookie: None,
    };
}

impl Stack {
    /// From now on listeners make Fast Open cookies with another key, out of a cryptographically
    /// secure generator; those of the key before are good until the next rotation.
    pub fn rotate_fast_open_key(&mut self, key: [u8; 16]) {
        self.fast_open_keys.rotate(key);
    }

    /// What a SYN asks for beside a connection.
    pub(crate) fn fast_open_of(&self, seg: &Segment<'_>, id: ListenerId) -> Asked {
        let listener = self.listeners.of(id).filter(|open| open.listen.fast_open);
        let (Some(listener), Some(brought)) = (listener, seg.options.fast_open) else {
            return Asked::NOTHING;
        };
        let fresh = Some(self.fast_open_keys.cookie(&seg.tuple));
        let has_text = !seg.text.is_empty() && seg.flags.contains(TcpFlags::SYN);
        let (is_good, cookie) = match self.fast_open_keys.check(&seg.tuple, &brought) {
            Brought::Fresh => (true, None),
            Brought::Old => (true, fresh),
            Brought::Wrong => (false, fresh),
        };
        let has_room = listener.has_fast_open_room();
        Asked {
            is_open: is_good && has_text && has_room,
            is_refused: is_good && has_text && !has_room,
            is_wrong: !is_good && !brought.is_request(),
            cookie,
        }
    }

    /// A SYN whose text is taken: a flow before its handshake is done (RFC 7413 4.2.2).
    pub(crate) fn open_fast<A: App>(
        &mut self,
        app: &mut A,
        seg: &Segment<'_>,
        vlan: Option<u16>,
        (id, cookie): (ListenerId, Option<FastOpen>),
    ) -> Result<Reply, Discard> {
        let mtu = self.mtu_towards(seg)?;
        let settings = self.settings_of_listener(id);
        let iss = self.secrets.iss(&seg.tuple, self.now);
        let ts_offset = self.secrets.ts_offset(&seg.tuple);
        let mut cx = tidegate_tcp::Context {
            now: self.now,
            settings: &self.settings[settings],
            memory: &mut self.memory,
        };
        let (tcb, arrival) = Tcb::accept_fast_open(seg, iss, mtu, &mut cx)?;
        let mut tcb = tcb.with_ts_offset(ts_offset);
        let reply = Reply::poll_syn(&mut tcb, cookie, &mut cx).ok_or(Discard::SynQueueFull)?;
        if let Some(listener) = self.listeners.of_mut(id) {
            listener.fast_open_pending += 1;
        }
        self.count(Counter::FastOpenTaken);
        self.become_flow(app, tcb, (id, vlan), (seg, &arrival));
        Ok(reply)
    }

    /// A flow that came to a listener by Fast Open is no longer in SYN_RECV.
    pub(crate) fn leave_fast_open(&mut self, listener: ListenerId) {
        if let Some(listener) = self.listeners.of_mut(listener) {
            listener.fast_open_pending = listener.fast_open_pending.saturating_sub(1);
        }
    }

    /// What the first SYN of an open says about Fast Open, if that is to be sent now.
    pub(crate) fn fast_open_offer(&self, id: FlowId) -> Option<FastOpen> {
        let flow = self
            .flows
            .of(id)
            .filter(|flow| flow.tcb.wants_fast_open())?;
        let offer = self
            .fast_open_peers
            .offer(flow.tcb.tuple().remote, self.now)?;
        if !offer.is_request() {
            self.count(Counter::FastOpenSent);
        }
        Some(offer)
    }

    /// An open has finished its handshake: what its SYN-ACK says about Fast Open.
    pub(crate) fn learn_fast_open(&mut self, id: FlowId, seg: &Segment<'_>) {
        let Some(flow) = self
            .flows
            .of(id)
            .filter(|flow| flow.tcb.has_asked_fast_open())
        else {
            return;
        };
        let address = flow.tcb.tuple().remote;
        let was_lost = flow.tcb.retransmits() > 0;
        match seg.options.fast_open.filter(|cookie| !cookie.is_request()) {
            Some(cookie) => self.fast_open_peers.learn(address, cookie),
            None if was_lost => {
                self.count(Counter::FastOpenLost);
                self.fast_open_peers.pause(address, self.now);
            }
            None => {}
        }
    }
}
