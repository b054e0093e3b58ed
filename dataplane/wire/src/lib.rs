//! Bytes to headers and back: Ethernet II, ARP, IPv4, IPv6, ICMP, ICMPv6 with NDP, TCP.
//!
//! [`parse()`] turns a received frame into a [`Packet`] or into the [`Discard`] that says why it is
//! dropped; it never panics, whatever the bytes are. Each header is a small plain struct with a
//! `parse` that reads it and an `emit` that writes it. Nothing here allocates, keeps state or
//! reads a clock.
//!
//! [`Discard`] is the one list of reasons of the whole dataplane, so the reasons of TCP and of the
//! worker have their rows here too.
//!
//! What it does not do: no reassembly of IP fragments (they are discarded by name), no IP options
//! (they are skipped), no UDP.
#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod discard;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
mod line;
pub mod mac;
pub mod options;
mod parse;
pub mod quoted;
pub mod tcp;
mod time;

pub use arp::{Arp, ArpOp};
pub use checksum::{Sum, copy_and_sum};
pub use discard::{Discard, Discards, Severity};
pub use ethernet::{ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHER_TYPE_VLAN, Ethernet};
pub use icmpv4::Icmpv4;
pub use icmpv6::Icmpv6;
pub use ip::{Datagram, Ip, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP};
pub use mac::MacAddr;
pub use options::{FastOpen, SackBlocks, TcpOptions, Timestamps};
pub use parse::{Body, Packet, RxChecksum, parse};
pub use quoted::Quoted;
pub use tcp::{Tcp, TcpFlags};
pub use time::{Instant, Moment};
