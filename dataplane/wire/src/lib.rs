//! Bytes to headers and back: Ethernet, ARP, IPv4, IPv6, ICMP, TCP; and the list of discards.
