//! One TCP table: `[tcp]`, `[listener.tcp]` or `[pool.tcp]`.

use std::time::Duration;

use crate::{
    fault::Findings,
    model::{Keepalive, Tcp},
    schema::RawTcp,
    source::Located,
    value::number::duration,
};

pub(super) fn tcp(raw: RawTcp, findings: &Findings<'_>) -> Option<Tcp> {
    let order = [
        ("rto_min", &raw.rto_min, "rto_initial", &raw.rto_initial),
        ("rto_initial", &raw.rto_initial, "rto_max", &raw.rto_max),
        ("rto_min", &raw.rto_min, "rto_max", &raw.rto_max),
    ];
    for (small_key, small, large_key, large) in order {
        if let (Some(small), Some(large)) = (small, large)
            && check_order((small_key, small), (large_key, large), &raw.path, findings).is_err()
        {
            break;
        }
    }
    let keepalive = Keepalive {
        time: raw.keepalive_time?.value,
        intvl: raw.keepalive_intvl?.value,
        probes: raw.keepalive_probes?.value,
    };
    Some(Tcp {
        rmem: raw.rmem?.value,
        rmem_max: raw.rmem_max?.value,
        wmem: raw.wmem?.value,
        wmem_max: raw.wmem_max?.value,
        window_scaling: raw.window_scaling?.value,
        sack: raw.sack?.value,
        timestamps: raw.timestamps?.value,
        nodelay: raw.nodelay?.value,
        delayed_ack: raw.delayed_ack?.value.unwrap_or_default(),
        quick_acks: raw.quick_acks?.value,
        initial_window: raw.initial_window?.value,
        congestion_control: raw.congestion_control?.value,
        hystart: raw.hystart?.value,
        ecn: raw.ecn?.value,
        pacing: raw.pacing?.value,
        rto_initial: raw.rto_initial?.value,
        rto_min: raw.rto_min?.value,
        rto_max: raw.rto_max?.value,
        syn_retries: raw.syn_retries?.value,
        synack_retries: raw.synack_retries?.value,
        strict: raw.strict?.value,
        retries2: raw.retries2?.value,
        time_wait: raw.time_wait?.value,
        time_wait_reuse: raw.time_wait_reuse?.value,
        fin_timeout: raw.fin_timeout?.value,
        keepalive: raw.keepalive?.value.then_some(keepalive),
        user_timeout: raw.user_timeout?.value,
        linger: raw.linger?.value,
        mss_max: raw.mss_max?.value,
        mtu_probing: raw.mtu_probing?.value,
        base_mss: raw.base_mss?.value,
        min_pmtu: raw.min_pmtu?.value,
        ttl: raw.ttl?.value,
        dscp: raw.dscp?.value,
    })
}

/// The first duration is not above the second. Blamed is the one that the file says.
fn check_order(
    (small_key, small): (&str, &Located<Duration>),
    (large_key, large): (&str, &Located<Duration>),
    path: &str,
    findings: &Findings<'_>,
) -> Result<(), ()> {
    if small.value <= large.value {
        return Ok(());
    }
    let (low, high) = (duration(large.value), duration(small.value));
    let (key, span, what, help) = if small.said {
        let what = format!("{high:?} is above {large_key}, which is {low:?}");
        (
            small_key,
            small.span,
            what,
            format!("expected {low:?} or less, or a larger {large_key}"),
        )
    } else {
        let what = format!("{low:?} is below {small_key}, which is {high:?}");
        (
            large_key,
            large.span,
            what,
            format!("expected {high:?} or more, or a smaller {small_key}"),
        )
    };
    findings.add(span, format!("{path}.{key}"), what, help);
    Err(())
}
