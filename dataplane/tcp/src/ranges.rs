//! Ranges of sequence numbers in pooled sets: the common ground of [`Reassembly`] and
//! [`Scoreboard`], RFC 2018's blocks.
//!
//! A set is small and lies in one piece, so that a search through it is a look at a few cache
//! lines. Its ranges neither overlap nor touch. In what order they stand is up to the user:
//! reassembly keeps the newest first, the scoreboard sorts.
//!
//! [`Reassembly`]: crate::Reassembly
//! [`Scoreboard`]: crate::Scoreboard

use core::fmt;

use arrayvec::ArrayVec;

use crate::memory::{Memory, NONE};
use crate::seq::SeqNum;

/// Most ranges a set can hold. Reports carry three or four (RFC 2018 section 3), and one loss in
/// fifty leaves twenty gaps in a window of a thousand segments; but a queue that overflows drops
/// every other segment for a round trip. With more gaps than this a receiver drops what it could
/// have kept, and a sender repeats what had arrived; with more room a set would be larger than a
/// kilobyte.
pub const RANGES_MAX: usize = 127;

/// Sequence numbers from `left` up to, not including, `right`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first number.
    pub left: SeqNum,
    /// The number after the last.
    pub right: SeqNum,
}

impl Range {
    /// No numbers at all.
    pub(crate) const EMPTY: Self = Self {
        left: SeqNum::new(0),
        right: SeqNum::new(0),
    };

    /// The numbers that are in both; none where they do not overlap.
    pub(crate) fn overlap(self, other: Self) -> Option<Self> {
        let both = Self {
            left: self.left.latest(other.left),
            right: self.right.earliest(other.right),
        };
        both.left.before(both.right).then_some(both)
    }

    /// How many numbers there are.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.right.since(self.left)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether they overlap or one begins where the other ends.
    pub(crate) const fn touches(self, other: Self) -> bool {
        self.left.before_or_eq(other.right) && other.left.before_or_eq(self.right)
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.left, self.right)
    }
}

/// A set has [`RANGES_MAX`] ranges already, or no set was free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangesFull;

/// Up to [`RANGES_MAX`] ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeSet {
    ranges: ArrayVec<Range, RANGES_MAX>,
}

impl RangeSet {
    /// Takes out every range that touches `range` and returns them all in one, or nothing where it
    /// touches none and there is no room for one more.
    pub(crate) fn absorb(&mut self, range: Range) -> Option<Range> {
        let before = self.ranges.len();
        let mut union = range;
        self.ranges.retain(|other| {
            let touches = other.touches(range);
            if touches {
                union.left = union.left.earliest(other.left);
                union.right = union.right.latest(other.right);
            }
            !touches
        });
        (self.ranges.len() < RANGES_MAX || before > self.ranges.len()).then_some(union)
    }

    /// Puts a range that [`absorb`](Self::absorb) returned in the place `at`.
    pub(crate) fn insert(&mut self, at: usize, range: Range) {
        self.ranges.insert(at, range);
    }

    /// Drops every range that begins at `seq` or before and returns how far these reach, which is
    /// `seq` at least.
    pub(crate) fn drop_reached(&mut self, seq: SeqNum) -> SeqNum {
        let mut reach = seq;
        self.ranges.retain(|range| {
            let is_reached = range.left.before_or_eq(seq);
            if is_reached {
                reach = reach.latest(range.right);
            }
            !is_reached
        });
        reach
    }

    /// How many numbers are in the ranges.
    pub(crate) fn total(&self) -> u32 {
        self.ranges.iter().map(|range| range.len()).sum()
    }

    pub(crate) fn as_slice(&self) -> &[Range] {
        &self.ranges
    }
}

/// A handle of a set in [`Memory`]; none while there is no range.
#[derive(Debug)]
pub(crate) struct Ranges(u32);

impl Default for Ranges {
    fn default() -> Self {
        Self(NONE)
    }
}

impl Ranges {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0 == NONE
    }

    pub(crate) fn as_slice<'m>(&self, memory: &'m Memory) -> &'m [Range] {
        if self.0 == NONE {
            &[]
        } else {
            memory.set(self.0).as_slice()
        }
    }

    /// Changes the set by `change`, taking one for it where there is none, giving it back where it
    /// is left empty; nothing where none is free.
    pub(crate) fn change<T>(
        &mut self,
        memory: &mut Memory,
        change: impl FnOnce(&mut RangeSet) -> T,
    ) -> Option<T> {
        if self.0 == NONE {
            self.0 = memory.take_set()?;
        }
        let set = memory.set_mut(self.0);
        let result = change(set);
        if set.as_slice().is_empty() {
            self.clear(memory);
        }
        Some(result)
    }

    /// Drops every range and gives the set back.
    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        if self.0 != NONE {
            memory.give_set(self.0);
            self.0 = NONE;
        }
    }
}
