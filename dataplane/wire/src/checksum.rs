//! The Internet checksum: RFC 1071, the incremental update of RFC 1624, the pseudo-headers of
//! RFC 9293 3.1 (IPv4) and RFC 8200 8.1 (IPv6).
//!
//! The sum runs over 32-bit words in the machine's own byte order, which RFC 1071 2(B) allows:
//! swapping the bytes of the folded result once is the same as swapping every word. Sixty-four
//! bits hold the carries of far more words than a datagram has, so nothing has to be folded before
//! the end.

use core::net::IpAddr;

/// Bytes that one pass of the inner loop takes: two vector registers of the smallest x86-64. Twice
/// as many were hardly faster on long pieces and slower on headers.
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
    let mut lanes = Lanes::default();
    for stride in strides {
        lanes.add(stride);
    }
    lanes.total() + sum_tail(rest)
}

/// Copies `src` to `dst`, which is as long, and answers what [`sum_words`] would.
#[inline]
fn copy_words(dst: &mut [u8], src: &[u8]) -> u64 {
    let (strides, rest) = src.as_chunks::<STRIDE>();
    let (dst_strides, dst_rest) = dst.as_chunks_mut::<STRIDE>();
    let mut lanes = Lanes::default();
    for (dst_stride, stride) in dst_strides.iter_mut().zip(strides) {
        *dst_stride = *stride;
        lanes.add(stride);
    }
    dst_rest.copy_from_slice(rest);
    lanes.total() + sum_tail(rest)
}

/// Sums that run side by side: the lower and the upper half of each 64-bit word of a stride. Eight
/// sums without a carry between them are what makes the loop a few vector instructions; a chain of
/// additions with carry is three times slower.
#[derive(Default)]
struct Lanes {
    lower: [u64; STRIDE / 8],
    upper: [u64; STRIDE / 8],
}

impl Lanes {
    #[inline]
    fn add(&mut self, stride: &[u8; STRIDE]) {
        let (words, _) = stride.as_chunks::<8>();
        for ((lower, upper), word) in self.lower.iter_mut().zip(&mut self.upper).zip(words) {
            let word = u64::from_ne_bytes(*word);
            *lower += word & 0xffff_ffff;
            *upper += word >> 32;
        }
    }

    #[inline]
    fn total(&self) -> u64 {
        self.lower.iter().sum::<u64>() + self.upper.iter().sum::<u64>()
    }
}

/// The sum of the words of a piece shorter than a stride.
#[inline]
fn sum_tail(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let whole: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();
    let last = match *rest {
        [a, b, c] => [a, b, c, 0],
        [a, b] => [a, b, 0, 0],
        [a] => [a, 0, 0, 0],
        _ => [0; 4],
    };
    whole + u64::from(u32::from_ne_bytes(last))
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 1, one 16-bit word after the other, with the carry added at once.
    fn naive(bytes: &[u8]) -> u16 {
        let mut sum = 0_u16;
        for pair in bytes.chunks(2) {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (next, carry) = sum.overflowing_add(word);
            sum = next + u16::from(carry);
        }
        sum
    }

    #[test]
    fn example_of_rfc_1071() {
        // Section 3, worked out by hand there: the sum is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().add(&bytes).partial(), 0xddf2);
        assert_eq!(Sum::new().add(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn the_empty_and_the_largest_sum() {
        assert_eq!(Sum::new().partial(), 0);
        assert_eq!(Sum::new().add(&[]).finish(), 0xffff);
        assert_eq!(Sum::new().add(&[0xff; 65_535]).partial(), 0xff00);
        assert_eq!(Sum::new().add(&[0xff; 65_534]).partial(), 0xffff);
    }

    #[test]
    fn update_never_makes_the_wrong_zero() {
        // RFC 1624 4: the older formula gave ffff here.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn any_bytes_as_the_naive_sum(bytes in vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(Sum::new().add(&bytes).partial(), naive(&bytes));
        }

        #[test]
        fn pieces_add_up_wherever_they_are_cut(
            pieces in vec(vec(any::<u8>(), 0..100), 0..8),
            pseudo_at in 0..8_usize,
        ) {
            let [src, dst] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(172, 16, 255, 254)];
            let mut whole = [&src.octets()[..], &dst.octets(), &[0, 6, 0x12, 0x34]].concat();
            let mut sum = Sum::new();
            for (at, piece) in pieces.iter().enumerate() {
                if at == pseudo_at {
                    sum = sum.add_pseudo_header(src.into(), dst.into(), 6, 0x1234);
                }
                sum = sum.add(piece);
                whole.extend(piece);
            }
            if pseudo_at >= pieces.len() {
                sum = sum.add_pseudo_header(src.into(), dst.into(), 6, 0x1234);
            }
            prop_assert_eq!(sum.partial(), naive(&whole));
        }

        #[test]
        fn ipv6_pseudo_header(src in any::<u128>(), dst in any::<u128>(), len in any::<u32>()) {
            let mut whole = [src.to_be_bytes(), dst.to_be_bytes()].concat();
            whole.extend(len.to_be_bytes());
            whole.extend([0, 0, 0, 58]);
            let [src, dst] = [src, dst].map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
            let sum = Sum::new().add_pseudo_header(src, dst, 58, len);
            prop_assert_eq!(sum.partial(), naive(&whole));
        }

        #[test]
        fn a_copy_is_a_copy_and_has_the_same_sum(
            before in vec(any::<u8>(), 0..5),
            src in vec(any::<u8>(), 0..3000),
            room in 0..40_usize,
        ) {
            let mut dst = vec![0xaa; src.len() + room];
            let sum = Sum::new().add(&before).add_copy(&mut dst, &src);
            prop_assert_eq!(sum.partial(), naive(&[&before[..], &src].concat()));
            prop_assert_eq!(&dst[..src.len()], &src[..]);
            prop_assert!(dst[src.len()..].iter().all(|byte| *byte == 0xaa));
            prop_assert_eq!(copy_and_sum(&mut dst, &src).finish(), Sum::new().add(&src).finish());
        }

        #[test]
        fn an_update_is_as_good_as_a_new_sum(
            mut bytes in vec(any::<u8>(), 2..200),
            at in any::<prop::sample::Index>(),
            new in any::<u16>(),
        ) {
            // Bytes that are all zero have the other zero as their sum, and are no header.
            bytes[0] |= 1;
            let sum = !naive(&bytes);
            let at = 2 * at.index(bytes.len() / 2);
            let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            prop_assume!(bytes.iter().any(|byte| *byte != 0));
            prop_assert_eq!(update(sum, old, new), !naive(&bytes));
        }
    }
}
