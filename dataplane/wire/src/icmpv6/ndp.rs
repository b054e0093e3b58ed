//! Neighbour discovery (RFC 4861): solicitation and advertisement, and the checks of section 7.1
//! that keep a message from beyond the link, or from nobody, out of the neighbour table.

use core::net::{IpAddr, Ipv6Addr};

use super::{COMMON_LEN, Icmpv6, is_group};
use crate::{Discard, Ip, MacAddr};

/// Bytes of both messages after type, code and checksum: flags or nothing, then the target.
const BODY_LEN: usize = 20;
/// Bytes of an option with a MAC address.
const MAC_OPTION_LEN: usize = 8;
/// Option: the MAC address of the sender.
const SOURCE_MAC: u8 = 1;
/// Option: the MAC address of the target.
const TARGET_MAC: u8 = 2;
/// Flag: the sender is a router.
const ROUTER: u8 = 0x80;
/// Flag: the advertisement answers a solicitation.
const SOLICITED: u8 = 0x40;
/// Flag: what is known is to be replaced.
const OVERRIDE: u8 = 0x20;
/// The hop limit that no router can have touched.
const HOP_LIMIT: u8 = 255;

/// The group that a neighbour with `address` listens to for solicitations (RFC 4291 2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let ip = address.octets();
    let last = u16::from_be_bytes([ip[14], ip[15]]);
    Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from_be_bytes([0, ip[13]]),
        last,
    )
}

/// Reads a solicitation; `body` is what follows the checksum.
pub(super) fn parse_solicitation<'a>(
    ip: &Ip,
    code: u8,
    body: &[u8],
) -> Result<Icmpv6<'a>, Discard> {
    let (_, target, options) = parse_body(ip, code, body)?;
    let source_mac = find_mac(SOURCE_MAC, options)?;
    // RFC 4861 7.1.1: who has no address yet has no MAC address to tell either, and asks the group
    // of the address in question.
    let is_probe = matches!(ip.src, IpAddr::V6(src) if src.is_unspecified());
    if is_probe && (source_mac.is_some() || ip.dst != IpAddr::V6(solicited_node(target))) {
        return Err(Discard::NdpSourceUnspecified);
    }
    Ok(Icmpv6::NeighbourSolicitation { target, source_mac })
}

/// Reads an advertisement; `body` is what follows the checksum.
pub(super) fn parse_advertisement<'a>(
    ip: &Ip,
    code: u8,
    body: &[u8],
) -> Result<Icmpv6<'a>, Discard> {
    let (flags, target, options) = parse_body(ip, code, body)?;
    let target_mac = find_mac(TARGET_MAC, options)?;
    let solicited = flags & SOLICITED != 0;
    // RFC 4861 7.1.2: an answer goes to the one who asked.
    if solicited && is_group(ip.dst) {
        return Err(Discard::NdpSolicitedToGroup);
    }
    Ok(Icmpv6::NeighbourAdvertisement {
        target,
        target_mac,
        router: flags & ROUTER != 0,
        solicited,
        override_: flags & OVERRIDE != 0,
    })
}

/// The first byte of the flags, the target and the options, after the checks that both messages
/// share.
fn parse_body<'b>(ip: &Ip, code: u8, body: &'b [u8]) -> Result<(u8, Ipv6Addr, &'b [u8]), Discard> {
    if ip.hop_limit != HOP_LIMIT {
        return Err(Discard::NdpHopLimit);
    }
    if code != 0 {
        return Err(Discard::NdpCode);
    }
    let (&[flags, _, _, _], rest) = body.split_first_chunk::<4>().ok_or(Discard::NdpTruncated)?;
    let (target, options) = rest
        .split_first_chunk::<16>()
        .ok_or(Discard::NdpTruncated)?;
    let target = Ipv6Addr::from_octets(*target);
    if target.is_multicast() {
        return Err(Discard::NdpTargetMulticast);
    }
    Ok((flags, target, options))
}

/// The MAC address in the option `wanted`. All options are walked, because one bad length makes
/// the whole message invalid.
fn find_mac(wanted: u8, mut options: &[u8]) -> Result<Option<MacAddr>, Discard> {
    let mut found = None;
    while !options.is_empty() {
        let &[kind, units, ..] = options else {
            return Err(Discard::NdpOptionLength);
        };
        let (option, rest) = options
            .split_at_checked(usize::from(units) * 8)
            .filter(|_| units != 0)
            .ok_or(Discard::NdpOptionLength)?;
        if kind == wanted
            && let &[_, _, a, b, c, d, e, f] = option
        {
            found = Some(MacAddr([a, b, c, d, e, f]));
        }
        options = rest;
    }
    match found {
        Some(mac) if mac.is_multicast() => Err(Discard::NdpMacMulticast),
        Some(_) | None => Ok(found),
    }
}

/// Bytes of a message, with an option where there is a MAC address to tell.
pub(super) const fn len(mac: Option<MacAddr>) -> usize {
    COMMON_LEN + BODY_LEN + if mac.is_some() { MAC_OPTION_LEN } else { 0 }
}

/// The first byte of an advertisement's flags.
pub(super) fn flags(router: bool, solicited: bool, override_: bool) -> u8 {
    u8::from(router) * ROUTER + u8::from(solicited) * SOLICITED + u8::from(override_) * OVERRIDE
}

/// Writes what follows the checksum of a solicitation.
pub(super) fn emit_solicitation(target: Ipv6Addr, mac: Option<MacAddr>, out: &mut [u8]) {
    emit_body(0, target, out);
    emit_mac(SOURCE_MAC, mac, out);
}

/// Writes what follows the checksum of an advertisement.
pub(super) fn emit_advertisement(
    target: Ipv6Addr,
    mac: Option<MacAddr>,
    flags: u8,
    out: &mut [u8],
) {
    emit_body(flags, target, out);
    emit_mac(TARGET_MAC, mac, out);
}

/// Writes flags and target.
fn emit_body(flags: u8, target: Ipv6Addr, out: &mut [u8]) {
    out[0..4].copy_from_slice(&[flags, 0, 0, 0]);
    out[4..BODY_LEN].copy_from_slice(&target.octets());
}

/// Writes the option with a MAC address, where there is one.
fn emit_mac(kind: u8, mac: Option<MacAddr>, out: &mut [u8]) {
    if let Some(MacAddr([a, b, c, d, e, f])) = mac {
        let option = [kind, 1, a, b, c, d, e, f];
        out[BODY_LEN..BODY_LEN + MAC_OPTION_LEN].copy_from_slice(&option);
    }
}
