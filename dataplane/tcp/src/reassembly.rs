//! Which text arrived ahead of its turn, RFC 9293 section 3.10.7.4 (SHLD-31), and what of it a SACK
//! option reports, RFC 2018 section 4.
//!
//! Only ranges are kept here; the bytes are in a [`TextQueue`](crate::TextQueue). What came twice is
//! found by the caller, who sees the segment (RFC 2883).

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

    /// Notes that the numbers from `left` up to, not including, `right` have arrived.
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
        let reached = self.ranges.change(memory, |set| set.drop_reached(rcv_nxt));
        reached.unwrap_or(rcv_nxt)
    }

    /// The blocks of a SACK option with at most `max` of them, behind that of a `duplicate`.
    #[must_use]
    pub fn sack_blocks(&self, memory: &Memory, duplicate: Range, max: usize) -> SackBlocks {
        let mut blocks = SackBlocks::default();
        let first = Some(duplicate).filter(|duplicate| !duplicate.is_empty());
        let others = self.ranges.as_slice(memory).iter().copied();
        for range in first.into_iter().chain(others).take(max) {
            blocks.push(range.left.value(), range.right.value());
        }
        blocks
    }

    /// The part of `part` that has arrived already, the first where there are several.
    #[must_use]
    pub fn known(&self, memory: &Memory, part: Range) -> Option<Range> {
        let ranges = self.ranges.as_slice(memory).iter();
        ranges
            .filter_map(|range| range.overlap(part))
            .reduce(|first, other| {
                if other.left.before(first.left) {
                    other
                } else {
                    first
                }
            })
    }

    /// Forgets everything and gives the set back.
    pub fn clear(&mut self, memory: &mut Memory) {
        self.ranges.clear(memory);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::memory::MemoryConfig;
    use crate::ranges::RANGES_MAX;

    fn memory() -> Memory {
        Memory::new(MemoryConfig {
            blocks: 0,
            range_sets: 1,
            send_logs: 0,
            bbr_records: 1,
        })
    }

    /// Each number that has arrived, as an offset from the first RCV.NXT, with the time when.
    #[derive(Clone, Default)]
    struct Model(BTreeMap<u32, usize>);

    impl Model {
        /// The runs of numbers and when each was last added to, in order.
        fn runs(&self) -> Vec<(u32, u32, usize)> {
            let mut runs: Vec<(u32, u32, usize)> = Vec::new();
            for (&at, &when) in &self.0 {
                match runs.last_mut().filter(|run| run.1 == at) {
                    Some(run) => (run.1, run.2) = (at + 1, run.2.max(when)),
                    None => runs.push((at, at + 1, when)),
                }
            }
            runs
        }

        fn sack_blocks(&self, base: SeqNum, max: usize) -> Vec<(u32, u32)> {
            let mut runs = self.runs();
            runs.sort_by_key(|run| std::cmp::Reverse(run.2));
            let block = |run: &(u32, u32, usize)| ((base + run.0).value(), (base + run.1).value());
            runs.iter().take(max).map(block).collect()
        }
    }

    proptest! {
        #[test]
        fn ranges_are_those_of_a_set_of_numbers(
            base in prop_oneof![any::<u32>(), u32::MAX - 300..=u32::MAX],
            steps in prop::collection::vec((1..300_u32, 0..12_u32, any::<bool>(), 0..8_u8), 1..150),
        ) {
            let (mut memory, mut reassembly) = (memory(), Reassembly::default());
            let (base, mut model, mut rcv_nxt) = (SeqNum::new(base), Model::default(), 0_u32);
            for (when, &(ahead, len, short, take)) in steps.iter().enumerate() {
                // Many short ones fill the set, a few long ones join what is there.
                let (left, len) = (rcv_nxt + ahead, if short { len.min(1) } else { len });
                let mut added = model.clone();
                added.0.extend((left..left + len).map(|at| (at, when)));
                let known = reassembly.known(&memory, Range { left: base + left, right: base + left + len });
                let first = model.0.range(left..left + len).next().map(|(&at, _)| at);
                prop_assert_eq!(known.map(|known| known.left), first.map(|at| base + at));
                if let (Some(known), Some(first)) = (known, first) {
                    let last = (first..left + len).take_while(|at| model.0.contains_key(at)).last();
                    prop_assert_eq!(Some(known.right), last.map(|at| base + at + 1));
                }
                let inserted = reassembly.insert(&mut memory, base + left, base + left + len);
                prop_assert_eq!(inserted.is_ok(), added.runs().len() <= RANGES_MAX);
                if inserted.is_ok() {
                    model = added;
                }
                if take == 0 {
                    // The gap before the first range is filled, or nearly.
                    rcv_nxt += ahead.min(model.runs().first().map_or(0, |run| run.0 - rcv_nxt));
                    let reached = reassembly.take_contiguous(&mut memory, base + rcv_nxt);
                    while model.0.contains_key(&rcv_nxt) {
                        rcv_nxt += 1;
                    }
                    model.0 = model.0.split_off(&rcv_nxt);
                    prop_assert_eq!(reached, base + rcv_nxt);
                }
                let blocks = reassembly.sack_blocks(&memory, Range::EMPTY, 3);
                prop_assert_eq!(blocks.as_slice(), model.sack_blocks(base, 3));
                prop_assert_eq!(reassembly.is_empty(), model.0.is_empty());
                let free = memory.counts().range_sets_free;
                prop_assert_eq!(free, u32::from(model.0.is_empty()));
            }
            reassembly.clear(&mut memory);
            prop_assert_eq!((reassembly.is_empty(), memory.counts().range_sets_free), (true, 1));
        }
    }

    /// RFC 2018 section 4, second example of its section 7: every other segment is lost.
    #[test]
    fn the_newest_block_is_first_then_the_most_recent_others() {
        let (mut memory, mut reassembly) = (memory(), Reassembly::default());
        for left in [5_500, 6_500, 7_500, 8_500] {
            let right = SeqNum::new(left + 500);
            reassembly
                .insert(&mut memory, SeqNum::new(left), right)
                .unwrap();
        }
        let blocks = reassembly.sack_blocks(&memory, Range::EMPTY, 3);
        assert_eq!(
            blocks.as_slice(),
            [(8_500, 9_000), (7_500, 8_000), (6_500, 7_000)]
        );
        // The fourth segment comes late and joins two blocks.
        reassembly
            .insert(&mut memory, SeqNum::new(6_000), SeqNum::new(6_500))
            .unwrap();
        let blocks = reassembly.sack_blocks(&memory, Range::EMPTY, 4);
        assert_eq!(
            blocks.as_slice(),
            [(5_500, 7_000), (8_500, 9_000), (7_500, 8_000)]
        );
        let reached = reassembly.take_contiguous(&mut memory, SeqNum::new(5_500));
        assert_eq!(reached, SeqNum::new(7_000));
    }

    #[test]
    fn without_a_free_set_nothing_is_noted() {
        let mut memory = memory();
        let (mut first, mut second) = (Reassembly::default(), Reassembly::default());
        let (left, right) = (SeqNum::new(10), SeqNum::new(20));
        assert_eq!(first.insert(&mut memory, left, left), Ok(()));
        assert_eq!(
            memory.counts().range_sets_free,
            1,
            "an empty range takes no set"
        );
        assert_eq!(first.insert(&mut memory, left, right), Ok(()));
        assert_eq!(second.insert(&mut memory, left, right), Err(RangesFull));
        assert!(second.is_empty());
        assert_eq!(second.take_contiguous(&mut memory, left), left);
        assert_eq!(first.take_contiguous(&mut memory, left), right);
        assert_eq!(second.insert(&mut memory, left, right), Ok(()));
    }
}
