//! Listeners: what is served where.

use crate::{
    fault::Findings,
    model::{ListenAddress, Listener, Respond, Service},
    schema::{RawListener, RawRespond, ServiceKind},
    source::{Located, Span},
    validate::{check_names, network::Network, pool::PoolNames, tcp},
};

/// Checks the listeners against each other and against what the ports own.
pub(super) fn check(listeners: &[RawListener], network: Option<&Network>, findings: &Findings<'_>) {
    check_names(
        "listener.name",
        listeners.iter().map(|listener| &listener.name),
        findings,
    );
    let mut taken: Vec<(ListenAddress, Span)> = Vec::new();
    for listener in listeners {
        let Some(addresses) = &listener.addresses else {
            continue;
        };
        if addresses.value.is_empty() {
            let help = "expected at least one, like [\"*:80\"]";
            let what = "the listener has no address";
            findings.add(addresses.span, "listener.addresses", what, help);
        }
        for address in &addresses.value.known {
            check_owned(address, network, findings);
            check_free(address, &taken, findings);
            taken.push((address.value, address.span));
        }
    }
}

pub(super) fn listener(
    raw: RawListener,
    pools: &PoolNames,
    findings: &Findings<'_>,
) -> Option<Listener> {
    let tcp = tcp::tcp(raw.tcp, findings);
    let service = match raw.service?.value {
        ServiceKind::Echo => Service::Echo,
        ServiceKind::Discard => Service::Discard,
        ServiceKind::Chargen => Service::Chargen,
        ServiceKind::Respond => Service::Respond(respond(raw.respond)?),
        ServiceKind::Proxy => Service::Proxy {
            pool: pools.index(&raw.pool??.value)?,
        },
    };
    Some(Listener {
        name: raw.name?.value,
        addresses: raw.addresses?.value.complete()?,
        service,
        backlog: raw.backlog?.value,
        syn_backlog: raw.syn_backlog?.value,
        abort_on_overflow: raw.abort_on_overflow?.value,
        syn_cookies: raw.syn_cookies?.value,
        fast_open: raw.fast_open?.value,
        fast_open_max: raw.fast_open_max?.value,
        tcp: tcp?,
    })
}

fn respond(raw: RawRespond) -> Option<Respond> {
    Some(Respond {
        status: raw.status?.value,
        content_type: raw.content_type?.value,
        body: raw.body?.value,
    })
}

/// A listener can only answer at an address that a port owns.
fn check_owned(
    listen: &Located<ListenAddress>,
    network: Option<&Network>,
    findings: &Findings<'_>,
) {
    let (Some(address), Some(network)) = (listen.value.address, network) else {
        return;
    };
    if !network.may_own(address) {
        let what = format!("no port owns {address}");
        let owned = network.owned_list();
        let help = format!("add it to the `addresses` of a [[port]]; owned are {owned}");
        findings.add(listen.span, "listener.addresses", what, help);
    }
}

/// An address and port has one listener. `*` takes the port on every address.
fn check_free(
    listen: &Located<ListenAddress>,
    taken: &[(ListenAddress, Span)],
    findings: &Findings<'_>,
) {
    let overlaps = |(other, _): &&(ListenAddress, Span)| {
        let same = other.address == listen.value.address;
        let covers = other.address.is_none() || listen.value.address.is_none();
        other.port == listen.value.port && (same || covers)
    };
    if let Some((other, span)) = taken.iter().find(overlaps) {
        let line = findings.source().line(span.start);
        let what = match *other == listen.value {
            true => format!("{other} is taken"),
            false => format!("{} overlaps {other}", listen.value),
        };
        let help = format!("choose another port or address; the first is in line {line}");
        findings.add(listen.span, "listener.addresses", what, help);
    }
}
