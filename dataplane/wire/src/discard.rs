//! Why a frame was dropped: one list for the whole dataplane, and a counter for each row.
//!
//! A packet is never an error. Whoever drops one answers with a row of this list, the worker
//! counts it, and the operator reads name, severity and sentence. So the list is also the manual
//! of what a count means. To add a reason, add its line.

use core::fmt;
use core::ops::{AddAssign, Index};

/// How much a count should worry the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Part of ordinary traffic on an ordinary network.
    Info,
    /// A peer, the path or an attacker broke a rule: worth a look when the count keeps growing.
    Warning,
    /// Tidegate lacked something, such as memory, room in a ring, or a route: raise the limit or
    /// mend the configuration.
    Error,
}

impl Severity {
    /// The severity in lower case, as metrics and tables show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Makes [`Discard`] from rows of variant, severity, name and sentence.
macro_rules! discards {
    ($($variant:ident $severity:ident $name:literal $sentence:literal;)+) => {
        /// Why a frame was dropped, or why it could not be sent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Discard {
            $(#[doc = $sentence] $variant,)+
        }

        impl Discard {
            /// Every reason, in the order of the list.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant,)+];
            /// How many reasons there are.
            pub const COUNT: usize = [$($name,)+].len();

            /// The name of the counter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// How much a count should worry the operator.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)+
                }
            }

            /// What happened, in a sentence.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)+
                }
            }
        }
    };
}

discards! {
    EthernetTruncated Warning "ethernet_truncated" "The frame ends inside its Ethernet header.";
    EthernetLengthField Info "ethernet_length_field" "An 802.3 frame with a length, as spanning tree sends it.";
    EthernetTypeUnknown Info "ethernet_type_unknown" "The frame carries neither ARP nor IPv4 nor IPv6.";
    VlanNested Warning "vlan_nested" "The frame has more than one VLAN tag.";
    NotForUs Info "not_for_us" "The frame is for the MAC address of another station.";
    FrameTooLong Warning "frame_too_long" "The frame is longer than a frame of the port holds.";

    ArpTruncated Warning "arp_truncated" "The frame ends inside the ARP packet.";
    ArpNotIpv4OverEthernet Warning "arp_not_ipv4_over_ethernet" "The ARP packet is not about IPv4 over Ethernet.";
    ArpOperationUnknown Warning "arp_operation_unknown" "The ARP packet is neither a request nor a reply.";
    ArpSenderInvalid Warning "arp_sender_invalid" "The ARP sender claims a group address as its own.";
    ArpNotForUs Info "arp_not_for_us" "The ARP packet is about an address that is not ours.";
    ArpUnsolicited Info "arp_unsolicited" "An ARP reply that nobody asked for.";
    ArpAddressConflict Error "arp_address_conflict" "Another station claims one of our IPv4 addresses.";

    Ipv4Truncated Warning "ipv4_truncated" "The frame ends inside the IPv4 header.";
    Ipv4Version Warning "ipv4_version" "The version in the IPv4 header is not 4.";
    Ipv4HeaderLength Warning "ipv4_header_length" "The IPv4 header is shorter than 20 bytes or longer than the datagram.";
    Ipv4TotalLength Warning "ipv4_total_length" "The IPv4 total length does not fit the header or the frame.";
    Ipv4Checksum Warning "ipv4_checksum" "The checksum of the IPv4 header is wrong.";
    Ipv4Fragment Warning "ipv4_fragment" "An IPv4 fragment; fragments are not put together here.";
    Ipv6Truncated Warning "ipv6_truncated" "The frame ends inside the IPv6 header.";
    Ipv6Version Warning "ipv6_version" "The version in the IPv6 header is not 6.";
    Ipv6PayloadLength Warning "ipv6_payload_length" "The IPv6 payload length does not fit the frame, or is that of a jumbogram.";
    Ipv6Fragment Warning "ipv6_fragment" "An IPv6 fragment; fragments are not put together here.";
    Ipv6ExtensionTruncated Warning "ipv6_extension_truncated" "The datagram ends inside an IPv6 extension header.";
    Ipv6ExtensionsTooMany Warning "ipv6_extensions_too_many" "More IPv6 extension headers than are followed.";
    Ipv6HopByHopMisplaced Warning "ipv6_hop_by_hop_misplaced" "A hop-by-hop header that is not the first extension header.";
    Ipv6OptionUnknown Warning "ipv6_option_unknown" "An unknown IPv6 option that asks for the datagram to be dropped.";
    Ipv6RoutingUnfinished Warning "ipv6_routing_unfinished" "An IPv6 routing header with stops still to visit.";
    IpProtocolUnknown Info "ip_protocol_unknown" "The datagram carries neither TCP nor ICMP of its version.";
    IpSourceInvalid Warning "ip_source_invalid" "The source address is multicast, broadcast, loopback or unspecified.";
    IpSourceIsOurs Error "ip_source_is_ours" "The source address is our own: a loop, a forgery, or an address given twice.";
    IpDestinationNotOurs Info "ip_destination_not_ours" "The datagram is for an address that is not ours.";

    IcmpTruncated Warning "icmp_truncated" "The datagram ends inside the ICMP header.";
    IcmpChecksum Warning "icmp_checksum" "The checksum of the ICMP message is wrong.";
    IcmpTypeUnknown Info "icmp_type_unknown" "An ICMP message of a type that is not acted on.";
    IcmpEchoToGroup Info "icmp_echo_to_group" "An ICMP echo request to a group, which is not answered.";
    IcmpEchoReplyUnasked Info "icmp_echo_reply_unasked" "An ICMP echo reply to a request that was not sent.";
    IcmpQuoteTruncated Warning "icmp_quote_truncated" "An ICMP error quotes too little to tell which flow it is about.";
    IcmpNotForAFlow Info "icmp_not_for_a_flow" "An ICMP error about a flow that does not exist.";
    IcmpNotInFlight Warning "icmp_not_in_flight" "An ICMP error quotes a sequence number that is not in flight.";
    IcmpRateLimited Info "icmp_rate_limited" "More ICMP messages than are answered in a second.";
    NdpTruncated Warning "ndp_truncated" "The message ends inside a neighbour discovery header.";
    NdpHopLimit Warning "ndp_hop_limit" "A neighbour discovery message from beyond the link: its hop limit is not 255.";
    NdpCode Warning "ndp_code" "A neighbour discovery message whose code is not zero.";
    NdpTargetMulticast Warning "ndp_target_multicast" "A neighbour discovery message about a group address.";
    NdpOptionLength Warning "ndp_option_length" "A neighbour discovery option of length zero or beyond the message.";
    NdpSourceUnspecified Warning "ndp_source_unspecified" "A solicitation without a source that breaks the rules for one.";
    NdpSolicitedToGroup Warning "ndp_solicited_to_group" "An advertisement to a group that calls itself solicited.";
    NdpMacMulticast Warning "ndp_mac_multicast" "A neighbour claims a group address as its MAC address.";
    NdpNotForUs Info "ndp_not_for_us" "A neighbour discovery message about an address that is not ours.";
    NdpUnsolicited Info "ndp_unsolicited" "A neighbour advertisement that nobody asked for.";
    NdpAddressConflict Error "ndp_address_conflict" "Another station claims one of our IPv6 addresses.";

    TcpTruncated Warning "tcp_truncated" "The datagram ends inside the TCP header.";
    TcpDataOffset Warning "tcp_data_offset" "The TCP header is shorter than 20 bytes or longer than the segment.";
    TcpChecksum Warning "tcp_checksum" "The TCP checksum is wrong.";
    TcpToGroup Warning "tcp_to_group" "A segment to a group address, of IP or of the link.";
    TcpNoListener Info "tcp_no_listener" "A segment for a port that nobody listens on; answered with a RST.";
    TcpRstInClosed Info "tcp_rst_in_closed" "A RST for a flow that does not exist.";
    TcpRstInListen Info "tcp_rst_in_listen" "A RST for a listener.";
    TcpListenNotSyn Info "tcp_listen_not_syn" "A segment for a listener that is neither SYN nor ACK.";
    TcpAckInListen Info "tcp_ack_in_listen" "An ACK for a listener that belongs to no handshake; answered with a RST.";
    TcpCookieWrong Warning "tcp_cookie_wrong" "An ACK for a listener that sent SYN cookies, with none that is good; answered with a RST.";
    TcpSynSentBadAck Warning "tcp_syn_sent_bad_ack" "In SYN_SENT, an ACK of something that was not sent.";
    TcpSynSentRstWithoutAck Warning "tcp_syn_sent_rst_without_ack" "In SYN_SENT, a RST that does not acknowledge our SYN.";
    TcpSynSentNeither Warning "tcp_syn_sent_neither" "In SYN_SENT, a segment that is neither SYN nor RST.";
    TcpSynReceivedBadAck Warning "tcp_syn_received_bad_ack" "In SYN_RECV, an ACK of something that was not sent; answered with a RST.";
    TcpOutsideWindow Info "tcp_outside_window" "A segment outside the receive window; answered with an ACK.";
    TcpPaws Info "tcp_paws" "A segment older than the last timestamp of its flow; answered with an ACK.";
    TcpNoTimestamp Warning "tcp_no_timestamp" "A segment without timestamps on a flow that has agreed on them.";
    TcpNoAckFlag Warning "tcp_no_ack_flag" "A segment without ACK on a flow that is past its handshake.";
    TcpAckNotSentYet Warning "tcp_ack_not_sent_yet" "An ACK of text that was not sent yet; answered with an ACK.";
    TcpAckTooOld Warning "tcp_ack_too_old" "An ACK of text from too long ago; answered with an ACK.";
    TcpRstOutsideWindow Warning "tcp_rst_outside_window" "A RST outside the receive window.";
    TcpRstChallenged Warning "tcp_rst_challenged" "A RST inside the window but not at its edge; answered with a challenge ACK.";
    TcpSynChallenged Warning "tcp_syn_challenged" "A SYN on a flow that is past its handshake; answered with a challenge ACK.";
    TcpTextAfterClose Info "tcp_text_after_close" "Text for an application that has closed; answered with a RST.";
    TcpRstInTimeWait Info "tcp_rst_in_time_wait" "A RST for a flow in TIME_WAIT, which stays there (RFC 1337).";

    SynQueueFull Error "syn_queue_full" "A SYN for a listener whose queue of half-open flows is full.";
    AcceptQueueFull Error "accept_queue_full" "A handshake done while the listener's accept queue is full.";
    FlowTableFull Error "flow_table_full" "A SYN while the flow table is full.";
    TextMemoryFull Error "text_memory_full" "Text dropped because all text blocks are in use.";
    RangeMemoryFull Error "range_memory_full" "Text out of order dropped because all range sets are in use.";
    TxFramesExhausted Error "tx_frames_exhausted" "Nothing sent because no frame was free.";
    TxRingFull Error "tx_ring_full" "A frame dropped because the tx ring had no room.";
    NeighbourUnresolved Warning "neighbour_unresolved" "A datagram dropped because its next hop did not answer.";
    NeighbourTableFull Error "neighbour_table_full" "A neighbour was not learnt because the table is full.";
    NoRoute Error "no_route" "No interface and no gateway leads to the destination.";
}

impl Discard {
    /// The row of the reason in [`Self::ALL`].
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Discard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each reason was met.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Discards([u64; Discard::COUNT]);

impl Discards {
    /// All counts zero.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; Discard::COUNT])
    }

    /// Counts `discard` once.
    #[inline]
    pub const fn count(&mut self, discard: Discard) {
        self.0[discard.index()] += 1;
    }

    /// How often `discard` was counted.
    #[inline]
    #[must_use]
    pub const fn of(&self, discard: Discard) -> u64 {
        self.0[discard.index()]
    }

    /// All counts together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count, in the order of the list, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (Discard, u64)> + '_ {
        Discard::ALL.into_iter().zip(self.0)
    }
}

impl Default for Discards {
    fn default() -> Self {
        Self::new()
    }
}

/// Only what was counted; a hundred zeros tell nothing.
impl fmt::Debug for Discards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().filter(|(_, count)| *count != 0))
            .finish()
    }
}

impl Index<Discard> for Discards {
    type Output = u64;

    #[inline]
    fn index(&self, discard: Discard) -> &u64 {
        &self.0[discard.index()]
    }
}

impl AddAssign<&Self> for Discards {
    fn add_assign(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TcpAckTooOld` as `tcp_ack_too_old`.
    fn snake_case(variant: &str) -> String {
        let mut name = String::new();
        for letter in variant.chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    #[test]
    fn every_row_has_the_name_of_its_variant_and_a_whole_sentence() {
        for (row, discard) in Discard::ALL.into_iter().enumerate() {
            assert_eq!(discard.index(), row);
            assert_eq!(discard.name(), snake_case(&format!("{discard:?}")));
            let sentence = discard.sentence();
            assert!(
                sentence.starts_with(|c: char| c.is_ascii_uppercase()),
                "{sentence}"
            );
            assert!(
                sentence.ends_with('.') && !sentence.contains("  "),
                "{sentence}"
            );
        }
    }

    #[test]
    fn no_sentence_stands_twice() {
        let mut sentences: Vec<_> = Discard::ALL.iter().map(|row| row.sentence()).collect();
        sentences.sort_unstable();
        sentences.dedup();
        assert_eq!(sentences.len(), Discard::COUNT);
    }

    #[test]
    fn counts_are_kept_apart_and_add_up() {
        let mut discards = Discards::new();
        discards.count(Discard::Ipv4Checksum);
        discards.count(Discard::Ipv4Checksum);
        discards.count(Discard::NoRoute);
        assert_eq!(discards.of(Discard::Ipv4Checksum), 2);
        assert_eq!(discards[Discard::NoRoute], 1);
        assert_eq!(discards.of(Discard::TcpPaws), 0);

        let mut sum = discards;
        sum += &discards;
        assert_eq!(sum.total(), 6);
        assert_eq!(sum.iter().count(), Discard::COUNT);
        assert_eq!(format!("{discards:?}"), "{Ipv4Checksum: 2, NoRoute: 1}");
    }
}
