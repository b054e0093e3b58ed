//! A worker on one end of a link, and the other end in the test's own hands, frame by frame.

use core::net::{IpAddr, Ipv4Addr};

use tidegate_port::{Burst, Link, LinkConfig, LinkPort, Port};
use tidegate_wire::{
    Arp, ArpOp, Body, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Icmpv4, Icmpv6,
    Instant, Ip, MacAddr, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, RxChecksum, Sum, Tcp,
    TcpFlags, TcpOptions, parse,
};
use tidegate_worker::{App, Cidr, Interface, Worker, WorkerConfig};

use super::{A4, A6, ip};

pub(crate) struct Probe<A: App> {
    pub(crate) worker: Worker<LinkPort, A>,
    pub(crate) port: LinkPort,
    pub(crate) now: Instant,
    /// Our own hardware address.
    pub(crate) mac: MacAddr,
    /// The tag of what we send.
    pub(crate) vlan: Option<u16>,
}

impl<A: App> Probe<A> {
    pub(crate) fn new(app: A, config: WorkerConfig) -> Self {
        Self::with_addresses(app, config, &[A4, A6])
    }

    pub(crate) fn with_addresses(app: A, config: WorkerConfig, addresses: &[&str]) -> Self {
        let (port, other) = Link::pair(LinkConfig::default()).unwrap();
        let addresses: Vec<Cidr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let announcements = addresses.len();
        let gateways = vec![ip("192.0.2.254/24")];
        let mac = other.facts().mac;
        let config = WorkerConfig {
            interfaces: vec![Interface::new(port.facts(), addresses, gateways)],
            ..config
        };
        let mut probe = Self {
            worker: Worker::new(config, vec![port], app).unwrap(),
            port: other,
            now: Instant::from_secs(10),
            mac,
            vlan: None,
        };
        // The announcements.
        assert_eq!(probe.receive().len(), announcements);
        probe
    }

    /// Sends a frame and answers what comes back.
    pub(crate) fn ask(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.send(&[frame]);
        self.receive()
    }

    /// Sends frames that arrive in one burst.
    pub(crate) fn send(&mut self, frames: &[&[u8]]) {
        let mut burst = Burst::new();
        for frame in frames {
            let mut sent = self.port.take_frame().unwrap();
            sent.resize(frame.len());
            sent.bytes_mut().copy_from_slice(frame);
            burst.push(sent);
        }
        self.port.tx_burst(&mut burst, self.now);
    }

    /// Lets the worker work, and answers what it sent.
    pub(crate) fn receive(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while self.worker.turn(self.now) {
            super::check(&self.worker);
            let mut burst = Burst::new();
            self.port.rx_burst(&mut burst, self.now);
            for frame in burst.drain(..) {
                frames.push(frame.bytes().to_vec());
                self.port.give_frame(frame);
            }
        }
        frames
    }

    pub(crate) fn worker_mac(&self) -> MacAddr {
        self.worker.port(0).facts().mac
    }

    pub(crate) fn discarded(&self, discard: tidegate_wire::Discard) -> u64 {
        self.worker.counters().discarded(discard)
    }

    fn ethernet(&self, dst: MacAddr, ether_type: u16) -> Ethernet {
        Ethernet {
            dst,
            src: self.mac,
            vlan: self.vlan,
            ether_type,
        }
    }

    /// A frame with a datagram whose payload of `len` bytes is written by `write`.
    fn datagram(
        &self,
        dst_mac: MacAddr,
        ip: &Ip,
        (protocol, len): (u8, usize),
        write: impl FnOnce(&mut [u8]),
    ) -> Vec<u8> {
        let ether_type = if ip.dst.is_ipv4() {
            ETHER_TYPE_IPV4
        } else {
            ETHER_TYPE_IPV6
        };
        let header = self.ethernet(dst_mac, ether_type);
        let mut frame = vec![0; header.header_len() + ip.header_len() + len];
        let at = header.emit(&mut frame);
        let at = at + ip.emit(protocol, len, &mut frame[at..]);
        write(&mut frame[at..]);
        frame
    }

    pub(crate) fn arp(&self, op: ArpOp, sender: &str, target: &str) -> Vec<u8> {
        let v4 = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        let header = self.ethernet(MacAddr::BROADCAST, ETHER_TYPE_ARP);
        let mut frame = vec![0; header.header_len() + Arp::LEN];
        let at = header.emit(&mut frame);
        let arp = Arp {
            op,
            sender_mac: self.mac,
            sender_ip: v4(sender),
            target_mac: MacAddr::ZERO,
            target_ip: v4(target),
        };
        arp.emit(&mut frame[at..]);
        frame
    }

    pub(crate) fn icmpv6(
        &self,
        dst_mac: MacAddr,
        (src, dst): (&str, IpAddr),
        message: &Icmpv6<'_>,
    ) -> Vec<u8> {
        let ip = Ip {
            src: src.parse().unwrap(),
            dst,
            hop_limit: 255,
            traffic_class: 0,
        };
        self.datagram(dst_mac, &ip, (PROTOCOL_ICMPV6, message.len()), |bytes| {
            message.emit(&ip, bytes);
        })
    }

    pub(crate) fn icmpv4(&self, (src, dst): (&str, &str), message: &Icmpv4<'_>) -> Vec<u8> {
        let ip = header(src, dst);
        self.datagram(
            self.worker_mac(),
            &ip,
            (PROTOCOL_ICMPV4, message.len()),
            |bytes| {
                message.emit(bytes);
            },
        )
    }

    /// A segment from `src`, with text.
    pub(crate) fn segment(&self, (src, dst): (&str, &str), tcp: &Tcp, text: &[u8]) -> Vec<u8> {
        let ip = header(src, dst);
        let len = tcp.header_len() + text.len();
        self.datagram(self.worker_mac(), &ip, (PROTOCOL_TCP, len), |bytes| {
            let at = tcp.emit(bytes);
            bytes[at..].copy_from_slice(text);
            let pseudo = Sum::new().add_pseudo_header(
                ip.src,
                ip.dst,
                PROTOCOL_TCP,
                u32::try_from(len).unwrap(),
            );
            let sum = pseudo.add(bytes).finish();
            bytes[Tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.to_be_bytes());
        })
    }
}

fn header(src: &str, dst: &str) -> Ip {
    Ip {
        src: src.parse().unwrap(),
        dst: dst.parse().unwrap(),
        hop_limit: 64,
        traffic_class: 0,
    }
}

/// A header with these numbers and flags, a full window, and no options.
pub(crate) fn tcp(ports: (u16, u16), (seq, ack): (u32, u32), flags: TcpFlags) -> Tcp {
    Tcp {
        src_port: ports.0,
        dst_port: ports.1,
        seq,
        ack,
        flags,
        wnd: u16::MAX,
        urgent: 0,
        options: TcpOptions::default(),
    }
}

/// What a frame carries.
pub(crate) fn body(frame: &[u8]) -> Body<'_> {
    parse(frame, RxChecksum::Verify).unwrap().body
}

/// The TCP headers among these frames.
pub(crate) fn segments(frames: &[Vec<u8>]) -> Vec<Tcp> {
    let tcp_of = |frame: &Vec<u8>| match body(frame) {
        Body::Tcp(_, tcp, _) => Some(tcp),
        Body::Arp(_) | Body::Icmpv4(..) | Body::Icmpv6(..) => None,
    };
    frames.iter().filter_map(tcp_of).collect()
}
