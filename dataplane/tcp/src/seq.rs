//! Sequence numbers, RFC 9293 section 3.4: positions on a circle of 2^32 numbers.
//!
//! Two positions on a circle have no greater and no lesser, so [`SeqNum`] has no `Ord`; it has
//! [`before`](SeqNum::before) and [`after`](SeqNum::after), which hold while the two are less than
//! 2^31 apart. Windows are at most 2^30 (RFC 7323 section 2.3), so they always are, for numbers of
//! one connection. Nothing here knows about segments or windows.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number: a position in one direction's text, modulo 2^32.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNum(u32);

impl SeqNum {
    /// The number as it stands in a header.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number as a header carries it.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// How far `self` lies after `earlier`, in sequence numbers, modulo 2^32.
    ///
    /// Where `self` may also lie before `earlier`, use the signed difference `self - earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` lies strictly before `other`.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.difference(other) < 0
    }

    /// Whether `self` lies before `other` or is the same.
    #[must_use]
    pub const fn before_or_eq(self, other: Self) -> bool {
        self.difference(other) <= 0
    }

    /// Whether `self` lies strictly after `other`.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        self.difference(other) > 0
    }

    /// Whether `self` lies after `other` or is the same.
    #[must_use]
    pub const fn after_or_eq(self, other: Self) -> bool {
        self.difference(other) >= 0
    }

    /// The one of the two that comes first.
    #[must_use]
    pub const fn earliest(self, other: Self) -> Self {
        if other.before(self) { other } else { self }
    }

    /// The one of the two that comes last.
    #[must_use]
    pub const fn latest(self, other: Self) -> Self {
        if other.after(self) { other } else { self }
    }

    /// Whether `self` lies in the half-open range from `left` up to, not including, `right`.
    ///
    /// The range may be of any length below 2^32; one whose ends are equal is empty.
    #[must_use]
    pub const fn is_within(self, left: Self, right: Self) -> bool {
        self.since(left) < right.since(left)
    }

    /// The signed distance from `other` to `self`, the shorter way round.
    const fn difference(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

/// The signed distance, the shorter way round: negative where the left side lies before the right.
impl Sub for SeqNum {
    type Output = i32;

    fn sub(self, other: Self) -> i32 {
        self.difference(other)
    }
}

impl fmt::Debug for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeqNum({})", self.0)
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any number, with those around the wrap more often than their share.
    fn any_seq() -> impl Strategy<Value = SeqNum> {
        prop_oneof![any::<u32>(), 0..64_u32, u32::MAX - 64..=u32::MAX].prop_map(SeqNum::new)
    }

    proptest! {
        #[test]
        fn adding_and_subtracting_are_inverse(seq in any_seq(), count: u32) {
            prop_assert_eq!(seq + count - count, seq);
            prop_assert_eq!((seq + count).since(seq), count);
        }

        #[test]
        fn a_number_further_on_is_after(seq in any_seq(), count in 1..1_u32 << 31) {
            let later = seq + count;
            prop_assert!(seq.before(later) && seq.before_or_eq(later));
            prop_assert!(later.after(seq) && later.after_or_eq(seq));
            prop_assert!(!later.before(seq) && !seq.after(later));
            prop_assert_eq!(later - seq, i32::try_from(count).unwrap());
            prop_assert_eq!(seq - later, -i32::try_from(count).unwrap());
            prop_assert_eq!((seq.earliest(later), later.earliest(seq)), (seq, seq));
            prop_assert_eq!((seq.latest(later), later.latest(seq)), (later, later));
        }

        #[test]
        fn exactly_one_of_before_equal_after(left in any_seq(), right in any_seq()) {
            prop_assume!(right.since(left) != 1 << 31);
            let holds = [left.before(right), left == right, left.after(right)];
            prop_assert_eq!(holds.iter().filter(|&&h| h).count(), 1);
            prop_assert_eq!(left.before_or_eq(right), !left.after(right));
            prop_assert_eq!(left.after_or_eq(right), !left.before(right));
        }

        #[test]
        fn before_is_transitive_within_a_window(
            seq in any_seq(), first in 1..1_u32 << 30, second in 1..1_u32 << 30,
        ) {
            let (middle, last) = (seq + first, seq + first + second);
            prop_assert!(seq.before(middle) && middle.before(last) && seq.before(last));
        }

        #[test]
        fn within_counts_from_the_left_edge(left in any_seq(), length: u32, offset: u32) {
            prop_assert_eq!((left + offset).is_within(left, left + length), offset < length);
        }
    }

    #[test]
    fn the_circle_closes() {
        assert_eq!(SeqNum::new(u32::MAX) + 1, SeqNum::new(0));
        assert_eq!(SeqNum::new(2) - SeqNum::new(u32::MAX - 1), 4);
        assert_eq!(format!("{0} {0:?}", SeqNum::new(7)), "7 SeqNum(7)");
    }
}
