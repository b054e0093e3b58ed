//! Fifth, the ACK field (RFC 9293 3.10.7.4): what is acknowledged, the peer's window, round trips.
//!
//! What a duplicate means for what is lost stands in `recovery`.

use core::time::Duration;

use tidegate_wire::{Discard, Instant, TcpFlags};

use super::Stop;
use crate::congestion::{Ack, Congestion};
use crate::events::{Arrival, End, Events};
use crate::pacing::Departure;
use crate::rack::News;
use crate::recovery::AckKind;
use crate::rtt::Rtt;
use crate::sent::Stamp;
use crate::settings::Settings;
use crate::state::{Event, State};
use crate::tcb::{Flags, Owes, Tcb};
use crate::timers::Timer;
use crate::{Context, Segment, SeqNum};

/// RFC 6298 5.7: the RTO with which text begins after our SYN timed out.
const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// One tick of the timestamp clock (RFC 7323 5.4): what a timestamp cannot tell apart.
const TS_TICK: Duration = Duration::from_millis(1);

impl Tcb {
    /// Fifth: the ACK field.
    pub(super) fn check_ack(
        &mut self,
        seg: &Segment<'_>,
        arrival: &mut Arrival<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        if !seg.has(TcpFlags::ACK) {
            return Err(Discard::TcpNoAckFlag.into());
        }
        if self.state == State::SynReceived {
            self.check_ack_of_syn_ack(seg, cx)?;
            self.change(Event::SynAcked);
            self.establish(seg, arrival, cx);
            return Ok(());
        }
        self.check_ack_range(seg, cx.now)?;
        self.check_app_limited(cx);
        self.check_congestion_echo(seg, cx);
        let delivered = self.delivered_by(seg, cx.memory);
        let news = self.take_delivery(seg, cx);
        self.check_tail_probe(seg, cx);
        let kind = self.kind_of_ack(seg, cx);
        self.check_undo(seg, news.is_original, cx);
        let had_window = self.snd.wnd > 0;
        if seg.ack.after(self.snd.una) {
            self.take_new_ack(seg, &news, arrival, cx);
        }
        self.update_window(seg, had_window, cx);
        self.on_ack_kind(kind, news.undelivered, cx);
        self.update_model(&delivered, cx);
        self.settle_log(cx.memory);
        if matches!(kind, AckKind::New { .. }) {
            self.watch_tail(cx);
        }
        if self.state == State::Closed {
            Err(Stop::Taken)
        } else {
            Ok(())
        }
    }

    /// SYN-RECEIVED: the ACK must be of our SYN, else the peer means another connection.
    fn check_ack_of_syn_ack(&mut self, seg: &Segment<'_>, cx: &Context<'_>) -> Result<(), Stop> {
        if seg.ack.after(self.snd.una) && seg.ack.before_or_eq(self.snd.nxt) {
            return Ok(());
        }
        self.refuse(seg, cx.now);
        Err(Discard::TcpSynReceivedBadAck.into())
    }

    /// RFC 5961 section 5 (MAY-12): SEG.ACK must lie in [SND.UNA - MAX.SND.WND, SND.NXT], or the
    /// text may have been injected by somebody who guessed. What we never sent nobody can have
    /// acknowledged either: on a young connection the range begins behind our SYN.
    fn check_ack_range(&mut self, seg: &Segment<'_>, now: Instant) -> Result<(), Stop> {
        if seg.ack.after(self.snd.nxt) {
            self.owe_challenge(now);
            return Err(Discard::TcpAckNotSentYet.into());
        }
        if seg.ack.before(self.oldest_ack()) {
            self.owe_challenge(now);
            return Err(Discard::TcpAckTooOld.into());
        }
        Ok(())
    }

    /// The oldest ACK that a segment of the peer can still carry.
    fn oldest_ack(&self) -> SeqNum {
        // The SYN is counted, and an ACK of what is before it there never was.
        let acked = self.totals.acked(self.snd.iss, self.snd.una);
        let text_acked = u32::try_from(acked.saturating_sub(1)).unwrap_or(u32::MAX);
        self.snd.una - self.snd.wnd_max.min(text_acked)
    }

    /// Whether the segment has an ACK, and one in the range of `check_ack_range`.
    pub(super) fn is_ack_believed(&self, seg: &Segment<'_>) -> bool {
        let is_in_range =
            seg.ack.before_or_eq(self.snd.nxt) && seg.ack.after_or_eq(self.oldest_ack());
        seg.has(TcpFlags::ACK) && is_in_range
    }

    /// The handshake is complete: `seg` acknowledges our SYN and has the peer's first window.
    pub(super) fn establish(
        &mut self,
        seg: &Segment<'_>,
        arrival: &mut Arrival<'_>,
        cx: &mut Context<'_>,
    ) {
        let settings = cx.settings;
        // Text on the SYN, if there was any, is looked at further down.
        self.snd.una = self.snd.iss + 1;
        self.owes.remove(Owes::SYN);
        self.timers.disarm(Timer::Retransmit);
        self.rtt = self.first_rtt(settings);
        self.sample_rtt(seg, cx.now, settings);
        self.retries = 0;
        // RFC 5681 3.1: after a lost SYN the initial window is one segment.
        let segments = if self.is_syn_retried() {
            1
        } else {
            u32::from(settings.initial_window)
        };
        self.congestion = Congestion::new(settings.congestion, self.smss(), segments)
            .with_hystart(settings.hystart);
        self.begin_model(cx);
        self.snd.departure = Departure::at(cx.now);
        self.recovery.restart(self.snd.iss);
        self.snd.small = self.snd.una;
        let is_scaled = !seg.has(TcpFlags::SYN);
        self.take_window(seg, if is_scaled { self.snd.wnd_shift } else { 0 });
        self.begin_round(cx.now);
        self.start_keepalive_timer(cx.now, settings);
        self.restart_user_timer(cx.now);
        arrival.events.insert(Events::ESTABLISHED);
        self.take_ack_of_syn_text(seg, cx);
        if self.flags.contains(Flags::CLOSE_QUEUED) {
            self.flags.remove(Flags::CLOSE_QUEUED);
            self.change(Event::Close);
        }
    }

    /// The round-trip estimator with which text begins.
    fn first_rtt(&self, settings: &Settings) -> Rtt {
        // RFC 6298 5.7: our SYN timed out, and an RTO below three seconds may be what did it.
        if self.is_syn_retried() {
            Rtt::new(settings.initial_rto.max(RTO_AFTER_LOST_SYN))
        } else {
            Rtt::new(settings.initial_rto)
        }
    }

    /// Something new is acknowledged: SND.UNA moves.
    fn take_new_ack(
        &mut self,
        seg: &Segment<'_>,
        news: &News,
        arrival: &mut Arrival<'_>,
        cx: &mut Context<'_>,
    ) {
        let acked = seg.ack.since(self.snd.una);
        let flight_size = self.flight_size();
        let is_fin_acked = self.is_fin_queued() && seg.ack == self.text_end() + 1;
        self.sample_rtt(seg, cx.now, cx.settings);
        self.snd
            .queue
            .drop_front(cx.memory, acked - u32::from(is_fin_acked));
        self.totals.on_una(self.snd.iss, self.snd.una, seg.ack);
        self.snd.una = seg.ack;
        if self.snd.up.before_or_eq(seg.ack) {
            self.flags.remove(Flags::URGENT_SENT);
        }
        self.scoreboard.on_una(cx.memory, self.snd.una);
        self.note_mss_passes(acked);
        self.check_mtu_probe(cx.memory);
        self.forget_sent(cx.memory);
        self.retries = 0;
        self.restart_retransmit_timer(cx.now);
        self.restart_user_timer(cx.now);
        if self.recovery.lets_cwnd_grow() && !self.has(Flags::CWR) {
            self.grow_cwnd(acked, flight_size, news.rtt, cx.now);
        }
        if is_fin_acked {
            self.take_ack_of_fin(cx);
        }
        self.tell_writable(arrival, cx);
    }

    /// MUST-19: the congestion window grows. In slow start an ACK counts once for every two
    /// segments: so many ACKs SHLD-19 has a receiver send, where MUST-58 has it make one of them.
    fn grow_cwnd(&mut self, acked: u32, flight_size: u32, rtt: Option<Duration>, now: Instant) {
        let mss = self.smss();
        let mut ack = Ack {
            acked,
            una: self.snd.una,
            nxt: self.snd.nxt,
            rtt,
            now,
            srtt: self.rtt.srtt().unwrap_or_default(),
            flight_size,
            mss,
            is_cwnd_limited: self.has(Flags::CWND_LIMITED),
        };
        let mut left = acked;
        let is_split = !self.congestion.has_hystart();
        while left > 2 * mss && is_split && self.congestion.is_in_slow_start() {
            ack.acked = 2 * mss;
            self.congestion.on_ack(&ack);
            left -= 2 * mss;
        }
        ack.acked = left;
        self.congestion.on_ack(&ack);
    }

    /// Our FIN is acknowledged: FIN-WAIT-2, TIME-WAIT or the end.
    fn take_ack_of_fin(&mut self, cx: &mut Context<'_>) {
        if self.state == State::LastAck {
            self.finish(Event::FinAcked, End::Closed, cx.memory);
            return;
        }
        self.change(Event::FinAcked);
        if self.state == State::TimeWait {
            self.enter_time_wait(cx);
        } else {
            self.start_orphan_timer(cx.now, cx.settings);
        }
    }

    /// TIME-WAIT begins (MUST-13). For the user the connection is over.
    pub(super) fn enter_time_wait(&mut self, cx: &Context<'_>) {
        self.timers = crate::timers::Timers::new();
        self.timers
            .arm(Timer::Closing, cx.now + cx.settings.time_wait);
        self.end.get_or_insert(End::Closed);
    }

    /// Tells a user whose last SEND was short that there is space again: a third of the queue, so
    /// that the text comes in pieces worth the trouble.
    fn tell_writable(&mut self, arrival: &mut Arrival<'_>, cx: &Context<'_>) {
        let most = self.snd_queue_max(cx);
        let is_worth_it = most.saturating_sub(self.snd.queue.len()) >= most / 3;
        if self.has(Flags::SEND_WAS_SHORT) && is_worth_it && self.can_send() {
            self.flags.remove(Flags::SEND_WAS_SHORT);
            arrival.events.insert(Events::WRITABLE);
        }
    }

    /// RFC 6298 3 and 4: a round trip, from the segment being timed; Karn's rule has made sure that
    /// it went out once. After a retransmission only the timestamps know (RFC 7323 4).
    fn sample_rtt(&mut self, seg: &Segment<'_>, now: Instant, settings: &Settings) {
        let bounds = settings.rtt_bounds();
        if self.has(Flags::TIMED) {
            if seg.ack.after_or_eq(self.snd.timed) {
                let taken_us = Stamp::at(now).micros_since(self.snd.timed_at);
                self.rtt
                    .on_sample(Duration::from_micros(u64::from(taken_us)), &bounds);
                self.flags.remove(Flags::TIMED);
            }
            return;
        }
        let is_ambiguous = self.retries > 0 || self.recovery.is_repairing();
        let Some(timestamps) = seg.options.timestamps else {
            return;
        };
        if !is_ambiguous || !self.has(Flags::TIMESTAMPS) {
            return;
        }
        // Only an echo of what went out last is of use. An older one means that the segment had
        // arrived all along and its ACK was lost, and would count the whole wait for the timer.
        let age_ms = self.ts_value(now).wrapping_sub(timestamps.echo);
        let age = Duration::from_millis(u64::from(age_ms));
        if age <= now.saturating_since(self.snd.sent_at.instant()) + TS_TICK {
            self.rtt.on_sample(age.max(TS_TICK), &bounds);
        }
    }

    /// The window of a segment that is newer than the last one that set it: SND.WL1 and SND.WL2.
    fn update_window(&mut self, seg: &Segment<'_>, had_window: bool, cx: &mut Context<'_>) {
        let is_newer = self.snd.wl1.before(seg.seq)
            || (self.snd.wl1 == seg.seq && self.snd.wl2.before_or_eq(seg.ack));
        if seg.ack.before(self.snd.una) || !is_newer {
            return;
        }
        self.take_window(seg, self.snd.wnd_shift);
        if self.snd.wnd == 0 {
            // MUST-37: as long as probes are answered the connection lives.
            self.retries = 0;
            self.restart_user_timer(cx.now);
        } else if !had_window {
            self.window_probes = 0;
            self.owes.remove(Owes::PROBE);
            self.go_back_unharmed(cx.memory);
        }
    }

    /// SND.WND, WL1 and WL2 from the segment.
    fn take_window(&mut self, seg: &Segment<'_>, shift: u8) {
        self.snd.wnd = u32::from(seg.wnd) << shift;
        self.snd.wnd_max = self.snd.wnd_max.max(self.snd.wnd);
        self.snd.wl1 = seg.seq;
        self.snd.wl2 = seg.ack;
    }

    /// What the ACK says about loss, asked before anything of it is taken.
    fn kind_of_ack(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) -> AckKind {
        let has_sack_news = self.has(Flags::SACK)
            && self
                .scoreboard
                .on_sack(cx.memory, self.snd.una, self.snd.nxt, &seg.options.sack);
        if seg.ack.after(self.snd.una) {
            return AckKind::New {
                acked: seg.ack.since(self.snd.una),
            };
        }
        // RFC 5681 2: outstanding text, no text, no FIN, the same ACK and the same window. A closed
        // window answers probes, not losses.
        let is_duplicate = seg.ack == self.snd.una
            && self.flight_size() > 0
            && seg.is_empty()
            && self.snd.wnd > 0
            && u32::from(seg.wnd) << self.snd.wnd_shift == self.snd.wnd;
        match (self.has(Flags::SACK), has_sack_news, is_duplicate) {
            // RFC 6675 2: with SACK, a duplicate is what reports something new.
            (true, true, _) | (false, _, true) => AckKind::Duplicate,
            _ => AckKind::Nothing,
        }
    }
}
