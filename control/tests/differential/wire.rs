//! The peer's end of a wire: an address that no kernel has, which answers ARP and gives each
//! segment to the conversation it belongs to.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidegate_wire::{
    Arp, ArpOp, Body, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, Ethernet, Ip, MacAddr, PROTOCOL_TCP,
    RxChecksum, Sum, Tcp, parse,
};

use crate::raw::Raw;

/// A segment of the host, and when it came.
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) tcp: Tcp,
    pub(crate) len: usize,
    /// The ECN field of the datagram.
    pub(crate) ecn: u8,
}

/// Conversations by the peer's port.
type Conversations = HashMap<u16, Sender<Heard>>;

/// What the thread and the players share.
struct Shared {
    raw: Raw,
    conversations: Mutex<Conversations>,
    is_over: Mutex<bool>,
}

/// One end of a wire.
pub(crate) struct Wire {
    pub(crate) peer: IpAddr,
    pub(crate) host: IpAddr,
    host_mac: MacAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

impl Wire {
    /// The wire on which this host is, with a peer at an address that nobody else has.
    pub(crate) fn new(raw: Raw, peer: &str, host: IpAddr, host_mac: MacAddr) -> Self {
        let peer: Ipv4Addr = peer.parse().unwrap();
        let shared = Arc::new(Shared {
            raw,
            conversations: Mutex::default(),
            is_over: Mutex::new(false),
        });
        let heard = Arc::clone(&shared);
        let listening = std::thread::spawn(move || heard.listen(peer));
        Self {
            peer: peer.into(),
            host,
            host_mac,
            shared,
            listening: Some(listening),
        }
    }

    /// From now on, what is for this port of the peer.
    pub(crate) fn hear(&self, port: u16) -> Receiver<Heard> {
        let (sender, receiver) = channel();
        self.shared
            .conversations
            .lock()
            .unwrap()
            .insert(port, sender);
        receiver
    }

    /// Sends a segment to the host.
    pub(crate) fn send(&self, tcp: &Tcp, text: &[u8], ecn: u8) {
        let ip = Ip {
            src: self.peer,
            dst: self.host,
            hop_limit: 64,
            traffic_class: ecn,
        };
        let len = tcp.header_len() + text.len();
        let mut packet = vec![0; ip.header_len() + len];
        let at = ip.emit(PROTOCOL_TCP, len, &mut packet);
        let segment = &mut packet[at..];
        let header_len = tcp.emit(segment);
        segment[header_len..].copy_from_slice(text);
        let length = u32::try_from(len).unwrap();
        let pseudo = Sum::new().add_pseudo_header(self.peer, self.host, PROTOCOL_TCP, length);
        let sum = pseudo.add(segment).finish();
        segment[Tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.to_be_bytes());
        self.shared.send(self.host_mac, ETHER_TYPE_IPV4, &packet);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        *self.shared.is_over.lock().unwrap() = true;
        let ended = self.listening.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()) || std::thread::panicking());
    }
}

impl Shared {
    fn send(&self, dst: MacAddr, ether_type: u16, packet: &[u8]) {
        let ethernet = Ethernet {
            dst,
            src: MacAddr(self.raw.mac()),
            vlan: None,
            ether_type,
        };
        let mut frame = vec![0; ethernet.header_len()];
        ethernet.emit(&mut frame);
        frame.extend_from_slice(packet);
        self.raw.send(&frame);
    }

    fn listen(&self, peer: Ipv4Addr) {
        while !*self.is_over.lock().unwrap() {
            let frames = self.raw.take();
            if frames.is_empty() {
                std::thread::sleep(Duration::from_micros(500));
            }
            for frame in frames {
                self.take(&frame, peer);
            }
        }
    }

    fn take(&self, frame: &[u8], peer: Ipv4Addr) {
        // A kernel on the same machine leaves the checksum to hardware that does not come.
        let Ok(packet) = parse(frame, RxChecksum::TrustPartial) else {
            return;
        };
        match packet.body {
            Body::Arp(arp) => self.answer(&arp, peer),
            Body::Tcp(ip, tcp, text) if ip.dst == IpAddr::V4(peer) => {
                self.pass_on(&ip, tcp, text.len());
            }
            Body::Tcp(..) | Body::Icmpv4(..) | Body::Icmpv6(..) => {}
        }
    }

    fn answer(&self, arp: &Arp, peer: Ipv4Addr) {
        if arp.op != ArpOp::Request || arp.target_ip != peer {
            return;
        }
        let reply = Arp {
            op: ArpOp::Reply,
            sender_mac: MacAddr(self.raw.mac()),
            sender_ip: peer,
            target_mac: arp.sender_mac,
            target_ip: arp.sender_ip,
        };
        let mut packet = [0; Arp::LEN];
        reply.emit(&mut packet);
        self.send(arp.sender_mac, ETHER_TYPE_ARP, &packet);
    }

    fn pass_on(&self, ip: &Ip, tcp: Tcp, len: usize) {
        if let Some(to) = self.conversations.lock().unwrap().get(&tcp.dst_port) {
            // Nobody listens any more to a conversation that is over.
            let _ = to.send(Heard {
                at: Instant::now(),
                tcp,
                len,
                ecn: ip.traffic_class & 3,
            });
        }
    }
}
