//! The schema: which tables and keys there are, and what each accepts.
//!
//! Reading gives the raw configuration: each value on its own is right, or is missing here and
//! stands among the faults. Whether the values fit each other is [`crate::validate`]'s business.

mod listener;
mod pool;
mod port;
mod service;
mod tcp;

use toml::de::DeTable;

pub(crate) use listener::{RawListener, RawRespond, ServiceKind};
pub(crate) use pool::{RawBackend, RawPool};
pub(crate) use port::{RawPort, RawPortFault};
pub(crate) use service::{RawAdmin, RawLog, RawWorkers};
pub(crate) use tcp::RawTcp;

use crate::{fault::Findings, section::Section};

/// A configuration of which each value was read on its own.
#[derive(Debug)]
pub(crate) struct RawConfig {
    pub(crate) workers: RawWorkers,
    pub(crate) ports: Vec<RawPort>,
    pub(crate) tcp: RawTcp,
    pub(crate) listeners: Vec<RawListener>,
    pub(crate) pools: Vec<RawPool>,
    pub(crate) admin: RawAdmin,
    pub(crate) log: RawLog,
}

/// What a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A service: it has to serve something.
    Service,
    /// A stack that a program drives: it may do without listeners.
    Stack,
}

impl RawConfig {
    /// Reads the whole document.
    pub(crate) fn read<'a>(
        document: &'a DeTable<'a>,
        purpose: Purpose,
        findings: &'a Findings<'a>,
    ) -> Self {
        let root = Section::root(document, findings);
        let tcp = root.child("tcp");
        let raw = Self {
            workers: RawWorkers::read(&root.child("workers")),
            ports: root.children("port").iter().map(RawPort::read).collect(),
            tcp: RawTcp::read(&tcp),
            listeners: root
                .children("listener")
                .iter()
                .map(|section| RawListener::read(section, &tcp))
                .collect(),
            pools: root
                .children("pool")
                .iter()
                .map(|section| RawPool::read(section, &tcp))
                .collect(),
            admin: RawAdmin::read(&root.child("admin")),
            log: RawLog::read(&root.child("log")),
        };
        if !root.says("port") {
            let what = "there is no [[port]]: Tidegate would have no way to the network";
            root.missing(
                "port",
                what,
                "add [[port]] with `interface` and `addresses`",
            );
        }
        if purpose == Purpose::Service && !root.says("listener") {
            let what = "there is no [[listener]]: Tidegate would serve nothing";
            root.missing(
                "listener",
                what,
                "add [[listener]] with `name`, `addresses` and `service`",
            );
        }
        root.finish();
        raw
    }
}
