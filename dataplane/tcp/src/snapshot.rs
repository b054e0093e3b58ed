//! STATUS (RFC 9293 section 3.10.6): the state of a TCB as `ss -i` shows it.
//!
//! The figures are those of Linux's `tcp_info` where both have them. A snapshot reads; it is taken
//! between two steps, changes nothing, and costs the data path nothing but a few counts.

use core::time::Duration;

use crate::congestion::{Bbr, BbrFigures, CongestionKind};
use crate::events::End;
use crate::open::headers_len;
use crate::recovery::Phase;
use crate::sent::SendLog;
use crate::state::State;
use crate::tcb::{Flags, Tcb};
use crate::timers::Timer;
use crate::{Context, FourTuple};

/// How the repair of losses stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairPhase {
    /// Nothing is repaired.
    Open,
    /// Fast recovery: SACK, duplicates or RACK told of a loss.
    Recovery,
    /// The retransmission timer went off, or what a closed window swallowed goes out again.
    Loss,
}

impl RepairPhase {
    /// The name that Linux has for it (`tcpi_ca_state`), in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Recovery => "recovery",
            Self::Loss => "loss",
        }
    }
}

/// Segments that were sent again since the connection began, by what was the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// A loss was found by RACK, SACK or duplicate acknowledgments.
    pub fast: u32,
    /// A timer went off: RTO and what follows it, probes of a closed window.
    pub timer: u32,
    /// Tail loss probes (RFC 8985 7) that had nothing new to send.
    pub tail_probe: u32,
    /// SYN or SYN-ACK.
    pub syn: u32,
}

/// What there is to see of a connection at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcbSnapshot {
    /// The state.
    pub state: State,
    /// For how long it has been in this state, to a hundredth of a second.
    pub in_state: Duration,
    /// The sockets.
    pub tuple: FourTuple,
    /// Bytes received and not read.
    pub rcv_queue: u32,
    /// Bytes queued and not acknowledged.
    pub snd_queue: u32,
    /// Bytes queued and never sent.
    pub unsent: u32,
    /// Bytes sent and not acknowledged.
    pub flight_size: u32,
    /// Bytes of these that the peer has reported by SACK.
    pub sacked: u32,
    /// Bytes of these that count as lost and were not sent again since. Only RACK knows; without
    /// SACK it is zero.
    pub lost: u32,
    /// Bytes of these that were sent more than once and are under way. Zero without SACK.
    pub again_in_flight: u32,
    /// The window that the peer was offered, in bytes.
    pub rcv_wnd: u32,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// Bytes in a full-sized segment, options deducted.
    pub mss: u32,
    /// The segment size that we announced, in bytes.
    pub mss_announced: u16,
    /// The longest text that came in one segment, in bytes; 0 before the first.
    pub mss_received: u16,
    /// The largest datagram that is sent to the peer, in bytes: the path's MTU as far as known.
    pub pmtu: u32,
    /// Smoothed round-trip time, once there is one.
    pub srtt: Option<Duration>,
    /// Its variation.
    pub rttvar: Duration,
    /// The least round-trip time measured.
    pub min_rtt: Option<Duration>,
    /// The retransmission timeout, backed off where it was.
    pub rto: Duration,
    /// How often it was doubled since an acknowledgment came last.
    pub backoffs: u8,
    /// The algorithm of congestion control.
    pub congestion: CongestionKind,
    /// The congestion window in bytes.
    pub cwnd: u32,
    /// The slow start threshold in bytes; `u32::MAX` before the first loss.
    pub ssthresh: u32,
    /// The pacing rate in bytes a second; none where text is not paced.
    pub pacing_rate: Option<u64>,
    /// The largest rate at which text was delivered in the last round trip, in bytes a second. Only
    /// BBR measures it.
    pub delivery_rate: Option<u64>,
    /// Whether the application sent too little of late to measure that by.
    pub is_app_limited: bool,
    /// BBR's model of the path, where it is used.
    pub bbr: Option<BbrFigures>,
    /// How the repair of losses stands.
    pub repair: RepairPhase,
    /// The timer that is due first, and in what time.
    pub timer: Option<(&'static str, Duration)>,
    /// Times the oldest segment went out again without an answer.
    pub retries: u8,
    /// Probes without an answer: of a closed window, of an idle peer.
    pub probes: u8,
    /// Segments with text, SYN or FIN sent again since the connection began.
    pub retransmits: u32,
    /// The same by reason.
    pub again: Again,
    /// Segments with text or FIN sent since the connection began, each time counted.
    pub segments_sent: u32,
    /// Bytes of text acknowledged since the connection began.
    pub bytes_acked: u64,
    /// Bytes of text that have arrived at the peer as far as it has told: the bytes acknowledged,
    /// and those reported by SACK.
    pub bytes_delivered: u64,
    /// Bytes of text received in order since the connection began.
    pub bytes_received: u64,
    /// Time since text, SYN or FIN was sent last.
    pub since_sent: Duration,
    /// Time since a segment of the peer was taken last.
    pub since_heard: Duration,
    /// Whether it came from a passive open.
    pub is_passive: bool,
    /// Timestamps were agreed on.
    pub has_timestamps: bool,
    /// SACK was agreed on.
    pub has_sack: bool,
    /// ECN was agreed on.
    pub has_ecn: bool,
    /// The shifts of the peer's windows and of ours, where scaling was agreed on.
    pub wnd_shifts: Option<(u8, u8)>,
    /// The path has delivered segments out of order (RACK.reordering_seen).
    pub has_reordering: bool,
}

impl Tcb {
    /// STATUS.
    #[must_use]
    pub fn snapshot(&self, cx: &Context<'_>) -> TcbSnapshot {
        let timer = self.timers.first();
        let is_scaled = self.has(Flags::WND_SCALING);
        let (lost, again_in_flight) = self.repair_in_flight(cx);
        let bytes_acked = self.bytes_acked();
        let bbr = cx.memory.bbr(self.congestion.record());
        TcbSnapshot {
            state: self.state,
            in_state: self.totals.time_in(self.state, cx.now),
            tuple: self.tuple,
            rcv_queue: self.rcv.queue.len(),
            snd_queue: self.snd.queue.len(),
            unsent: self.unsent(),
            flight_size: self.flight_size(),
            sacked: self.scoreboard.sacked_bytes(),
            lost,
            again_in_flight,
            rcv_wnd: self.rcv.wnd,
            snd_wnd: self.snd.wnd,
            mss: self.smss(),
            mss_announced: self.rcv.mss,
            mss_received: self.rcv.mss_seen,
            pmtu: u32::from(self.snd.mss) + headers_len(&self.tuple),
            srtt: self.rtt.srtt(),
            rttvar: self.rtt.rttvar(),
            min_rtt: self.rtt.min_rtt(),
            rto: self.rtt.rto(),
            backoffs: self.rtt.backoffs(),
            congestion: self.congestion.kind(),
            cwnd: self.congestion.cwnd(),
            ssthresh: self.congestion.ssthresh(),
            pacing_rate: self.pacing_rate(cx.settings, cx.memory),
            delivery_rate: bbr.map(Bbr::delivery_rate),
            is_app_limited: bbr.is_some_and(|bbr| bbr.sampler.is_app_limited()),
            bbr: bbr.map(Bbr::figures),
            repair: match self.recovery.phase {
                Phase::Open => RepairPhase::Open,
                Phase::Fast => RepairPhase::Recovery,
                Phase::GoBack => RepairPhase::Loss,
            },
            timer: timer.map(|(timer, at)| (self.timer_name(timer), at.saturating_since(cx.now))),
            retries: self.retries,
            probes: self.window_probes.saturating_add(self.keepalive_probes),
            retransmits: self.retransmits,
            again: self.again(),
            segments_sent: self.totals.segments_sent,
            bytes_acked,
            bytes_delivered: bytes_acked + u64::from(self.scoreboard.sacked_bytes()),
            bytes_received: self.bytes_received(),
            since_sent: cx.now.saturating_since(self.snd.sent_at.instant()),
            since_heard: cx.now.saturating_since(self.heard_at.instant()),
            is_passive: self.has(Flags::PASSIVE),
            has_timestamps: self.has(Flags::TIMESTAMPS),
            has_sack: self.has(Flags::SACK),
            has_ecn: self.has(Flags::ECN),
            wnd_shifts: is_scaled.then_some((self.snd.wnd_shift, self.rcv.wnd_shift)),
            has_reordering: self.has(Flags::REORDERING),
        }
    }

    fn again(&self) -> Again {
        let totals = &self.totals;
        let (timer, tail_probe) = (totals.again_by_timer, u32::from(totals.again_as_probe));
        let syn = u32::from(totals.again_syn);
        Again {
            fast: self
                .retransmits
                .saturating_sub(timer.saturating_add(tail_probe).saturating_add(syn)),
            timer,
            tail_probe,
            syn,
        }
    }

    /// Octets in flight that count as lost, and that were sent again and may arrive.
    fn repair_in_flight(&self, cx: &Context<'_>) -> (u32, u32) {
        let (mut lost, mut again) = (0, 0);
        let runs = self.send_log(cx.memory).into_iter();
        for (range, run) in runs.flat_map(SendLog::iter) {
            let count = self.scoreboard.unsacked(cx.memory, range);
            if run.is_lost {
                lost += count;
            } else if run.is_again {
                again += count;
            }
        }
        (lost, again)
    }

    /// The octets of text before SND.UNA: neither SYN nor FIN are any.
    fn bytes_acked(&self) -> u64 {
        let is_fin_acked =
            matches!(self.state, State::FinWait2 | State::TimeWait) || self.is_closed_in_order();
        let acked = self.totals.acked(self.snd.iss, self.snd.una);
        acked.saturating_sub(1 + u64::from(is_fin_acked))
    }

    /// The octets of text before RCV.NXT.
    fn bytes_received(&self) -> u64 {
        if self.state == State::SynSent {
            return 0;
        }
        let has_fin = self.state.is_receive_closed() || self.is_closed_in_order();
        let received = self.totals.received(self.rcv.irs, self.rcv.nxt);
        received.saturating_sub(1 + u64::from(has_fin))
    }

    /// CLOSED, after both FINs.
    fn is_closed_in_order(&self) -> bool {
        self.state == State::Closed && self.end == Some(End::Closed)
    }

    /// The name of a timer, as `ss -o` has it where it has one.
    fn timer_name(&self, timer: Timer) -> &'static str {
        match (timer, self.state) {
            (Timer::Retransmit, _) => "on",
            (Timer::Persist, _) => "persist",
            (Timer::Reorder, _) if self.flight_size() == 0 => "undo",
            (Timer::Reorder, _) if self.is_tail_watched() => "probe",
            (Timer::Reorder, _) => "reorder",
            (Timer::DelayedAck, _) => "delack",
            (Timer::Keepalive, _) => "keepalive",
            (Timer::User, _) => "user",
            (Timer::Pace, _) => "pace",
            (Timer::Closing, State::TimeWait) => "timewait",
            (Timer::Closing, State::FinWait2) => "finwait2",
            (Timer::Closing, _) => "linger",
        }
    }
}
