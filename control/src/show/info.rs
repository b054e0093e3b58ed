//! The second line of a connection in `tidegate ss -i`, as `ss -ti` of iproute2 writes it.
//!
//! Its names, order and units: times in milliseconds, windows in segments, rates in bits a second.
//! What is zero is left out where iproute2 does so. Two words are ours and stand at the end.

use std::fmt::Write as _;

use crate::admin::TcpInfo;

/// The line, indented, without its end.
pub(super) fn line(info: &TcpInfo) -> String {
    let mut line = String::from("\t");
    for (option, word) in [("timestamps", " ts"), ("sack", " sack")] {
        if info.options.iter().any(|agreed| agreed == option) {
            line += word;
        }
    }
    let _ = write!(line, " {}", info.congestion);
    if let (Some(snd), Some(rcv)) = (info.snd_wscale, info.rcv_wscale) {
        let _ = write!(line, " wscale:{snd},{rcv}");
    }
    path(&mut line, info);
    amounts(&mut line, info);
    flight(&mut line, info);
    let _ = write!(line, " state_ms:{}", info.state_ms);
    line
}

/// Round trips, sizes and windows.
fn path(line: &mut String, info: &TcpInfo) {
    let _ = write!(line, " rto:{}", millis(info.rto_us));
    some(line, "backoff", info.backoff);
    if let (Some(rtt), Some(rttvar)) = (info.rtt_us, info.rttvar_us) {
        let _ = write!(line, " rtt:{}/{}", millis(rtt), millis(rttvar));
    }
    let _ = write!(line, " mss:{} pmtu:{}", info.snd_mss, info.pmtu);
    some(line, "rcvmss", info.rcv_mss);
    let _ = write!(line, " advmss:{} cwnd:{}", info.advmss, info.snd_cwnd);
    if let Some(ssthresh) = info.snd_ssthresh {
        let _ = write!(line, " ssthresh:{ssthresh}");
    }
}

/// What was sent and received, how fast, and when last.
fn amounts(line: &mut String, info: &TcpInfo) {
    some(line, "bytes_acked", info.bytes_acked);
    some(line, "bytes_received", info.bytes_received);
    some(line, "data_segs_out", info.data_segs_out);
    if let Some(bbr) = &info.bbr {
        let _ = write!(line, " bbr:(bw:{}bps", bits(bbr.bw));
        if let Some(min_rtt_us) = bbr.min_rtt_us {
            let _ = write!(line, ",mrtt:{}", millis(min_rtt_us.into()));
        }
        let (pacing, cwnd) = (gain(bbr.pacing_gain), gain(bbr.cwnd_gain));
        let _ = write!(
            line,
            ",pacing_gain:{pacing},cwnd_gain:{cwnd},{})",
            bbr.phase
        );
    }
    if let Some(rtt_us) = info.rtt_us.filter(|rtt_us| *rtt_us > 0) {
        let bits = u128::from(info.cwnd_bytes) * 8;
        let _ = write!(line, " send {}bps", bits * 1_000_000 / u128::from(rtt_us));
    }
    some(line, "lastsnd", info.last_data_sent_ms);
    some(line, "lastack", info.last_ack_recv_ms);
    for (name, rate) in [
        ("pacing_rate", info.pacing_rate),
        ("delivery_rate", info.delivery_rate),
    ] {
        if let Some(rate) = rate {
            let _ = write!(line, " {name} {}bps", bits(rate));
        }
    }
    if info.delivery_rate_app_limited {
        line.push_str(" app_limited");
    }
}

/// What is under way, and what went wrong.
fn flight(line: &mut String, info: &TcpInfo) {
    some(line, "unacked", info.unacked);
    if info.retrans > 0 || info.total_retrans > 0 {
        let _ = write!(line, " retrans:{}/{}", info.retrans, info.total_retrans);
        let _ = write!(
            line,
            " retrans_by:{}/{}/{}/{}",
            info.retrans_fast, info.retrans_timer, info.retrans_tail_probe, info.retrans_syn
        );
    }
    some(line, "lost", info.lost);
    some(line, "sacked", info.sacked);
    some(line, "reord_seen", info.reord_seen);
    some(line, "notsent", info.notsent_bytes);
    if let Some(min_rtt) = info.min_rtt_us {
        let _ = write!(line, " minrtt:{}", millis(min_rtt));
    }
    some(line, "snd_wnd", info.snd_wnd);
    some(line, "rcv_wnd", info.rcv_wnd);
}

/// ` name:value`, unless it is zero.
fn some(line: &mut String, name: &str, value: impl Into<u64>) {
    let value = value.into();
    if value > 0 {
        let _ = write!(line, " {name}:{value}");
    }
}

/// Bits a second.
fn bits(rate: u64) -> u128 {
    u128::from(rate) * 8
}

/// A gain in per cent, as a factor.
fn gain(percent: u64) -> String {
    let text = format!("{}.{:02}", percent / 100, percent % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Milliseconds, with the microseconds behind the point where there are any.
fn millis(micros: u64) -> String {
    let text = format!("{}.{:03}", micros / 1_000, micros % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::BbrInfo;

    fn info() -> TcpInfo {
        TcpInfo {
            state: "ESTABLISHED".to_owned(),
            ca_state: "recovery".to_owned(),
            options: ["timestamps", "sack", "wscale"].map(str::to_owned).to_vec(),
            snd_wscale: Some(7),
            rcv_wscale: Some(5),
            rto_us: 204_000,
            snd_mss: 1_448,
            rcv_mss: 536,
            unacked: 8,
            sacked: 2,
            lost: 1,
            retrans: 1,
            last_data_sent_ms: 4,
            last_ack_recv_ms: 3,
            pmtu: 1_500,
            rtt_us: Some(20_050),
            rttvar_us: Some(125),
            min_rtt_us: Some(20_000),
            snd_ssthresh: Some(7),
            snd_cwnd: 10,
            advmss: 1_460,
            total_retrans: 5,
            bytes_acked: 1_000_000,
            bytes_received: 100,
            data_segs_out: 700,
            notsent_bytes: 9_000,
            reord_seen: 1,
            snd_wnd: 65_536,
            rcv_wnd: 1_048_576,
            state_ms: 1_230,
            congestion: "cubic".to_owned(),
            cwnd_bytes: 14_480,
            retrans_fast: 2,
            retrans_timer: 1,
            retrans_tail_probe: 1,
            retrans_syn: 1,
            ..TcpInfo::default()
        }
    }

    #[test]
    fn the_line_reads_as_that_of_iproute2() {
        let expected = "\t ts sack cubic wscale:7,5 rto:204 rtt:20.05/0.125 mss:1448 pmtu:1500 \
             rcvmss:536 advmss:1460 cwnd:10 ssthresh:7 bytes_acked:1000000 bytes_received:100 \
             data_segs_out:700 send 5777556bps lastsnd:4 lastack:3 unacked:8 retrans:1/5 \
             retrans_by:2/1/1/1 lost:1 sacked:2 reord_seen:1 notsent:9000 minrtt:20 snd_wnd:65536 \
             rcv_wnd:1048576 state_ms:1230";
        assert_eq!(line(&info()), expected);
    }

    #[test]
    fn a_model_and_rates_are_shown() {
        let paced = TcpInfo {
            congestion: "bbr".to_owned(),
            pacing_rate: Some(1_237_500),
            delivery_rate: Some(1_250_000),
            delivery_rate_app_limited: true,
            bbr: Some(BbrInfo {
                phase: "up".to_owned(),
                bw: 1_250_000,
                min_rtt_us: Some(40_010),
                pacing_gain: 125,
                cwnd_gain: 200,
            }),
            ..info()
        };
        let line = line(&paced);
        let model = " bbr:(bw:10000000bps,mrtt:40.01,pacing_gain:1.25,cwnd_gain:2,up) send ";
        assert!(line.contains(model), "{line}");
        let rates = " pacing_rate 9900000bps delivery_rate 10000000bps app_limited unacked:8 ";
        assert!(line.contains(rates), "{line}");
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let fresh = TcpInfo {
            rto_us: 1_000_000,
            snd_mss: 1_460,
            pmtu: 1_500,
            advmss: 1_460,
            snd_cwnd: 10,
            congestion: "reno".to_owned(),
            ..TcpInfo::default()
        };
        assert_eq!(
            line(&fresh),
            "\t reno rto:1000 mss:1460 pmtu:1500 advmss:1460 cwnd:10 state_ms:0"
        );
    }
}
