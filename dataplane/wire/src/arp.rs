//! ARP for IPv4 over Ethernet (RFC 826).
//!
//! Not done: other hardware, other protocols, reverse ARP.

use core::net::Ipv4Addr;

use crate::{Discard, ETHER_TYPE_IPV4, MacAddr};

/// Hardware type Ethernet.
const HARDWARE_ETHERNET: [u8; 2] = [0, 1];

/// What an ARP packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpOp {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arp {
    /// Question or answer.
    pub op: ArpOp,
    /// The MAC address of the sender.
    pub sender_mac: MacAddr,
    /// The IPv4 address of the sender; unspecified in a probe for a duplicate (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// The MAC address of the target; zero in a request.
    pub target_mac: MacAddr,
    /// The IPv4 address of the target.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// Bytes of the packet, without the padding to Ethernet's minimum.
    pub const LEN: usize = 28;

    /// Reads a packet.
    ///
    /// # Errors
    /// The packet is cut short, is not about IPv4 over Ethernet, is neither request nor reply, or
    /// its sender claims a group address as its own.
    pub fn parse(bytes: &[u8]) -> Result<Self, Discard> {
        let packet = bytes
            .first_chunk::<{ Self::LEN }>()
            .ok_or(Discard::ArpTruncated)?;
        let [h0, h1, p0, p1, hardware_len, protocol_len, o0, o1, ..] = *packet;
        if [h0, h1] != HARDWARE_ETHERNET
            || u16::from_be_bytes([p0, p1]) != ETHER_TYPE_IPV4
            || hardware_len != 6
            || protocol_len != 4
        {
            return Err(Discard::ArpNotIpv4OverEthernet);
        }
        let op = match u16::from_be_bytes([o0, o1]) {
            1 => ArpOp::Request,
            2 => ArpOp::Reply,
            _ => return Err(Discard::ArpOperationUnknown),
        };
        let mac = |at: usize| {
            MacAddr([
                packet[at],
                packet[at + 1],
                packet[at + 2],
                packet[at + 3],
                packet[at + 4],
                packet[at + 5],
            ])
        };
        let ip =
            |at: usize| Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        let arp = Self {
            op,
            sender_mac: mac(8),
            sender_ip: ip(14),
            target_mac: mac(18),
            target_ip: ip(24),
        };
        // RFC 1812 3.3.2: a group cannot be where one station lives; believing it would turn a
        // neighbour's traffic into floods.
        if arp.sender_mac.is_multicast()
            || arp.sender_ip.is_multicast()
            || arp.sender_ip.is_broadcast()
        {
            return Err(Discard::ArpSenderInvalid);
        }
        Ok(arp)
    }

    /// Writes the packet at the start of `out` and answers [`Self::LEN`].
    ///
    /// # Panics
    /// `out` is shorter than [`Self::LEN`].
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let op: u8 = match self.op {
            ArpOp::Request => 1,
            ArpOp::Reply => 2,
        };
        out[0..2].copy_from_slice(&HARDWARE_ETHERNET);
        out[2..4].copy_from_slice(&ETHER_TYPE_IPV4.to_be_bytes());
        out[4..8].copy_from_slice(&[6, 4, 0, op]);
        out[8..14].copy_from_slice(&self.sender_mac.0);
        out[14..18].copy_from_slice(&self.sender_ip.octets());
        out[18..24].copy_from_slice(&self.target_mac.0);
        out[24..28].copy_from_slice(&self.target_ip.octets());
        Self::LEN
    }
}
