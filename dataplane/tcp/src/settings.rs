//! The settings of a connection, under the names that Linux users know.
//!
//! One value per listener, pool or worker; a TCB keeps no copy and is given it in every
//! [`Context`](crate::Context). What a user may change on one connection (Nagle, keep-alive, user
//! timeout) is copied into the TCB when it is made.

use core::time::Duration;

use crate::congestion::CongestionKind;
use crate::ecn::{ECN_BITS, Ecn};
use crate::pacing::Pacing;
use crate::path_mtu::MtuProbing;
use crate::rtt::RttBounds;

/// R1 of RFC 9293 3.8.3 (SHLD-10: at least 3): after so many retransmissions of one segment the
/// user is told that there is trouble. Linux calls it `tcp_retries1`.
pub(crate) const RETRIES_1: u8 = 3;

/// G of RFC 6298 2.3: how exactly a worker meets a deadline. A turn of a busy worker takes less; a
/// smaller value would have the timer go off on the jitter of the worker itself.
const CLOCK_GRANULARITY: Duration = Duration::from_millis(1);

/// The floor of the RTO under `strict` (RFC 6298 2.4).
const STRICT_RTO_MIN: Duration = Duration::from_secs(1);

/// The least time that `strict` keeps trying a SYN (RFC 9293 3.8.3, MUST-23).
const STRICT_SYN_R2: Duration = Duration::from_secs(180);

/// The longest queue, in bytes: what a [`TextQueue`](crate::TextQueue) can address with room to
/// spare for what is ahead of its turn. More asked for counts as this.
const QUEUE_MAX: u32 = 128 << 20;

/// When keep-alive probes are sent, and how many (RFC 9293 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe. RFC 9293 MUST-28: by default at least two hours.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Probes that may stay unanswered; after one more interval the connection is given up. One
    /// counts as two (MUST-29).
    pub count: u8,
}

impl Default for Keepalive {
    /// 7200 s, then 9 probes 75 s apart: given up after 2 h 11 min 15 s.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(7_200),
            interval: Duration::from_secs(75),
            count: 9,
        }
    }
}

/// How a connection behaves. [`Settings::default`] is what a Linux user expects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Bytes of received text that may wait for the user, and with them the window offered, as they
    /// are at the beginning. Linux's `tcp_rmem[1]`.
    pub rmem: u32,
    /// What these grow to where the user reads as fast as the path carries; where it is not more
    /// than `rmem`, that is fixed. At most 128 MiB. Linux's `tcp_rmem[2]`.
    pub rmem_max: u32,
    /// Bytes of text that may wait for transmission and acknowledgement at the beginning. Linux's
    /// `tcp_wmem[1]`.
    pub wmem: u32,
    /// What these grow to with the congestion window; where it is not more than `wmem`, that is
    /// fixed. At most 128 MiB. Linux's `tcp_wmem[2]`.
    pub wmem_max: u32,
    /// Offer and accept window scaling (RFC 7323 2).
    pub wnd_scaling: bool,
    /// Offer and accept selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Offer and accept timestamps and PAWS (RFC 7323 3 and 5).
    pub timestamps: bool,
    /// Send small segments at once: Nagle's algorithm is off (RFC 9293 3.7.4, MUST-17).
    pub nodelay: bool,
    /// How long an ACK may wait for company. RFC 9293 MUST-40: below half a second.
    pub delayed_ack: Duration,
    /// ACKs of text that do not wait: so many at the start of a connection, until the user answers
    /// text within `delayed_ack`. A sender in slow start needs every ACK it can get.
    pub quick_acks: u8,
    /// Segments that may be sent before the first ACK (RFC 6928: 10).
    pub initial_window: u8,
    /// RTO before the first sample (RFC 6298 2.1: 1 s).
    pub initial_rto: Duration,
    /// Floor of the RTO. RFC 6298 2.4 would have 1 s, which `strict` takes at least; Linux and we
    /// take 200 ms.
    pub rto_min: Duration,
    /// Ceiling of the RTO, also after backing off (RFC 6298 2.5: not below 60 s).
    pub rto_max: Duration,
    /// Retransmissions of our SYN before the open fails.
    pub syn_retries: u8,
    /// Retransmissions of a SYN-ACK before the half-open connection is forgotten.
    pub syn_ack_retries: u8,
    /// Keep trying a SYN for three minutes at least, as RFC 9293 3.8.3 has it (MUST-23), even
    /// where `syn_retries` would give up earlier.
    pub strict: bool,
    /// R2 of RFC 9293 3.8.3: retransmissions of one segment before the connection is given up.
    /// 15 is about 15 minutes (SHLD-11: at least 100 s).
    pub retries2: u8,
    /// Time spent in TIME_WAIT: 2 MSL (RFC 9293 3.6.1, MUST-13; with the MSL of 30 s that all
    /// stacks use, where the RFC's is two minutes).
    pub time_wait: Duration,
    /// Let an open of ours take over sockets in TIME_WAIT, where timestamps tell the old connection
    /// from the new (RFC 6191 2).
    pub time_wait_reuse: bool,
    /// How long FIN_WAIT2 may last once the user has closed and reads no more.
    pub fin_timeout: Duration,
    /// Probe an idle peer; off by default (RFC 9293 3.8.4, MUST-25).
    pub keepalive: Option<Keepalive>,
    /// Give up when text stays unacknowledged for so long (RFC 9293 3.9.1.1, RFC 5482).
    pub user_timeout: Option<Duration>,
    /// What CLOSE does with text not yet acknowledged: `None` sends it in the background, zero
    /// resets at once, more gives it so long and resets then.
    pub linger: Option<Duration>,
    /// The congestion control algorithm.
    pub congestion: CongestionKind,
    /// The first slow start ends before it loses something (RFC 9406), with CUBIC.
    pub hystart: bool,
    /// Use explicit congestion notification (RFC 3168).
    pub ecn: Ecn,
    /// Whether text is spread over the round trip instead of sent in bursts.
    pub pacing: Pacing,
    /// TTL or hop limit of what we send (RFC 9293 3.9.2, MUST-49).
    pub hop_limit: u8,
    /// Traffic class byte (Diffserv) of what we send (RFC 9293 3.9.1.9, MUST-48). Its two lowest
    /// bits are the ECN field, which is not for the user to set.
    pub traffic_class: u8,
    /// A cap below what the MTU allows on the segment size announced and sent.
    pub mss_max: Option<u16>,
    /// When the segment size of the path is searched for (RFC 8899).
    pub mtu_probing: MtuProbing,
    /// The segment size, of text and options, that is taken to pass everywhere and where the search
    /// begins (RFC 8899's BASE_PLPMTU). Over IPv6 it is not below 1220.
    pub base_mss: u16,
    /// The least MTU in octets that an ICMP message can make us believe an IPv4 path to have; 68 at
    /// least (RFC 1191 3).
    pub min_pmtu: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rmem: Self::MEM_AUTO,
            rmem_max: 6 << 20,
            wmem: Self::MEM_AUTO,
            wmem_max: 4 << 20,
            wnd_scaling: true,
            sack: true,
            timestamps: true,
            nodelay: false,
            delayed_ack: Duration::from_millis(40),
            quick_acks: 16,
            initial_window: 10,
            initial_rto: Duration::from_secs(1),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(120),
            syn_retries: 6,
            syn_ack_retries: 5,
            strict: false,
            retries2: 15,
            time_wait: Duration::from_secs(60),
            time_wait_reuse: true,
            fin_timeout: Duration::from_secs(60),
            keepalive: None,
            user_timeout: None,
            linger: None,
            congestion: CongestionKind::Cubic,
            hystart: true,
            ecn: Ecn::Passive,
            pacing: Pacing::Auto,
            hop_limit: 64,
            traffic_class: 0,
            mss_max: None,
            mtu_probing: MtuProbing::BlackHole,
            base_mss: 1_024,
            min_pmtu: 68,
        }
    }
}

impl Settings {
    /// Where buffers that grow begin: the window that Linux offers first, and more than the initial
    /// congestion window.
    pub const MEM_AUTO: u32 = 1 << 16;

    /// The same settings with a receive buffer of a fixed size in bytes, as by SO_RCVBUF.
    #[must_use]
    pub const fn with_rmem(self, rmem: u32) -> Self {
        Self {
            rmem,
            rmem_max: rmem,
            ..self
        }
    }

    /// The same settings with a send buffer of a fixed size in bytes, as by SO_SNDBUF.
    #[must_use]
    pub const fn with_wmem(self, wmem: u32) -> Self {
        Self {
            wmem,
            wmem_max: wmem,
            ..self
        }
    }

    /// The traffic class byte without the ECN field, which is not the user's.
    #[must_use]
    pub const fn diffserv(&self) -> u8 {
        self.traffic_class & !ECN_BITS
    }

    /// Bytes that a receive queue may come to hold.
    pub(crate) fn rcv_queue_max(&self) -> u32 {
        self.rmem.max(self.rmem_max).min(QUEUE_MAX)
    }

    /// Bytes that a send queue may come to hold.
    pub(crate) fn snd_queue_max(&self) -> u32 {
        self.wmem.max(self.wmem_max).min(QUEUE_MAX)
    }

    /// The smallest shift with which the largest buffer can be announced (RFC 7323 2.3: at most
    /// 14), or `None` where scaling is off.
    pub(crate) fn wnd_shift(&self) -> Option<u8> {
        let fits = |shift: &u8| self.rcv_queue_max() >> shift <= u32::from(u16::MAX);
        let shift = (0..14).find(fits).unwrap_or(14);
        self.wnd_scaling.then_some(shift)
    }

    /// The limits of the RTO.
    pub(crate) fn rtt_bounds(&self) -> RttBounds {
        RttBounds {
            // RFC 6298 2.4.
            rto_min: if self.strict {
                self.rto_min.max(STRICT_RTO_MIN)
            } else {
                self.rto_min
            },
            rto_max: self.rto_max,
            granularity: CLOCK_GRANULARITY,
            // RFC 6298 2.4 rounds the whole RTO up; Linux adds its minimum to SRTT, so that an ACK
            // that is delayed is never too late, however even the round trips are.
            variance_min: if self.strict {
                Duration::ZERO
            } else {
                self.rto_min
            },
        }
    }

    /// How often a SYN is sent again before the open fails.
    pub(crate) fn syn_retries_allowed(&self) -> u8 {
        if !self.strict {
            return self.syn_retries;
        }
        // RFC 9293 3.8.3, MUST-23: R2 of a SYN is at least three minutes. The waits before the
        // retries and after the last one are added up.
        let mut retries = 0;
        let mut rto = self.initial_rto;
        let mut waited = rto;
        while retries < u8::MAX && (retries < self.syn_retries || waited < STRICT_SYN_R2) {
            retries += 1;
            rto = rto.saturating_mul(2).min(self.rto_max);
            waited += rto;
        }
        retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_the_smallest_that_carries_the_whole_window() {
        let shift_of = |rmem| Settings::default().with_rmem(rmem).wnd_shift();
        assert_eq!(
            Settings::default().wnd_shift(),
            Some(7),
            "6 MiB, as in Linux"
        );
        assert_eq!(shift_of(65_535), Some(0));
        assert_eq!(shift_of(65_536), Some(1));
        assert_eq!(shift_of(1 << 20), Some(5));
        assert_eq!(
            shift_of(u32::MAX),
            Some(12),
            "no queue is longer than 128 MiB"
        );
        assert_eq!(
            Settings {
                wnd_scaling: false,
                ..Settings::default()
            }
            .wnd_shift(),
            None
        );
    }

    #[test]
    fn strict_keeps_trying_a_syn_for_three_minutes() {
        let settings = Settings::default();
        assert_eq!(
            settings.syn_retries_allowed(),
            6,
            "1 + 2 + .. + 64 s = 127 s"
        );
        let strict = Settings {
            strict: true,
            ..settings
        };
        assert_eq!(strict.syn_retries_allowed(), 7, "127 s + 120 s");
    }
}
