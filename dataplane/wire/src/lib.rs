//! Bytes to headers and back: Ethernet, ARP, IPv4, IPv6, ICMP, TCP; and the list of discards.
#![forbid(unsafe_code)]

mod time;

pub use time::Instant;
