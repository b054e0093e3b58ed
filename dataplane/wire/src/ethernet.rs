//! Ethernet II frames (IEEE 802.3 3.2.6) with at most one 802.1Q tag.
//!
//! Not done: 802.3 frames with a length field (they belong to spanning tree and its like), stacked
//! tags, the frame check sequence, which the NIC checks and cuts off.

use crate::{Discard, MacAddr};

/// The type of a frame that carries IPv4.
pub const ETHER_TYPE_IPV4: u16 = 0x0800;
/// The type of a frame that carries ARP.
pub const ETHER_TYPE_ARP: u16 = 0x0806;
/// The type of a frame that carries IPv6.
pub const ETHER_TYPE_IPV6: u16 = 0x86dd;
/// The type that announces an 802.1Q tag.
pub const ETHER_TYPE_VLAN: u16 = 0x8100;
/// The type that announces an outer, provider tag (802.1ad).
const ETHER_TYPE_PROVIDER_VLAN: u16 = 0x88a8;
/// A type below this is a length (IEEE 802.3 3.2.6).
const ETHER_TYPE_MIN: u16 = 0x0600;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ethernet {
    /// The station or group the frame is for.
    pub dst: MacAddr,
    /// The station that sent it.
    pub src: MacAddr,
    /// The VLAN the frame is tagged with, 1 to 4094. A tag that carries only a priority (VLAN 0)
    /// counts as none, and the priority itself is neither kept nor sent.
    pub vlan: Option<u16>,
    /// What the frame carries, as the innermost type field says.
    pub ether_type: u16,
}

impl Ethernet {
    /// Bytes of a header without a tag.
    pub const LEN: usize = 14;
    /// Bytes of a header with a tag.
    pub const TAGGED_LEN: usize = 18;

    /// Bytes that [`Self::emit`] writes: 14, or 18 with a tag.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        if self.vlan.is_some() {
            Self::TAGGED_LEN
        } else {
            Self::LEN
        }
    }

    /// Reads the header; the second part of the answer is what the frame carries, padding included.
    ///
    /// # Errors
    /// The frame is cut short, has a length field, or has more than one tag.
    #[inline(always)]
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Discard> {
        let (header, mut rest) = frame
            .split_first_chunk::<{ Self::LEN }>()
            .ok_or(Discard::EthernetTruncated)?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let mut ether_type = u16::from_be_bytes([t0, t1]);
        let mut vlan = None;
        if ether_type == ETHER_TYPE_VLAN {
            let (tag, inner) = rest
                .split_first_chunk::<4>()
                .ok_or(Discard::EthernetTruncated)?;
            let id = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
            vlan = (id != 0).then_some(id);
            ether_type = u16::from_be_bytes([tag[2], tag[3]]);
            rest = inner;
        }
        if ether_type == ETHER_TYPE_VLAN || ether_type == ETHER_TYPE_PROVIDER_VLAN {
            return Err(Discard::VlanNested);
        }
        if ether_type < ETHER_TYPE_MIN {
            return Err(Discard::EthernetLengthField);
        }
        let dst = MacAddr([d0, d1, d2, d3, d4, d5]);
        let src = MacAddr([s0, s1, s2, s3, s4, s5]);
        Ok((
            Self {
                dst,
                src,
                vlan,
                ether_type,
            },
            rest,
        ))
    }

    /// Writes the header at the start of `out` and answers how long it is.
    ///
    /// # Panics
    /// `out` is shorter than [`Self::header_len`].
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> usize {
        out[0..6].copy_from_slice(&self.dst.0);
        out[6..12].copy_from_slice(&self.src.0);
        let ether_type = self.ether_type.to_be_bytes();
        let Some(vlan) = self.vlan else {
            out[12..14].copy_from_slice(&ether_type);
            return Self::LEN;
        };
        out[12..14].copy_from_slice(&ETHER_TYPE_VLAN.to_be_bytes());
        out[14..16].copy_from_slice(&(vlan & 0x0fff).to_be_bytes());
        out[16..18].copy_from_slice(&ether_type);
        Self::TAGGED_LEN
    }
}
