//! Congestion control, RFC 5681: how much may be outstanding.
//!
//! The window's size is decided here; what is outstanding, when something counts as lost and what
//! is sent again is recovery's business. An algorithm is chosen for each connection, CUBIC (RFC
//! 9438) unless told otherwise. All windows are in bytes. A mark (ECN) reduces the window as a loss
//! does.

use core::time::Duration;

use tidegate_wire::Instant;

use crate::SeqNum;

pub(crate) use self::bbr::{Ack as BbrAck, Bbr, Loss as BbrLoss, Start as BbrStart};
pub use self::bbr::{BbrFigures, BbrPhase};
pub use self::cubic::Cubic;
pub use self::newreno::NewReno;

mod bbr;
mod cubic;
mod hystart;
mod newreno;

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests;

/// Largest congestion window, in bytes: no window is larger (RFC 7323 section 2.3).
const CWND_MAX: u32 = 1 << 30;

/// Which algorithm a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionKind {
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 5681 and RFC 6582.
    NewReno,
    /// draft-ietf-ccwg-bbr-06. It needs SACK and a record of the worker's pool; a connection that
    /// lacks either uses CUBIC.
    Bbr,
}

impl CongestionKind {
    /// The name by which Linux users know it, `net.ipv4.tcp_congestion_control`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "reno",
            Self::Bbr => "bbr",
        }
    }
}

/// What one acknowledgment of new text says.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Bytes that are newly acknowledged.
    pub acked: u32,
    /// SEG.ACK, SND.UNA from now on.
    pub una: SeqNum,
    /// SND.NXT.
    pub nxt: SeqNum,
    /// The round trip of the newest segment that it is of, where that is known.
    pub rtt: Option<Duration>,
    /// When it arrived.
    pub now: Instant,
    /// SRTT; zero before there is one.
    pub srtt: Duration,
    /// FlightSize before this acknowledgment, in bytes.
    pub flight_size: u32,
    /// SMSS, in bytes.
    pub mss: u32,
    /// Whether it was the congestion window that held back more text, not the application and not
    /// the peer's window.
    pub is_cwnd_limited: bool,
}

/// The state of one connection's congestion control.
#[derive(Clone, Debug)]
pub enum Congestion {
    /// RFC 9438.
    Cubic(Cubic),
    /// RFC 5681.
    NewReno(NewReno),
    /// draft-ietf-ccwg-bbr-06.
    Bbr(Modelled),
}

/// The window of a connection whose congestion control is a model of the path. The model lies in a
/// record of the pool and sets the window with each acknowledgment; losses alone do not (`model`).
#[derive(Clone, Copy, Debug)]
pub struct Modelled {
    window: Window,
    /// Which record is ours; none after the connection has ended.
    record: u32,
}

const _: () = assert!(size_of::<Congestion>() <= 64, "it is in every idle flow");

/// The window and its threshold, which every algorithm has.
#[derive(Clone, Copy, Debug)]
struct Window {
    cwnd: u32,
    ssthresh: u32,
}

impl Congestion {
    /// A connection that begins, with segments of `mss` bytes.
    ///
    /// `initial_window_segments` is 10 by RFC 6928, and one where a SYN was lost (RFC 5681 section
    /// 3.1).
    #[must_use]
    pub fn new(kind: CongestionKind, mss: u32, initial_window_segments: u32) -> Self {
        let cwnd = initial_window(mss, initial_window_segments);
        // RFC 5681 3.1: the threshold begins so high that the network decides, not we.
        let window = Window {
            cwnd,
            ssthresh: u32::MAX,
        };
        match kind {
            // BBR begins with the record of `modelled`, when the handshake is over.
            CongestionKind::Cubic | CongestionKind::Bbr => Self::Cubic(Cubic::new(window)),
            CongestionKind::NewReno => Self::NewReno(NewReno::new(window)),
        }
    }

    /// The same, and its first slow start ends before it loses something (RFC 9406), where the
    /// algorithm has that: CUBIC has, and Reno is left as the textbooks have it.
    #[must_use]
    pub const fn with_hystart(mut self, is_wanted: bool) -> Self {
        if let (Self::Cubic(cubic), true) = (&mut self, is_wanted) {
            cubic.begin_hystart();
        }
        self
    }

    /// Whether slow start bounds itself what one acknowledgment is worth, and judges by each
    /// (RFC 9406).
    #[must_use]
    pub const fn has_hystart(&self) -> bool {
        match self {
            Self::Cubic(cubic) => cubic.has_hystart(),
            Self::NewReno(_) | Self::Bbr(_) => false,
        }
    }

    /// The same connection, from now on by the model in this record.
    pub(crate) fn modelled(&self, record: u32) -> Self {
        Self::Bbr(Modelled {
            window: *self.window(),
            record,
        })
    }

    /// Which record of the pool has the model; [`NONE`](crate::memory::NONE) where there is none.
    pub(crate) const fn record(&self) -> u32 {
        match self {
            Self::Bbr(modelled) => modelled.record,
            Self::Cubic(_) | Self::NewReno(_) => crate::memory::NONE,
        }
    }

    /// The record is given back; the window stays as it is.
    pub(crate) const fn forget_record(&mut self) {
        if let Self::Bbr(modelled) = self {
            modelled.record = crate::memory::NONE;
        }
    }

    /// What the model says the window is to be.
    pub(crate) fn set_modelled_cwnd(&mut self, cwnd: u32) {
        self.window_mut().cwnd = cwnd.min(CWND_MAX);
    }

    /// Which algorithm it is.
    #[must_use]
    pub const fn kind(&self) -> CongestionKind {
        match self {
            Self::Cubic(_) => CongestionKind::Cubic,
            Self::NewReno(_) => CongestionKind::NewReno,
            Self::Bbr(_) => CongestionKind::Bbr,
        }
    }

    /// How much may be outstanding, in bytes.
    #[must_use]
    pub const fn cwnd(&self) -> u32 {
        self.window().cwnd
    }

    /// Up to which window slow start goes, in bytes.
    #[must_use]
    pub const fn ssthresh(&self) -> u32 {
        self.window().ssthresh
    }

    /// Whether the window grows by slow start.
    #[must_use]
    pub const fn is_in_slow_start(&self) -> bool {
        self.window().is_in_slow_start()
    }

    /// New text was acknowledged, and the connection is not in fast recovery.
    pub fn on_ack(&mut self, ack: &Ack) {
        match self {
            Self::Cubic(cubic) => cubic.on_ack(ack),
            Self::NewReno(newreno) => newreno.on_ack(ack),
            Self::Bbr(_) => {}
        }
    }

    /// A loss was found by duplicate acknowledgments or SACK: fast recovery begins, with the window
    /// at the new threshold. Once for each window of text.
    pub fn on_loss(&mut self, flight_size: u32, mss: u32) {
        match self {
            Self::Cubic(cubic) => cubic.on_loss(flight_size, mss),
            Self::NewReno(newreno) => newreno.on_loss(flight_size, mss),
            Self::Bbr(_) => {}
        }
    }

    /// The peer has reported a mark (ECE): the window is reduced as for a loss (RFC 9438 4.6), and
    /// nothing is to be sent again. Once for each window of text.
    pub fn on_congestion_echo(&mut self, flight_size: u32, mss: u32) {
        self.on_loss(flight_size, mss);
        // RFC 9438 4.6: what is marked has arrived, so that here a single segment may be outstanding,
        // with the threshold still at two.
        let reduced = match self {
            Self::Cubic(_) => cubic::reduced(flight_size),
            Self::NewReno(_) => flight_size / 2,
            Self::Bbr(_) => return,
        };
        self.set_cwnd(reduced.clamp(mss, self.ssthresh()));
    }

    /// The retransmission timer went off; `is_repeated` where it did so for the same segment
    /// before.
    pub fn on_rto(&mut self, flight_size: u32, mss: u32, is_repeated: bool) {
        // RFC 5681 3.1: the threshold is held while the same segment times out again and again.
        if !is_repeated {
            match self {
                Self::Cubic(cubic) => cubic.on_rto(flight_size, mss),
                Self::NewReno(newreno) => newreno.on_rto(flight_size, mss),
                Self::Bbr(_) => {}
            }
        }
        // RFC 5681 3.1: the loss window is one full segment, whatever the initial window was.
        self.window_mut().cwnd = mss;
        self.end_stage();
    }

    /// Fast recovery ended: the window is the threshold that [`on_loss`](Self::on_loss) set.
    pub fn on_recovered(&mut self) {
        self.set_cwnd(self.ssthresh());
    }

    /// Sets the window during fast recovery: to inflate it (RFC 6582) or to bring it down little
    /// by little (RFC 6937). A model has its own answer to a loss, and goes on with it.
    pub fn set_cwnd(&mut self, cwnd: u32) {
        if !matches!(self, Self::Bbr(_)) {
            self.window_mut().cwnd = cwnd.min(CWND_MAX);
            self.end_stage();
        }
    }

    /// The last reduction was for nothing: all is as it was `before`, but for a window that has
    /// become larger since (RFC 9438 4.9, RFC 4015 3.3).
    pub fn undo(&mut self, before: &Self) {
        let now = *self.window();
        *self = before.clone();
        let window = self.window_mut();
        window.cwnd = window.cwnd.max(now.cwnd);
        window.ssthresh = window.ssthresh.max(now.ssthresh);
    }

    /// Text is to be sent after an idle time longer than RTO.
    pub fn on_idle_restart(&mut self, mss: u32, initial_window_segments: u32) {
        // RFC 5681 4.1: nothing is known about the network any more, so the window is at most the
        // initial one. A model paces what is sent, and does without (draft-ietf-ccwg-bbr-06 5.4.2).
        let restart_window = initial_window(mss, initial_window_segments);
        if self.cwnd() > restart_window {
            self.set_cwnd(restart_window);
        }
    }

    /// The segment size changed. A smaller one makes the window smaller by the same ratio, so that
    /// as many segments may be outstanding as before and not more at once (RFC 5681 section 3.1); a
    /// larger one leaves it, unless it is less than one segment then.
    pub fn on_mss_change(&mut self, old: u32, new: u32) {
        let cwnd = if new < old {
            scaled(self.cwnd(), new, old)
        } else {
            self.cwnd()
        };
        let window = self.window_mut();
        window.cwnd = cwnd.max(new).min(CWND_MAX);
        window.ssthresh = window.ssthresh.max(ssthresh_min(new));
        if let (Self::Cubic(cubic), true) = (&mut *self, new < old) {
            cubic.on_smaller_mss(old, new);
        }
        self.end_stage();
    }

    /// Congestion avoidance begins anew with the next acknowledgment outside slow start.
    fn end_stage(&mut self) {
        match self {
            Self::Cubic(cubic) => cubic.end_stage(),
            Self::NewReno(newreno) => newreno.end_stage(),
            Self::Bbr(_) => {}
        }
    }

    const fn window(&self) -> &Window {
        match self {
            Self::Cubic(cubic) => &cubic.window,
            Self::NewReno(newreno) => &newreno.window,
            Self::Bbr(modelled) => &modelled.window,
        }
    }

    const fn window_mut(&mut self) -> &mut Window {
        match self {
            Self::Cubic(cubic) => &mut cubic.window,
            Self::NewReno(newreno) => &mut newreno.window,
            Self::Bbr(modelled) => &mut modelled.window,
        }
    }
}

impl Window {
    const fn is_in_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    /// RFC 5681 3.1, MUST-19: by what was acknowledged, by one segment at most.
    fn slow_start(&mut self, acked: u32, mss: u32) {
        self.grow(acked.min(mss));
    }

    fn grow(&mut self, by: u32) {
        self.cwnd = self.cwnd.saturating_add(by).min(CWND_MAX);
    }
}

/// The initial window, in bytes: so many segments, within the bound of RFC 6928 section 2.
#[must_use]
pub fn initial_window(mss: u32, segments: u32) -> u32 {
    segments.saturating_mul(mss).min((2 * mss).max(14_600))
}

/// The least threshold after a loss, RFC 5681 section 3.1, formula 4.
const fn ssthresh_min(mss: u32) -> u32 {
    2 * mss
}

/// `value * numerator / denominator`, rounded down, for ratios of at most one.
fn scaled(value: u32, numerator: u32, denominator: u32) -> u32 {
    let scaled = u64::from(value) * u64::from(numerator) / u64::from(denominator);
    u32::try_from(scaled).unwrap_or(u32::MAX)
}
