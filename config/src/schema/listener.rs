//! `[[listener]]`, `[listener.respond]` and `[listener.tcp]`.

use super::RawTcp;
use crate::{
    model::{ListenAddress, SynCookies},
    section::{Read, Section},
    value::{
        Choice, Flag, Items, List,
        address::LISTEN,
        number::Whole,
        text::{ANY_TEXT, FIELD_VALUE, NAME},
    },
};

/// One `[[listener]]` as it was read.
#[derive(Debug)]
pub(crate) struct RawListener {
    pub(crate) name: Read<String>,
    pub(crate) addresses: Read<Items<ListenAddress>>,
    pub(crate) service: Read<ServiceKind>,
    /// The pool of a proxy; the outer `None` where there is no such key.
    pub(crate) pool: Option<Read<String>>,
    pub(crate) respond: RawRespond,
    pub(crate) backlog: Read<u32>,
    pub(crate) syn_backlog: Read<u32>,
    pub(crate) abort_on_overflow: Read<bool>,
    pub(crate) syn_cookies: Read<SynCookies>,
    pub(crate) fast_open: Read<bool>,
    pub(crate) fast_open_max: Read<u32>,
    pub(crate) tcp: RawTcp,
}

/// One `[listener.respond]` as it was read.
#[derive(Debug)]
pub(crate) struct RawRespond {
    pub(crate) status: Read<u16>,
    pub(crate) content_type: Read<String>,
    pub(crate) body: Read<String>,
}

/// What the key `service` says; what a service needs beside stands in other keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceKind {
    Echo,
    Discard,
    Chargen,
    Respond,
    Proxy,
}

const SERVICE: Choice<ServiceKind> = Choice(&[
    ("proxy", ServiceKind::Proxy),
    ("respond", ServiceKind::Respond),
    ("echo", ServiceKind::Echo),
    ("discard", ServiceKind::Discard),
    ("chargen", ServiceKind::Chargen),
]);

const SYN_COOKIES: Choice<SynCookies> = Choice(&[
    ("off", SynCookies::Off),
    ("full", SynCookies::Full),
    ("always", SynCookies::Always),
]);

impl RawListener {
    pub(crate) fn read(section: &Section<'_>, tcp: &Section<'_>) -> Self {
        let addresses = List {
            of: LISTEN,
            expects: "a list of addresses with port, like [\"10.0.0.2:80\", \"[fd00::2]:80\"] \
                      or [\"*:80\"]",
        };
        let connections = |max| Whole {
            range: 1..=max,
            of: " of connections",
        };
        let raw = Self {
            name: section.required("name", &NAME),
            addresses: section.required("addresses", &addresses),
            service: section.required("service", &SERVICE),
            pool: section.optional("pool", &NAME),
            respond: RawRespond::read(&section.child("respond")),
            backlog: section.value("backlog", &connections(65_535)),
            syn_backlog: section.value("syn_backlog", &connections(1 << 20)),
            abort_on_overflow: section.value("abort_on_overflow", &Flag),
            syn_cookies: section.value("syn_cookies", &SYN_COOKIES),
            fast_open: section.value("fast_open", &Flag),
            fast_open_max: section.value("fast_open_max", &connections(65_535)),
            tcp: RawTcp::read(&section.child("tcp").falling_back_to(tcp)),
        };
        raw.check_service(section);
        section.finish();
        raw
    }

    /// Each service has the keys that it needs, and none that it does not know.
    fn check_service(&self, section: &Section<'_>) {
        let Some(service) = self.service.as_ref().map(|service| service.value) else {
            return;
        };
        if service == ServiceKind::Proxy && self.pool.is_none() {
            let help = "write pool = \"..\" with the name of a [[pool]]";
            section.missing("pool", "`pool` is missing: a proxy needs backends", help);
        }
        if service != ServiceKind::Proxy {
            let help = "write service = \"proxy\", or leave it out";
            section.misplaced("pool", "only a proxy has a pool", help);
        }
        if service != ServiceKind::Respond {
            let what = "only service = \"respond\" gives an answer of its own";
            let help = "write service = \"respond\", or leave the table out";
            section.misplaced("respond", what, help);
        }
    }
}

impl RawRespond {
    fn read(section: &Section<'_>) -> Self {
        let raw = Self {
            status: section.value("status", &Whole::new(200..=599)),
            content_type: section.value("content_type", &FIELD_VALUE),
            body: section.value("body", &ANY_TEXT),
        };
        section.finish();
        raw
    }
}
