//! What is lost, by time: RACK, RFC 8985 section 6.
//!
//! A segment is lost when one that was sent later has been delivered, and the round trip of that
//! one, with some time for reordering on top, has passed. So a retransmission that is lost is found
//! too, and so is the end of a flight behind it; and text that was merely overtaken is not sent
//! again. The times stand in a [`SendLog`], which a connection with SACK holds while it has text
//! in flight. Where no log was free RFC 6675 finds the losses (`recovery`, `scoreboard`).

use core::time::Duration;

use arrayvec::ArrayVec;
use tidegate_wire::Instant;

use crate::memory::{Memory, NONE};
use crate::ranges::Range;
use crate::sent::{Newest, RUNS_MAX, Run, SendLog, Stamp};
use crate::tcb::{Flags, Tcb};
use crate::timers::Timer;
use crate::{Context, Segment, SeqNum};

/// RFC 8985 6.2 step 4: for so many recoveries the reordering window stays as wide as D-SACK made
/// it. After fewer the next spurious retransmission is near, after more a path that has changed
/// is waited for in vain.
const REO_WND_PERSIST: u8 = 16;

/// What one ACK delivered.
struct Delivery {
    now: Stamp,
    /// RACK.fack as it was.
    fack: SeqNum,
    /// The number after the highest delivered.
    highest: SeqNum,
    newest: Option<Newest>,
    /// Something arrived after what was sent later.
    is_reordered: bool,
    /// Text below the point of repair arrived that went out once; and some that went out again.
    has_original: bool,
    has_repeated: bool,
}

/// What an ACK tells of what is outstanding, asked before anything of it is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    /// Octets in flight that were not known to have arrived before.
    pub(crate) undelivered: u32,
    /// The round trip of the newest segment that it is of.
    pub(crate) rtt: Option<Duration>,
    /// It is of text below the point of repair that went out only once (RFC 5682).
    pub(crate) is_original: bool,
}

impl Delivery {
    /// RFC 8985 6.2 steps 2 and 3: `part` of `run` was delivered. `is_ambiguous` where it may have
    /// been an earlier transmission of it.
    fn take(&mut self, part: Range, run: &Run, is_ambiguous: bool) {
        if !run.is_again && part.left.before(self.fack) {
            self.is_reordered = true;
        }
        self.highest = self.highest.latest(part.right);
        let is_newer = self.newest.is_none_or(|newest| {
            run.first.is_after(newest.at)
                || (run.first == newest.at && part.right.after(newest.end))
        });
        if is_newer && !is_ambiguous {
            self.newest = Some(Newest {
                at: run.first,
                end: part.right,
                rtt_us: self.now.micros_since(run.first),
            });
        }
    }
}

/// The D-SACK block of a segment, RFC 2883 4: the first block, where it lies below the ACK or
/// within the second.
pub(crate) fn duplicate_of(seg: &Segment<'_>) -> Option<Range> {
    let mut blocks = seg
        .options
        .sack
        .as_slice()
        .iter()
        .map(|&(left, right)| Range {
            left: SeqNum::new(left),
            right: SeqNum::new(right),
        });
    let first = blocks.next()?;
    let is_in_second = blocks.next().is_some_and(|second| {
        second.left.before_or_eq(first.left) && first.right.before_or_eq(second.right)
    });
    let is_duplicate = first.right.before_or_eq(seg.ack) || is_in_second;
    (is_duplicate && first.left.before(first.right)).then_some(first)
}

impl Tcb {
    /// The record of what is outstanding, where there is one.
    pub(crate) fn log<'m>(&self, memory: &'m Memory) -> Option<&'m SendLog> {
        memory.log(self.snd.log)
    }

    /// The log, where RACK finds the losses (RFC 8985 4: with SACK).
    pub(crate) fn send_log<'m>(&self, memory: &'m Memory) -> Option<&'m SendLog> {
        self.log(memory).filter(|_| self.has(Flags::SACK))
    }

    /// Notes when a piece of the send queue goes out; called before SND.NXT moves.
    pub(crate) fn note_sent(&mut self, range: Range, cx: &mut Context<'_>) {
        if self.snd.log == NONE && self.flight_size() == 0 {
            self.snd.log = cx.memory.take_log(self.snd.una).unwrap_or(NONE);
        }
        if let Some(log) = cx.memory.log_mut(self.snd.log) {
            log.on_sent(range, Stamp::at(cx.now));
            if let Some(prr) = &mut log.prr {
                prr.on_sent(range.len());
            }
        }
    }

    /// Gives the log back.
    pub(crate) fn end_log(&mut self, memory: &mut Memory) {
        if self.snd.log != NONE {
            memory.give_log(self.snd.log);
            self.snd.log = NONE;
        }
    }

    /// SND.UNA has moved.
    pub(crate) fn forget_sent(&self, memory: &mut Memory) {
        if let Some(log) = memory.log_mut(self.snd.log) {
            log.on_una(self.snd.una);
        }
    }

    /// RFC 8985 6.2 steps 1 to 3, asked before anything of the ACK is taken: what it delivers that
    /// was not delivered before.
    pub(crate) fn take_delivery(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) -> News {
        let mut news = News {
            undelivered: self.undelivered(),
            rtt: None,
            is_original: false,
        };
        let Some(log) = self.log(cx.memory) else {
            return news;
        };
        let mut delivery = Delivery {
            now: Stamp::at(cx.now),
            fack: log.fack,
            highest: log.fack,
            newest: log.newest,
            is_reordered: false,
            has_original: false,
            has_repeated: false,
        };
        for part in self.parts_of(seg) {
            let gaps = self.scoreboard.gaps(cx.memory, part);
            for (part, run) in gaps.flat_map(|gap| overlap(log, gap)) {
                let is_ambiguous = run.is_again && self.is_ambiguous(&run, seg, cx.now);
                delivery.take(part, &run, is_ambiguous);
                delivery.has_repeated |= run.is_again;
                delivery.has_original |= !run.is_again && part.left.before(self.recovery.point());
            }
        }
        if delivery.newest != log.newest {
            let rtt_us = delivery.newest.map_or(0, |newest| newest.rtt_us);
            news.rtt = Some(Duration::from_micros(rtt_us.into()));
        }
        // Without SACK an ACK of both may be of what had arrived before the repair.
        news.is_original =
            delivery.has_original && (self.has(Flags::SACK) || !delivery.has_repeated);
        self.note_duplicate(seg, cx.memory);
        if delivery.is_reordered {
            self.flags.insert(Flags::REORDERING);
        }
        if let Some(log) = cx.memory.log_mut(self.snd.log) {
            log.fack = delivery.highest;
            log.newest = delivery.newest;
        }
        news
    }

    /// What the segment says has arrived: text before SEG.ACK, and the SACK blocks in flight.
    pub(crate) fn parts_of(&self, seg: &Segment<'_>) -> ArrayVec<Range, 5> {
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        let acked = Range {
            left: una,
            right: seg.ack,
        };
        let blocks = seg
            .options
            .sack
            .as_slice()
            .iter()
            .filter(|_| self.has(Flags::SACK))
            .map(|&(left, right)| Range {
                left: SeqNum::new(left),
                right: SeqNum::new(right),
            });
        let is_in_flight = |part: &Range| {
            part.left.after_or_eq(una)
                && part.left.before(part.right)
                && part.right.before_or_eq(nxt)
        };
        [acked]
            .into_iter()
            .chain(blocks)
            .filter(is_in_flight)
            .take(5)
            .collect()
    }

    /// RFC 8985 6.2 step 2: whether it may be an earlier transmission that was delivered. The
    /// peer's echo tells, or a round trip that is too short to be true.
    fn is_ambiguous(&self, run: &Run, seg: &Segment<'_>, now: Instant) -> bool {
        let age_us = Stamp::at(now).micros_since(run.first);
        if let (true, Some(timestamps)) = (self.has(Flags::TIMESTAMPS), seg.options.timestamps) {
            let sent = Instant::from_micros(now.as_micros().saturating_sub(age_us.into()));
            let is_older = timestamps
                .echo
                .wrapping_sub(self.ts_value(sent))
                .cast_signed()
                < 0;
            if is_older {
                return true;
            }
        }
        let min_rtt = self.rtt.min_rtt();
        min_rtt.is_some_and(|min_rtt| u128::from(age_us) < min_rtt.as_micros())
    }

    /// A D-SACK says that something was sent again for nothing. RFC 8985 6.2 step 4: so the window
    /// becomes wider, once in a round trip.
    fn note_duplicate(&mut self, seg: &Segment<'_>, memory: &mut Memory) {
        let duplicate = duplicate_of(seg).filter(|_| self.has(Flags::SACK));
        let (Some(duplicate), Some(log)) = (duplicate, memory.log_mut(self.snd.log)) else {
            return;
        };
        if let Some(undo) = &mut log.undo {
            undo.on_duplicate(duplicate);
        }
        let is_in_round = log.dsack_round.is_some_and(|round| seg.ack.before(round));
        if !is_in_round {
            log.dsack_round = Some(self.snd.nxt);
            self.reo_wnd_more = self.reo_wnd_more.saturating_add(1);
            self.reo_wnd_persist = REO_WND_PERSIST;
        }
    }

    /// A recovery is over, and it is forgotten at last what D-SACK said.
    pub(crate) fn narrow_reordering_window(&mut self) {
        self.reo_wnd_persist = self.reo_wnd_persist.saturating_sub(1);
        if self.reo_wnd_persist == 0 {
            self.reo_wnd_more = 0;
        }
    }

    /// RACK.reo_wnd in microseconds, RFC 8985 6.2 step 4: parts of the shortest round trip, SRTT at
    /// most; and no time at all while the path keeps the order and three segments say the same.
    fn reordering_window_us(&self, newest: &Newest, memory: &Memory) -> u32 {
        let is_sure =
            self.recovery.is_repairing() || self.scoreboard.has_dup_thresh(memory, self.smss());
        if is_sure && !self.has(Flags::REORDERING) {
            return 0;
        }
        let micros = |time: Duration| u32::try_from(time.as_micros()).ok();
        let min_rtt = self.rtt.min_rtt().and_then(micros).unwrap_or(newest.rtt_us);
        let srtt = self.rtt.srtt().and_then(micros).unwrap_or(newest.rtt_us);
        let quarters = u32::from(self.reo_wnd_more) + 1;
        (min_rtt / 4).saturating_mul(quarters).min(srtt)
    }

    /// RFC 8985 6.2 step 5: marks what is lost, and says whether that is something new. The
    /// reordering timer runs for what is late and not lost yet.
    pub(crate) fn find_losses(&mut self, cx: &mut Context<'_>) -> bool {
        self.timers.disarm(Timer::Reorder);
        let Some((log, newest)) = self
            .send_log(cx.memory)
            .and_then(|log| Some((log, log.newest?)))
        else {
            return false;
        };
        let now = Stamp::at(cx.now);
        let allowed_us = newest
            .rtt_us
            .saturating_add(self.reordering_window_us(&newest, cx.memory));
        let mut lost = ArrayVec::<Range, RUNS_MAX>::new();
        let mut wait_us = 0;
        for (range, run) in log.iter() {
            let part = sent_before(range, &run, &newest);
            if run.is_lost || self.scoreboard.gaps(cx.memory, part).next().is_none() {
                continue;
            }
            let remaining_us = allowed_us.saturating_sub(now.micros_since(run.last));
            if remaining_us == 0 {
                lost.push(part);
            } else {
                wait_us = wait_us.max(remaining_us);
            }
        }
        if wait_us > 0 {
            let wait = Duration::from_micros(wait_us.into());
            self.timers.arm(Timer::Reorder, cx.now + wait);
        }
        self.note_losses(&lost, cx);
        if let Some(log) = cx.memory.log_mut(self.snd.log) {
            lost.iter().for_each(|part| log.mark_lost(*part));
        }
        !lost.is_empty()
    }

    /// The reordering timer went off: what was late is lost.
    pub(crate) fn on_reorder_timeout(&mut self, cx: &mut Context<'_>) {
        if self.find_losses(cx) {
            self.on_loss_found(0, cx);
        }
    }

    /// Octets in the network, as the log has it: neither SACKed nor lost.
    pub(crate) fn logged_pipe(&self, log: &SendLog, memory: &Memory) -> u32 {
        let alive = log.iter().filter(|(_, run)| !run.is_lost);
        alive
            .map(|(range, _)| self.scoreboard.unsacked(memory, range))
            .sum()
    }

    /// How many octets count as lost.
    pub(crate) fn lost_octets(&self, log: &SendLog, memory: &Memory) -> u32 {
        let lost = log.iter().filter(|(_, run)| run.is_lost);
        lost.map(|(range, _)| self.scoreboard.unsacked(memory, range))
            .sum()
    }

    /// The first part that is lost.
    pub(crate) fn next_logged_loss(&self, log: &SendLog, memory: &Memory) -> Option<Range> {
        let lost = log.iter().filter(|(_, run)| run.is_lost);
        let mut gaps = lost.flat_map(|(range, _)| self.scoreboard.gaps(memory, range));
        let mut first = gaps.next()?;
        for gap in gaps {
            if gap.left != first.right {
                break;
            }
            first.right = gap.right;
        }
        Some(first)
    }
}

/// The runs that have a part in `part`, with that part.
pub(crate) fn overlap(log: &SendLog, part: Range) -> impl Iterator<Item = (Range, Run)> {
    log.iter()
        .filter_map(move |(range, run)| Some((range.overlap(part)?, run)))
}

/// RACK_sent_after of RFC 8985 6.2: the part of a run that was sent before what is newest.
fn sent_before(range: Range, run: &Run, newest: &Newest) -> Range {
    let right = if newest.at.is_after(run.last) {
        range.right
    } else if newest.at == run.last {
        range.right.earliest(newest.end).latest(range.left)
    } else {
        range.left
    };
    Range { right, ..range }
}
