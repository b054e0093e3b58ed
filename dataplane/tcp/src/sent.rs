//! When what is outstanding was sent: the per-segment state of RFC 8985 section 5.2, in runs.
//!
//! Segments that leave in one turn have the same time, and RACK tells them apart by their sequence
//! numbers alone; so neighbours with the same time and the same history are one [`Run`], and
//! nothing is lost by it. The runs of a [`SendLog`] lie side by side from SND.UNA to SND.NXT. Where
//! there would be more than [`RUNS_MAX`] neighbours are joined, and a run knows the earliest and
//! the latest time in it, so that each question can have the cautious answer.
//!
//! What is SACKed stands in the scoreboard; what counts as lost is decided in `rack`.

use arrayvec::ArrayVec;
use tidegate_wire::Instant;

use crate::SeqNum;
use crate::ranges::Range;
use crate::reduction::Prr;
use crate::undo::Undo;

/// Most runs in a log. Of a window that is sent in more turns than this the times are known to
/// about a thirtieth of a round trip, which is much finer than the reordering window; more would
/// make a log, of which every flow with text in flight has one, larger than a kilobyte.
pub(crate) const RUNS_MAX: usize = 52;

/// A time in microseconds, of which 32 bits are kept. Two of them are compared the shorter way
/// round, which is right for 35 minutes; what is outstanding is sent again long before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u32);

impl Stamp {
    /// The stamp of `now`.
    #[expect(clippy::cast_possible_truncation, reason = "the wrap at 2^32 is meant")]
    pub(crate) const fn at(now: Instant) -> Self {
        Self(now.as_micros() as u32)
    }

    /// Microseconds since `earlier`; zero where that is later.
    pub(crate) const fn micros_since(self, earlier: Self) -> u32 {
        if earlier.is_after(self) {
            0
        } else {
            self.0.wrapping_sub(earlier.0)
        }
    }

    /// Whether it is later than the other.
    pub(crate) const fn is_after(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0).cast_signed() < 0
    }

    const fn earliest(self, other: Self) -> Self {
        if self.is_after(other) { other } else { self }
    }

    const fn latest(self, other: Self) -> Self {
        if self.is_after(other) { self } else { other }
    }
}

/// Neighbours that were sent at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The number after the last.
    right: SeqNum,
    /// When the first of them was sent last.
    pub(crate) first: Stamp,
    /// When the last of them was sent last.
    pub(crate) last: Stamp,
    /// Some of them were sent more than once.
    pub(crate) is_again: bool,
    /// They count as lost and have not been sent again since.
    pub(crate) is_lost: bool,
}

impl Run {
    /// Whether the other has the same history.
    fn is_like(&self, other: &Self) -> bool {
        self.is_again == other.is_again && self.is_lost == other.is_lost
    }

    /// This run and the next one in one. What is not lost for certain is not lost.
    fn joined(&self, next: &Self) -> Self {
        Self {
            right: next.right,
            first: self.first.earliest(next.first),
            last: self.last.latest(next.last),
            is_again: self.is_again || next.is_again,
            is_lost: self.is_lost && next.is_lost,
        }
    }
}

/// The newest segment that was delivered, RFC 8985 section 5.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// RACK.xmit_ts: when it was sent.
    pub(crate) at: Stamp,
    /// RACK.end_seq.
    pub(crate) end: SeqNum,
    /// RACK.rtt in microseconds.
    pub(crate) rtt_us: u32,
}

/// A tail loss probe under way, RFC 8985 section 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailProbe {
    /// TLP.end_seq: SND.NXT when it was sent.
    pub(crate) end: SeqNum,
    /// TLP.is_retrans: it brought nothing new.
    pub(crate) is_again: bool,
}

/// The record of what is outstanding, while something is.
#[derive(Debug)]
pub(crate) struct SendLog {
    runs: ArrayVec<Run, RUNS_MAX>,
    /// The number at which the first run begins.
    left: SeqNum,
    /// What was delivered last, as far as that is known since the log was begun.
    pub(crate) newest: Option<Newest>,
    /// RACK.fack: the number after the highest that was delivered.
    pub(crate) fack: SeqNum,
    /// RACK.dsack_round: until this is acknowledged, a D-SACK widens the window once.
    pub(crate) dsack_round: Option<SeqNum>,
    /// The tail loss probe that is not answered.
    pub(crate) tail_probe: Option<TailProbe>,
    /// The segment that is larger than the others, to see whether it passes (RFC 8899 4.1).
    pub(crate) mtu_probe: Option<Range>,
    /// How far the window has come down, in fast recovery.
    pub(crate) prr: Option<Prr>,
    /// What there is to go back to, should the last repair turn out to have been for nothing.
    pub(crate) undo: Option<Undo>,
}

impl SendLog {
    /// Nothing was sent, and `left` comes next.
    pub(crate) fn new(left: SeqNum) -> Self {
        Self {
            runs: ArrayVec::new(),
            left,
            newest: None,
            fack: left,
            dsack_round: None,
            tail_probe: None,
            mtu_probe: None,
            prr: None,
            undo: None,
        }
    }

    /// The number after the last that was sent.
    pub(crate) fn right(&self) -> SeqNum {
        self.runs.last().map_or(self.left, |run| run.right)
    }

    /// When the oldest that is outstanding was sent last.
    pub(crate) fn oldest(&self) -> Option<Stamp> {
        self.runs
            .iter()
            .map(|run| run.first)
            .reduce(Stamp::earliest)
    }

    /// The number at which the log begins.
    pub(crate) const fn left(&self) -> SeqNum {
        self.left
    }

    /// A segment went out. What was sent before, in part or whole, was sent again.
    pub(crate) fn on_sent(&mut self, range: Range, now: Stamp) {
        let old = Range {
            left: range.left,
            right: range.right.earliest(self.right()),
        };
        if old.left.before(old.right) {
            // In smaller pieces it says nothing about its size.
            self.mtu_probe
                .take_if(|probe| old.left.before(probe.right) && probe.left.before(old.right));
            self.change(old, |run| {
                run.first = now;
                run.last = now;
                run.is_again = true;
                run.is_lost = false;
            });
        }
        if range.right.after(self.right()) {
            self.push(Run {
                right: range.right,
                first: now,
                last: now,
                is_again: false,
                is_lost: false,
            });
        }
    }

    fn push(&mut self, new: Run) {
        if let Some(last) = self.runs.last_mut()
            && last.is_like(&new)
            && last.last == new.last
            && last.first == new.first
        {
            last.right = new.right;
            return;
        }
        self.make_room(1);
        self.runs.push(new);
    }

    /// SND.UNA has moved to `una`.
    pub(crate) fn on_una(&mut self, una: SeqNum) {
        let gone = self
            .runs
            .iter()
            .take_while(|run| run.right.before_or_eq(una))
            .count();
        self.runs.drain(..gone);
        self.left = self.left.latest(una);
        self.fack = self.fack.latest(una);
    }

    /// The runs with where they lie, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range, Run)> + '_ {
        self.runs.iter().scan(self.left, |left, run| {
            let range = Range {
                left: *left,
                right: run.right,
            };
            *left = run.right;
            Some((range, *run))
        })
    }

    /// What of `part` counts as lost from now on.
    pub(crate) fn mark_lost(&mut self, part: Range) {
        self.change(part, |run| run.is_lost = true);
    }

    /// All of it counts as lost: the timer went off.
    pub(crate) fn mark_all_lost(&mut self) {
        self.runs.iter_mut().for_each(|run| run.is_lost = true);
        self.join_equals();
    }

    /// Nothing counts as lost any more.
    pub(crate) fn mark_none_lost(&mut self) {
        self.runs.iter_mut().for_each(|run| run.is_lost = false);
        self.join_equals();
    }

    /// Of `part` nobody can tell any more which transmission will be acknowledged.
    pub(crate) fn mark_ambiguous(&mut self, part: Range) {
        self.change(part, |run| run.is_again = true);
    }

    /// Changes the runs of `part`, which lies within the log, and splits those that hang over.
    fn change(&mut self, part: Range, change: impl Fn(&mut Run)) {
        // Before room is made, for that may move the borders between runs.
        self.make_room(2);
        self.split(part.left);
        self.split(part.right);
        let mut left = self.left;
        for run in &mut self.runs {
            if left.after_or_eq(part.left) && run.right.before_or_eq(part.right) {
                change(run);
            }
            left = run.right;
        }
        self.join_equals();
    }

    /// Makes `seq` the border of two runs. There is room.
    fn split(&mut self, seq: SeqNum) {
        let at = self.runs.partition_point(|run| run.right.before_or_eq(seq));
        let left = match at {
            0 => self.left,
            at => self.runs[at - 1].right,
        };
        if at < self.runs.len() && left.before(seq) {
            let whole = self.runs[at];
            self.runs.insert(
                at,
                Run {
                    right: seq,
                    ..whole
                },
            );
        }
    }

    /// Joins neighbours that nothing tells apart.
    fn join_equals(&mut self) {
        self.join_where(|run, next| {
            run.is_like(next) && run.first == next.first && run.last == next.last
        });
    }

    /// Joins neighbours until there is room for so many runs more: those with the same history
    /// first, any where there are none; and of these always the two that were sent in the shortest
    /// time, so that no run becomes much longer than the others.
    fn make_room(&mut self, more: usize) {
        while self.runs.len() + more > RUNS_MAX {
            let Some(at) = self
                .shortest_pair(Run::is_like)
                .or_else(|| self.shortest_pair(|_, _| true))
            else {
                return;
            };
            self.runs[at] = self.runs[at].joined(&self.runs[at + 1]);
            self.runs.remove(at + 1);
        }
    }

    /// The first of the two neighbours that were sent in the shortest time, where they are alike.
    fn shortest_pair(&self, are_alike: impl Fn(&Run, &Run) -> bool) -> Option<usize> {
        let pairs = self.runs.windows(2).enumerate();
        let pairs = pairs.filter(|(_, pair)| are_alike(&pair[0], &pair[1]));
        pairs
            .min_by_key(|(_, pair)| {
                let (first, last) = (
                    pair[0].first.earliest(pair[1].first),
                    pair[0].last.latest(pair[1].last),
                );
                last.micros_since(first)
            })
            .map(|(at, _)| at)
    }

    fn join_where(&mut self, mut are_joined: impl FnMut(&Run, &Run) -> bool) {
        let mut kept = 0;
        for at in 1..self.runs.len() {
            let next = self.runs[at];
            if are_joined(&self.runs[kept], &next) {
                self.runs[kept] = self.runs[kept].joined(&next);
            } else {
                kept += 1;
                self.runs[kept] = next;
            }
        }
        self.runs.truncate(kept + 1);
    }
}

const _: () = assert!(
    size_of::<SendLog>() <= 1_024,
    "every flow with text in flight has one"
);

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is known of one number: when it was sent last, whether again, whether lost.
    type Fate = (u32, bool, bool);

    proptest! {
        /// Against a list of numbers. While nothing was joined for want of room the log is exact;
        /// afterwards it is cautious.
        #[test]
        fn runs_are_those_of_a_list_of_numbers(
            base in prop_oneof![any::<u32>(), u32::MAX - 300..=u32::MAX],
            start in prop_oneof![0..1_000_u32, u32::MAX - 50..=u32::MAX],
            steps in prop::collection::vec((0..5_u8, 0..400_u32, 1..9_u32, 0..3_u32), 1..300),
        ) {
            let base = SeqNum::new(base);
            let (mut log, mut time) = (SendLog::new(base), start);
            let (mut fates, mut una): (Vec<Fate>, u32) = (Vec::new(), 0);
            let mut is_exact = true;
            for (kind, at, len, later) in steps {
                time = time.wrapping_add(later);
                let nxt = u32::try_from(fates.len()).unwrap();
                let left = una + at % (nxt - una + 1);
                let right = (left + len).min(nxt);
                let range = Range { left: base + left, right: base + right };
                let part = left as usize..right as usize;
                match kind {
                    0 | 1 => {
                        log.on_sent(Range { left: base + nxt, right: base + (nxt + len) }, Stamp(time));
                        fates.extend((0..len).map(|_| (time, false, false)));
                    }
                    2 if left < right => {
                        log.on_sent(range, Stamp(time));
                        fates[part].fill((time, true, false));
                    }
                    3 if left < right => {
                        log.mark_lost(range);
                        fates[part].iter_mut().for_each(|fate| fate.2 = true);
                    }
                    4 => {
                        una = left;
                        log.on_una(base + una);
                    }
                    _ => {}
                }
                is_exact &= log.runs.len() + 2 < RUNS_MAX;
                prop_assert_eq!((log.left(), log.right()), (base + una, base + u32::try_from(fates.len()).unwrap()));
                let mut at = una as usize;
                for (range, run) in log.iter() {
                    prop_assert!(!range.is_empty(), "an empty run");
                    for fate in &fates[at..at + range.len() as usize] {
                        let sent = Stamp(fate.0);
                        prop_assert!(!run.first.is_after(sent) && !sent.is_after(run.last));
                        prop_assert!(run.is_again || !fate.1, "Karn's rule is kept");
                        if is_exact {
                            prop_assert_eq!((run.first, run.last), (sent, sent));
                            prop_assert_eq!((run.is_again, run.is_lost), (fate.1, fate.2));
                        }
                    }
                    at += range.len() as usize;
                }
                prop_assert_eq!(at, fates.len());
            }
        }
    }

    /// A window that is sent in many more turns than there are runs: no run is longer than its share.
    #[test]
    fn times_of_a_large_window_stay_fine() {
        let mut log = SendLog::new(SeqNum::new(0));
        let window = 1_000;
        for time in 0..10 * window {
            let range = |left: u32| Range {
                left: SeqNum::new(left),
                right: SeqNum::new(left + 1),
            };
            log.on_sent(range(time), Stamp(time));
            log.on_una(SeqNum::new(time.saturating_sub(window)));
            let longest = log.iter().map(|(_, run)| run.last.micros_since(run.first));
            assert!(longest.max() <= Some(window / 20), "at {time}");
        }
    }

    #[test]
    fn what_is_sent_in_one_turn_is_one_run() {
        let seq = SeqNum::new;
        let range = |left, right| Range {
            left: seq(left),
            right: seq(right),
        };
        let mut log = SendLog::new(seq(0));
        log.on_sent(range(0, 10), Stamp(1));
        log.on_sent(range(10, 20), Stamp(1));
        log.on_sent(range(20, 30), Stamp(2));
        assert_eq!(log.runs.len(), 2);
        log.on_sent(range(5, 8), Stamp(3));
        assert_eq!(log.runs.len(), 4);
        log.on_una(seq(8));
        assert_eq!(
            log.iter().map(|(range, _)| range).next(),
            Some(range(8, 20))
        );
    }
}
