//! The third stage of a turn: everything that wants to be sent, as far as frames and rings go.
//!
//! The flows that want to transmit have each a bounded number of segments, so that one with a large
//! window cannot keep the others waiting. A flow that could not send all stays in the queue; one
//! whose next hop is being asked for is parked until there is news.
//!
//! A segment is written by its TCB where it will lie, behind the room for the Ethernet and IP
//! headers; those are written in front of it afterwards, when its length is known.

use core::net::IpAddr;

use tidegate_port::{Frame, Port, TxChecksum};
use tidegate_tcp::{IcmpKind, TxChecksumMode};
use tidegate_wire::{
    Discard, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Ip, PROTOCOL_TCP, Quoted, Tcp,
};

use crate::app::App;
use crate::counters::Counter;
use crate::flow::{Flow, FlowId};
use crate::neighbour::{Hop, Link};
use crate::port_tx::PortTx;
use crate::stack::Stack;
use crate::{arp, handshake, icmp, ndp};

/// Segments of one flow in a turn: an initial window and a little more (RFC 6928). Fewer make more
/// turns of a bulk flow, more let it delay all others longer.
const SEGMENTS_MAX: usize = 16;
/// Flows looked at in a turn, so that a turn has an end.
const FLOWS_MAX: u32 = 512;

/// What is known when a flow has had its share of the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    /// It has nothing more to send for now.
    Done,
    /// It has more.
    More,
    /// The port takes no more in this turn.
    Stuck,
}

/// Sends what is to be sent; answers how many frames were written.
pub(crate) fn transmit<P: Port, A: App>(
    ports: &mut [PortTx<P>],
    stack: &mut Stack,
    app: &mut A,
) -> usize {
    let mut sent = announce(ports, stack);
    if stack.neighbours.take_news() {
        stack.unpark();
    }
    sent += handshake::send_again(ports, stack);
    sent += send_flows(ports, stack, app);
    // After the flows, because they are who asks.
    sent += send_questions(ports, stack);
    for port in ports {
        port.flush(stack.now);
    }
    sent
}

/// Tells the links which addresses are ours, once.
fn announce<P: Port>(ports: &mut [PortTx<P>], stack: &mut Stack) -> usize {
    let before = stack.announced;
    while let Some((address, number)) = stack.routes.owned().get(stack.announced).copied() {
        let port = &mut ports[usize::from(number)];
        let sent = match address {
            IpAddr::V4(address) => arp::announce(port, stack, number, address),
            IpAddr::V6(address) => ndp::announce(port, stack, number, address),
        };
        if sent.is_err() {
            break;
        }
        stack.announced += 1;
    }
    stack.announced - before
}

/// Asks for stations. A request that finds no frame is asked again by its timer.
fn send_questions<P: Port>(ports: &mut [PortTx<P>], stack: &mut Stack) -> usize {
    let mut count = 0;
    while let Some(question) = stack.neighbours.take_question() {
        let port = &mut ports[usize::from(question.port)];
        let sent = match question.address {
            IpAddr::V4(target) => arp::ask(port, stack, &question, target),
            IpAddr::V6(target) => ndp::ask(port, stack, &question, target),
        };
        match sent {
            Ok(()) => count += 1,
            Err(discard) => stack.counters.lose(discard),
        }
    }
    count
}

/// A segment cannot be sent because nobody answers at its next hop: to its flow that is what an
/// ICMP error about it would be. An open fails by it; a connection that stands tries on.
fn drop_unreachable<A: App>(stack: &mut Stack, app: &mut A, frame: &Frame) {
    stack.counters.lose(Discard::NeighbourUnresolved);
    let quoted = Ethernet::parse(frame.bytes()).and_then(|(_, datagram)| Quoted::parse(datagram));
    if let Ok(quoted) = quoted {
        // The flow may be gone by now, or its segment acknowledged over another way.
        let _ = icmp::tell_error(stack, app, IcmpKind::Hard, &quoted);
    }
}

/// Gives each flow that wants to transmit its share.
fn send_flows<P: Port, A: App>(ports: &mut [PortTx<P>], stack: &mut Stack, app: &mut A) -> usize {
    let mut count = 0;
    for _ in 0..stack.sending.len().min(FLOWS_MAX) {
        let Some(slot) = stack.sending.pop() else {
            break;
        };
        if stack.flows.at(slot).is_none() {
            continue;
        }
        let id = stack.flows.id(slot);
        let share = send_flow(ports, stack, app, (id, &mut count));
        stack.settle(slot);
        match share {
            Share::Done => {}
            Share::More => stack.sending.push(slot),
            Share::Stuck => {
                stack.sending.push(slot);
                if ports.iter().all(PortTx::is_exhausted) {
                    break;
                }
            }
        }
    }
    count
}

/// Sends what one flow wants to send, up to its share.
fn send_flow<P: Port, A: App>(
    ports: &mut [PortTx<P>],
    stack: &mut Stack,
    app: &mut A,
    (id, count): (FlowId, &mut usize),
) -> Share {
    let (link, is_lost) = match stack.hop_of(id) {
        Ok(Hop::Known(link)) => (link, false),
        Ok(Hop::Lost(link)) => (link, true),
        Ok(Hop::Asked) => {
            stack.parked.insert(id.index());
            return Share::Done;
        }
        Err(discard) => {
            // The flow does not learn of it: it will try again when its timer says so.
            stack.counters.lose(discard);
            stack.skip_transmit(id);
            return Share::Done;
        }
    };
    let port = &mut ports[usize::from(link.port)];
    for _ in 0..SEGMENTS_MAX {
        let Ok(frame) = port.take(stack.now) else {
            stack.count(Counter::TxWaits);
            return Share::Stuck;
        };
        let frame = match write_segment(stack, id, frame, (&link, port.offload())) {
            Ok(frame) => frame,
            Err(unwritten) => {
                port.port.give_frame(unwritten);
                return Share::Done;
            }
        };
        *count += 1;
        if is_lost {
            drop_unreachable(stack, app, &frame);
            port.port.give_frame(frame);
        } else if let Err(discard) = port.put(frame, stack.now) {
            stack.counters.lose(discard);
        }
    }
    Share::More
}

impl Stack {
    /// The next hop of a flow, looked up anew where the table has forgotten it.
    fn hop_of(&mut self, id: FlowId) -> Result<Hop, Discard> {
        let flow = self.flows.of_mut(id).ok_or(Discard::NoRoute)?;
        if let Some(hop) = self.neighbours.hop(flow.hop) {
            return Ok(hop);
        }
        let way = self
            .routes
            .way_to(flow.tcb.tuple().remote)
            .ok_or(Discard::NoRoute)?;
        flow.hop = self.neighbours.enter(way, None, self.now)?;
        self.neighbours
            .hop(flow.hop)
            .ok_or(Discard::NeighbourTableFull)
    }

    /// Lets the flows go on that wait for a next hop. Those that wait for another one are parked
    /// again.
    fn unpark(&mut self) {
        while let Some(slot) = self.parked.pop() {
            self.settle(slot);
        }
    }

    /// Lets a flow believe that it has sent, where nothing can be sent: the segments count as lost.
    fn skip_transmit(&mut self, id: FlowId) {
        let mut nowhere = [0; SCRATCH];
        for _ in 0..SEGMENTS_MAX {
            let written = self.step(id, |flow, cx| {
                flow.tcb
                    .poll_transmit(&mut nowhere, TxChecksumMode::Partial, cx)
            });
            if !matches!(written, Some(Some(_))) {
                return;
            }
        }
    }
}

/// Bytes for segments that go nowhere: one of any Ethernet fits.
const SCRATCH: usize = 4_096;

/// Writes the next segment of a flow with all its headers; the frame comes back as it was where
/// there is none.
fn write_segment(
    stack: &mut Stack,
    id: FlowId,
    mut frame: Frame,
    (link, is_offloaded): (&Link, bool),
) -> Result<Frame, Frame> {
    let mode = if is_offloaded {
        TxChecksumMode::Partial
    } else {
        TxChecksumMode::Full
    };
    frame.resize(frame.capacity());
    let bytes = frame.bytes_mut();
    let offer = stack.fast_open_offer(id);
    let written = stack.step(id, |flow, cx| {
        let mut ip = header_of(flow, cx.settings.hop_limit);
        let header_len = ethernet_len(link) + ip.header_len();
        let before = flow.tcb.retransmits();
        let out = &mut bytes[header_len..];
        let len = match offer {
            Some(_) => flow.tcb.poll_syn(offer, out, mode, cx)?,
            None => flow.tcb.poll_transmit(out, mode, cx)?,
        };
        ip.traffic_class = flow.tcb.traffic_class(cx.settings);
        Some((ip, len, flow.tcb.retransmits().wrapping_sub(before)))
    });
    let Some(Some((ip, len, again))) = written else {
        frame.reset();
        return Err(frame);
    };
    let ether_type = if ip.dst.is_ipv4() {
        ETHER_TYPE_IPV4
    } else {
        ETHER_TYPE_IPV6
    };
    let ethernet = Ethernet {
        dst: link.mac,
        src: stack.mac(link.port),
        vlan: link.vlan,
        ether_type,
    };
    let ip_at = ethernet.emit(bytes);
    let tcp_at = ip_at + ip.emit(PROTOCOL_TCP, len, &mut bytes[ip_at..]);
    let text_len = len - tcp_header_len(&bytes[tcp_at..]);
    frame.resize(tcp_at + len);
    if is_offloaded {
        frame.set_tx_checksum(Some(TxChecksum {
            start: short(tcp_at),
            offset: short(Tcp::CHECKSUM_AT),
        }));
    }
    stack.count(Counter::TxSegments);
    stack.counters.add(Counter::TxTextBytes, text_len as u64);
    stack.counters.add(Counter::Retransmits, u64::from(again));
    Ok(frame)
}

/// The IP header of what a flow sends, all but the traffic class, which each segment has its own.
const fn header_of(flow: &Flow, hop_limit: u8) -> Ip {
    let tuple = flow.tcb.tuple();
    Ip {
        src: tuple.local,
        dst: tuple.remote,
        hop_limit,
        traffic_class: 0,
    }
}

/// Bytes of a TCP header, from its data offset.
fn tcp_header_len(segment: &[u8]) -> usize {
    usize::from(segment[12] >> 4) * 4
}

const fn ethernet_len(link: &Link) -> usize {
    if link.vlan.is_some() {
        Ethernet::TAGGED_LEN
    } else {
        Ethernet::LEN
    }
}

fn short(offset: usize) -> u16 {
    u16::try_from(offset).expect("headers are shorter than a frame")
}
