//! The TCP header (RFC 9293 3.1).
//!
//! The checksum needs the addresses of the datagram, so it is verified by [`crate::parse()`] and
//! filled in by whoever emits the whole segment. Not done: the AE flag of RFC 9768.

use core::fmt;

use bitflags::bitflags;

use crate::{Discard, TcpOptions};

bitflags! {
    /// The control bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TcpFlags: u8 {
        /// No more text from the sender.
        const FIN = 0x01;
        /// Synchronize sequence numbers.
        const SYN = 0x02;
        /// Reset the connection.
        const RST = 0x04;
        /// Do not wait for more text before delivering this.
        const PSH = 0x08;
        /// The acknowledgment field counts.
        const ACK = 0x10;
        /// The urgent pointer counts.
        const URG = 0x20;
        /// The sender saw congestion marks (RFC 3168).
        const ECE = 0x40;
        /// The sender has slowed down (RFC 3168).
        const CWR = 0x80;
    }
}

/// The flags as tcpdump prints them: a letter each, a dot for ACK.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(TcpFlags, &str); 8] = [
            (TcpFlags::FIN, "F"),
            (TcpFlags::SYN, "S"),
            (TcpFlags::RST, "R"),
            (TcpFlags::PSH, "P"),
            (TcpFlags::ACK, "."),
            (TcpFlags::URG, "U"),
            (TcpFlags::ECE, "E"),
            (TcpFlags::CWR, "W"),
        ];
        if self.is_empty() {
            return f.write_str("none");
        }
        LETTERS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// The header of a segment, options included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tcp {
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// The sequence number of the first byte of text, or of SYN.
    pub seq: u32,
    /// The next sequence number that the sender expects, where ACK is set.
    pub ack: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window in bytes, still to be shifted unless SYN is set.
    pub wnd: u16,
    /// Where urgent text ends, counted from `seq`, where URG is set.
    pub urgent: u16,
    /// The options.
    pub options: TcpOptions,
}

impl Tcp {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// Where in the header the checksum stands.
    pub const CHECKSUM_AT: usize = 16;

    /// Reads the header of a segment; the second part of the answer is the text. The checksum is
    /// not looked at.
    ///
    /// # Errors
    /// The header is cut short, or its length contradicts the segment's.
    #[inline(always)]
    pub fn parse(segment: &[u8]) -> Result<(Self, &[u8]), Discard> {
        let fixed = segment
            .first_chunk::<{ Self::LEN }>()
            .ok_or(Discard::TcpTruncated)?;
        let header_len = usize::from(fixed[12] >> 4) * 4;
        let (header, text) = segment
            .split_at_checked(header_len)
            .ok_or(Discard::TcpDataOffset)?;
        let options = header.get(Self::LEN..).ok_or(Discard::TcpDataOffset)?;
        let word = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let tcp = Self {
            src_port: u16::from_be_bytes([fixed[0], fixed[1]]),
            dst_port: u16::from_be_bytes([fixed[2], fixed[3]]),
            seq: word(4),
            ack: word(8),
            flags: TcpFlags::from_bits_retain(fixed[13]),
            wnd: u16::from_be_bytes([fixed[14], fixed[15]]),
            urgent: u16::from_be_bytes([fixed[18], fixed[19]]),
            options: TcpOptions::parse(options),
        };
        Ok((tcp, text))
    }

    /// Bytes that [`Self::emit`] writes: 20 to 60.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        Self::LEN + self.options.len()
    }

    /// Writes the header at the start of `out`, with a checksum of zero, and answers how long it
    /// is.
    ///
    /// # Panics
    /// `out` is shorter than [`Self::header_len`].
    #[inline]
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let (fixed, options) = out
            .split_first_chunk_mut::<{ Self::LEN }>()
            .expect("the caller has made room for the header");
        let header_len = Self::LEN + self.options.emit(options);
        fixed[0..2].copy_from_slice(&self.src_port.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.dst_port.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.seq.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ack.to_be_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a header has at most 15 words"
        )]
        let words = (header_len / 4) as u8;
        fixed[12] = words << 4;
        fixed[13] = self.flags.bits();
        fixed[14..16].copy_from_slice(&self.wnd.to_be_bytes());
        fixed[16..18].fill(0);
        fixed[18..20].copy_from_slice(&self.urgent.to_be_bytes());
        header_len
    }
}
