//! BBR, version 3, as far as it is public: draft-ietf-ccwg-bbr-06.
//!
//! BBR does not wait for a loss to tell it that a queue is full. It keeps a model of the path, the
//! largest rate at which text was delivered and the least round trip, sends at that rate (pacing)
//! and has not much more in flight than rate times round trip. It goes round in phases that test
//! the model: a little faster, a little slower, and every five seconds nearly nothing.
//!
//! ```text
//!   Startup -> Drain -> Down -> Cruise -> Refill -> Up -+
//!                        ^                              |
//!                        +------------------------------+      ProbeRtt from any, and back
//! ```
//!
//! The names of variables and steps are the draft's. `model` is section 5.5, `cycle` 5.3.3,
//! `control` 5.6, `filter` the filters in all of them, `startup` and `probe_rtt` the phases of that
//! name; here are the state and the order of steps (5.2). Rates are bytes a second, volumes bytes.
//!
//! What the draft leaves open: ECN marks count as losses. The state lies in a pool of the worker,
//! because most connections do without.

use tidegate_wire::Instant;

use self::filter::{ExtraAcked, MaxBw, MinRtt};
use super::CWND_MAX;
use crate::SeqNum;
use crate::rate::{RateSample, Sampler};
use crate::sent::Stamp;

mod control;
mod cycle;
mod filter;
mod model;
mod probe_rtt;
mod startup;

pub(crate) use self::model::Loss;

/// No limit.
const INFINITY: u32 = u32::MAX;

/// Where in its life or in its cycle a flow is; BBR.state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BbrPhase {
    /// The rate doubles each round.
    Startup,
    /// The queue that Startup has made is drained.
    Drain,
    /// ProbeBW_DOWN: slower than the path, so that others find room.
    Down,
    /// ProbeBW_CRUISE: as fast as the path.
    Cruise,
    /// ProbeBW_REFILL: for one round, without regard to losses of late.
    Refill,
    /// ProbeBW_UP: faster than the path, to see whether it carries more.
    Up,
    /// Nearly nothing in flight, to see the path without a queue.
    ProbeRtt,
}

impl BbrPhase {
    /// A name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Drain => "drain",
            Self::Down => "down",
            Self::Cruise => "cruise",
            Self::Refill => "refill",
            Self::Up => "up",
            Self::ProbeRtt => "probe_rtt",
        }
    }

    /// IsInAProbeBWState.
    const fn is_probe_bw(self) -> bool {
        matches!(self, Self::Down | Self::Cruise | Self::Refill | Self::Up)
    }

    /// IsProbingBW.
    const fn is_probing(self) -> bool {
        matches!(self, Self::Startup | Self::Refill | Self::Up)
    }
}

/// What there is to see of a model; Linux's `tcp_bbr_info` and the phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BbrFigures {
    /// Where in its cycle it is.
    pub phase: BbrPhase,
    /// BBR.bw, the rate that it believes the path carries, in bytes a second.
    pub bw: u64,
    /// BBR.min_rtt in microseconds; none before the first sample.
    pub min_rtt_us: Option<u32>,
    /// BBR.pacing_gain in per cent.
    pub pacing_gain_percent: u64,
    /// BBR.cwnd_gain in per cent.
    pub cwnd_gain_percent: u64,
}

/// What a loss has changed, to be taken back where it was none: BBR.undo_*.
#[derive(Clone, Copy, Debug, Default)]
struct Undo {
    /// BBR.undo_state.
    phase: Option<BbrPhase>,
    bw_shortterm: u64,
    inflight_shortterm: u32,
    inflight_longterm: u32,
}

/// BBR.ack_phase: which part of a bandwidth probe the acknowledgments tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AckPhase {
    Init,
    Refilling,
    ProbeStarting,
    ProbeFeedback,
    ProbeStopping,
}

/// What one acknowledgment says, and how the connection stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    pub(crate) now: Instant,
    /// RS.newly_acked: octets that were delivered by it, SACKed ones counted.
    pub(crate) newly_acked: u32,
    /// The delivery rate sample, where there is one.
    pub(crate) rate: Option<RateSample>,
    /// RS.rtt in microseconds, of what was sent last of what it delivers.
    pub(crate) rtt_us: Option<u32>,
    /// C.inflight.
    pub(crate) inflight: u32,
    /// C.cwnd.
    pub(crate) cwnd: u32,
    /// C.SMSS.
    pub(crate) mss: u32,
    /// C.is_cwnd_limited.
    pub(crate) is_cwnd_limited: bool,
    /// InLossRecovery().
    pub(crate) is_recovering: bool,
}

impl Ack {
    /// RS.delivery_rate; zero without a sample.
    fn delivery_rate(&self) -> u64 {
        self.rate.map_or(0, |sample| sample.rate)
    }
}

/// How a flow begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) now: Instant,
    /// C.InitialCwnd.
    pub(crate) cwnd: u32,
    /// What the handshake took, in microseconds.
    pub(crate) rtt_us: Option<u32>,
    /// What makes this flow's random choices differ from those of others.
    pub(crate) seed: u32,
}

/// The state of one flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bbr {
    /// The state of delivery rate sampling.
    pub(crate) sampler: Sampler,
    /// Which log of departures in [`Memory`](crate::Memory) is ours, while text is in flight.
    pub(crate) log: u32,
    phase: BbrPhase,
    ack_phase: AckPhase,
    max_bw: MaxBw,
    min_rtt: MinRtt,
    extra_acked: ExtraAcked,
    /// BBR.bw.
    bw: u64,
    /// C.pacing_rate.
    pacing_rate: u64,
    /// BBR.bw_latest.
    bw_latest: u64,
    /// BBR.bw_shortterm; `u64::MAX` without limit.
    bw_shortterm: u64,
    /// BBR.full_bw.
    full_bw: u64,
    /// BBR.inflight_latest.
    inflight_latest: u32,
    /// BBR.inflight_shortterm.
    inflight_shortterm: u32,
    /// BBR.inflight_longterm.
    inflight_longterm: u32,
    /// BBR.prior_cwnd.
    prior_cwnd: u32,
    undo: Undo,
    /// C.InitialCwnd.
    initial_cwnd: u32,
    /// BBR.next_round_delivered.
    next_round_delivered: SeqNum,
    /// BBR.loss_round_delivered.
    loss_round_delivered: SeqNum,
    /// BBR.round_count.
    round_count: u32,
    /// BBR.drain_start_round.
    drain_start_round: u32,
    /// BBR.rounds_since_probe_up.
    rounds_since_probe_up: u32,
    /// BBR.probe_up_acked_per_inc.
    probe_up_acked_per_inc: u32,
    /// BBR.bw_probe_up_acked.
    bw_probe_up_acked: u32,
    /// BBR.cycle_stamp.
    cycle_stamp: Instant,
    /// BBR.probe_rtt_done_stamp.
    probe_rtt_done: Option<Instant>,
    /// The counter that random choices are made from.
    dice: u32,
    /// BBR.bw_probe_wait, in milliseconds.
    bw_probe_wait_ms: u16,
    /// BBR.bw_probe_up_rounds.
    bw_probe_up_rounds: u8,
    /// BBR.full_bw_count.
    full_bw_count: u8,
    /// Gaps lost in this round.
    loss_events: u8,
    marks: Marks,
}

const _: () = assert!(size_of::<Bbr>() <= 328, "the pool has one for each flow");

bitflags::bitflags! {
    /// What is either so or not.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Marks: u16 {
        /// BBR.round_start.
        const ROUND_START = 1;
        /// BBR.loss_round_start.
        const LOSS_ROUND_START = 1 << 1;
        /// BBR.is_loss_in_round.
        const LOSS_IN_ROUND = 1 << 2;
        /// BBR.full_bw_now.
        const FULL_BW_NOW = 1 << 3;
        /// BBR.full_bw_reached.
        const FULL_BW_REACHED = 1 << 4;
        /// BBR.is_bw_probe_sample.
        const BW_PROBE_SAMPLE = 1 << 5;
        /// BBR.prev_probe_too_high.
        const PREV_PROBE_TOO_HIGH = 1 << 6;
        /// BBR.prev_probe_precautionary.
        const PREV_PROBE_PRECAUTIONARY = 1 << 7;
        /// BBR.idle_restart.
        const IDLE_RESTART = 1 << 8;
        /// BBR.probe_rtt_round_done.
        const PROBE_RTT_ROUND_DONE = 1 << 9;
        /// BBR.probe_rtt_expired.
        const PROBE_RTT_EXPIRED = 1 << 10;
        /// An initial window has been delivered.
        const WARM = 1 << 11;
        /// InLossRecovery() at the last acknowledgment.
        const RECOVERING = 1 << 12;
    }
}

impl Bbr {
    /// 5.2.1, OnInit.
    pub(crate) fn new(start: &Start) -> Self {
        let now = Stamp::at(start.now);
        let mut bbr = Self {
            sampler: Sampler::new(now),
            log: crate::memory::NONE,
            phase: BbrPhase::Startup,
            ack_phase: AckPhase::Init,
            max_bw: MaxBw::default(),
            min_rtt: MinRtt::new(start.rtt_us, start.now),
            extra_acked: ExtraAcked::new(now),
            bw: 0,
            pacing_rate: 0,
            bw_latest: 0,
            bw_shortterm: u64::MAX,
            full_bw: 0,
            inflight_latest: 0,
            inflight_shortterm: INFINITY,
            inflight_longterm: INFINITY,
            prior_cwnd: 0,
            undo: Undo::default(),
            initial_cwnd: start.cwnd,
            next_round_delivered: SeqNum::new(0),
            loss_round_delivered: SeqNum::new(0),
            round_count: 0,
            drain_start_round: 0,
            rounds_since_probe_up: 0,
            probe_up_acked_per_inc: INFINITY,
            bw_probe_up_acked: 0,
            cycle_stamp: start.now,
            probe_rtt_done: None,
            dice: start.seed,
            bw_probe_wait_ms: 0,
            bw_probe_up_rounds: 0,
            full_bw_count: 0,
            loss_events: 0,
            marks: Marks::empty(),
        };
        bbr.init_pacing_rate(start);
        bbr
    }

    /// What there is to see.
    pub(crate) fn figures(&self) -> BbrFigures {
        BbrFigures {
            phase: self.phase,
            bw: self.bw,
            min_rtt_us: self.min_rtt.value_us(),
            pacing_gain_percent: self.pacing_gain(),
            cwnd_gain_percent: self.cwnd_gain(),
        }
    }

    /// The rate of the last round, in bytes a second; BBR.bw_latest.
    pub(crate) const fn delivery_rate(&self) -> u64 {
        self.bw_latest
    }

    /// BBR.max_bw, the model's first half.
    pub(crate) fn max_bw(&self) -> u64 {
        self.max_bw.value()
    }

    /// BBR.min_rtt in microseconds, its second half.
    pub(crate) fn min_rtt_us(&self) -> Option<u32> {
        self.min_rtt.value_us()
    }

    /// 5.2.3, UpdateOnACK; answers C.cwnd.
    pub(crate) fn on_ack(&mut self, ack: &Ack) -> u32 {
        self.update_latest_delivery_signals(ack);
        self.update_congestion_signals(ack);
        self.extra_acked.update(
            (ack.newly_acked, self.bw),
            (self.round_count, self.has(Marks::FULL_BW_REACHED)),
            ack.cwnd,
            Stamp::at(ack.now),
        );
        self.check_full_bw_reached(ack);
        self.check_startup_done(ack);
        self.check_drain_done(ack);
        self.update_probe_bw_cycle_phase(ack);
        let is_expired = self.min_rtt.update(ack.rtt_us, ack.now);
        self.marks.set(Marks::PROBE_RTT_EXPIRED, is_expired);
        let cwnd = self.restored_after_recovery(ack);
        let cwnd = self.check_probe_rtt(&Ack { cwnd, ..*ack });
        self.advance_latest_delivery_signals(ack);
        self.bound_bw_for_model();
        self.set_pacing_rate();
        self.next_cwnd(&Ack { cwnd, ..*ack })
    }

    /// 5.4.1, HandleRestartFromIdle: text goes out after nothing was in flight, and it was the
    /// application that had none. Answers C.cwnd.
    pub(crate) fn on_restart_from_idle(&mut self, cwnd: u32, now: Instant) -> u32 {
        self.marks.insert(Marks::IDLE_RESTART);
        self.extra_acked.restart(Stamp::at(now));
        if self.phase.is_probe_bw() {
            self.set_pacing_rate_with_gain(100);
        } else if self.phase == BbrPhase::ProbeRtt {
            return self.check_probe_rtt_done(cwnd, now);
        }
        cwnd
    }

    /// 5.6.4.4, OnEnterRTO: what to come back to is noted.
    pub(crate) fn on_rto(&mut self, cwnd: u32, is_recovering: bool) {
        self.save_state_upon_loss(cwnd, is_recovering);
    }

    /// 5.5.11.2, HandleSpuriousLossDetection; answers C.cwnd.
    pub(crate) fn on_spurious_loss(&mut self, cwnd: u32) -> u32 {
        let undo = core::mem::take(&mut self.undo);
        self.marks.remove(Marks::LOSS_IN_ROUND);
        self.reset_full_bw(0);
        self.bw_shortterm = self.bw_shortterm.max(undo.bw_shortterm);
        self.inflight_shortterm = self.inflight_shortterm.max(undo.inflight_shortterm);
        self.inflight_longterm = self.inflight_longterm.max(undo.inflight_longterm);
        let is_free = self.phase != BbrPhase::ProbeRtt;
        match undo.phase {
            Some(BbrPhase::Startup) if self.phase != BbrPhase::Startup => {
                self.marks.remove(Marks::FULL_BW_REACHED);
                if is_free {
                    self.phase = BbrPhase::Startup;
                }
            }
            Some(BbrPhase::Up) if self.phase != BbrPhase::Up && is_free => self.start_refill(),
            _ => {}
        }
        cwnd.max(self.prior_cwnd)
    }

    /// 5.5.11.1, SaveStateUponLoss.
    fn save_state_upon_loss(&mut self, cwnd: u32, is_recovering: bool) {
        self.save_cwnd(cwnd, is_recovering);
        self.undo = Undo {
            phase: None,
            bw_shortterm: self.bw_shortterm,
            inflight_shortterm: self.inflight_shortterm,
            inflight_longterm: self.inflight_longterm,
        };
    }

    /// The window with which a loss recovery ends that was going on.
    fn restored_after_recovery(&mut self, ack: &Ack) -> u32 {
        let was_recovering = self.has(Marks::RECOVERING);
        self.marks.set(Marks::RECOVERING, ack.is_recovering);
        if was_recovering && !ack.is_recovering {
            ack.cwnd.max(self.prior_cwnd)
        } else {
            ack.cwnd
        }
    }

    const fn has(&self, mark: Marks) -> bool {
        self.marks.contains(mark)
    }

    /// 5.6.4.4, SaveCwnd.
    fn save_cwnd(&mut self, cwnd: u32, is_recovering: bool) {
        self.prior_cwnd = if is_recovering || self.phase == BbrPhase::ProbeRtt {
            self.prior_cwnd.max(cwnd)
        } else {
            cwnd
        };
    }

    /// A number below `bound`, of a sequence that is this flow's own.
    const fn random_below(&mut self, bound: u32) -> u32 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9);
        let mut word = self.dice;
        word = (word ^ (word >> 16)).wrapping_mul(0x85eb_ca6b);
        word = (word ^ (word >> 13)).wrapping_mul(0xc2b2_ae35);
        (word ^ (word >> 16)) % bound
    }
}

/// A volume as a window can have it.
fn volume(bytes: u128) -> u32 {
    u32::try_from(bytes).map_or(CWND_MAX, |bytes| bytes.min(CWND_MAX))
}
