//! The Internet checksum: RFC 1071, the incremental update of RFC 1624, the pseudo-headers of
//! RFC 9293 3.1 (IPv4) and RFC 8200 8.1 (IPv6).
//!
//! The sum runs over 32-bit words in the machine's own byte order, which RFC 1071 2(B) allows:
//! swapping the bytes of the folded result once is the same as swapping every word. Sixty-four
//! bits hold the carries of far more words than a datagram has, so the inner loop has no carry to
//! look after and the compiler turns it into vector instructions.

use core::net::IpAddr;

/// Bytes that one pass of the inner loop takes: eight 32-bit words, two vector registers' worth.
const STRIDE: usize = 32;

/// A running checksum over any number of pieces, of odd length too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// The sum of the words so far, as the machine reads them; carries are not folded in yet.
    words: u64,
    /// Whether an odd number of bytes was added, so that the next byte is the low half of a word.
    odd: bool,
}

impl Sum {
    /// The sum of no bytes.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            words: 0,
            odd: false,
        }
    }

    /// Adds `bytes`, which follow those added before.
    #[inline]
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "a slice is added, not another sum"
    )]
    pub fn add(self, bytes: &[u8]) -> Self {
        self.join(sum_words(bytes), bytes.len())
    }

    /// Copies `src` to the start of `dst` and adds it, in one pass over the memory.
    ///
    /// # Panics
    /// `dst` is shorter than `src`.
    #[inline]
    #[must_use]
    pub fn add_copy(self, dst: &mut [u8], src: &[u8]) -> Self {
        self.join(copy_words(&mut dst[..src.len()], src), src.len())
    }

    /// Adds the pseudo-header of a segment of `len` bytes (header and text). It may come at any
    /// point, also after an odd number of bytes.
    #[inline]
    #[must_use]
    pub fn add_pseudo_header(self, src: IpAddr, dst: IpAddr, protocol: u8, len: u32) -> Self {
        // IPv4 has the length in 16 bits and IPv6 in 32; a length that fits has the same sum.
        let words = self.words
            + address_words(src)
            + address_words(dst)
            + u64::from(u32::from(protocol).to_be())
            + u64::from(len.to_be());
        Self {
            words,
            odd: self.odd,
        }
    }

    /// The sum folded to 16 bits and not complemented: what a NIC wants in the checksum field when
    /// it is to finish the sum, and 0xffff over bytes that hold their own correct checksum.
    #[inline]
    #[must_use]
    pub const fn partial(self) -> u16 {
        u16::from_be(fold(self.words))
    }

    /// The checksum, to be stored in network byte order.
    #[inline]
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.partial()
    }

    /// Appends a piece of `len` bytes whose words add up to `words`.
    #[inline]
    fn join(self, words: u64, len: usize) -> Self {
        let odd = self.odd != (len % 2 == 1);
        // A piece that starts in the middle of a word has its halves the wrong way round
        // (RFC 1071 2(B)); after an even number of bytes nothing has to be folded.
        let words = if self.odd {
            u64::from(fold(words).swap_bytes())
        } else {
            words
        };
        Self {
            words: self.words + words,
            odd,
        }
    }
}

/// Copies `src` to the start of `dst` and answers its sum, in one pass over the memory.
///
/// # Panics
/// `dst` is shorter than `src`.
#[inline]
#[must_use]
pub fn copy_and_sum(dst: &mut [u8], src: &[u8]) -> Sum {
    Sum::new().add_copy(dst, src)
}

/// The checksum `sum` after one 16-bit word under it has changed from `old` to `new`.
#[inline]
#[must_use]
pub const fn update(sum: u16, old: u16, new: u16) -> u16 {
    // RFC 1624 3, equation 3: HC' = ~(~HC + ~m + m'), which never makes the wrong zero.
    let words = !sum as u64 + !old as u64 + new as u64;
    !fold(words)
}

/// Adds the carries back in until 16 bits are left (RFC 1071 1).
#[inline]
const fn fold(words: u64) -> u16 {
    let words = (words & 0xffff_ffff) + (words >> 32);
    let words = (words & 0xffff_ffff) + (words >> 32);
    let words = (words & 0xffff) + (words >> 16);
    let words = (words & 0xffff) + (words >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "four folds leave 16 bits")]
    let folded = words as u16;
    folded
}

/// The words of an address.
#[inline]
fn address_words(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(u32::from_ne_bytes(address.octets())),
        IpAddr::V6(address) => sum_words(&address.octets()),
    }
}

/// The sum of the 32-bit words of `bytes`; a short last word is filled up with zeros.
#[inline]
fn sum_words(bytes: &[u8]) -> u64 {
    let (strides, rest) = bytes.as_chunks::<STRIDE>();
    let mut lanes = [0_u64; STRIDE / 4];
    for stride in strides {
        let (words, _) = stride.as_chunks::<4>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    lanes.iter().sum::<u64>() + sum_tail(rest)
}

/// Copies `src` to `dst`, which is as long, and answers what [`sum_words`] would.
#[inline]
fn copy_words(dst: &mut [u8], src: &[u8]) -> u64 {
    let (strides, rest) = src.as_chunks::<STRIDE>();
    let (dst_strides, dst_rest) = dst.as_chunks_mut::<STRIDE>();
    let mut lanes = [0_u64; STRIDE / 4];
    for (dst_stride, stride) in dst_strides.iter_mut().zip(strides) {
        *dst_stride = *stride;
        let (words, _) = stride.as_chunks::<4>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane += u64::from(u32::from_ne_bytes(*word));
        }
    }
    dst_rest.copy_from_slice(rest);
    lanes.iter().sum::<u64>() + sum_tail(rest)
}

/// The sum of the words of a piece shorter than a stride.
#[inline]
fn sum_tail(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let whole: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();
    whole + u64::from(u32::from_ne_bytes(last))
}
