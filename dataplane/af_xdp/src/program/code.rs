//! The XDP program: what is for an owned address goes to the socket, all else to the kernel.
//!
//! ```text
//!      frame
//!        |
//!   one VLAN tag? --yes--> step over it
//!        |                      |
//!        +<---------------------+
//!        |
//!    EtherType ---- other (a second tag too) -------------------------------> PASS
//!        |
//!        +-- ARP --- request or reply for Ethernet and IPv4? -- no ---------> PASS
//!        |                 | yes
//!        |           target address owned? -- no ---------------------------> PASS
//!        |                 | yes ---------------------------------> REDIRECT
//!        |
//!        +-- IPv4 -- destination owned? -- no ------------------------------> PASS
//!        |                 | yes ---------------------------------> REDIRECT
//!        |
//!        +-- IPv6 -- destination owned? -- yes -------------------> REDIRECT
//!                          | no
//!                    neighbour solicitation? -- no -------------------------> PASS
//!                          | yes
//!                    target address owned? -- no ---------------------------> PASS
//!                          | yes ---------------------------------> REDIRECT
//!
//!   A frame that is too short for the next question goes to PASS.
//!   REDIRECT: to the socket of the queue the frame came in on; PASS if there is none.
//! ```
//!
//! The addresses lie at fixed places, so options of IPv4 do not matter and no offset depends on
//! the frame (such a program would need `CAP_PERFMON`). Fragments are redirected like all else;
//! whoever owns an address decides what to do with them. Neighbour solicitations need the second
//! question because they go to a multicast address that many addresses share (RFC 4861 7.2.2); the
//! answers to our own go to an owned address. Extension headers in front of one are not followed.
//!
//! A tag that the device has taken off the frame (`ethtool -K .. rxvlan on`) is not seen, and the
//! frame looks untagged.

use super::assembler::{
    Line, R0, R1, R2, R3, R6, R7, R8, R9, R10, Register, Width, add, assemble, call, copy, exit,
    jump, jump_if_above, jump_if_equal, jump_unless_equal, load, load_map, set, store,
    store_number,
};
use super::maps::Maps;
use crate::sys::bpf::Instruction;

/// What a program returns for a frame (`enum xdp_action` in linux/bpf.h, 6.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Only as a fallback in tests, where it tells a redirection without a socket from `Pass`.
    #[cfg_attr(not(test), expect(dead_code, reason = "a fallback for tests"))]
    Drop = 1,
    Pass = 2,
}

/// `bpf_map_lookup_elem`: r1 map, r2 key; r0 = pointer to the value, or null.
const MAP_LOOKUP: i32 = 1;
/// `bpf_redirect_map`: r1 map, r2 index, r3 what to return if nothing is there.
const REDIRECT_MAP: i32 = 51;

/// `struct xdp_md` (linux/bpf.h, 6.18): where the frame begins and ends, and its queue.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const RX_QUEUE_INDEX: i16 = 16;

/// The key of the address map on the stack; see [`maps`](super::maps).
const KEY: i16 = -24;
const KEY_WORD_3: i16 = KEY + 8;
const KEY_WORD_4: i16 = KEY + 12;
const KEY_PORT: i16 = KEY + 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Network,
    Ipv4,
    Arp,
    ArpTarget,
    LookUpIpv4,
    Ipv6,
    Redirect,
    Pass,
}

/// The program for the given maps. `fallback` is returned where a frame is to be redirected but no
/// socket serves its queue.
pub(super) fn build(maps: &Maps, fallback: Action) -> Vec<Instruction> {
    let mut lines = ethernet();
    lines.extend(arp());
    lines.extend(ipv4(maps));
    lines.extend(ipv6(maps));
    lines.extend(verdict(maps, fallback));
    assemble(&lines)
}

/// The number that a 16-bit load gives for a field in network order.
fn be16(field: u16) -> i32 {
    i32::from(field.to_be())
}

/// The number that a 32-bit load gives for a field in network order.
fn be32(field: u32) -> i32 {
    field.to_be().cast_signed()
}

/// `if (at + len > data_end) goto pass`: the first `len` bytes may be read afterwards.
fn check_len(at: Register, len: i32) -> [Line<Label>; 3] {
    [
        copy(R1, at),
        add(R1, len),
        jump_if_above(R1, R8, Label::Pass),
    ]
}

/// `r0 = lookup(addresses, key)`
fn look_up(maps: &Maps) -> Vec<Line<Label>> {
    let mut lines = load_map(R1, maps.addresses.raw_fd()).to_vec();
    lines.extend([copy(R2, R10), add(R2, i32::from(KEY)), call(MAP_LOOKUP)]);
    lines
}

/// `key.address = *(struct in6_addr *)(r7 + offset)`
fn copy_ipv6_address(offset: i16) -> [Line<Label>; 4] {
    [
        load(Width::U64, R1, R7, offset),
        store(Width::U64, R10, KEY, R1),
        load(Width::U64, R1, R7, offset + 8),
        store(Width::U64, R10, KEY_WORD_3, R1),
    ]
}

/// Leaves r6 = context, r7 = network header, r8 = end of the frame.
#[rustfmt::skip]
fn ethernet() -> Vec<Line<Label>> {
    let mut lines = vec![
        copy(R6, R1),                                       // r6 = ctx
        load(Width::U32, R7, R6, DATA),                     // r7 = ctx->data
        load(Width::U32, R8, R6, DATA_END),                 // r8 = ctx->data_end
    ];
    lines.extend(check_len(R7, 14));                        // struct ethhdr
    lines.extend([
        load(Width::U16, R9, R7, 12),                       // r9 = eth->h_proto
        add(R7, 14),                                        // r7 = what follows
        jump_unless_equal(R9, be16(0x8100), Label::Network), // if (r9 != 802.1Q) goto network
    ]);
    lines.extend(check_len(R7, 4));                         // struct vlan_hdr
    lines.extend([
        load(Width::U16, R9, R7, 2),                        // r9 = vlan->encapsulated_proto
        add(R7, 4),                                         // r7 = what follows
        Line::Label(Label::Network),
        store_number(Width::U32, R10, KEY_PORT, 0),         // key.port = 0, key.pad = 0
        jump_if_equal(R9, be16(0x0800), Label::Ipv4),       // if (r9 == IPv4) goto ipv4
        jump_if_equal(R9, be16(0x86dd), Label::Ipv6),       // if (r9 == IPv6) goto ipv6
        jump_if_equal(R9, be16(0x0806), Label::Arp),        // if (r9 == ARP) goto arp
        jump(Label::Pass),
    ]);
    lines
}

/// Goes on to the lookup with r1 = target address.
#[rustfmt::skip]
fn arp() -> Vec<Line<Label>> {
    let mut lines = vec![Line::Label(Label::Arp)];
    lines.extend(check_len(R7, 28));                        // RFC 826, Ethernet and IPv4
    lines.extend([
        load(Width::U32, R1, R7, 0),                        // r1 = hardware and protocol type
        jump_unless_equal(R1, be32(0x0001_0800), Label::Pass), // if not Ethernet, IPv4: pass
        load(Width::U16, R1, R7, 4),                        // r1 = lengths of the addresses
        jump_unless_equal(R1, be16(0x0604), Label::Pass),   // if not 6 and 4: pass
        load(Width::U16, R1, R7, 6),                        // r1 = operation
        jump_if_equal(R1, be16(1), Label::ArpTarget),       // if (r1 == request) goto arp_target
        jump_unless_equal(R1, be16(2), Label::Pass),        // if (r1 != reply) goto pass
        Line::Label(Label::ArpTarget),
        load(Width::U32, R1, R7, 24),                       // r1 = target protocol address
        jump(Label::LookUpIpv4),
    ]);
    lines
}

#[rustfmt::skip]
fn ipv4(maps: &Maps) -> Vec<Line<Label>> {
    let mut lines = vec![Line::Label(Label::Ipv4)];
    lines.extend(check_len(R7, 20));                        // struct iphdr
    lines.extend([
        load(Width::U32, R1, R7, 16),                       // r1 = ip->daddr
        Line::Label(Label::LookUpIpv4),                     // key.address = ::ffff:r1
        store_number(Width::U64, R10, KEY, 0),
        store_number(Width::U32, R10, KEY_WORD_3, be32(0xffff)),
        store(Width::U32, R10, KEY_WORD_4, R1),
    ]);
    lines.extend(look_up(maps));                            // r0 = lookup(addresses, key)
    lines.extend([
        jump_unless_equal(R0, 0, Label::Redirect),          // if (r0) goto redirect
        jump(Label::Pass),
    ]);
    lines
}

#[rustfmt::skip]
fn ipv6(maps: &Maps) -> Vec<Line<Label>> {
    let mut lines = vec![Line::Label(Label::Ipv6)];
    lines.extend(check_len(R7, 40));                        // struct ipv6hdr
    lines.extend(copy_ipv6_address(24));                    // key.address = ip6->daddr
    lines.extend(look_up(maps));                            // r0 = lookup(addresses, key)
    lines.extend([
        jump_unless_equal(R0, 0, Label::Redirect),          // if (r0) goto redirect
        load(Width::U8, R1, R7, 6),                         // r1 = ip6->nexthdr
        jump_unless_equal(R1, 58, Label::Pass),             // if (r1 != ICMPv6) goto pass
    ]);
    lines.extend(check_len(R7, 40 + 24));                   // struct nd_neighbor_solicit
    lines.extend([
        load(Width::U8, R1, R7, 40),                        // r1 = icmp6->type
        jump_unless_equal(R1, 135, Label::Pass),            // if (r1 != solicitation) goto pass
    ]);
    lines.extend(copy_ipv6_address(40 + 8));                // key.address = ns->target
    lines.extend(look_up(maps));                            // r0 = lookup(addresses, key)
    lines.push(jump_if_equal(R0, 0, Label::Pass));          // if (!r0) goto pass
    lines
}

/// Falls in from above where a frame is to be redirected.
#[rustfmt::skip]
fn verdict(maps: &Maps, fallback: Action) -> Vec<Line<Label>> {
    let mut lines = vec![Line::Label(Label::Redirect)];
    lines.extend(load_map(R1, maps.sockets.raw_fd()));
    lines.extend([
        load(Width::U32, R2, R6, RX_QUEUE_INDEX),           // r2 = ctx->rx_queue_index
        set(R3, fallback as i32),
        call(REDIRECT_MAP),                                 // r0 = redirect(sockets, r2, fallback)
        exit(),
        Line::Label(Label::Pass),
        set(R0, Action::Pass as i32),
        exit(),
    ]);
    lines
}
