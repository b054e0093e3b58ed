//! `[[pool]]`, `[[pool.backend]]` and `[pool.tcp]`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::RawTcp;
use crate::{
    model::Balance,
    section::{Read, Section},
    value::{
        Choice, OrWord,
        address::{BACKEND, HOST},
        number::{Period, Whole},
        text::NAME,
    },
};

/// One `[[pool]]` as it was read.
#[derive(Debug)]
pub(crate) struct RawPool {
    pub(crate) name: Read<String>,
    pub(crate) backends: Vec<RawBackend>,
    pub(crate) balance: Read<Balance>,
    pub(crate) timeout_connect: Read<Duration>,
    pub(crate) timeout_idle: Read<Duration>,
    pub(crate) retries: Read<u32>,
    pub(crate) source: Read<Option<IpAddr>>,
    pub(crate) tcp: RawTcp,
}

/// One `[[pool.backend]]` as it was read.
#[derive(Debug)]
pub(crate) struct RawBackend {
    /// Its name; the outer `None` where there is no such key.
    pub(crate) name: Option<Read<String>>,
    pub(crate) address: Read<SocketAddr>,
}

impl RawPool {
    pub(crate) fn read(section: &Section<'_>, tcp: &Section<'_>) -> Self {
        let connect = Duration::from_millis(1)..=Duration::from_secs(600);
        let idle = Duration::from_secs(1)..=Duration::from_secs(604_800);
        let raw = Self {
            name: section.required("name", &NAME),
            backends: section
                .children("backend")
                .iter()
                .map(RawBackend::read)
                .collect(),
            balance: section.value("balance", &Choice(&[("roundrobin", Balance::RoundRobin)])),
            timeout_connect: section.value("timeout_connect", &Period(connect)),
            timeout_idle: section.value("timeout_idle", &Period(idle)),
            retries: section.value("retries", &Whole::new(0..=100)),
            source: section.value("source", &OrWord("auto", HOST)),
            tcp: RawTcp::read(&section.child("tcp").falling_back_to(tcp)),
        };
        if raw.backends.is_empty() && !section.says("backend") {
            let what = "the pool has no backend".to_owned();
            let help = "add [[pool.backend]] with `address` below it, once for each server";
            section.missing("backend", what, help.to_owned());
        }
        section.finish();
        raw
    }
}

impl RawBackend {
    fn read(section: &Section<'_>) -> Self {
        let raw = Self {
            name: section.optional("name", &NAME),
            address: section.required("address", &BACKEND),
        };
        section.finish();
        raw
    }
}
