//! STATUS (RFC 9293 section 3.10.6): the state of a TCB as `ss` shows it.

use core::time::Duration;

use crate::congestion::CongestionKind;
use crate::state::State;
use crate::tcb::{Flags, Tcb};
use crate::timers::Timer;
use crate::{Context, FourTuple};

/// What there is to see of a connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcbSnapshot {
    /// The state.
    pub state: State,
    /// The sockets.
    pub tuple: FourTuple,
    /// Bytes received and not read.
    pub rcv_queue: u32,
    /// Bytes queued and not acknowledged.
    pub snd_queue: u32,
    /// Bytes sent and not acknowledged.
    pub flight_size: u32,
    /// The window that the peer was offered, in bytes.
    pub rcv_wnd: u32,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// Bytes in a full-sized segment, options deducted.
    pub mss: u32,
    /// Smoothed round-trip time, once there is one.
    pub srtt: Option<Duration>,
    /// Its variation.
    pub rttvar: Duration,
    /// The retransmission timeout, backed off where it was.
    pub rto: Duration,
    /// The algorithm of congestion control.
    pub congestion: CongestionKind,
    /// The congestion window in bytes.
    pub cwnd: u32,
    /// The slow start threshold in bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// The timer that is due first, and in what time.
    pub timer: Option<(&'static str, Duration)>,
    /// Times the oldest segment went out again without an answer.
    pub retries: u8,
    /// Segments sent again since the connection began.
    pub retransmits: u32,
    /// Whether it came from a passive open.
    pub is_passive: bool,
    /// Timestamps were agreed on.
    pub has_timestamps: bool,
    /// SACK was agreed on.
    pub has_sack: bool,
    /// The shifts of the peer's windows and of ours, where scaling was agreed on.
    pub wnd_shifts: Option<(u8, u8)>,
}

impl Tcb {
    /// STATUS.
    #[must_use]
    pub fn snapshot(&self, cx: &Context<'_>) -> TcbSnapshot {
        let timer = self.timers.first();
        let is_scaled = self.has(Flags::WND_SCALING);
        TcbSnapshot {
            state: self.state,
            tuple: self.tuple,
            rcv_queue: self.rcv.queue.len(),
            snd_queue: self.snd.queue.len(),
            flight_size: self.flight_size(),
            rcv_wnd: self.rcv.wnd,
            snd_wnd: self.snd.wnd,
            mss: self.smss(),
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            rto: self.rtt.rto(),
            congestion: self.congestion.kind(),
            cwnd: self.congestion.cwnd(),
            ssthresh: self.congestion.ssthresh(),
            timer: timer.map(|(timer, at)| (self.timer_name(timer), at.saturating_since(cx.now))),
            retries: self.retries,
            retransmits: self.retransmits,
            is_passive: self.has(Flags::PASSIVE),
            has_timestamps: self.has(Flags::TIMESTAMPS),
            has_sack: self.has(Flags::SACK),
            wnd_shifts: is_scaled.then_some((self.snd.wnd_shift, self.rcv.wnd_shift)),
        }
    }

    /// The name of a timer, as `ss -o` has it where it has one.
    fn timer_name(&self, timer: Timer) -> &'static str {
        match (timer, self.state) {
            (Timer::Retransmit, _) => "on",
            (Timer::Persist, _) => "persist",
            (Timer::Reorder, _) if self.is_tail_watched() => "probe",
            (Timer::Reorder, _) => "reorder",
            (Timer::DelayedAck, _) => "delack",
            (Timer::Keepalive, _) => "keepalive",
            (Timer::User, _) => "user",
            (Timer::Closing, State::TimeWait) => "timewait",
            (Timer::Closing, State::FinWait2) => "finwait2",
            (Timer::Closing, _) => "linger",
        }
    }
}
