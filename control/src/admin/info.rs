//! What there is to know of one connection, under the names of Linux's `struct tcp_info`
//! (include/uapi/linux/tcp.h, 6.18) where it has the same figure.
//!
//! Without the prefix `tcpi_`, with the unit at the end of a time's name, and never with another
//! meaning: what Linux counts in segments is in segments, rounded up. Figures that Linux does not
//! have, or has in another form, follow at the end. What this stack does not know is absent rather
//! than zero.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_tcp::{BbrFigures, RepairPhase, TcbSnapshot};

/// The figures of a connection. They are those of one moment between two turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpInfo {
    /// RFC 9293 3.3.2 name of the state, for example `ESTABLISHED`.
    pub state: String,
    /// `open`, `recovery` (fast recovery) or `loss` (after a retransmission timeout).
    pub ca_state: String,
    /// Times the oldest segment went out again without an answer.
    pub retransmits: u32,
    /// Probes of a closed window or an idle peer without an answer.
    pub probes: u32,
    /// How often the RTO was doubled since the last answer.
    pub backoff: u32,
    /// What both ends agreed on: `timestamps`, `sack`, `wscale`.
    pub options: Vec<String>,
    /// The shift of the peer's windows; absent without window scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snd_wscale: Option<u8>,
    /// The shift of our windows; absent without window scaling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcv_wscale: Option<u8>,
    /// Retransmission timeout.
    pub rto_us: u64,
    /// Bytes of text in a full-sized segment that we send, options deducted.
    pub snd_mss: u32,
    /// Bytes of text in the longest segment that came; 0 before the first.
    pub rcv_mss: u32,
    /// Segments in flight.
    pub unacked: u32,
    /// Segments of these that SACK has reported.
    pub sacked: u32,
    /// Segments of these that count as lost and were not sent again since.
    pub lost: u32,
    /// Segments of these that were sent again and may arrive.
    pub retrans: u32,
    /// Time since text was sent last.
    pub last_data_sent_ms: u64,
    /// Time since anything of the peer was taken last.
    pub last_ack_recv_ms: u64,
    /// The largest datagram that is sent to the peer.
    pub pmtu: u32,
    /// Smoothed round-trip time; absent before the first measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u64>,
    /// Its variation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rttvar_us: Option<u64>,
    /// The least round-trip time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rtt_us: Option<u64>,
    /// Slow start threshold in segments; absent before the first loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snd_ssthresh: Option<u32>,
    /// Congestion window in segments.
    pub snd_cwnd: u32,
    /// The segment size that we announced.
    pub advmss: u32,
    /// Segments sent again since the connection began.
    pub total_retrans: u32,
    /// Bytes of text acknowledged by the peer.
    pub bytes_acked: u64,
    /// Bytes of text received in order.
    pub bytes_received: u64,
    /// Segments with text or FIN sent, each time counted.
    pub data_segs_out: u32,
    /// Bytes queued and never sent.
    pub notsent_bytes: u32,
    /// Whether segments were seen out of order: more than zero where they were.
    pub reord_seen: u32,
    /// The window that the peer offers, in bytes.
    pub snd_wnd: u32,
    /// The window that we offer, in bytes.
    pub rcv_wnd: u32,

    /// Bytes a second at which text is sent; absent where it is not paced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing_rate: Option<u64>,
    /// Bytes a second at which text was delivered of late; absent where it is not measured, which
    /// only BBR does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_rate: Option<u64>,
    /// That rate was the application's, not the path's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delivery_rate_app_limited: bool,

    /// Time in the present state.
    pub state_ms: u64,
    /// The algorithm of congestion control, under Linux's name for it.
    pub congestion: String,
    /// Congestion window in bytes.
    pub cwnd_bytes: u32,
    /// Bytes of text that have arrived at the peer: acknowledged or reported by SACK.
    pub bytes_delivered: u64,
    /// Of `total_retrans`, those because RACK, SACK or duplicates told of a loss.
    pub retrans_fast: u32,
    /// Of `total_retrans`, those because a timer went off.
    pub retrans_timer: u32,
    /// Of `total_retrans`, tail loss probes.
    pub retrans_tail_probe: u32,
    /// Of `total_retrans`, SYNs.
    pub retrans_syn: u32,
    /// BBR's model of the path, where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bbr: Option<BbrInfo>,
}

/// Linux's `struct tcp_bbr_info`, and the phase. Gains are in per cent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BbrInfo {
    /// Where in its cycle it is: `startup`, `drain`, `down`, `cruise`, `refill`, `up`, `probe_rtt`.
    pub phase: String,
    /// The rate that it believes the path carries, in bytes a second.
    pub bw: u64,
    /// The round trip that it believes the path has without a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rtt_us: Option<u32>,
    /// How much faster than that rate it sends.
    pub pacing_gain: u64,
    /// How much more than that path holds it has in flight.
    pub cwnd_gain: u64,
}

impl From<&BbrFigures> for BbrInfo {
    fn from(bbr: &BbrFigures) -> Self {
        Self {
            phase: bbr.phase.name().to_owned(),
            bw: bbr.bw,
            min_rtt_us: bbr.min_rtt_us,
            pacing_gain: bbr.pacing_gain_percent,
            cwnd_gain: bbr.cwnd_gain_percent,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}

impl From<&TcbSnapshot> for TcpInfo {
    fn from(tcb: &TcbSnapshot) -> Self {
        let segments = |bytes: u32| bytes.div_ceil(tcb.mss.max(1));
        Self {
            state: tcb.state.name().to_owned(),
            ca_state: tcb.repair.name().to_owned(),
            retransmits: tcb.retries.into(),
            probes: tcb.probes.into(),
            backoff: tcb.backoffs.into(),
            options: options(tcb),
            snd_wscale: tcb.wnd_shifts.map(|shifts| shifts.0),
            rcv_wscale: tcb.wnd_shifts.map(|shifts| shifts.1),
            rto_us: micros(tcb.rto),
            snd_mss: tcb.mss,
            rcv_mss: tcb.mss_received.into(),
            unacked: segments(tcb.flight_size),
            sacked: segments(tcb.sacked),
            lost: segments(tcb.lost),
            retrans: segments(tcb.again_in_flight),
            last_data_sent_ms: millis(tcb.since_sent),
            last_ack_recv_ms: millis(tcb.since_heard),
            pmtu: tcb.pmtu,
            rtt_us: tcb.srtt.map(micros),
            rttvar_us: tcb.srtt.map(|_| micros(tcb.rttvar)),
            min_rtt_us: tcb.min_rtt.map(micros),
            snd_ssthresh: (tcb.ssthresh != u32::MAX).then(|| segments(tcb.ssthresh)),
            // The other way round: a part of a segment cannot be sent.
            snd_cwnd: tcb.cwnd / tcb.mss.max(1),
            advmss: tcb.mss_announced.into(),
            total_retrans: tcb.retransmits,
            bytes_acked: tcb.bytes_acked,
            bytes_received: tcb.bytes_received,
            data_segs_out: tcb.segments_sent,
            notsent_bytes: tcb.unsent,
            reord_seen: tcb.has_reordering.into(),
            snd_wnd: tcb.snd_wnd,
            rcv_wnd: tcb.rcv_wnd,
            pacing_rate: tcb.pacing_rate,
            delivery_rate: tcb.delivery_rate,
            delivery_rate_app_limited: tcb.is_app_limited,
            state_ms: millis(tcb.in_state),
            congestion: tcb.congestion.name().to_owned(),
            cwnd_bytes: tcb.cwnd,
            bytes_delivered: tcb.bytes_delivered,
            retrans_fast: tcb.again.fast,
            retrans_timer: tcb.again.timer,
            retrans_tail_probe: tcb.again.tail_probe,
            retrans_syn: tcb.again.syn,
            bbr: tcb.bbr.as_ref().map(BbrInfo::from),
        }
    }
}

impl TcpInfo {
    /// Whether losses are being repaired.
    #[must_use]
    pub fn is_repairing(&self) -> bool {
        self.ca_state != RepairPhase::Open.name()
    }
}

/// The names of what was agreed on.
fn options(tcb: &TcbSnapshot) -> Vec<String> {
    let all = [
        ("timestamps", tcb.has_timestamps),
        ("sack", tcb.has_sack),
        ("ecn", tcb.has_ecn),
        ("wscale", tcb.wnd_shifts.is_some()),
    ];
    let agreed = all.into_iter().filter(|(_, is_agreed)| *is_agreed);
    agreed.map(|(name, _)| name.to_owned()).collect()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
