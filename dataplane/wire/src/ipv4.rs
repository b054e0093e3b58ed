//! The IPv4 header (RFC 791 3.1).
//!
//! Not done: options are skipped, fragments are discarded by name.

use core::net::{IpAddr, Ipv4Addr};

use crate::{Datagram, Discard, Ip, Sum};

/// Bytes of a header without options, the only one that is sent.
pub const HEADER_LEN: usize = 20;
/// Version 4, header length 5 words.
const VERSION_AND_LENGTH: u8 = 0x45;
/// The flag that forbids routers to fragment.
const DONT_FRAGMENT: u16 = 0x4000;
/// The flag and the offset that only a fragment has.
const FRAGMENT: u16 = 0x3fff;

/// Reads a datagram. What follows it in `bytes` is padding and is left out.
///
/// # Errors
/// The header is cut short or contradicts itself, its checksum is wrong, or the datagram is a
/// fragment.
#[inline(always)]
pub fn parse(bytes: &[u8]) -> Result<Datagram<'_>, Discard> {
    let fixed = bytes
        .first_chunk::<HEADER_LEN>()
        .ok_or(Discard::Ipv4Truncated)?;
    if fixed[0] >> 4 != 4 {
        return Err(Discard::Ipv4Version);
    }
    let header_len = header_len(fixed);
    if header_len < HEADER_LEN {
        return Err(Discard::Ipv4HeaderLength);
    }
    let header = bytes.get(..header_len).ok_or(Discard::Ipv4HeaderLength)?;
    // Nearly every header has no options; a sum over a fixed length needs no loop.
    let sum = if header_len == HEADER_LEN {
        Sum::new().add(fixed)
    } else {
        Sum::new().add(header)
    };
    if sum.partial() != 0xffff {
        return Err(Discard::Ipv4Checksum);
    }
    let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let payload = bytes
        .get(header_len..total_len)
        .ok_or(Discard::Ipv4TotalLength)?;
    if u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT != 0 {
        return Err(Discard::Ipv4Fragment);
    }
    Ok(Datagram {
        ip: fields(fixed),
        protocol: fixed[9],
        payload,
    })
}

/// Reads the beginning of a datagram that an ICMP error quotes: its end is missing, and routers on
/// the way may have left the checksum wrong. A fragment that is not the first has no ports.
pub(crate) fn parse_quoted(bytes: &[u8]) -> Option<Datagram<'_>> {
    let fixed = bytes.first_chunk::<HEADER_LEN>()?;
    let header_len = header_len(fixed);
    let is_first = u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT & 0x1fff == 0;
    if fixed[0] >> 4 != 4 || header_len < HEADER_LEN || !is_first {
        return None;
    }
    Some(Datagram {
        ip: fields(fixed),
        protocol: fixed[9],
        payload: bytes.get(header_len..)?,
    })
}

/// Writes a header at the start of `out`: no options, do not fragment, identification zero (which
/// RFC 6864 4.1 allows for a datagram that is never fragmented).
#[inline]
pub(crate) fn emit(
    ip: &Ip,
    [src, dst]: [Ipv4Addr; 2],
    protocol: u8,
    payload_len: usize,
    out: &mut [u8],
) -> usize {
    let total_len = u16::try_from(HEADER_LEN + payload_len)
        .expect("a datagram is at most as long as the MTU, which is below 65536");
    let header = out
        .first_chunk_mut::<HEADER_LEN>()
        .expect("the caller has made room for the header");
    header[0] = VERSION_AND_LENGTH;
    header[1] = ip.traffic_class;
    header[2..4].copy_from_slice(&total_len.to_be_bytes());
    header[4..6].fill(0);
    header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
    header[8] = ip.hop_limit;
    header[9] = protocol;
    header[10..12].fill(0);
    header[12..16].copy_from_slice(&src.octets());
    header[16..20].copy_from_slice(&dst.octets());
    let sum = Sum::new().add(header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    HEADER_LEN
}

/// Bytes of the header, options included, as the header says; the field can say less than 20.
#[inline]
fn header_len(fixed: &[u8; HEADER_LEN]) -> usize {
    usize::from(fixed[0] & 0x0f) * 4
}

/// The fields that both versions have.
#[inline]
fn fields(fixed: &[u8; HEADER_LEN]) -> Ip {
    Ip {
        src: IpAddr::V4(Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15])),
        dst: IpAddr::V4(Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19])),
        hop_limit: fixed[8],
        traffic_class: fixed[1],
    }
}
