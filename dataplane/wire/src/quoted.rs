//! What an ICMP error quotes: the beginning of a datagram that we sent (RFC 792, RFC 4443 2.4).
//!
//! RFC 9293 3.9.2.2, MUST-54: an error is acted on by the flow it is about, so the quoted
//! addresses, ports and sequence number are all that is read.

use core::net::IpAddr;

use crate::{Discard, PROTOCOL_TCP, ipv4, ipv6};

/// The segment that an ICMP error is about. It is one of ours, so source means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quoted {
    /// Our address.
    pub src: IpAddr,
    /// The peer's address.
    pub dst: IpAddr,
    /// Our port.
    pub src_port: u16,
    /// The peer's port.
    pub dst_port: u16,
    /// The sequence number of the segment; an error is only to be believed while it is in flight
    /// (RFC 5927 4).
    pub seq: u32,
}

impl Quoted {
    /// Reads the `quoted` bytes of an ICMP or ICMPv6 error.
    ///
    /// # Errors
    /// Fewer bytes are quoted than reach the sequence number, or they are not the beginning of a
    /// TCP segment.
    pub fn parse(quoted: &[u8]) -> Result<Self, Discard> {
        let datagram = match quoted.first().map(|byte| byte >> 4) {
            Some(4) => ipv4::parse_quoted(quoted),
            Some(6) => ipv6::parse_quoted(quoted),
            _ => None,
        };
        let datagram = datagram.ok_or(Discard::IcmpQuoteTruncated)?;
        if datagram.protocol != PROTOCOL_TCP {
            return Err(Discard::IcmpNotForAFlow);
        }
        let &[s0, s1, d0, d1, n0, n1, n2, n3] = datagram
            .payload
            .first_chunk()
            .ok_or(Discard::IcmpQuoteTruncated)?;
        Ok(Self {
            src: datagram.ip.src,
            dst: datagram.ip.dst,
            src_port: u16::from_be_bytes([s0, s1]),
            dst_port: u16::from_be_bytes([d0, d1]),
            seq: u32::from_be_bytes([n0, n1, n2, n3]),
        })
    }
}
