//! `opts`: what can be set on one socket, on a listener for all that it will accept.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_tcp::{Keepalive, Settings};
use tidegate_worker::{FlowId, Stack};

use super::errno::Errno;
use super::protocol::{NAME_MAX, Refusal, shortened};

/// The names that are known.
const NAMES: [&str; 7] = [
    "rcvbuf",
    "sndbuf",
    "nodelay",
    "keepalive",
    "user_timeout_ms",
    "dscp",
    "ttl",
];

/// Bytes of a queue at least: below, two full segments do not fit, and the peer waits for
/// acknowledgements that have no reason to come. The same floor as that of `rmem` and `wmem`.
const QUEUE_MIN: u32 = 4096;

/// The options of one request. What is not there stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Opts {
    /// Bytes of the receive queue, at least.
    rcvbuf: Option<u32>,
    /// Bytes of the send queue, at least.
    sndbuf: Option<u32>,
    nodelay: Option<bool>,
    keepalive: Option<Probing>,
    /// 0: none.
    user_timeout_ms: Option<u32>,
    dscp: Option<u8>,
    ttl: Option<u8>,
}

/// `keepalive`: its times, or just on or off.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
enum Probing {
    Switch(bool),
    Times(Times),
}

/// The times of keep-alive; what is not said is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    /// Seconds.
    idle: Option<f64>,
    /// Seconds.
    interval: Option<f64>,
    count: Option<u8>,
}

impl Opts {
    /// The options in this object, each checked.
    pub(super) fn parse(object: Option<Map<String, Value>>) -> Result<Self, Refusal> {
        let object = object.unwrap_or_default();
        if let Some(name) = object.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let message = format!("there is no option {:?}", shortened(name, NAME_MAX));
            return Err(Refusal::new(Errno::Unsupported, message));
        }
        let invalid = |message: String| Refusal::new(Errno::Invalid, message);
        let opts = Self::deserialize(Value::Object(object))
            .map_err(|error| invalid(format!("opts: {error}")))?;
        match opts.fault() {
            Some(fault) => Err(invalid(fault.to_owned())),
            None => Ok(opts),
        }
    }

    /// What is wrong with the values.
    fn fault(&self) -> Option<&'static str> {
        if self.dscp.is_some_and(|dscp| dscp > 63) {
            return Some("dscp is from 0 to 63");
        }
        if self.ttl == Some(0) {
            return Some("ttl is from 1 to 255");
        }
        if self.rcvbuf == Some(0) || self.sndbuf == Some(0) {
            return Some("a queue has room for one byte at least");
        }
        let Some(Probing::Times(times)) = self.keepalive else {
            return None;
        };
        let is_time = |seconds: &f64| (0.001..=1e6).contains(seconds);
        if !times.idle.iter().chain(&times.interval).all(is_time) {
            return Some("times of keepalive are seconds above 0");
        }
        (times.count == Some(0)).then_some("keepalive has a count of 1 at least")
    }

    /// These settings with what the options say otherwise.
    pub(super) fn applied_to(&self, settings: &Settings) -> Settings {
        let mut new = *settings;
        if let Some(rcvbuf) = self.rcvbuf {
            new = new.with_rmem(rcvbuf.max(QUEUE_MIN));
        }
        if let Some(sndbuf) = self.sndbuf {
            new = new.with_wmem(sndbuf.max(QUEUE_MIN));
        }
        new.nodelay = self.nodelay.unwrap_or(new.nodelay);
        match self.keepalive {
            None => {}
            Some(Probing::Switch(false)) => new.keepalive = None,
            Some(Probing::Switch(true)) => new.keepalive = Some(new.keepalive.unwrap_or_default()),
            Some(Probing::Times(times)) => {
                let old = new.keepalive.unwrap_or_default();
                let seconds = |time: Option<f64>, old| time.map_or(old, Duration::from_secs_f64);
                new.keepalive = Some(Keepalive {
                    idle: seconds(times.idle, old.idle),
                    interval: seconds(times.interval, old.interval),
                    count: times.count.unwrap_or(old.count),
                });
            }
        }
        match self.user_timeout_ms {
            None => {}
            Some(0) => new.user_timeout = None,
            Some(millis) => new.user_timeout = Some(Duration::from_millis(millis.into())),
        }
        // RFC 2474 3: the code point is the upper six bits of the byte.
        new.traffic_class = self.dscp.map_or(new.traffic_class, |dscp| dscp << 2);
        new.hop_limit = self.ttl.unwrap_or(new.hop_limit);
        new
    }

    /// Tells a flow that exists and follows `settings` by now what is its own.
    pub(super) fn tell(&self, stack: &mut Stack, flow: FlowId, settings: &Settings) {
        if self.nodelay.is_some() {
            stack.set_nodelay(flow, settings.nodelay);
        }
        if self.keepalive.is_some() {
            stack.set_keepalive(flow, settings.keepalive.is_some());
        }
        if self.user_timeout_ms.is_some() {
            stack.set_user_timeout(flow, settings.user_timeout);
        }
    }
}
