//! First, the sequence number (RFC 9293 3.10.7.4), and what goes before it: PAWS (RFC 7323 5).

use tidegate_wire::{Discard, Moment, TcpFlags};

use super::Stop;
use crate::state::State;
use crate::tcb::{Flags, Owes, Tcb, seconds};
use crate::timers::Timer;
use crate::{Context, Segment, SeqNum};

/// RFC 7323 5.5: a TS.Recent this old, in seconds, is not compared with any more, because the
/// peer's clock may have gone half round since. 24 days, the least that a clock of 1 ms needs.
const TS_RECENT_VALID_S: u32 = 24 * 86_400;

impl Tcb {
    /// PAWS (RFC 7323 5.3, R1): a timestamp older than TS.Recent marks an old duplicate.
    pub(super) fn check_timestamps(
        &mut self,
        seg: &Segment<'_>,
        cx: &Context<'_>,
    ) -> Result<(), Stop> {
        // R1: a RST is exempt. 3.2: timestamps that were not agreed on are ignored.
        if !self.has(Flags::TIMESTAMPS) || seg.has(TcpFlags::RST) {
            return Ok(());
        }
        // 3.2: once agreed on, a segment without them is dropped and ends nothing. A SYN goes on, to
        // be challenged (RFC 5961 4.2): a peer that begins anew may have none to offer.
        let Some(timestamps) = seg.options.timestamps else {
            return if seg.has(TcpFlags::SYN) {
                Ok(())
            } else {
                Err(Discard::TcpNoTimestamp.into())
            };
        };
        let age_s = seconds(cx.now).wrapping_sub(self.rcv.ts_recent_at_s);
        let is_known = self.has(Flags::TS_RECENT) && age_s < TS_RECENT_VALID_S;
        if is_known && is_older(timestamps.value, self.rcv.ts_recent) {
            self.answer_unacceptable(seg, cx);
            return Err(Discard::TcpPaws.into());
        }
        Ok(())
    }

    /// First: the segment must lie in the window (table 6). What comes back is the part that does.
    pub(super) fn check_sequence<'t>(
        &mut self,
        seg: Segment<'t>,
        cx: &Context<'_>,
    ) -> Result<Segment<'t>, Stop> {
        let had_syn = seg.has(TcpFlags::SYN);
        let seg = self.without_known_syn(seg);
        if had_syn && !seg.has(TcpFlags::SYN) {
            // It stands before RCV.NXT and is answered like all that does: the peer may have missed
            // the ACK in our SYN-ACK.
            self.owes.insert(Owes::ACK);
        }
        if !is_acceptable(&seg, self.rcv.nxt, self.rcv.wnd) {
            if seg.has(TcpFlags::RST) {
                return Err(Discard::TcpRstOutsideWindow.into());
            }
            self.answer_unacceptable(&seg, cx);
            return Err(Discard::TcpOutsideWindow.into());
        }
        self.heard_at = Moment::at(cx.now);
        self.flags.set(Flags::HEARD_TEXT, !seg.text.is_empty());
        self.keepalive_probes = 0;
        self.update_ts_recent(&seg, cx);
        // A SYN is never welcome here; it goes to the fourth step as it is.
        if seg.has(TcpFlags::SYN) {
            Ok(seg)
        } else {
            Ok(self.within_window(seg))
        }
    }

    /// In a simultaneous open the peer's SYN comes a second time, with the ACK of ours (RFC 9293
    /// 3.5, figure 8). What is new in it stands after the SYN, which was taken already.
    fn without_known_syn<'t>(&self, seg: Segment<'t>) -> Segment<'t> {
        let is_second_syn = self.state == State::SynReceived
            && seg.has(TcpFlags::SYN | TcpFlags::ACK)
            && seg.seq == self.rcv.irs
            && seg.ack == self.snd.nxt;
        if !is_second_syn {
            return seg;
        }
        Segment {
            seq: seg.seq + 1,
            flags: seg.flags - TcpFlags::SYN,
            // RFC 7323 2.2: its window is not scaled, as it will seem without the SYN.
            wnd: seg.wnd >> self.snd.wnd_shift,
            ..seg
        }
    }

    /// An unacceptable segment is answered by an ACK that says what is expected.
    fn answer_unacceptable(&mut self, seg: &Segment<'_>, cx: &Context<'_>) {
        let is_syn_again = seg.has(TcpFlags::SYN) && seg.seq == self.rcv.irs;
        if self.state == State::SynReceived && is_syn_again {
            // The peer has not seen our SYN-ACK, so an ACK would tell it nothing.
            if self.may_challenge(cx.now) {
                self.owes.insert(Owes::SYN);
            }
            return;
        }
        if self.state == State::TimeWait && seg.has(TcpFlags::FIN) {
            // Fifth, TIME-WAIT: the peer's FIN again, so our last ACK was lost. 2 MSL start anew.
            self.timers
                .arm(Timer::Closing, cx.now + cx.settings.time_wait);
        }
        // Text that comes again shows that an ACK was lost, so its answer is not throttled.
        if seg.text.is_empty() {
            self.owe_challenge(cx.now);
        } else {
            self.note_known_text(seg);
            self.owes.insert(Owes::ACK);
        }
    }

    /// RFC 7323 4.3 (2): TS.Recent is taken from the segment that the last ACK asked for. One whose
    /// ACK is not believed (RFC 5961 5.2) changes nothing, or a blind guess with a timestamp of
    /// tomorrow would make all that the peer sends today an old duplicate.
    fn update_ts_recent(&mut self, seg: &Segment<'_>, cx: &Context<'_>) {
        let Some(timestamps) = seg.options.timestamps else {
            return;
        };
        let is_expected = seg.seq.before_or_eq(self.rcv.ack_sent) && self.is_ack_believed(seg);
        if self.has(Flags::TIMESTAMPS) && is_expected && !seg.has(TcpFlags::RST) {
            self.take_ts_recent(timestamps.value, cx.now);
        }
    }

    /// The part of an acceptable segment that lies in the window. What hangs over on the right, a
    /// FIN included, is cut, and an ACK says where the edge is.
    pub(crate) fn within_window<'t>(&mut self, seg: Segment<'t>) -> Segment<'t> {
        let mut seg = seg;
        if seg.seq.before(self.rcv.nxt) {
            self.note_known_text(&seg);
            let known = self.rcv.nxt.since(seg.seq).min(seg.text_len());
            seg.text = &seg.text[known as usize..];
            seg.urgent = seg
                .urgent
                .saturating_sub(u16::try_from(known).unwrap_or(u16::MAX));
            seg.seq = self.rcv.nxt;
            // Part of it came twice: our ACK was lost or late.
            self.owes.insert(Owes::ACK);
        }
        let room = (self.rcv.nxt + self.rcv.wnd).since(seg.seq);
        if seg.len() > room {
            seg.text = &seg.text[..seg.text.len().min(room as usize)];
            seg.flags.remove(TcpFlags::FIN);
            self.owes.insert(Owes::ACK);
        }
        seg
    }
}

/// Table 6, for RCV.NXT and RCV.WND. Two allowances: MUST-66, in a zero window the control bits of a
/// segment at RCV.NXT count; and an empty segment may stand right at the edge, where a peer is that
/// has filled our window and whose acknowledgements we want all the same.
pub(crate) fn is_acceptable(seg: &Segment<'_>, nxt: SeqNum, wnd: u32) -> bool {
    let is_in_window = |seq: SeqNum| seq.is_within(nxt, nxt + wnd);
    if seg.seq == nxt || is_in_window(seg.seq) {
        return true;
    }
    // RFC 5961 3.2: where a RST begins is all that counts of it. Else a blind one with much text
    // would reach RCV.NXT from far before it.
    if seg.has(TcpFlags::RST) {
        return false;
    }
    match seg.len() {
        0 => seg.seq == nxt + wnd,
        len => is_in_window(seg.seq + (len - 1)),
    }
}

/// Whether timestamp `value` is older than `other`, the shorter way round (RFC 7323 5.2).
pub(crate) const fn is_older(value: u32, other: u32) -> bool {
    value.wrapping_sub(other).cast_signed() < 0
}
