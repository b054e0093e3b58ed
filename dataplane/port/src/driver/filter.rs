//! The packet socket's filter: only what is for the addresses that we own is copied to us.
//!
//! A classic BPF program (linux/filter.h, 6.18), made for a list of addresses. It keeps
//!
//! - ARP, whoever is meant: there is little of it, and announcements are for everyone;
//! - IPv4 to an address on the list;
//! - IPv6 to an address on the list, and neighbour discovery (ICMPv6 types 133 to 137).
//!
//! Frames with a VLAN tag are for another interface and are not kept; nor is a frame that is too
//! short for the question asked of it, because a load beyond its end ends the program with 0.

use core::net::IpAddr;

use libc::sock_filter;

/// The most instructions that the kernel takes (`BPF_MAXINSNS`): enough for 2,000 IPv4 addresses
/// or 450 IPv6 addresses.
pub(crate) const INSTRUCTIONS_MAX: usize = 4096;

/// Where `SKF_AD_VLAN_TAG_PRESENT` is found: ancillary data begins at -0x1000.
const VLAN_TAG_PRESENT: u32 = 0xffff_f000 + 48;

const ETHER_TYPE_AT: u32 = 12;
const IPV4_DST_AT: u32 = 14 + 16;
const IPV6_NEXT_HEADER_AT: u32 = 14 + 6;
const IPV6_DST_AT: u32 = 14 + 24;
const ICMPV6_TYPE_AT: u32 = 14 + 40;

/// Returned for a frame that is kept: all of its bytes.
const KEEP: u32 = u32::MAX;
/// Returned for a frame that is not.
const DROP: u32 = 0;

/// The program for a list of addresses; `None` when it would be longer than the kernel takes.
pub(crate) fn program(addresses: &[IpAddr]) -> Option<Vec<sock_filter>> {
    let ipv4 = ipv4_block(addresses);
    let ipv6 = ipv6_block(addresses);
    let mut program = vec![
        load_word(VLAN_TAG_PRESENT),
        jump_if_equal(0, 1, 0),
        give(DROP),
        load_half(ETHER_TYPE_AT),
        jump_if_equal(0x0806, 0, 1),
        give(KEEP),
    ];
    for (ether_type, block) in [(0x0800, ipv4), (0x86dd, ipv6)] {
        program.push(jump_if_equal(ether_type, 1, 0));
        program.push(jump(u32::try_from(block.len()).ok()?));
        program.extend(block);
    }
    program.push(give(DROP));
    (program.len() <= INSTRUCTIONS_MAX).then_some(program)
}

/// The program that keeps nothing.
pub(crate) const fn nothing() -> [sock_filter; 1] {
    [give(DROP)]
}

fn ipv4_block(addresses: &[IpAddr]) -> Vec<sock_filter> {
    let mut block = vec![load_word(IPV4_DST_AT)];
    for address in addresses {
        if let IpAddr::V4(address) = address {
            block.push(jump_if_equal(address.to_bits(), 0, 1));
            block.push(give(KEEP));
        }
    }
    block.push(give(DROP));
    block
}

fn ipv6_block(addresses: &[IpAddr]) -> Vec<sock_filter> {
    let mut block = vec![
        load_byte(IPV6_NEXT_HEADER_AT),
        jump_if_equal(58, 0, 4),
        load_byte(ICMPV6_TYPE_AT),
        jump_if_at_least(133, 0, 2),
        jump_if_at_least(138, 1, 0),
        give(KEEP),
    ];
    for address in addresses {
        let IpAddr::V6(address) = address else {
            continue;
        };
        let octets = address.octets();
        // A word that differs leads over the rest of this address.
        for ((word, at), over) in octets
            .as_chunks()
            .0
            .iter()
            .zip([0, 4, 8, 12])
            .zip([7, 5, 3, 1])
        {
            block.push(load_word(IPV6_DST_AT + at));
            block.push(jump_if_equal(u32::from_be_bytes(*word), 0, over));
        }
        block.push(give(KEEP));
    }
    block.push(give(DROP));
    block
}

const fn load_word(at: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0)
}

const fn load_half(at: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at, 0, 0)
}

const fn load_byte(at: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, at, 0, 0)
}

/// Skips `then` instructions if the value loaded last is `value`, else `otherwise`.
const fn jump_if_equal(value: u32, then: u8, otherwise: u8) -> sock_filter {
    instruction(
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        value,
        then,
        otherwise,
    )
}

/// Skips `then` instructions if the value loaded last is `value` or more, else `otherwise`.
const fn jump_if_at_least(value: u32, then: u8, otherwise: u8) -> sock_filter {
    instruction(
        libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
        value,
        then,
        otherwise,
    )
}

/// Skips `count` instructions.
const fn jump(count: u32) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, count, 0, 0)
}

/// Ends the program: so many bytes of the frame are kept.
const fn give(bytes: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, bytes, 0, 0)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "operation codes have 8 bits"
)]
const fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::sys::packet::attach_filter;

    /// The kernel's verdict: a datagram socket runs the same filters on what is sent to it.
    fn keeps(addresses: &[IpAddr], frame: &[u8]) -> bool {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair of sockets");
        let program = program(addresses).expect("short enough");
        attach_filter(ours.as_fd(), &program).expect("the kernel accepts the program");
        ours.set_nonblocking(true).expect("an option of any socket");
        theirs.send(frame).expect("sent, kept or not");
        let mut received = [0; 2000];
        let kept = ours.recv(&mut received).ok();
        assert!(
            kept.is_none_or(|len| received[..len] == *frame),
            "kept whole or not at all"
        );
        kept.is_some()
    }

    fn ethernet(ether_type: u16, body: &[u8]) -> Vec<u8> {
        [&[2; 12], &ether_type.to_be_bytes()[..], body].concat()
    }

    fn ipv4(dst: Ipv4Addr) -> Vec<u8> {
        let mut body = [0; 1000];
        body[16..20].copy_from_slice(&dst.octets());
        ethernet(0x0800, &body)
    }

    fn ipv6(dst: Ipv6Addr, next_header: u8, kind: u8) -> Vec<u8> {
        let mut body = [0; 60];
        body[6] = next_header;
        body[24..40].copy_from_slice(&dst.octets());
        body[40] = kind;
        ethernet(0x86dd, &body)
    }

    #[test]
    fn only_what_is_for_an_owned_address_is_kept() {
        let owned_v4 = Ipv4Addr::new(10, 1, 2, 3);
        let owned_v6 = Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7);
        let addresses = [
            IpAddr::from([192, 0, 2, 200]),
            owned_v4.into(),
            Ipv6Addr::LOCALHOST.into(),
            owned_v6.into(),
        ];
        let mut nearly_v6 = [owned_v6; 4].map(|address| address.octets());
        for (part, octets) in nearly_v6.iter_mut().enumerate() {
            octets[4 * part] ^= 1;
        }
        assert!(keeps(&addresses, &ipv4(owned_v4)));
        assert!(keeps(&addresses, &ipv4(Ipv4Addr::new(192, 0, 2, 200))));
        assert!(!keeps(&addresses, &ipv4(Ipv4Addr::new(10, 1, 2, 4))));
        assert!(keeps(&addresses, &ipv6(owned_v6, 6, 0)));
        assert!(keeps(&addresses, &ipv6(owned_v6, 58, 128)));
        assert!(keeps(&addresses, &ipv6(Ipv6Addr::LOCALHOST, 6, 0)));
        for octets in nearly_v6 {
            assert!(!keeps(&addresses, &ipv6(octets.into(), 6, 0)));
        }
    }

    #[test]
    fn arp_and_neighbour_discovery_are_always_kept_and_nothing_else_is() {
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1);
        assert!(keeps(&[], &ethernet(0x0806, &[0; 28])));
        for (kind, kept) in [
            (132, false),
            (133, true),
            (135, true),
            (137, true),
            (138, false),
        ] {
            assert_eq!(keeps(&[], &ipv6(group, 58, kind)), kept, "type {kind}");
        }
        assert!(!keeps(&[], &ipv6(group, 17, 135)));
        assert!(!keeps(&[], &ethernet(0x88cc, &[0; 60])), "LLDP");
        assert!(!keeps(&[], &ipv4(Ipv4Addr::BROADCAST)));
        assert!(!keeps(&[], &[2; 13]), "too short");
        assert!(!keeps(&[], &ethernet(0x0800, &[0; 10])), "too short");
    }

    #[test]
    fn many_addresses_are_taken_and_too_many_are_not() {
        let many: Vec<IpAddr> = (0..2_000).map(|n| Ipv4Addr::from_bits(n).into()).collect();
        assert!(keeps(&many, &ipv4(Ipv4Addr::from_bits(1_999))));
        assert!(!keeps(&many, &ipv4(Ipv4Addr::from_bits(2_000))));
        let too_many: Vec<IpAddr> = (0..500_u128)
            .map(|n| Ipv6Addr::from_bits(n).into())
            .collect();
        assert!(program(&too_many).is_none());
    }
}
