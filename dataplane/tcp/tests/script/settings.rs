//! The settings of a script: `key=value`, under the names that [`Settings`] has.

use std::time::Duration;

use tidegate_tcp::{CongestionKind, Ecn, Keepalive, MtuProbing, Pacing, Settings};

use super::Host;

const MTU_PROBING: [(&str, MtuProbing); 3] = [
    ("off", MtuProbing::Off),
    ("black_hole", MtuProbing::BlackHole),
    ("always", MtuProbing::Always),
];

const CONGESTION: [(&str, CongestionKind); 3] = [
    ("bbr", CongestionKind::Bbr),
    ("cubic", CongestionKind::Cubic),
    ("reno", CongestionKind::NewReno),
];

const PACING: [(&str, Pacing); 3] = [
    ("auto", Pacing::Auto),
    ("on", Pacing::On),
    ("off", Pacing::Off),
];

const ECN: [(&str, Ecn); 3] = [
    ("off", Ecn::Off),
    ("passive", Ecn::Passive),
    ("on", Ecn::On),
];

/// Carries out one `key=value`.
pub(super) fn set(settings: &mut Settings, host: &mut Host, pair: &str) -> Result<(), String> {
    let (key, value) = pair.split_once('=').ok_or("settings are key=value")?;
    let number = || {
        value
            .parse::<u32>()
            .map_err(|_| format!("{value} is no number"))
    };
    let small = || {
        value
            .parse::<u8>()
            .map_err(|_| format!("{value} is no small number"))
    };
    let seconds = || seconds(value);
    match key {
        "rmem" => *settings = settings.with_rmem(number()?),
        "rmem_max" => settings.rmem_max = number()?,
        "wmem" => *settings = settings.with_wmem(number()?),
        "wmem_max" => settings.wmem_max = number()?,
        "wscale" => settings.wnd_scaling = switch(value)?,
        "sack" => settings.sack = switch(value)?,
        "timestamps" => settings.timestamps = switch(value)?,
        "nodelay" => settings.nodelay = switch(value)?,
        "hystart" => settings.hystart = switch(value)?,
        "strict" => settings.strict = switch(value)?,
        "delayed_ack" => settings.delayed_ack = seconds()?,
        "quick_acks" => settings.quick_acks = small()?,
        "initial_window" => settings.initial_window = small()?,
        "initial_rto" => settings.initial_rto = seconds()?,
        "rto_min" => settings.rto_min = seconds()?,
        "rto_max" => settings.rto_max = seconds()?,
        "syn_retries" => settings.syn_retries = small()?,
        "syn_ack_retries" => settings.syn_ack_retries = small()?,
        "retries2" => settings.retries2 = small()?,
        "time_wait" => settings.time_wait = seconds()?,
        "fin_timeout" => settings.fin_timeout = seconds()?,
        "keepalive" => settings.keepalive = Some(keepalive(value)?),
        "user_timeout" => settings.user_timeout = Some(seconds()?),
        "linger" => settings.linger = Some(seconds()?),
        "mss_max" => settings.mss_max = Some(value.parse().map_err(|_| "no segment size")?),
        "base_mss" => settings.base_mss = value.parse().map_err(|_| "no segment size")?,
        "min_pmtu" => settings.min_pmtu = value.parse().map_err(|_| "no datagram size")?,
        "mtu_probing" => settings.mtu_probing = choice(value, &MTU_PROBING)?,
        "congestion" => settings.congestion = choice(value, &CONGESTION)?,
        "pacing" => settings.pacing = choice(value, &PACING)?,
        "ecn" => settings.ecn = choice(value, &ECN)?,
        "mss" => host.mss = number()?,
        "blocks" => host.blocks = number()?,
        "range_sets" => host.range_sets = number()?,
        "send_logs" => host.send_logs = number()?,
        "bbr_records" => host.bbr_records = number()?,
        "cookies" => host.cookies = switch(value)?,
        "ip" => host.ip_version = Some(small()?),
        _ => return Err(format!("{key} is no setting")),
    }
    Ok(())
}

/// One of some words.
fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(word, _)| *word == value);
    found
        .map(|(_, choice)| *choice)
        .ok_or_else(|| format!("{value} is no choice"))
}

/// `on` or `off`.
pub(super) fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{value} is neither on nor off")),
    }
}

/// A length of time in seconds.
pub(super) fn seconds(value: &str) -> Result<Duration, String> {
    let seconds: f64 = value.parse().map_err(|_| format!("{value} is no time"))?;
    Ok(Duration::from_secs_f64(seconds))
}

/// `idle/interval/count`, or `default`.
fn keepalive(value: &str) -> Result<Keepalive, String> {
    if value == "default" {
        return Ok(Keepalive::default());
    }
    let parts: Vec<&str> = value.split('/').collect();
    let [idle, interval, count] = parts[..] else {
        return Err("keepalive is idle/interval/count".into());
    };
    Ok(Keepalive {
        idle: seconds(idle)?,
        interval: seconds(interval)?,
        count: count.parse().map_err(|_| "no count")?,
    })
}
