//! The Internet header without its version: the fields that IPv4 and IPv6 share.
//!
//! The layers above speak of an [`Ip`] and leave the version to `ipv4` and `ipv6`.

use core::net::IpAddr;

use crate::{Discard, ipv4, ipv6};

/// The protocol number of ICMP for IPv4.
pub const PROTOCOL_ICMPV4: u8 = 1;
/// The protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// The protocol number of ICMP for IPv6.
pub const PROTOCOL_ICMPV6: u8 = 58;

/// What an Internet header says, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ip {
    /// The source address, of the same version as the destination.
    pub src: IpAddr,
    /// The destination address.
    pub dst: IpAddr,
    /// How many routers may pass it on; IPv4 calls it time to live.
    pub hop_limit: u8,
    /// The byte of the differentiated services code point (upper six bits) and ECN (lower two).
    pub traffic_class: u8,
}

impl Ip {
    /// Bytes that [`Self::emit`] writes: 20 for IPv4, 40 for IPv6.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        match self.dst {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        }
    }

    /// Writes the header of a datagram that carries `payload_len` bytes of `protocol` at the start
    /// of `out`, and answers how long the header is.
    ///
    /// # Panics
    /// `out` is shorter than [`Self::header_len`]; source and destination are of two versions; the
    /// datagram would be longer than a length field can say.
    #[inline]
    pub fn emit(&self, protocol: u8, payload_len: usize, out: &mut [u8]) -> usize {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                ipv4::emit(self, [src, dst], protocol, payload_len, out)
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                ipv6::emit(self, [src, dst], protocol, payload_len, out)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                panic!("source and destination of a datagram are of one version")
            }
        }
    }
}

/// A datagram taken apart: the header, and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// The header.
    pub ip: Ip,
    /// The protocol of the payload; for IPv6 the one after all extension headers.
    pub protocol: u8,
    /// What the datagram carries, without the padding of the frame.
    pub payload: &'a [u8],
}

/// Whether one station can have sent a datagram from `src`.
///
/// Groups, broadcast, loopback and the unspecified address cannot be answered (RFC 9293 3.9.2.3,
/// MUST-63; RFC 1122 3.2.1.3; RFC 4291 2.5.2, 2.5.3, 2.7). The broadcast address of a subnet is
/// not known here.
///
/// # Errors
/// [`Discard::IpSourceInvalid`].
#[inline]
pub const fn check_source(src: IpAddr) -> Result<(), Discard> {
    let invalid = match src {
        IpAddr::V4(src) => {
            src.is_unspecified() || src.is_multicast() || src.is_broadcast() || src.is_loopback()
        }
        IpAddr::V6(src) => src.is_unspecified() || src.is_multicast() || src.is_loopback(),
    };
    if invalid {
        Err(Discard::IpSourceInvalid)
    } else {
        Ok(())
    }
}
