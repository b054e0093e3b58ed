//! `[tcp]`, and the same keys in `[listener.tcp]` and `[pool.tcp]`.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    model::{CongestionControl, Ecn, MtuProbing, Pacing},
    section::{Read, Section},
    source::Located,
    value::{
        Choice, Flag, OrWord,
        number::{Period, Size, Whole},
    },
};

/// A TCP table as it was read, with what other tables and the defaults answer for it.
#[derive(Debug)]
pub(crate) struct RawTcp {
    /// Where it is, as keys name it.
    pub(crate) path: String,
    pub(crate) rmem: Read<Option<u32>>,
    pub(crate) rmem_max: Read<u32>,
    pub(crate) wmem: Read<Option<u32>>,
    pub(crate) wmem_max: Read<u32>,
    pub(crate) window_scaling: Read<bool>,
    pub(crate) sack: Read<bool>,
    pub(crate) timestamps: Read<bool>,
    pub(crate) nodelay: Read<bool>,
    pub(crate) delayed_ack: Read<Option<Duration>>,
    pub(crate) quick_acks: Read<u8>,
    pub(crate) initial_window: Read<u8>,
    pub(crate) congestion_control: Read<CongestionControl>,
    pub(crate) hystart: Read<bool>,
    pub(crate) ecn: Read<Ecn>,
    pub(crate) pacing: Read<Pacing>,
    pub(crate) rto_initial: Read<Duration>,
    pub(crate) rto_min: Read<Duration>,
    pub(crate) rto_max: Read<Duration>,
    pub(crate) syn_retries: Read<u8>,
    pub(crate) synack_retries: Read<u8>,
    pub(crate) strict: Read<bool>,
    pub(crate) retries2: Read<u8>,
    pub(crate) time_wait: Read<Duration>,
    pub(crate) time_wait_reuse: Read<bool>,
    pub(crate) fin_timeout: Read<Duration>,
    pub(crate) keepalive: Read<bool>,
    pub(crate) keepalive_time: Read<Duration>,
    pub(crate) keepalive_intvl: Read<Duration>,
    pub(crate) keepalive_probes: Read<u8>,
    pub(crate) user_timeout: Read<Option<Duration>>,
    pub(crate) linger: Read<Option<Duration>>,
    pub(crate) mss_max: Read<Option<u16>>,
    pub(crate) mtu_probing: Read<MtuProbing>,
    pub(crate) base_mss: Read<u16>,
    pub(crate) min_pmtu: Read<u16>,
    pub(crate) ttl: Read<u8>,
    pub(crate) dscp: Read<u8>,
}

/// Memory of one connection in one direction. Below, two full segments do not fit, and a receiver
/// may not acknowledge each alone; the upper end is what a window can say (RFC 7323 2.3) down to a
/// power of two.
const MEMORY: RangeInclusive<u64> = 4 << 10..=512 << 20;

/// What memory that grows ends with: at least what it begins with.
const MEMORY_MAX: RangeInclusive<u64> = 64 << 10..=512 << 20;

/// Both names that Linux and the RFCs have for the second.
const CONGESTION_CONTROL: Choice<CongestionControl> = Choice(&[
    ("cubic", CongestionControl::Cubic),
    ("newreno", CongestionControl::NewReno),
    ("reno", CongestionControl::NewReno),
    ("bbr", CongestionControl::Bbr),
]);

const PACING: Choice<Pacing> = Choice(&[
    ("auto", Pacing::Auto),
    ("on", Pacing::On),
    ("off", Pacing::Off),
]);

/// In the order of Linux's 0, 1 and 2.
const MTU_PROBING: Choice<MtuProbing> = Choice(&[
    ("off", MtuProbing::Off),
    ("black_hole", MtuProbing::BlackHole),
    ("always", MtuProbing::Always),
]);

/// Linux's 0, 2 and 1.
const ECN: Choice<Ecn> = Choice(&[
    ("off", Ecn::Off),
    ("passive", Ecn::Passive),
    ("on", Ecn::On),
]);

impl RawTcp {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let raw = Self {
            path: section.path.clone(),
            rmem: section
                .value("rmem", &OrWord("auto", Size(MEMORY)))
                .map(buffer),
            rmem_max: section.value("rmem_max", &Size(MEMORY_MAX)).map(bytes_of),
            wmem: section
                .value("wmem", &OrWord("auto", Size(MEMORY)))
                .map(buffer),
            wmem_max: section.value("wmem_max", &Size(MEMORY_MAX)).map(bytes_of),
            window_scaling: section.value("window_scaling", &Flag),
            sack: section.value("sack", &Flag),
            timestamps: section.value("timestamps", &Flag),
            nodelay: section.value("nodelay", &Flag),
            // RFC 9293 3.8.6.3, MUST-40: less than half a second.
            delayed_ack: section.value(
                "delayed_ack",
                &OrWord("off", Period(Duration::ZERO..=millis(499))),
            ),
            quick_acks: section.value("quick_acks", &Whole::new(0..=255)),
            initial_window: section.value(
                "initial_window",
                &Whole {
                    range: 1..=64,
                    of: " of segments",
                },
            ),
            congestion_control: section.value("congestion_control", &CONGESTION_CONTROL),
            hystart: section.value("hystart", &Flag),
            ecn: section.value("ecn", &ECN),
            pacing: section.value("pacing", &PACING),
            rto_initial: section.value("rto_initial", &Period(millis(10)..=seconds(60))),
            rto_min: section.value("rto_min", &Period(millis(1)..=seconds(60))),
            rto_max: section.value("rto_max", &Period(seconds(1)..=seconds(600))),
            syn_retries: section.value("syn_retries", &Whole::new(0..=127)),
            synack_retries: section.value("synack_retries", &Whole::new(0..=127)),
            strict: section.value("strict", &Flag),
            // RFC 9293 3.8.3, SHLD-10: R1 is three, and R2 is not below it.
            retries2: section.value("retries2", &Whole::new(3..=127)),
            time_wait: section.value("time_wait", &Period(seconds(1)..=seconds(240))),
            time_wait_reuse: section.value("time_wait_reuse", &Flag),
            fin_timeout: section.value("fin_timeout", &Period(seconds(1)..=seconds(3600))),
            keepalive: section.value("keepalive", &Flag),
            keepalive_time: section.value("keepalive_time", &Period(seconds(1)..=seconds(604_800))),
            keepalive_intvl: section
                .value("keepalive_intvl", &Period(seconds(1)..=seconds(32_400))),
            keepalive_probes: section.value("keepalive_probes", &Whole::new(1..=127)),
            user_timeout: section.value(
                "user_timeout",
                &OrWord("off", Period(seconds(1)..=seconds(86_400))),
            ),
            linger: section.value(
                "linger",
                &OrWord("off", Period(Duration::ZERO..=seconds(3600))),
            ),
            mss_max: section.value("mss_max", &OrWord("auto", bytes(64..=3466))),
            mtu_probing: section.value("mtu_probing", &MTU_PROBING),
            base_mss: section.value("base_mss", &bytes(64..=3466)),
            // RFC 1191 3: no link takes less than 68.
            min_pmtu: section.value("min_pmtu", &bytes(68..=1500)),
            ttl: section.value("ttl", &Whole::new(1..=255)),
            dscp: section.value("dscp", &Whole::new(0..=63)),
        };
        section.finish();
        raw
    }
}

/// A size of [`MEMORY`] or [`MEMORY_MAX`].
fn bytes_of(read: Located<u64>) -> Located<u32> {
    Located {
        value: u32::try_from(read.value).expect("both end below 4 GiB"),
        span: read.span,
        said: read.said,
    }
}

/// The same, where it may be "auto".
fn buffer(read: Located<Option<u64>>) -> Located<Option<u32>> {
    let bytes = |size| u32::try_from(size).expect("MEMORY ends below 4 GiB");
    Located {
        value: read.value.map(bytes),
        span: read.span,
        said: read.said,
    }
}

/// A number of bytes.
const fn bytes(range: RangeInclusive<u16>) -> Whole<u16> {
    Whole {
        range,
        of: " of bytes",
    }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
