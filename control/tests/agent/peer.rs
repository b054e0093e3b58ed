//! A peer whose segments the test makes by hand: the kernel beside it knows nothing of it.

use std::collections::VecDeque;
use std::net::IpAddr;

use tidegate_wire::{
    Body, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Ip, MacAddr, PROTOCOL_TCP, RxChecksum, Sum,
    Tcp, TcpFlags, TcpOptions, parse,
};

use crate::lab::Lab;
use crate::raw::Raw;
use crate::wait_until;

/// What the agent has sent us.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) ip: Ip,
    pub(crate) tcp: Tcp,
    pub(crate) text: Vec<u8>,
}

impl Heard {
    pub(crate) fn has(&self, flags: TcpFlags) -> bool {
        self.tcp.flags.contains(flags)
    }
}

/// One end of a connection with the agent.
pub(crate) struct Peer {
    raw: Raw,
    agent_mac: MacAddr,
    /// Ours and the agent's.
    addresses: (IpAddr, IpAddr),
    /// Ours and the agent's.
    pub(crate) ports: (u16, u16),
    /// Number of the next byte that we send.
    pub(crate) seq: u32,
    /// Number of the next byte that we expect.
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) options: TcpOptions,
    /// Added to every checksum.
    pub(crate) damage: u16,
    heard: VecDeque<Heard>,
}

impl Peer {
    /// At an address that nobody else has, of the family of the agent's address.
    pub(crate) fn new(lab: &Lab, agent: IpAddr, ports: (u16, u16)) -> Self {
        let ours = if agent.is_ipv4() {
            "192.0.2.50"
        } else {
            "2001:db8:1::50"
        };
        let mac = lab
            .ready
            .split(' ')
            .find_map(|word| word.strip_prefix("mac="));
        let options = TcpOptions {
            mss: Some(1460),
            ..TcpOptions::default()
        };
        Self {
            raw: Raw::open(lab.bed.client()),
            agent_mac: mac.unwrap().parse().unwrap(),
            addresses: (ours.parse().unwrap(), agent),
            ports,
            seq: 1_000,
            ack: 0,
            window: u16::MAX,
            options,
            damage: 0,
            heard: VecDeque::new(),
        }
    }

    /// Sends a segment with what is next; SYN, FIN and text count.
    pub(crate) fn send(&mut self, flags: TcpFlags, text: &[u8]) {
        let is_syn = flags.contains(TcpFlags::SYN);
        let tcp = Tcp {
            src_port: self.ports.0,
            dst_port: self.ports.1,
            seq: self.seq,
            ack: if flags.contains(TcpFlags::ACK) {
                self.ack
            } else {
                0
            },
            flags,
            wnd: self.window,
            urgent: 0,
            options: if is_syn {
                self.options
            } else {
                TcpOptions::default()
            },
        };
        self.raw.send(&self.frame(&tcp, text));
        let counted = text.len() + usize::from(is_syn || flags.contains(TcpFlags::FIN));
        self.seq = self.seq.wrapping_add(u32::try_from(counted).unwrap());
    }

    fn frame(&self, tcp: &Tcp, text: &[u8]) -> Vec<u8> {
        let (src, dst) = self.addresses;
        let ip = Ip {
            src,
            dst,
            hop_limit: 64,
            traffic_class: 0,
        };
        let ethernet = Ethernet {
            dst: self.agent_mac,
            src: MacAddr(self.raw.mac()),
            vlan: None,
            ether_type: if src.is_ipv4() {
                ETHER_TYPE_IPV4
            } else {
                ETHER_TYPE_IPV6
            },
        };
        let len = tcp.header_len() + text.len();
        let mut frame = vec![0; ethernet.header_len() + ip.header_len() + len];
        let at = ethernet.emit(&mut frame);
        let at = at + ip.emit(PROTOCOL_TCP, len, &mut frame[at..]);
        let segment = &mut frame[at..];
        let header_len = tcp.emit(segment);
        segment[header_len..].copy_from_slice(text);
        let length = u32::try_from(len).unwrap();
        let pseudo = Sum::new().add_pseudo_header(src, dst, PROTOCOL_TCP, length);
        let sum = pseudo.add(segment).finish().wrapping_add(self.damage);
        segment[Tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    /// The next segment to us, if one has come. Its checksum was right.
    pub(crate) fn take(&mut self) -> Option<Heard> {
        for frame in self.raw.take() {
            let Ok(packet) = parse(&frame, RxChecksum::Verify) else {
                continue;
            };
            if let Body::Tcp(ip, tcp, text) = packet.body
                && (ip.dst, ip.src) == self.addresses
                && (tcp.dst_port, tcp.src_port) == self.ports
            {
                let text = text.to_vec();
                self.heard.push_back(Heard { ip, tcp, text });
            }
        }
        self.heard.pop_front()
    }

    /// Waits for the next segment to us; what it counts is expected no more.
    pub(crate) fn hear(&mut self) -> Heard {
        let mut heard = None;
        wait_until("a segment of the agent", || {
            heard = heard.take().or_else(|| self.take());
            heard.is_some()
        });
        let heard = heard.unwrap();
        let is_counted = heard.has(TcpFlags::SYN) || heard.has(TcpFlags::FIN);
        let counted = u32::try_from(heard.text.len()).unwrap() + u32::from(is_counted);
        self.ack = heard.tcp.seq.wrapping_add(counted);
        heard
    }

    /// Connects to a listener of the agent, and answers the SYN-ACK.
    pub(crate) fn connect(&mut self) -> Heard {
        self.send(TcpFlags::SYN, b"");
        let syn_ack = self.hear();
        assert_eq!(syn_ack.tcp.flags, TcpFlags::SYN | TcpFlags::ACK);
        self.send(TcpFlags::ACK, b"");
        syn_ack
    }
}
