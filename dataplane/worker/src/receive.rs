//! The first stage of a turn: a burst from each port, all of it parsed, all of it looked up, all of
//! it processed.
//!
//! Looking up touches each flow of the burst, so by the time they are processed their memory is on
//! its way into the cache. Nothing is transmitted here but answers that need no flow (ARP, neighbour
//! discovery, echo, a RST); they go into the port's outgoing burst. Flows are left wanting to
//! transmit (RFC 9293 3.10.7.4, MUST-58 and MUST-59).

use arrayvec::ArrayVec;
use tidegate_port::{BURST, Burst, Port};
use tidegate_tcp::{AckReply, Events, ResetReply, Segment, Waiting};
use tidegate_wire::{Body, Discard, Ethernet, Ip, MacAddr, PROTOCOL_TCP, Packet, RxChecksum};

use crate::app::App;
use crate::counters::Counter;
use crate::flow::SettingsId;
use crate::half_open::Origin;
use crate::neighbour::Lesson;
use crate::passive::Stray;
use crate::port_tx::PortTx;
use crate::stack::Stack;
use crate::{arp, handshake, icmp, tell};

/// What a frame was good for, where it was not discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its content reached a flow or the neighbour table.
    Delivered,
    /// It was answered.
    Answered,
}

/// Receives a burst from each port; answers how many frames came.
pub(crate) fn receive<P: Port, A: App>(
    ports: &mut [PortTx<P>],
    stack: &mut Stack,
    app: &mut A,
    rx: &mut Burst,
) -> usize {
    let mut count = 0;
    for (port, number) in ports.iter_mut().zip(0u16..) {
        port.port.rx_burst(rx, stack.now);
        count += rx.len();
        take_burst(port, number, (&mut *stack, &mut *app), rx);
        for frame in rx.drain(..) {
            port.port.give_frame(frame);
        }
    }
    stack.counters.add(Counter::RxFrames, count as u64);
    count
}

/// The three passes over a burst.
fn take_burst<P: Port, A: App>(
    port: &mut PortTx<P>,
    number: u16,
    (stack, app): (&mut Stack, &mut A),
    rx: &Burst,
) {
    let checksum = port.port.facts().rx_checksum;
    let mac = stack.mac(number);
    let packets: ArrayVec<_, BURST> = rx
        .iter()
        .map(|frame| parse(frame.bytes(), checksum, mac))
        .collect();
    let slots: ArrayVec<_, BURST> = packets
        .iter()
        .map(|packet| look_up(stack, packet.as_ref().ok()))
        .collect();
    for (packet, slot) in packets.iter().zip(slots) {
        let fate = match packet {
            Ok(packet) => on_packet(port, number, (&mut *stack, &mut *app), (packet, slot)),
            Err(discard) => Err(*discard),
        };
        match fate {
            Ok(Fate::Delivered) => stack.count(Counter::Delivered),
            Ok(Fate::Answered) => stack.count(Counter::Answered),
            Err(discard) => stack.counters.discard(discard),
        }
    }
}

/// Takes a frame apart that is for us, or for a group.
fn parse(frame: &[u8], checksum: RxChecksum, mac: MacAddr) -> Result<Packet<'_>, Discard> {
    // A port in promiscuous mode sees what is for others; that is not worth a checksum.
    let is_for_us = |dst: &[u8; 6]| *dst == mac.0 || MacAddr(*dst).is_multicast();
    if frame.first_chunk::<6>().is_some_and(|dst| !is_for_us(dst)) {
        return Err(Discard::NotForUs);
    }
    tidegate_wire::parse(frame, checksum)
}

/// The slot of the flow that a packet belongs to.
fn look_up(stack: &Stack, packet: Option<&Packet<'_>>) -> Option<u32> {
    match &packet?.body {
        Body::Tcp(ip, tcp, text) => {
            let tuple = Segment::new(ip, tcp, text).tuple;
            stack.table.find(&tuple, &stack.flows)
        }
        Body::Arp(_) | Body::Icmpv4(..) | Body::Icmpv6(..) => None,
    }
}

fn on_packet<P: Port, A: App>(
    port: &mut PortTx<P>,
    number: u16,
    (stack, app): (&mut Stack, &mut A),
    (packet, slot): (&Packet<'_>, Option<u32>),
) -> Result<Fate, Discard> {
    let ethernet = &packet.ethernet;
    match &packet.body {
        Body::Tcp(ip, tcp, text) => {
            if stack.trusts_frames {
                learn_from_frame(stack, number, ethernet, ip);
            }
            let seg = Segment::new(ip, tcp, text);
            on_segment((port, number), (stack, app), (ethernet, ip), (seg, slot))
        }
        Body::Arp(packet) => arp::on_arp(port, number, stack, (ethernet, packet)),
        Body::Icmpv4(ip, message) => {
            icmp::on_icmpv4((port, number), (stack, app), (ethernet, ip), message)
        }
        Body::Icmpv6(ip, message) => {
            icmp::on_icmpv6((port, number), (stack, app), (ethernet, ip), message)
        }
    }
}

/// Where a frame came from is where its sender lives, if that is on this link. What is known better
/// is not replaced, and where there is no room it is as it would be without.
fn learn_from_frame(stack: &mut Stack, port: u16, ethernet: &Ethernet, ip: &Ip) {
    let is_anybody = stack.routes.is_owned(ip.src) || stack.routes.is_broadcast(ip.src);
    let way = stack.routes.way_to(ip.src);
    let on_link = way.filter(|way| way.port == port && way.next_hop == ip.src && !is_anybody);
    if let Some(way) = on_link {
        let place = (ethernet.src, ethernet.vlan);
        let _ = stack.neighbours.learn(way, place, Lesson::Seen, stack.now);
    }
}

/// A segment arrives. `slot` is where its flow was when the burst was looked up.
fn on_segment<P: Port, A: App>(
    (port, number): (&mut PortTx<P>, u16),
    (stack, app): (&mut Stack, &mut A),
    (ethernet, ip): (&Ethernet, &Ip),
    (seg, slot): (Segment<'_>, Option<u32>),
) -> Result<Fate, Discard> {
    // An earlier segment of the burst may have opened or ended the flow.
    let is_still_there = |slot: &u32| {
        stack
            .flows
            .at(*slot)
            .is_some_and(|flow| flow.tcb.tuple() == seg.tuple)
    };
    let slot = slot
        .filter(is_still_there)
        .or_else(|| stack.table.find(&seg.tuple, &stack.flows));
    let Some(slot) = slot else {
        return on_stray((port, number), (stack, app), (ethernet, ip), seg);
    };
    let id = stack.flows.id(slot);
    let arrival = stack.step(id, |flow, cx| flow.tcb.on_segment(seg, cx));
    let arrival = match arrival.unwrap_or(Err(Discard::TcpNoListener)) {
        Ok(arrival) => arrival,
        Err(discard) => {
            tell::on_events(app, stack, id, Events::empty());
            return Err(discard);
        }
    };
    if arrival.events.contains(Events::SUPERSEDED) {
        return reopen((port, number), (stack, app), (ethernet, ip), (seg, slot));
    }
    stack.count_segment(&seg);
    if arrival.events.contains(Events::ESTABLISHED) {
        stack.learn_fast_open(id, &seg);
    }
    tell::on_arrival(app, stack, id, &arrival);
    Ok(Fate::Delivered)
}

impl Stack {
    /// Counts a segment that a flow took.
    pub(crate) fn count_segment(&self, seg: &Segment<'_>) {
        self.count(Counter::RxSegments);
        self.counters
            .add(Counter::RxTextBytes, seg.text.len() as u64);
        if seg.is_marked() {
            self.count(Counter::RxMarks);
        }
    }
}

/// A segment that belongs to no flow.
fn on_stray<P: Port, A: App>(
    (port, number): (&mut PortTx<P>, u16),
    (stack, app): (&mut Stack, &mut A),
    (ethernet, ip): (&Ethernet, &Ip),
    seg: Segment<'_>,
) -> Result<Fate, Discard> {
    let origin = stack.origin_of(&seg, ethernet, number);
    if let Some(slot) = stack.time_waits.find(&seg.tuple) {
        return on_time_wait((port, origin), stack, (ethernet, ip), (seg, slot));
    }
    if let Some(slot) = stack.half_opens.find(&seg.tuple) {
        return handshake::on_segment((port, origin), (stack, app), ethernet, (seg, slot));
    }
    let stray = match stack.listener_of_cookie(&seg) {
        None => match stack.try_open_fast(app, &seg, ethernet.vlan) {
            Some(reply) => Stray::Opened(reply),
            None => stack.on_stray(&seg, origin, None),
        },
        Some(listener) => match handshake::on_cookie((stack, app), ethernet, seg, listener) {
            Ok(None) => return Ok(Fate::Delivered),
            Ok(Some(reply)) => Stray::Answered(reply),
            Err(discard) => Stray::refused(discard, &seg),
        },
    };
    answer_stray((port, origin), stack, (ethernet, ip), stray)
}

/// RFC 9293 3.6.1, MAY-2: the flow in `slot` was in TIME_WAIT and gives way to the SYN.
fn reopen<P: Port, A: App>(
    (port, number): (&mut PortTx<P>, u16),
    (stack, app): (&mut Stack, &mut A),
    (ethernet, ip): (&Ethernet, &Ip),
    (seg, slot): (Segment<'_>, u32),
) -> Result<Fate, Discard> {
    let proposed = stack.secrets.iss(&seg.tuple, stack.now);
    let iss = stack
        .flows
        .at(slot)
        .map(|flow| flow.tcb.iss_after(proposed));
    // The application may still have had text to read; for a peer that reuses its port so soon
    // that is over.
    tell::force_end(app, stack, stack.flows.id(slot));
    stack.remove(slot);
    stack.count(Counter::TimeWaitReused);
    let origin = stack.origin_of(&seg, ethernet, number);
    let stray = stack.on_stray(&seg, origin, iss);
    answer_stray((port, origin), stack, (ethernet, ip), stray)
}

/// A segment arrives for a connection that is in TIME_WAIT and has no flow any more.
fn on_time_wait<P: Port>(
    (port, origin): (&mut PortTx<P>, Origin),
    stack: &mut Stack,
    (ethernet, ip): (&Ethernet, &Ip),
    (seg, slot): (Segment<'_>, u32),
) -> Result<Fate, Discard> {
    let now = stack.now;
    let id = stack.time_waits.at(slot, now).1;
    let settings = &stack.settings[usize::from(id.0)];
    let time_wait = stack.time_waits.time_wait_mut(slot);
    let (reply, outcome) = match time_wait.on_segment(&seg, now, settings) {
        Waiting::Taken { reply } => {
            stack.count_segment(&seg);
            (reply, Ok(Fate::Delivered))
        }
        Waiting::Discarded {
            discard,
            reply,
            restarts,
        } => {
            if restarts {
                let until = now + settings.time_wait;
                stack.time_waits.restart(slot, until);
            }
            (reply, Err(discard))
        }
        Waiting::Superseded => {
            let iss = time_wait.iss_after(stack.secrets.iss(&seg.tuple, now));
            stack.end_time_wait(slot);
            stack.count(Counter::TimeWaitReused);
            let stray = stack.on_stray(&seg, origin, Some(iss));
            return answer_stray((port, origin), stack, (ethernet, ip), stray);
        }
    };
    if let Some(reply) = reply {
        send_ack(port, stack, (ethernet, ip, id), &reply);
    }
    outcome
}

/// Sends an ACK of a connection that has no flow, with the header that its flow would have had.
fn send_ack<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    (ethernet, ip, settings): (&Ethernet, &Ip, SettingsId),
    reply: &AckReply,
) {
    let settings = &stack.settings[usize::from(settings.0)];
    let ip = Ip {
        hop_limit: settings.hop_limit,
        traffic_class: settings.diffserv(),
        ..back_ip(ip)
    };
    let ethernet = back(ethernet, ethernet.dst);
    let payload = (PROTOCOL_TCP, reply.segment_len());
    let sent = port.send_datagram((&ethernet, &ip), payload, stack.now, |bytes| {
        reply.emit(bytes);
    });
    match sent {
        Ok(()) => stack.count(Counter::TxSegments),
        Err(discard) => stack.counters.lose(discard),
    }
}

/// What is sent for a segment that belongs to no flow.
fn answer_stray<P: Port>(
    (port, origin): (&mut PortTx<P>, Origin),
    stack: &mut Stack,
    (ethernet, ip): (&Ethernet, &Ip),
    stray: Stray,
) -> Result<Fate, Discard> {
    match stray {
        Stray::Opened(reply) => {
            // One that finds no room is as good as lost, and goes again like one that was.
            match reply.send(port, &origin, stack.now) {
                Ok(()) => stack.count(Counter::TxSegments),
                Err(discard) => stack.counters.lose(discard),
            }
            stack.count(Counter::RxSegments);
            Ok(Fate::Delivered)
        }
        Stray::Answered(reply) => {
            reply.send(port, &origin, stack.now)?;
            Ok(Fate::Answered)
        }
        Stray::Discarded(discard, reply) => {
            if let Some(reply) = reply {
                send_reset(port, stack, (ethernet, ip), &reply);
            }
            Err(discard)
        }
    }
}

fn send_reset<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    (ethernet, ip): (&Ethernet, &Ip),
    reply: &ResetReply,
) {
    // Only a frame to our own address carries a segment.
    let (ethernet, ip) = (back(ethernet, ethernet.dst), back_ip(ip));
    let payload = (PROTOCOL_TCP, ResetReply::LEN);
    let sent = port.send_datagram((&ethernet, &ip), payload, stack.now, |bytes| {
        reply.emit(bytes);
    });
    match sent {
        Ok(()) => stack.count(Counter::ResetsSent),
        Err(discard) => stack.counters.lose(discard),
    }
}

/// The header of a frame from `own` that goes back where another came from, in the same VLAN.
pub(crate) const fn back(ethernet: &Ethernet, own: MacAddr) -> Ethernet {
    Ethernet {
        dst: ethernet.src,
        src: own,
        vlan: ethernet.vlan,
        ether_type: ethernet.ether_type,
    }
}

/// The header of a datagram that goes back where another came from.
pub(crate) const fn back_ip(ip: &Ip) -> Ip {
    Ip {
        src: ip.dst,
        dst: ip.src,
        hop_limit: HOP_LIMIT,
        traffic_class: 0,
    }
}

/// Hop limit of answers that belong to no flow, as hosts use it (RFC 1700).
const HOP_LIMIT: u8 = 64;
