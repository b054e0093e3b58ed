//! The IPv6 header and its extension headers (RFC 8200 3 and 4).
//!
//! Hop-by-hop, routing and destination options are skipped after the checks that a destination
//! owes them, at most [`EXTENSIONS_MAX`] of them; a fragment header is skipped where the fragment
//! is the whole datagram. Not done: real fragments (discarded by name), jumbograms,
//! authentication and encryption headers, and the ICMP messages that a bad header could earn.

use core::net::{IpAddr, Ipv6Addr};

use crate::{Datagram, Discard, Ip};

/// Bytes of the header itself, without extensions.
pub const HEADER_LEN: usize = 40;
/// How many extension headers are followed. RFC 8200 4.1 knows seven places for one. More would
/// let a frame cost more than it carries; fewer would drop datagrams that are in order.
pub const EXTENSIONS_MAX: usize = 7;

/// Next header: hop-by-hop options.
const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
const ROUTING: u8 = 43;
/// Next header: fragment.
const FRAGMENT: u8 = 44;
/// Next header: destination options.
const DESTINATION_OPTIONS: u8 = 60;
/// The option that is one byte of padding and has no length.
const OPTION_PAD1: u8 = 0;
/// The option that is padding.
const OPTION_PADN: u8 = 1;

/// Reads a datagram. What follows it in `bytes` is padding and is left out.
///
/// # Errors
/// A header is cut short, contradicts itself or asks for the datagram to be dropped, or the
/// datagram is a fragment.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Datagram<'_>, Discard> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_LEN>()
        .ok_or(Discard::Ipv6Truncated)?;
    if header[0] >> 4 != 6 {
        return Err(Discard::Ipv6Version);
    }
    let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    // RFC 2675: a length of zero before a hop-by-hop header announces a jumbogram.
    if payload_len == 0 && header[6] == HOP_BY_HOP {
        return Err(Discard::Ipv6PayloadLength);
    }
    let payload = rest.get(..payload_len).ok_or(Discard::Ipv6PayloadLength)?;
    let (protocol, payload) = skip_extensions(header[6], payload)?;
    Ok(Datagram {
        ip: fields(header),
        protocol,
        payload,
    })
}

/// Reads the beginning of a datagram that an ICMP error quotes; its end is missing.
pub(crate) fn parse_quoted(bytes: &[u8]) -> Option<Datagram<'_>> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let (protocol, payload) = skip_extensions(header[6], rest).ok()?;
    Some(Datagram {
        ip: fields(header),
        protocol,
        payload,
    })
}

/// Writes a header at the start of `out`: flow label zero, no extensions.
#[inline]
pub(crate) fn emit(
    ip: &Ip,
    [src, dst]: [Ipv6Addr; 2],
    protocol: u8,
    payload_len: usize,
    out: &mut [u8],
) -> usize {
    let payload_len = u16::try_from(payload_len)
        .expect("a datagram is at most as long as the MTU, which is below 65536");
    let header = out
        .first_chunk_mut::<HEADER_LEN>()
        .expect("the caller has made room for the header");
    // Version, traffic class and flow label do not keep to the borders of bytes.
    header[0..4].copy_from_slice(&[0x60 | ip.traffic_class >> 4, ip.traffic_class << 4, 0, 0]);
    header[4..6].copy_from_slice(&payload_len.to_be_bytes());
    header[6] = protocol;
    header[7] = ip.hop_limit;
    header[8..24].copy_from_slice(&src.octets());
    header[24..40].copy_from_slice(&dst.octets());
    HEADER_LEN
}

/// The fields that both versions have.
#[inline]
fn fields(header: &[u8; HEADER_LEN]) -> Ip {
    let mut src = [0; 16];
    let mut dst = [0; 16];
    src.copy_from_slice(&header[8..24]);
    dst.copy_from_slice(&header[24..40]);
    Ip {
        src: IpAddr::V6(Ipv6Addr::from_octets(src)),
        dst: IpAddr::V6(Ipv6Addr::from_octets(dst)),
        hop_limit: header[7],
        traffic_class: header[0] << 4 | header[1] >> 4,
    }
}

/// Goes past the extension headers to the protocol that the datagram carries.
#[inline]
fn skip_extensions(first: u8, payload: &[u8]) -> Result<(u8, &[u8]), Discard> {
    let mut next = first;
    let mut rest = payload;
    for place in 0..=EXTENSIONS_MAX {
        let extension = match next {
            HOP_BY_HOP if place != 0 => return Err(Discard::Ipv6HopByHopMisplaced),
            HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS => next,
            _ => return Ok((next, rest)),
        };
        (next, rest) = skip_extension(extension, rest)?;
    }
    Err(Discard::Ipv6ExtensionsTooMany)
}

/// Goes past one extension header of the kind `extension`; answers the kind of the next header.
fn skip_extension(extension: u8, bytes: &[u8]) -> Result<(u8, &[u8]), Discard> {
    let start = bytes
        .first_chunk::<8>()
        .ok_or(Discard::Ipv6ExtensionTruncated)?;
    // The length counts units of 8 bytes after the first; in a fragment header the byte is unused.
    let len = if extension == FRAGMENT {
        8
    } else {
        8 + usize::from(start[1]) * 8
    };
    let (header, rest) = bytes
        .split_at_checked(len)
        .ok_or(Discard::Ipv6ExtensionTruncated)?;
    match extension {
        // RFC 6946: a fragment that begins at 0 and has no successor is a whole datagram.
        FRAGMENT if u16::from_be_bytes([start[2], start[3]]) & 0xfff9 != 0 => {
            return Err(Discard::Ipv6Fragment);
        }
        // RFC 8200 4.4: only a routing header with no segments left may be passed over. One with
        // stops left asks us to route, which RFC 5095 took out of hosts for good.
        ROUTING if start[3] != 0 => return Err(Discard::Ipv6RoutingUnfinished),
        HOP_BY_HOP | DESTINATION_OPTIONS => check_options(&header[2..])?,
        _ => {}
    }
    Ok((start[0], rest))
}

/// RFC 8200 4.2: an unknown option is passed over only where its two upper bits are zero.
fn check_options(mut options: &[u8]) -> Result<(), Discard> {
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (OPTION_PAD1, _) => rest,
            (kind, [len, text @ ..]) => {
                if kind != OPTION_PADN && kind & 0xc0 != 0 {
                    return Err(Discard::Ipv6OptionUnknown);
                }
                text.get(usize::from(*len)..)
                    .ok_or(Discard::Ipv6ExtensionTruncated)?
            }
            (_, []) => return Err(Discard::Ipv6ExtensionTruncated),
        };
    }
    Ok(())
}
