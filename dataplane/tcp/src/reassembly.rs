//! Which text arrived ahead of its turn, RFC 9293 section 3.10.7.4 (SHLD-31), and what of it a SACK
//! option reports, RFC 2018 section 4.
//!
//! Only ranges are kept here; the bytes are in a [`TextQueue`](crate::TextQueue). Duplicates are
//! not reported from here (RFC 2883 is the caller's, who sees the segment).

use tidegate_wire::SackBlocks;

use crate::memory::Memory;
use crate::ranges::{Range, Ranges, RangesFull};
use crate::seq::SeqNum;

/// The ranges beyond RCV.NXT that have arrived, the newest first.
#[derive(Debug, Default)]
pub struct Reassembly {
    ranges: Ranges,
}

impl Reassembly {
    /// Whether nothing arrived ahead of its turn.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Notes that the numbers from `left` up to `right` have arrived. All ranges of a connection lie within
    /// one window of at most 2^30.
    ///
    /// # Errors
    ///
    /// Where that is one range more than can be kept. Then nothing has changed.
    pub fn insert(
        &mut self,
        memory: &mut Memory,
        left: SeqNum,
        right: SeqNum,
    ) -> Result<(), RangesFull> {
        let range = Range { left, right };
        if range.is_empty() {
            return Ok(());
        }
        let noted = self.ranges.change(memory, |set| {
            let union = set.absorb(range)?;
            // RFC 2018 4: the first block is the one with the segment that arrived last, and the
            // others follow in the order in which they were first.
            set.insert(0, union);
            Some(())
        });
        noted.flatten().ok_or(RangesFull)
    }

    /// Takes the range that RCV.NXT has reached, if there is one, and returns the new RCV.NXT.
    /// What lies before it is forgotten.
    pub fn take_contiguous(&mut self, memory: &mut Memory, rcv_nxt: SeqNum) -> SeqNum {
        if self.is_empty() {
            return rcv_nxt;
        }
        let mut reached = rcv_nxt;
        self.ranges.change(memory, |set| {
            set.retain(|range| {
                let keep = range.left.after(rcv_nxt);
                if !keep {
                    reached = reached.latest(range.right);
                }
                keep
            });
        });
        reached
    }

    /// The blocks of a SACK option with at most `max` of them.
    #[must_use]
    pub fn sack_blocks(&self, memory: &Memory, max: usize) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        for range in self.ranges.as_slice(memory).iter().take(max) {
            blocks.push(range.left.value(), range.right.value());
        }
        blocks
    }

    /// Forgets everything and gives the set back.
    pub fn clear(&mut self, memory: &mut Memory) {
        self.ranges.clear(memory);
    }
}
