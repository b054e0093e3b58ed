//! Every reason for which this crate drops a frame, each with frames that earn it.

use tidegate_wire::ipv6::EXTENSIONS_MAX;
use tidegate_wire::{Discard, Discards, RxChecksum, Tcp, parse};

use crate::frames::{
    ADVERTISEMENT, ARP_REPLY, ARP_REQUEST, ECHO, ECHO_V6, SOLICITATION, SOLICITATION_PROBE, SYN,
    SYN_V6, SYN_V6_EXTENSIONS, TEXT,
};
use crate::mend::{ETHERNET, IPV4_PAYLOAD, IPV6_PAYLOAD, edit, mend, tag};

/// A frame whose header at `at` has `bytes`, with checksums that are right.
fn broken(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    mend(&edit(frame, at, bytes))
}

/// Frames that are not even a datagram.
fn links() -> Vec<(Discard, Vec<u8>)> {
    let provider_tag = edit(&tag(SYN, 5), 12, &[0x88, 0xa8]);
    vec![
        (Discard::EthernetTruncated, vec![]),
        (Discard::EthernetTruncated, SYN[..13].to_vec()),
        (Discard::EthernetTruncated, tag(SYN, 5)[..17].to_vec()),
        (Discard::EthernetLengthField, edit(SYN, 12, &[0x05, 0xdc])),
        (Discard::EthernetTypeUnknown, edit(SYN, 12, &[0x88, 0xcc])),
        (Discard::VlanNested, tag(&tag(SYN, 5), 6)),
        (Discard::VlanNested, provider_tag.clone()),
        (Discard::VlanNested, tag(&provider_tag, 6)),
        (Discard::ArpTruncated, ARP_REPLY[..41].to_vec()),
        (
            Discard::ArpNotIpv4OverEthernet,
            edit(ARP_REQUEST, 14, &[0, 6]),
        ),
        (
            Discard::ArpNotIpv4OverEthernet,
            edit(ARP_REQUEST, 16, &[0x86, 0xdd]),
        ),
        (Discard::ArpNotIpv4OverEthernet, edit(ARP_REQUEST, 18, &[8])),
        (
            Discard::ArpNotIpv4OverEthernet,
            edit(ARP_REQUEST, 19, &[16]),
        ),
        (Discard::ArpOperationUnknown, edit(ARP_REQUEST, 20, &[0, 3])),
        (Discard::ArpSenderInvalid, edit(ARP_REPLY, 22, &[0xff; 6])),
        (
            Discard::ArpSenderInvalid,
            edit(ARP_REPLY, 28, &[224, 0, 0, 1]),
        ),
        (Discard::ArpSenderInvalid, edit(ARP_REPLY, 28, &[255; 4])),
    ]
}

/// Broken IPv4 headers.
fn ipv4() -> Vec<(Discard, Vec<u8>)> {
    let source = |ip: [u8; 4]| (Discard::IpSourceInvalid, broken(SYN, ETHERNET + 12, &ip));
    vec![
        (Discard::Ipv4Truncated, SYN[..33].to_vec()),
        (Discard::Ipv4Version, edit(SYN, ETHERNET, &[0x65])),
        (Discard::Ipv4HeaderLength, edit(SYN, ETHERNET, &[0x44])),
        (
            Discard::Ipv4HeaderLength,
            edit(&SYN[..44], ETHERNET, &[0x4f]),
        ),
        (
            Discard::Ipv4TotalLength,
            edit(SYN, ETHERNET + 2, &[0x00, 0x3d, 0x12, 0x3d]),
        ),
        (
            Discard::Ipv4TotalLength,
            edit(SYN, ETHERNET + 2, &[0x00, 0x13, 0x12, 0x67]),
        ),
        (Discard::Ipv4Checksum, edit(SYN, ETHERNET + 8, &[63])),
        (
            Discard::Ipv4Fragment,
            broken(SYN, ETHERNET + 6, &[0x20, 0x00]),
        ),
        (
            Discard::Ipv4Fragment,
            broken(SYN, ETHERNET + 6, &[0x00, 0x01]),
        ),
        (Discard::IpProtocolUnknown, broken(SYN, ETHERNET + 9, &[17])),
        (Discard::IpProtocolUnknown, broken(SYN, ETHERNET + 9, &[58])),
        source([0, 0, 0, 0]),
        source([127, 0, 0, 1]),
        source([224, 0, 0, 1]),
        source([255, 255, 255, 255]),
        (
            Discard::IpSourceInvalid,
            broken(ECHO, ETHERNET + 12, &[239, 1, 1, 1]),
        ),
    ]
}

/// A SYN behind `count` headers with destination options.
fn syn_behind_options(count: usize) -> Vec<u8> {
    let mut frame = SYN_V6.to_vec();
    frame[ETHERNET + 6] = 60;
    frame[ETHERNET + 5] += u8::try_from(8 * count).unwrap();
    for place in 0..count {
        let next = if place == 0 { 6 } else { 60 };
        frame.splice(IPV6_PAYLOAD..IPV6_PAYLOAD, [next, 0, 1, 4, 0, 0, 0, 0]);
    }
    frame
}

#[test]
fn as_many_extension_headers_as_are_allowed_are_followed() {
    let frame = syn_behind_options(EXTENSIONS_MAX);
    let taken = parse(&frame, RxChecksum::Verify).map(|packet| packet.body);
    assert_eq!(
        taken,
        parse(SYN_V6, RxChecksum::Verify).map(|packet| packet.body)
    );
}

/// Broken IPv6 headers and extension headers.
fn ipv6() -> Vec<(Discard, Vec<u8>)> {
    const LENGTH: usize = ETHERNET + 4;
    const NEXT: usize = ETHERNET + 6;
    const HOP_BY_HOP: usize = IPV6_PAYLOAD;
    const DESTINATION: usize = IPV6_PAYLOAD + 8;
    let extended = |at, bytes: &[u8]| edit(SYN_V6_EXTENSIONS, at, bytes);
    vec![
        (Discard::Ipv6Truncated, SYN_V6[..53].to_vec()),
        (Discard::Ipv6Version, edit(SYN_V6, ETHERNET, &[0x40])),
        (Discard::Ipv6PayloadLength, edit(SYN_V6, LENGTH, &[0, 41])),
        (Discard::Ipv6PayloadLength, extended(LENGTH, &[0, 0])),
        (
            Discard::Ipv6Fragment,
            extended(HOP_BY_HOP, &[44]).tap(DESTINATION, &[6, 0, 0, 1]),
        ),
        (
            Discard::Ipv6Fragment,
            extended(HOP_BY_HOP, &[44]).tap(DESTINATION, &[6, 0, 0, 8]),
        ),
        (Discard::Ipv6ExtensionTruncated, extended(LENGTH, &[0, 7])),
        (
            Discard::Ipv6ExtensionTruncated,
            extended(HOP_BY_HOP + 1, &[7]),
        ),
        (
            Discard::Ipv6ExtensionTruncated,
            extended(DESTINATION + 3, &[5]),
        ),
        (
            Discard::Ipv6ExtensionTruncated,
            extended(DESTINATION + 2, &[1, 3, 0, 0, 0, 1]),
        ),
        (
            Discard::Ipv6ExtensionsTooMany,
            mend(&syn_behind_options(EXTENSIONS_MAX + 1)),
        ),
        (Discard::Ipv6HopByHopMisplaced, extended(HOP_BY_HOP, &[0])),
        (
            Discard::Ipv6OptionUnknown,
            extended(DESTINATION + 2, &[0x5e]),
        ),
        (
            Discard::Ipv6OptionUnknown,
            extended(HOP_BY_HOP + 2, &[0xc2]),
        ),
        (
            Discard::Ipv6RoutingUnfinished,
            extended(HOP_BY_HOP, &[43]).tap(DESTINATION + 3, &[1]),
        ),
        (Discard::IpProtocolUnknown, broken(SYN_V6, NEXT, &[59])),
        (Discard::IpProtocolUnknown, broken(SYN_V6, NEXT, &[1])),
        (
            Discard::IpSourceInvalid,
            broken(SYN_V6, ETHERNET + 8, &[0xff]),
        ),
        (
            Discard::IpSourceInvalid,
            broken(SYN_V6, ETHERNET + 8, &[0, 0]),
        ),
        (
            Discard::IpSourceInvalid,
            broken(SYN_V6, ETHERNET + 8, &[0; 16]),
        ),
        (
            Discard::IpSourceInvalid,
            broken(ECHO_V6, ETHERNET + 8, &[0; 16]),
        ),
    ]
}

/// A second edit in one expression.
trait Tap {
    fn tap(self, at: usize, bytes: &[u8]) -> Self;
}

impl Tap for Vec<u8> {
    fn tap(self, at: usize, bytes: &[u8]) -> Self {
        edit(&self, at, bytes)
    }
}

/// Broken ICMP messages and neighbour discovery.
fn icmp() -> Vec<(Discard, Vec<u8>)> {
    const HOP_LIMIT: usize = ETHERNET + 7;
    const TARGET: usize = IPV6_PAYLOAD + 8;
    const OPTION: usize = IPV6_PAYLOAD + 24;
    let shorter_v4 = |len: u8| broken(ECHO, ETHERNET + 2, &[0, 20 + len]);
    let shorter_v6 = |frame, len: u8| broken(frame, ETHERNET + 4, &[0, len]);
    vec![
        (Discard::IcmpTruncated, shorter_v4(3)),
        (Discard::IcmpTruncated, shorter_v4(7)),
        (Discard::IcmpTruncated, shorter_v6(ECHO_V6, 3)),
        (Discard::IcmpTruncated, shorter_v6(ECHO_V6, 7)),
        (Discard::IcmpChecksum, edit(ECHO, IPV4_PAYLOAD + 8, &[0xff])),
        (
            Discard::IcmpChecksum,
            edit(ECHO_V6, IPV6_PAYLOAD + 8, &[0xff]),
        ),
        (Discard::NdpTruncated, shorter_v6(SOLICITATION, 7)),
        (Discard::NdpTruncated, shorter_v6(ADVERTISEMENT, 23)),
        (Discard::NdpHopLimit, edit(SOLICITATION, HOP_LIMIT, &[254])),
        (Discard::NdpHopLimit, edit(ADVERTISEMENT, HOP_LIMIT, &[64])),
        (
            Discard::NdpCode,
            broken(SOLICITATION, IPV6_PAYLOAD + 1, &[1]),
        ),
        (
            Discard::NdpTargetMulticast,
            broken(ADVERTISEMENT, TARGET, &[0xff]),
        ),
        (
            Discard::NdpOptionLength,
            broken(SOLICITATION, OPTION + 1, &[0]),
        ),
        (
            Discard::NdpOptionLength,
            broken(SOLICITATION, OPTION + 1, &[2]),
        ),
        (Discard::NdpOptionLength, shorter_v6(SOLICITATION, 25)),
        (
            Discard::NdpSourceUnspecified,
            broken(SOLICITATION_PROBE, OPTION, &[1]),
        ),
        (
            Discard::NdpSourceUnspecified,
            broken(SOLICITATION_PROBE, TARGET + 15, &[9]),
        ),
        (
            Discard::NdpSolicitedToGroup,
            broken(ADVERTISEMENT, ETHERNET + 24, &[0xff]),
        ),
        (
            Discard::NdpMacMulticast,
            broken(ADVERTISEMENT, OPTION + 2, &[0x03]),
        ),
    ]
}

/// Broken segments.
fn tcp() -> Vec<(Discard, Vec<u8>)> {
    const DATA_OFFSET: usize = IPV4_PAYLOAD + 12;
    vec![
        (Discard::TcpTruncated, broken(SYN, ETHERNET + 2, &[0, 39])),
        (Discard::TcpDataOffset, broken(SYN, DATA_OFFSET, &[0x40])),
        (Discard::TcpDataOffset, broken(SYN, DATA_OFFSET, &[0xb0])),
        (Discard::TcpChecksum, edit(TEXT, TEXT.len() - 1, b"x")),
        (
            Discard::TcpChecksum,
            edit(SYN, IPV4_PAYLOAD + Tcp::CHECKSUM_AT, &[0, 0]),
        ),
        (Discard::TcpChecksum, edit(SYN_V6, IPV6_PAYLOAD, &[0, 0])),
        (Discard::TcpToGroup, edit(SYN, 0, &[0xff; 6])),
        (
            Discard::TcpToGroup,
            broken(SYN, ETHERNET + 16, &[224, 0, 0, 1]),
        ),
        (Discard::TcpToGroup, broken(SYN, ETHERNET + 16, &[255; 4])),
        (
            Discard::TcpToGroup,
            broken(SYN_V6, ETHERNET + 24, &[0xff, 0x02]),
        ),
    ]
}

#[test]
fn each_broken_frame_is_dropped_for_its_reason() {
    for (discard, frame) in [links(), ipv4(), ipv6(), icmp(), tcp()].concat() {
        let answer = parse(&frame, RxChecksum::Verify);
        assert_eq!(answer, Err(discard), "{frame:02x?}");
    }
}

/// A reason that no frame of this file earns is the business of the crates above, and is listed
/// here so that a new reason of this crate does not go without a test.
#[test]
fn reasons_without_a_frame_belong_to_tcp_and_the_worker() {
    let mut discards = Discards::new();
    for (discard, _) in [links(), ipv4(), ipv6(), icmp(), tcp()].concat() {
        discards.count(discard);
    }
    let is_wire = |name: &str| {
        ["ethernet_", "arp_", "ipv4_", "ipv6_", "ndp_"]
            .iter()
            .any(|area| name.starts_with(area))
    };
    let unearned: Vec<_> = discards
        .iter()
        .filter(|(discard, count)| is_wire(discard.name()) && *count == 0)
        .map(|(discard, _)| discard.name())
        .collect();
    let judged_above = [
        "arp_not_for_us",
        "arp_unsolicited",
        "arp_address_conflict",
        "ndp_not_for_us",
        "ndp_unsolicited",
        "ndp_address_conflict",
    ];
    assert_eq!(unearned, judged_above);
}
