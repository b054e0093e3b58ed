//! The tables that stand once: `[workers]`, `[admin]` and `[log]`.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::{
    model::{Idle, Level, LogFormat},
    section::{Read, Section},
    value::{
        Choice, Items, List, OrWord,
        number::{Period, Size, Whole},
        text::{MODE, PORTS, SOCKET},
    },
};

/// Cores a machine may have: `CONFIG_NR_CPUS` of the largest distribution kernels.
const CORE_MAX: usize = 8191;

/// `[workers]` as it was read.
#[derive(Debug)]
pub(crate) struct RawWorkers {
    pub(crate) count: Read<u32>,
    pub(crate) cores: Read<Option<Items<usize>>>,
    pub(crate) idle: Read<Idle>,
    pub(crate) idle_spin: Read<Duration>,
    pub(crate) flows_max: Read<u32>,
    pub(crate) time_wait_max: Read<u32>,
    pub(crate) local_ports: Read<RangeInclusive<u16>>,
    pub(crate) text_memory: Read<u64>,
    pub(crate) shutdown_timeout: Read<Duration>,
}

/// `[admin]` as it was read.
#[derive(Debug)]
pub(crate) struct RawAdmin {
    pub(crate) socket: Read<PathBuf>,
    pub(crate) mode: Read<u32>,
}

/// `[log]` as it was read.
#[derive(Debug)]
pub(crate) struct RawLog {
    pub(crate) level: Read<Level>,
    pub(crate) format: Read<LogFormat>,
}

impl RawWorkers {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        // One worker needs no steering of frames between workers, which this release has not got.
        let one = Whole {
            range: 1..=1,
            of: ": this release runs one worker",
        };
        let cores = List {
            of: Whole::new(0..=CORE_MAX),
            expects: "a list of core numbers, one a worker, like [1]",
        };
        let idle = Choice(&[
            ("adaptive", Idle::Adaptive),
            ("spin", Idle::Spin),
            ("sleep", Idle::Sleep),
        ]);
        let second = Duration::from_secs(1);
        let raw = Self {
            count: section.value("count", &one),
            cores: section.value("cores", &OrWord("any", cores)),
            idle: section.value("idle", &idle),
            idle_spin: section.value("idle_spin", &Period(Duration::from_micros(1)..=second)),
            flows_max: section.value("flows_max", &Whole::new(16..=16_777_216)),
            time_wait_max: section.value("time_wait_max", &Whole::new(1..=16_777_216)),
            local_ports: section.value("local_ports", &PORTS),
            text_memory: section.value("text_memory", &Size(1 << 20..=1 << 38)),
            shutdown_timeout: section
                .value("shutdown_timeout", &Period(Duration::ZERO..=3600 * second)),
        };
        section.finish();
        raw
    }
}

impl RawAdmin {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let raw = Self {
            socket: section.value("socket", &SOCKET),
            mode: section.value("mode", &MODE),
        };
        section.finish();
        raw
    }
}

impl RawLog {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let level = Choice(&[
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
            ("trace", Level::Trace),
        ]);
        let format = Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        let raw = Self {
            level: section.value("level", &level),
            format: section.value("format", &format),
        };
        section.finish();
        raw
    }
}
