//! Additive increase and multiplicative decrease as in RFC 5681 section 3.1.
//!
//! Which segments are sent again in fast recovery (RFC 6582, RFC 6675) is not decided here.

use super::{Ack, Window, ssthresh_min};

/// Reno's window: half after a loss, one segment more each round-trip time.
#[derive(Clone, Debug)]
pub struct NewReno {
    pub(super) window: Window,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    acked: u32,
}

impl NewReno {
    pub(super) const fn new(window: Window) -> Self {
        Self { window, acked: 0 }
    }

    pub(super) fn on_ack(&mut self, ack: &Ack) {
        // RFC 5681 4.1 in spirit: a window that was not used says nothing about the network.
        if !ack.is_cwnd_limited {
            return;
        }
        if self.window.is_in_slow_start() {
            self.window.slow_start(ack.acked, ack.mss);
            return;
        }
        // RFC 5681 3.1: bytes are counted, and a window's worth of them is one segment more.
        self.acked = self.acked.saturating_add(ack.acked);
        if self.acked >= self.window.cwnd {
            self.acked -= self.window.cwnd;
            // However much one acknowledgment covers, it is one segment each round-trip time.
            self.acked = self.acked.min(self.window.cwnd - 1);
            self.window.grow(ack.mss);
        }
    }

    pub(super) fn on_loss(&mut self, flight_size: u32, mss: u32) {
        self.on_rto(flight_size, mss);
        self.window.cwnd = self.window.ssthresh;
    }

    pub(super) fn on_rto(&mut self, flight_size: u32, mss: u32) {
        // RFC 5681 3.1, formula 4: half of what was outstanding, which may be less than cwnd.
        self.window.ssthresh = (flight_size / 2).max(ssthresh_min(mss));
        self.end_stage();
    }

    /// Congestion avoidance begins anew with the next acknowledgment outside slow start.
    pub(super) const fn end_stage(&mut self) {
        self.acked = 0;
    }
}
