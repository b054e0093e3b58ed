//! What the peer reports to have beyond SND.UNA, and what follows from it: RFC 6675.
//!
//! The scoreboard holds the SACKed ranges. HighACK, HighData and HighRxt are the connection's and
//! come as [`Outstanding`]; when to enter and leave recovery is decided elsewhere. SACK is advisory
//! (RFC 2018 section 8): nothing here frees text.

use arrayvec::ArrayVec;
use tidegate_wire::SackBlocks;

use crate::memory::Memory;
use crate::ranges::{RANGES_MAX, Range, Ranges};
use crate::seq::SeqNum;

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests;

/// DupThresh of RFC 6675 section 2: this many ranges above a gap, and it is lost.
pub const DUP_THRESH: u32 = 3;

/// What is outstanding, for the questions of RFC 6675 section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// SND.UNA: the first number that is not acknowledged (HighACK + 1).
    pub una: SeqNum,
    /// The number after the last that was sent (HighData + 1).
    pub nxt: SeqNum,
    /// The number after the last that was retransmitted in this recovery (HighRxt + 1); SND.UNA or
    /// less where none was.
    pub high_rxt: SeqNum,
    /// SMSS, in bytes.
    pub mss: u32,
}

/// The ranges beyond SND.UNA that the peer has, in order.
#[derive(Debug, Default)]
pub struct Scoreboard {
    ranges: Ranges,
    sacked: u32,
}

impl Scoreboard {
    /// Whether nothing is SACKed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sacked == 0
    }

    /// How many numbers are SACKed.
    #[must_use]
    pub const fn sacked_bytes(&self) -> u32 {
        self.sacked
    }

    /// The number after the highest that is SACKed.
    #[must_use]
    pub fn highest_sacked(&self, memory: &Memory) -> Option<SeqNum> {
        self.ranges.as_slice(memory).last().map(|range| range.right)
    }

    /// Takes a SACK option, and says whether there was anything new in it.
    ///
    /// Blocks that do not lie between `una` and `nxt` are passed over: they report duplicates (RFC
    /// 2883), are old, or are wrong. A block that finds no room is passed over too; what it reports
    /// may be sent once more.
    pub fn on_sack(
        &mut self,
        memory: &mut Memory,
        una: SeqNum,
        nxt: SeqNum,
        blocks: &SackBlocks,
    ) -> bool {
        let before = self.sacked;
        for &(left, right) in blocks.as_slice() {
            let range = Range {
                left: SeqNum::new(left),
                right: SeqNum::new(right),
            };
            // A block that begins at SND.UNA would have been acknowledged instead.
            let is_valid = range.left.after(una)
                && range.left.before(range.right)
                && range.right.before_or_eq(nxt);
            if is_valid {
                self.add(memory, range);
            }
        }
        self.sacked != before
    }

    /// SND.UNA has moved to `una`: forgets what lies before it.
    ///
    /// A range that SND.UNA stops in, or just before, goes too: a peer that still had it would have
    /// acknowledged it (RFC 2018 section 8). So the number at SND.UNA is never SACKed.
    pub fn on_una(&mut self, memory: &mut Memory, una: SeqNum) {
        if self.is_empty() {
            return;
        }
        let left = self.ranges.change(memory, |set| {
            set.drop_reached(una);
            set.total()
        });
        self.sacked = left.unwrap_or(0);
    }

    /// Whether the number is SACKed.
    #[must_use]
    pub fn is_sacked(&self, memory: &Memory, seq: SeqNum) -> bool {
        let mut ranges = self.ranges.as_slice(memory).iter();
        ranges.any(|range| seq.is_within(range.left, range.right))
    }

    /// IsLost of RFC 6675 section 4: whether enough above the number is SACKed to call it lost.
    #[must_use]
    pub fn is_lost(&self, memory: &Memory, seq: SeqNum, mss: u32) -> bool {
        self.lost_edge(memory, mss)
            .is_some_and(|edge| seq.before(edge))
            && !self.is_sacked(memory, seq)
    }

    /// SetPipe of RFC 6675 section 4: an estimate of the bytes that are in the network.
    #[must_use]
    pub fn pipe(&self, memory: &Memory, outstanding: &Outstanding) -> u32 {
        let Outstanding {
            una,
            nxt,
            high_rxt,
            mss,
        } = *outstanding;
        // (a) What is neither SACKed nor lost is on its way.
        let alive = Range {
            left: self.lost_edge(memory, mss).unwrap_or(una),
            right: nxt,
        };
        // (b) What was retransmitted and is not SACKed is on its way, once more.
        let repeated = Range {
            left: una,
            right: high_rxt.earliest(nxt).latest(una),
        };
        self.unsacked(memory, alive) + self.unsacked(memory, repeated)
    }

    /// NextSeg's rule 1 of RFC 6675 section 4: the first gap above HighRxt that is lost.
    #[must_use]
    pub fn next_lost(&self, memory: &Memory, outstanding: &Outstanding) -> Option<Range> {
        let edge = self.lost_edge(memory, outstanding.mss)?;
        self.next_hole(memory, outstanding)
            .filter(|hole| hole.left.before(edge))
    }

    /// NextSeg's rule 3 of RFC 6675 section 4: the first gap above HighRxt, lost or not.
    ///
    /// A gap has SACKed text after it; what follows the highest of that is none.
    #[must_use]
    pub fn next_hole(&self, memory: &Memory, outstanding: &Outstanding) -> Option<Range> {
        let mut left = outstanding.una.latest(outstanding.high_rxt);
        for range in self.ranges.as_slice(memory) {
            if left.before(range.left) {
                return Some(Range {
                    left,
                    right: range.left,
                });
            }
            left = left.latest(range.right);
        }
        None
    }

    /// NextSeg's rule 4 of RFC 6675 section 4: the end of the last gap, one segment at most, which
    /// is sent once in a recovery so that a lost tail does not have to wait for the timer.
    #[must_use]
    pub fn last_hole(&self, memory: &Memory, outstanding: &Outstanding) -> Option<Range> {
        let Outstanding { una, nxt, mss, .. } = *outstanding;
        let mut hole = Range {
            left: una,
            right: nxt,
        };
        for range in self.ranges.as_slice(memory).iter().rev() {
            if range.right != hole.right {
                hole.left = range.right;
                break;
            }
            hole.right = range.left;
        }
        hole.left = hole.left.latest(hole.right - mss);
        (!hole.is_empty()).then_some(hole)
    }

    /// All that is SACKed, in order.
    pub(crate) fn ranges(&self, memory: &Memory) -> ArrayVec<Range, RANGES_MAX> {
        self.ranges.as_slice(memory).iter().copied().collect()
    }

    /// Forgets everything and gives the set back, as after a retransmission timeout (RFC 2018
    /// section 8).
    pub fn clear(&mut self, memory: &mut Memory) {
        self.ranges.clear(memory);
        self.sacked = 0;
    }

    fn add(&mut self, memory: &mut Memory, range: Range) {
        let sacked = self.ranges.change(memory, |set| {
            let union = set.absorb(range)?;
            let at = set
                .as_slice()
                .partition_point(|other| other.left.before(union.left));
            set.insert(at, union);
            Some(set.total())
        });
        self.sacked = sacked.flatten().unwrap_or(self.sacked);
    }

    /// What is not SACKed before this number is lost. If a number is lost then so is all that is
    /// not SACKed before it, because only what is SACKed above counts.
    fn lost_edge(&self, memory: &Memory, mss: u32) -> Option<SeqNum> {
        let (mut ranges_above, mut bytes_above) = (0, 0);
        for range in self.ranges.as_slice(memory).iter().rev() {
            ranges_above += 1;
            bytes_above += range.len();
            if ranges_above >= DUP_THRESH || bytes_above > (DUP_THRESH - 1) * mss {
                return Some(range.left);
            }
        }
        None
    }

    /// Whether enough is SACKed to call what lies below it lost, as [`is_lost`](Self::is_lost) asks.
    pub(crate) fn has_dup_thresh(&self, memory: &Memory, mss: u32) -> bool {
        self.lost_edge(memory, mss).is_some()
    }

    /// The SACKed ranges that overlap a part.
    fn overlapping<'m>(&self, memory: &'m Memory, part: Range) -> &'m [Range] {
        let ranges = self.ranges.as_slice(memory);
        let start = ranges.partition_point(|range| range.right.before_or_eq(part.left));
        let end = ranges.partition_point(|range| range.left.before(part.right));
        ranges.get(start..end).unwrap_or_default()
    }

    /// The parts of a part that are not SACKed, in order.
    pub(crate) fn gaps(&self, memory: &Memory, part: Range) -> impl Iterator<Item = Range> {
        let end = Range {
            left: part.right,
            right: part.right,
        };
        let ranges = self.overlapping(memory, part).iter().copied();
        ranges
            .chain([end])
            .scan(part.left, move |left, range| {
                let gap = Range {
                    left: *left,
                    right: range.left.earliest(part.right),
                };
                *left = left.latest(range.right);
                Some(gap)
            })
            .filter(|gap| gap.left.before(gap.right))
    }

    /// How many numbers of a part are not SACKed.
    pub(crate) fn unsacked(&self, memory: &Memory, part: Range) -> u32 {
        let sacked = self.overlapping(memory, part).iter();
        let both = sacked.filter_map(|range| range.overlap(part));
        part.len() - both.map(Range::len).sum::<u32>()
    }
}
