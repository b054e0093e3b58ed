//! The application of every stack in a storm. It opens flows and takes those of others; on each it
//! sends, reads, pauses, half-closes, closes, resets, as the dice have it, and checks each byte.
//!
//! Who opens sends a header of 16 bytes first, a number and its hash, so that the other side knows
//! what has to come; what is sent is a function of that number, the direction and the place.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use hashbrown::HashMap;
use tidegate_tcp::{End, FourTuple};
use tidegate_wire::Instant;
use tidegate_worker::{App, FlowId, ListenerId, Open, Stack};

use crate::dice::{Dice, mix};

/// Length of the header.
pub(crate) const HEADER: u64 = 16;

/// When a flow without any progress is given up. Even somebody who needs a timeout of two minutes
/// for every few segments, because the peer keeps nothing that is ahead of its turn, is done sooner.
const PATIENCE: Duration = Duration::from_secs(20_000);

/// Who opened the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What the user of a flow has done to it that its peer does not like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Closed both sides, perhaps with text unread.
    Closed,
    Aborted,
    /// Nothing happened for [`PATIENCE`].
    GaveUp,
}

/// One side's view of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    pub(crate) side: Side,
    #[expect(dead_code, reason = "shown where something fails")]
    tuple: FourTuple,
    /// The number in the header, once known.
    pub(crate) number: Option<u64>,
    header: Vec<u8>,
    to_send: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) is_connected: bool,
    pub(crate) is_shut: bool,
    pub(crate) is_peer_closed: bool,
    pub(crate) left: Option<Left>,
    /// The stack died with all its flows.
    pub(crate) has_died: bool,
    pub(crate) end: Option<End>,
    /// The flow is left after so many bytes, and how.
    leaves: Option<(u64, Left)>,
    paused_until: Instant,
    progress_at: Instant,
}

impl Talk {
    fn new(side: Side, tuple: FourTuple, now: Instant) -> Self {
        Self {
            side,
            tuple,
            number: None,
            header: Vec::new(),
            to_send: 0,
            sent: 0,
            received: 0,
            is_connected: side == Side::Server,
            is_shut: false,
            is_peer_closed: false,
            left: None,
            has_died: false,
            end: None,
            leaves: None,
            paused_until: now,
            progress_at: now,
        }
    }

    /// Whether this side sends all it has, reads all that comes, and closes after that.
    pub(crate) const fn is_innocent(&self) -> bool {
        self.left.is_none() && !self.has_died
    }
}

/// The byte at a place of what `side` sends on flow `number`.
fn byte_at(number: u64, side: Side, place: u64) -> u8 {
    if side == Side::Client && place < HEADER {
        return header(number)[usize::try_from(place).expect("short")];
    }
    let direction = u64::from(side == Side::Server) << 63;
    mix(number ^ direction ^ (place / 8))
        .rotate_left(u32::try_from(place % 8).expect("below 8") * 8)
        .to_le_bytes()[0]
}

fn header(number: u64) -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(&number.to_be_bytes());
    header[8..].copy_from_slice(&mix(!number).to_be_bytes());
    header
}

/// How users behave in a storm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// Users that leave before all is sent and read, of a thousand.
    pub(crate) leave_per_mille: u64,
    /// How often a user stops reading and writing for a while, of a thousand occasions.
    pub(crate) pause_per_mille: u64,
    pub(crate) pause_max: Duration,
    /// The most that a user sends.
    pub(crate) text_max: u64,
    /// With cookies or Fast Open a delayed duplicate can open a flow that nobody opened.
    pub(crate) ghosts: bool,
}

#[derive(Debug)]
pub(crate) struct Actor {
    host: u64,
    serial: u64,
    dice: Dice,
    manners: Manners,
    /// Where flows may be opened to.
    peers: Vec<SocketAddr>,
    live: HashMap<FlowId, Talk>,
    pub(crate) ended: Vec<Talk>,
    /// Nothing is accepted until then.
    busy_until: Instant,
    now: Instant,
    local_ports: (u16, u64),
}

impl Actor {
    pub(crate) fn new(
        (host, seed): (u64, u64),
        manners: Manners,
        peers: Vec<SocketAddr>,
        local_ports: (u16, u64),
    ) -> Self {
        Self {
            host,
            serial: 0,
            dice: Dice::new(seed ^ host, "actor"),
            manners,
            peers,
            live: HashMap::new(),
            ended: Vec::new(),
            busy_until: Instant::ZERO,
            now: Instant::ZERO,
            local_ports,
        }
    }

    /// The user of a stack that has just been made after the one of `self` died.
    pub(crate) fn reborn(&mut self) -> Self {
        let mut ended = core::mem::take(&mut self.ended);
        for (_, mut talk) in self.live.drain() {
            talk.has_died = true;
            ended.push(talk);
        }
        Self {
            live: HashMap::new(),
            ended,
            dice: self.dice.clone(),
            peers: self.peers.clone(),
            ..*self
        }
    }

    /// The flows whose end was not told yet.
    pub(crate) fn live(&self) -> Vec<&Talk> {
        self.live.values().collect()
    }

    /// It is so late.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = now;
    }

    /// Takes nobody for a while.
    pub(crate) fn be_busy(&mut self, until: Instant) {
        self.busy_until = until;
    }

    /// Opens a flow to somebody.
    pub(crate) fn open(&mut self, stack: &mut Stack) {
        let remote = self.dice.pick(&self.peers);
        // A port of one's own choice comes again soon, with a new incarnation.
        let (first, count) = self.local_ports;
        let port = first + u16::try_from(self.dice.below(count)).expect("few ports");
        let open = Open {
            local_port: self.dice.per_mille(500).then_some(port),
            ..Open::to(remote)
        };
        let Ok(flow) = stack.open(open) else { return };
        self.serial += 1;
        let tuple = stack.tuple(flow).expect("it was just opened");
        let mut talk = Talk::new(Side::Client, tuple, stack.now());
        talk.number = Some((self.host << 32) | self.serial);
        talk.to_send = HEADER + self.amount();
        talk.leaves = self.leave();
        let before = self.live.insert(flow, talk);
        assert!(before.is_none(), "an id came twice");
        stack.set_timer(flow, Some(stack.now() + PATIENCE));
    }

    fn amount(&mut self) -> u64 {
        let max = self.dice.pick(&[1, 100, 5_000, self.manners.text_max]);
        self.dice.below(max.min(self.manners.text_max))
    }

    fn leave(&mut self) -> Option<(u64, Left)> {
        let is_leaving = self.dice.per_mille(self.manners.leave_per_mille);
        let after = self.dice.pick(&[0, 16, 3_000, 50_000]);
        let how = self.dice.pick(&[Left::Closed, Left::Aborted]);
        is_leaving.then(|| (self.dice.below(after + 1), how))
    }

    fn expect(&self, flow: FlowId) -> &Talk {
        let talk = self.live.get(&flow).expect("told of a flow that ended");
        let is_left = talk.left.is_some();
        assert!(!is_left, "{flow} was left and is told of: {talk:?}");
        talk
    }

    /// The user does what is to be done now: leaves, pauses, or writes until no more is taken.
    fn act(&mut self, stack: &mut Stack, flow: FlowId) {
        let talk = self.live.get_mut(&flow).expect("one of ours");
        if talk.left.is_some() || !talk.is_connected {
            return;
        }
        if let Some((after, how)) = talk.leaves
            && talk.sent + talk.received >= after
        {
            talk.left = Some(how);
            match how {
                Left::Aborted => stack.abort(flow),
                Left::Closed | Left::GaveUp => stack.close(flow),
            }
            return;
        }
        if talk.paused_until > stack.now() {
            stack.set_timer(flow, Some(talk.paused_until));
            return;
        }
        if self.dice.per_mille(self.manners.pause_per_mille) {
            let talk = self.live.get_mut(&flow).expect("one of ours");
            talk.paused_until = stack.now() + self.dice.up_to(self.manners.pause_max);
            stack.set_timer(flow, Some(talk.paused_until));
            return;
        }
        self.write(stack, flow);
    }

    fn write(&mut self, stack: &mut Stack, flow: FlowId) {
        let talk = self.live.get_mut(&flow).expect("one of ours");
        let Some(number) = talk.number else { return };
        while talk.sent < talk.to_send {
            let len = (1 + self.dice.below(6_000)).min(talk.to_send - talk.sent);
            let text: Vec<u8> = (talk.sent..talk.sent + len)
                .map(|place| byte_at(number, talk.side, place))
                .collect();
            // It may be over while the text that came before has still to be read.
            let Ok(taken) = stack.send(flow, &text) else {
                return;
            };
            talk.sent += taken as u64;
            talk.progress_at = stack.now();
            if taken < text.len() {
                return;
            }
            if self.dice.per_mille(200) {
                let later = stack.now() + self.dice.up_to(Duration::from_millis(20));
                stack.set_timer(flow, Some(later));
                return;
            }
        }
        if !talk.is_shut {
            talk.is_shut = true;
            let _ = stack.shutdown(flow);
        }
    }

    /// Checks text that came, and learns from a header what has to be sent.
    fn read(&mut self, flow: FlowId, text: &[u8]) {
        let reply = self.amount();
        let ghosts = self.manners.ghosts;
        let talk = self.live.get_mut(&flow).expect("one of ours");
        let peer = match talk.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        for byte in text {
            if talk.number.is_none() {
                talk.header.push(*byte);
            }
            if talk.header.len() == 16 && talk.number.is_none() {
                let number = u64::from_be_bytes(*talk.header.first_chunk().expect("16 bytes"));
                let is_known = talk.header == header(number);
                assert!(is_known || ghosts, "{talk:?}: not what anybody sent");
                talk.number = Some(number);
                talk.to_send = reply;
            } else if let Some(number) = talk.number {
                let wanted = byte_at(number, peer, talk.received);
                assert_eq!(*byte, wanted, "at {}: {talk:?}", talk.received);
            }
            talk.received += 1;
        }
    }
}

impl App for Actor {
    type Command = ();

    fn is_ready(&self, _: ListenerId) -> bool {
        self.busy_until <= self.now
    }

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, _: ListenerId) {
        let tuple = stack.tuple(flow).expect("it was just accepted");
        let mut talk = Talk::new(Side::Server, tuple, stack.now());
        talk.leaves = self.leave();
        assert!(self.live.insert(flow, talk).is_none(), "an id came twice");
        stack.set_timer(flow, Some(stack.now() + PATIENCE));
        self.act(stack, flow);
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        assert!(!self.expect(flow).is_connected, "connected twice");
        let talk = self.live.get_mut(&flow).expect("one of ours");
        talk.is_connected = true;
        self.act(stack, flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        let talk = self.expect(flow);
        assert!(!talk.is_peer_closed && !text.is_empty());
        if talk.paused_until > stack.now() {
            stack.set_timer(flow, Some(talk.paused_until));
            return 0;
        }
        let taken = match self.dice.below(4) {
            0 => self.dice.index(text.len() + 1),
            _ => text.len(),
        };
        self.read(flow, &text[..taken]);
        let talk = self.live.get_mut(&flow).expect("one of ours");
        talk.progress_at = stack.now();
        if taken < text.len() {
            let later = stack.now() + Duration::from_millis(3);
            talk.paused_until = later;
            stack.set_timer(flow, Some(later));
        }
        self.act(stack, flow);
        taken
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        self.expect(flow);
        self.act(stack, flow);
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        assert!(!self.expect(flow).is_peer_closed, "closed twice");
        let talk = self.live.get_mut(&flow).expect("one of ours");
        talk.is_peer_closed = true;
        talk.progress_at = stack.now();
        if talk.number.is_none() {
            // Nobody said what is wanted; so it is nothing.
            talk.number = Some(0);
        }
        self.act(stack, flow);
    }

    fn on_end(&mut self, _: &mut Stack, flow: FlowId, end: End) {
        let mut talk = self.live.remove(&flow).expect("an end is told once");
        talk.end = Some(end);
        let by_us = end == End::Aborted;
        assert!(!by_us || talk.left.is_some(), "nobody aborted {talk:?}");
        self.ended.push(talk);
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        let patient_until = self.expect(flow).progress_at + PATIENCE;
        if stack.now() >= patient_until {
            let talk = self.live.get_mut(&flow).expect("one of ours");
            talk.left = Some(Left::GaveUp);
            stack.abort(flow);
            return;
        }
        stack.set_timer(flow, Some(patient_until));
        stack.resume(flow);
        self.act(stack, flow);
    }
}

/// Sockets of all services at an address.
pub(crate) fn services(address: IpAddr) -> [SocketAddr; 3] {
    // Nobody listens at the third.
    [7, 8, 9].map(|port| (address, port).into())
}
