//! The scoreboard against the definitions of RFC 6675 section 4, taken octet by octet.

use std::collections::BTreeSet;

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

fn sack(blocks: &[(u32, u32)]) -> SackBlocks {
    let mut sack = SackBlocks::default();
    for &(left, right) in blocks {
        assert!(sack.push(left, right));
    }
    sack
}

/// Each number that is SACKed, all numbers as offsets from the first SND.UNA.
#[derive(Clone, Default)]
struct Model {
    sacked: BTreeSet<u32>,
    una: u32,
    nxt: u32,
    high_rxt: u32,
    mss: u32,
}

impl Model {
    fn runs(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for &at in &self.sacked {
            match runs.last_mut().filter(|run| run.1 == at) {
                Some(run) => run.1 = at + 1,
                None => runs.push((at, at + 1)),
            }
        }
        runs
    }

    fn on_sack(&mut self, left: u32, right: u32) {
        if self.una < left && left < right && right <= self.nxt {
            let mut added = self.clone();
            added.sacked.extend(left..right);
            if added.runs().len() <= RANGES_MAX {
                *self = added;
            }
        }
    }

    fn on_una(&mut self, una: u32) {
        self.una = una;
        if let Some(run) = self.runs().iter().rev().find(|run| run.0 <= una) {
            self.sacked = self.sacked.split_off(&run.1);
        }
    }

    fn is_unsacked(&self, at: u32) -> bool {
        self.una <= at && at < self.nxt && !self.sacked.contains(&at)
    }

    fn is_lost(&self, at: u32) -> bool {
        let ranges_above = self.runs().iter().filter(|run| run.0 > at).count();
        let bytes_above = self.sacked.range(at + 1..).count();
        self.is_unsacked(at) && (ranges_above >= 3 || bytes_above > 2 * self.mss as usize)
    }

    fn pipe(&self) -> u32 {
        let unsacked = (self.una..self.nxt).filter(|&at| self.is_unsacked(at));
        unsacked
            .map(|at| u32::from(!self.is_lost(at)) + u32::from(at < self.high_rxt))
            .sum()
    }

    /// From `at` on up to where the gap ends.
    fn hole_from(&self, at: u32) -> (u32, u32) {
        (
            at,
            (at..=self.nxt).find(|&end| !self.is_unsacked(end)).unwrap(),
        )
    }

    fn next(&self, is_wanted: impl Fn(u32) -> bool) -> Option<(u32, u32)> {
        let highest = *self.sacked.last()?;
        let from = self.una.max(self.high_rxt);
        let next = (from..highest).find(|&at| self.is_unsacked(at) && is_wanted(at));
        next.map(|at| self.hole_from(at))
    }

    fn last_hole(&self) -> Option<(u32, u32)> {
        let last = (self.una..self.nxt)
            .rev()
            .find(|&at| self.is_unsacked(at))?;
        let least = (last + 1).saturating_sub(self.mss);
        let first = (least..=last)
            .rev()
            .take_while(|&at| self.is_unsacked(at))
            .last()
            .unwrap();
        Some((first, last + 1))
    }

    fn outstanding(&self, base: SeqNum) -> Outstanding {
        Outstanding {
            una: base + self.una,
            nxt: base + self.nxt,
            high_rxt: base + self.high_rxt,
            mss: self.mss,
        }
    }

    fn assert_agrees(&self, scoreboard: &Scoreboard, memory: &Memory, base: SeqNum) {
        let outstanding = self.outstanding(base);
        let offsets = |range: Range| (range.left.since(base), range.right.since(base));
        for at in self.una.saturating_sub(1)..=self.nxt {
            let is_sacked = self.sacked.contains(&at);
            assert_eq!(scoreboard.is_sacked(memory, base + at), is_sacked, "{at}");
            if self.is_unsacked(at) {
                assert_eq!(
                    scoreboard.is_lost(memory, base + at, self.mss),
                    self.is_lost(at)
                );
            }
        }
        assert_eq!(scoreboard.sacked_bytes() as usize, self.sacked.len());
        assert_eq!(scoreboard.is_empty(), self.sacked.is_empty());
        let highest = scoreboard.highest_sacked(memory).map(|seq| seq.since(base));
        assert_eq!(highest, self.sacked.last().map(|last| last + 1));
        assert_eq!(scoreboard.pipe(memory, &outstanding), self.pipe());
        let lost = scoreboard.next_lost(memory, &outstanding).map(offsets);
        assert_eq!(lost, self.next(|at| self.is_lost(at)));
        let hole = scoreboard.next_hole(memory, &outstanding).map(offsets);
        assert_eq!(hole, self.next(|_| true));
        let last = scoreboard.last_hole(memory, &outstanding).map(offsets);
        assert_eq!(last, self.last_hole());
        let free = memory.counts().range_sets_free;
        assert_eq!(free, u32::from(self.sacked.is_empty()));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Blocks as left edge and length, from one before SND.UNA on.
    Sack(Vec<(u32, u32)>),
    Una(u32),
    Send(u32),
    /// HighRxt moves so far above SND.UNA.
    Retransmit(u32),
    Rto,
}

fn any_step() -> impl Strategy<Value = Step> {
    let block = (0..200_u32, prop_oneof![Just(1_u32), 0..20_u32]);
    prop_oneof![
        8 => prop::collection::vec(block, 1..=4).prop_map(Step::Sack),
        2 => (0..30_u32).prop_map(Step::Una),
        4 => (0..40_u32).prop_map(Step::Send),
        2 => (0..150_u32).prop_map(Step::Retransmit),
        1 => Just(Step::Rto),
    ]
}

proptest! {
    #[test]
    fn the_scoreboard_agrees_with_the_definitions(
        base in prop_oneof![any::<u32>(), u32::MAX - 300..=u32::MAX],
        mss in 1..15_u32,
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let (mut memory, mut scoreboard) = (memory(), Scoreboard::default());
        let (base, mut model) = (SeqNum::new(base), Model { mss, nxt: 150, ..Model::default() });
        for step in steps {
            match step {
                Step::Sack(blocks) => {
                    let before = model.sacked.len();
                    let mut sack = SackBlocks::default();
                    for (ahead, len) in blocks {
                        let left = (model.una + ahead).saturating_sub(1);
                        sack.push((base + left).value(), (base + left + len).value());
                        model.on_sack(left, left + len);
                    }
                    let (una, nxt) = (base + model.una, base + model.nxt);
                    let is_new = scoreboard.on_sack(&mut memory, una, nxt, &sack);
                    prop_assert_eq!(is_new, model.sacked.len() > before);
                }
                Step::Una(by) => {
                    model.on_una((model.una + by).min(model.nxt));
                    scoreboard.on_una(&mut memory, base + model.una);
                }
                Step::Send(by) => model.nxt = (model.nxt + by).min(model.una + 250),
                Step::Retransmit(by) => model.high_rxt = (model.una + by).min(model.nxt),
                Step::Rto => {
                    scoreboard.clear(&mut memory);
                    model.sacked.clear();
                    model.high_rxt = model.una;
                }
            }
            model.assert_agrees(&scoreboard, &memory, base);
        }
        scoreboard.clear(&mut memory);
        prop_assert_eq!(memory.counts().range_sets_free, 1);
    }
}

/// One lost segment of 1000 bytes at the front of ten, with each later one SACKed as it comes.
#[test]
fn three_ranges_or_more_than_two_segments_above_make_a_gap_lost() {
    let (mut memory, mut scoreboard) = (memory(), Scoreboard::default());
    let (una, nxt, mss) = (SeqNum::new(0), SeqNum::new(10_000), 1_000);
    let outstanding = Outstanding {
        una,
        nxt,
        high_rxt: una,
        mss,
    };
    assert_eq!(scoreboard.pipe(&memory, &outstanding), 10_000);
    assert!(scoreboard.on_sack(&mut memory, una, nxt, &sack(&[(1_000, 3_000)])));
    assert!(
        !scoreboard.is_lost(&memory, una, mss),
        "two segments are not more than two"
    );
    assert_eq!(scoreboard.pipe(&memory, &outstanding), 8_000);
    assert!(scoreboard.on_sack(&mut memory, una, nxt, &sack(&[(1_000, 3_001)])));
    assert!(scoreboard.is_lost(&memory, una, mss));
    assert_eq!(scoreboard.pipe(&memory, &outstanding), 6_999);
    let gap = Range {
        left: una,
        right: SeqNum::new(1_000),
    };
    assert_eq!(scoreboard.next_lost(&memory, &outstanding), Some(gap));
    // Once it is sent again it is on its way again, and no gap is left.
    let outstanding = Outstanding {
        high_rxt: SeqNum::new(1_000),
        ..outstanding
    };
    assert_eq!(scoreboard.pipe(&memory, &outstanding), 7_999);
    assert_eq!(scoreboard.next_lost(&memory, &outstanding), None);
    assert_eq!(scoreboard.next_hole(&memory, &outstanding), None);
    let tail = Range {
        left: SeqNum::new(9_000),
        right: nxt,
    };
    assert_eq!(scoreboard.last_hole(&memory, &outstanding), Some(tail));

    scoreboard.clear(&mut memory);
    let three = sack(&[(6_000, 6_001), (4_000, 4_001), (2_000, 2_001)]);
    assert!(scoreboard.on_sack(&mut memory, una, nxt, &three));
    assert!(
        !scoreboard.on_sack(&mut memory, una, nxt, &three),
        "nothing new in it"
    );
    assert!(scoreboard.is_lost(&memory, SeqNum::new(1_999), mss));
    assert!(
        !scoreboard.is_lost(&memory, SeqNum::new(2_001), mss),
        "two ranges above"
    );
}

#[test]
fn blocks_that_are_old_or_wrong_are_passed_over() {
    let (mut memory, mut scoreboard) = (memory(), Scoreboard::default());
    let (una, nxt) = (SeqNum::new(u32::MAX - 500), SeqNum::new(500));
    let around = |offset: i32| una.value().wrapping_add_signed(offset);
    for (left, right) in [
        (around(-300), around(-100)),
        (around(-100), around(100)),
        (around(0), around(100)),
        (around(200), around(100)),
        (around(200), around(200)),
        (around(900), around(1_002)),
        (around(1_500), around(1_600)),
    ] {
        assert!(!scoreboard.on_sack(&mut memory, una, nxt, &sack(&[(left, right)])));
    }
    assert_eq!(memory.counts().range_sets_free, 1);
    let good = sack(&[(around(900), around(1_001))]);
    assert!(scoreboard.on_sack(&mut memory, una, nxt, &good));
    assert_eq!(scoreboard.highest_sacked(&memory), Some(nxt));
}
