//! What a connection tells the model of its path, where its congestion control is one: what went
//! out, what was delivered, what was lost, and when the application had nothing to send.
//!
//! The model is BBR (draft-ietf-ccwg-bbr-06), in [`congestion`](crate::congestion); the rates come
//! from [`rate`](crate::rate). All of this does nothing for a connection without a record in the
//! pool. RFC 9293 has no say here.

use crate::congestion::{Bbr, BbrAck, BbrLoss, BbrStart, CongestionKind};
use crate::memory::{Memory, NONE};
use crate::rack::overlap;
use crate::ranges::Range;
use crate::sent::{Run, Stamp};
use crate::tcb::{Flags, Tcb};
use crate::{Context, Segment};

/// What one ACK delivers, asked before anything of it is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivered {
    /// Octets that had not been delivered before.
    count: u32,
    /// When the latest of them was sent last.
    newest: Option<Stamp>,
    /// That went out more than once, and which one was delivered is not known.
    is_again: bool,
}

impl Delivered {
    fn take(&mut self, part: Range, run: &Run) {
        self.count += part.len();
        if self.newest.is_none_or(|newest| run.first.is_after(newest)) {
            self.newest = Some(run.first);
            self.is_again = run.is_again;
        }
    }
}

impl Tcb {
    /// Whether the connection has a model.
    pub(crate) const fn is_modelled(&self) -> bool {
        self.congestion.record() != NONE
    }

    /// The handshake is over: where the settings want BBR, and the peer has SACK, it begins.
    pub(crate) fn begin_model(&mut self, cx: &mut Context<'_>) {
        if cx.settings.congestion != CongestionKind::Bbr {
            return;
        }
        let start = BbrStart {
            now: cx.now,
            cwnd: self.congestion.cwnd(),
            rtt_us: self
                .rtt
                .srtt()
                .and_then(|srtt| u32::try_from(srtt.as_micros()).ok()),
            seed: self.snd.iss.value() ^ self.rcv.irs.value().rotate_left(16),
        };
        let record = cx
            .memory
            .take_bbr(self.has(Flags::SACK), || Bbr::new(&start));
        if let Some(record) = record {
            self.congestion = self.congestion.modelled(record);
        }
    }

    /// Gives the record back.
    pub(crate) fn end_model(&mut self, memory: &mut Memory) {
        if self.is_modelled() {
            memory.give_bbr(self.congestion.record());
            self.congestion.forget_record();
        }
    }

    /// A piece of `len` octets goes out; told before it is noted as sent.
    pub(crate) fn note_departure(&mut self, len: u32, cx: &mut Context<'_>) {
        if !self.is_modelled() {
            return;
        }
        let inflight = self.pipe(cx.memory);
        let cwnd = self.congestion.cwnd();
        let Some((bbr, log)) = cx.memory.bbr_with_log(self.congestion.record()) else {
            return;
        };
        let is_restart = inflight == 0 && bbr.sampler.is_app_limited();
        bbr.sampler.on_sent(log, (len, inflight), Stamp::at(cx.now));
        if is_restart {
            let cwnd = bbr.on_restart_from_idle(cwnd, cx.now);
            self.congestion.set_modelled_cwnd(cwnd);
        }
    }

    /// CheckIfApplicationLimited of 4.1.2.4: there was room, and nothing to send. Asked before
    /// the application brings more, and before an ACK or a timer makes more room.
    pub(crate) fn check_app_limited(&self, cx: &mut Context<'_>) {
        if !self.is_modelled() || self.unsent() > 0 || self.has_lost_text(cx.memory) {
            return;
        }
        let inflight = self.pipe(cx.memory);
        if inflight < self.congestion.cwnd()
            && let Some(bbr) = cx.memory.bbr_mut(self.congestion.record())
        {
            bbr.sampler.mark_app_limited(inflight);
        }
    }

    /// Whether something counts as lost and was not sent again.
    fn has_lost_text(&self, memory: &Memory) -> bool {
        let log = self.send_log(memory);
        log.is_some_and(|log| self.next_logged_loss(log, memory).is_some())
    }

    /// What a segment's acknowledgment and SACK blocks deliver.
    pub(crate) fn delivered_by(&self, seg: &Segment<'_>, memory: &Memory) -> Delivered {
        let mut delivered = Delivered::default();
        let Some(log) = self.send_log(memory).filter(|_| self.is_modelled()) else {
            return delivered;
        };
        for part in self.parts_of(seg) {
            let gaps = self.scoreboard.gaps(memory, part);
            gaps.flat_map(|gap| overlap(log, gap))
                .for_each(|(part, run)| delivered.take(part, &run));
        }
        delivered
    }

    /// UpdateOnACK of 5.2.3, when all else of the ACK has been taken.
    pub(crate) fn update_model(&mut self, delivered: &Delivered, cx: &mut Context<'_>) {
        if !self.is_modelled() {
            return;
        }
        let now = Stamp::at(cx.now);
        let inflight = self.pipe(cx.memory);
        let oldest = self.send_log(cx.memory).and_then(|log| log.oldest());
        let (mss, cwnd) = (self.smss(), self.congestion.cwnd());
        let (is_cwnd_limited, is_recovering) =
            (self.has(Flags::CWND_LIMITED), self.recovery.is_repairing());
        let Some((bbr, log)) = cx.memory.bbr_and_log(self.congestion.record()) else {
            return;
        };
        if delivered.count > 0 {
            let min_rtt_us = bbr.min_rtt_us().unwrap_or(0);
            let newest = delivered.newest;
            let rate = bbr.sampler.on_delivered(
                delivered.count,
                log.as_deref().zip(newest),
                min_rtt_us,
                now,
            );
            let cwnd = bbr.on_ack(&BbrAck {
                now: cx.now,
                newly_acked: delivered.count,
                rate,
                rtt_us: newest
                    .filter(|_| !delivered.is_again)
                    .map(|newest| now.micros_since(newest).max(1)),
                inflight,
                cwnd,
                mss,
                is_cwnd_limited,
                is_recovering,
            });
            self.congestion.set_modelled_cwnd(cwnd);
        }
        match (oldest, log) {
            (Some(oldest), Some(log)) => log.forget_before(oldest),
            (Some(_), None) => {}
            (None, _) => cx.memory.give_rate_log(self.congestion.record()),
        }
    }

    /// HandleLostPacket of 5.5.10.2 for parts of what is in flight; told before they are marked.
    pub(crate) fn note_losses(&self, parts: &[Range], cx: &mut Context<'_>) {
        if !self.is_modelled() {
            return;
        }
        for part in parts {
            let Some((len, at)) = self.loss_of(*part, cx.memory) else {
                continue;
            };
            let Some((bbr, log)) = cx.memory.bbr_and_log(self.congestion.record()) else {
                return;
            };
            bbr.on_lost(&BbrLoss {
                now: cx.now,
                len,
                departure: log.as_deref().and_then(|log| log.find(at)),
                cwnd: self.congestion.cwnd(),
                is_recovering: self.recovery.is_repairing(),
            });
        }
    }

    /// How much of a part is lost that was not before, and when it was sent.
    fn loss_of(&self, part: Range, memory: &Memory) -> Option<(u32, Stamp)> {
        let log = self.send_log(memory)?;
        let mut loss: Option<(u32, Stamp)> = None;
        for (part, run) in overlap(log, part).filter(|(_, run)| !run.is_lost) {
            let len = self.scoreboard.unsacked(memory, part);
            if len > 0 {
                let (before, at) = loss.unwrap_or((0, run.first));
                loss = Some((before + len, at));
            }
        }
        loss
    }

    /// The peer has reported a mark (RFC 3168 6.1.2), which 3.7 has count as congestion.
    pub(crate) fn note_mark(&mut self, cx: &mut Context<'_>) {
        if !self.is_modelled() {
            return;
        }
        let inflight = self.pipe(cx.memory);
        let mark = BbrLoss {
            now: cx.now,
            len: 0,
            departure: None,
            cwnd: self.congestion.cwnd(),
            is_recovering: self.recovery.is_repairing(),
        };
        if let Some(bbr) = cx.memory.bbr_mut(self.congestion.record()) {
            bbr.on_mark(&mark, inflight);
        }
    }

    /// What was taken for a loss was none (5.5.11).
    pub(crate) fn undo_model(&mut self, cx: &mut Context<'_>) {
        let cwnd = self.congestion.cwnd();
        if let Some(bbr) = cx.memory.bbr_mut(self.congestion.record()) {
            let cwnd = bbr.on_spurious_loss(cwnd);
            self.congestion.set_modelled_cwnd(cwnd);
        }
    }

    /// The retransmission timer went off: all in flight is lost. Told before it is marked so.
    pub(crate) fn note_timeout(&self, cx: &mut Context<'_>) {
        if !self.is_modelled() {
            return;
        }
        let (cwnd, is_recovering) = (self.congestion.cwnd(), self.recovery.is_repairing());
        if let Some(bbr) = cx.memory.bbr_mut(self.congestion.record()) {
            bbr.on_rto(cwnd, is_recovering);
        }
        let all = Range {
            left: self.snd.una,
            right: self.snd.nxt,
        };
        self.note_losses(&[all], cx);
    }
}
