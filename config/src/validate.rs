//! From the raw configuration to the typed one: the only way there.
//!
//! Here is what concerns more than one value: that names are unique and lead somewhere, that
//! addresses are owned, that a backend can be reached. A value that could not be read is skipped;
//! its fault is noted already, and what it was meant to be is not guessed.

mod listener;
mod network;
mod pool;
mod port;
mod tcp;

use std::{collections::HashMap, hash::Hash};

use crate::{
    fault::Findings,
    model::{Admin, Config, Log, Workers},
    schema::{RawAdmin, RawConfig, RawLog, RawWorkers},
    section::{Read, chosen},
    source::Span,
    value::Items,
};

/// The typed configuration; `None` if anything is wrong, which then stands in `findings`.
pub(crate) fn validate(raw: RawConfig, findings: &Findings<'_>) -> Option<Config> {
    let network = network::check(&raw.ports, findings);
    listener::check(&raw.listeners, network.as_ref(), findings);
    pool::check(&raw.pools, network.as_ref(), findings);
    let pools = pool::check_uses(&raw.pools, &raw.listeners, findings);

    // Every part is tried before the first that is not there ends it: each notes its own faults.
    let workers = workers(raw.workers, findings);
    let ports: Vec<_> = raw
        .ports
        .into_iter()
        .map(|port| port::port(port, findings))
        .collect();
    let tcp = tcp::tcp(raw.tcp, findings);
    let listeners: Vec<_> = raw
        .listeners
        .into_iter()
        .map(|listener| listener::listener(listener, &pools, findings))
        .collect();
    let raw_pools: Vec<_> = raw
        .pools
        .into_iter()
        .map(|pool| pool::pool(pool, findings))
        .collect();
    Some(Config {
        workers: workers?,
        ports: ports.into_iter().collect::<Option<_>>()?,
        tcp: tcp?,
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        pools: raw_pools.into_iter().collect::<Option<_>>()?,
        admin: admin(raw.admin)?,
        log: log(&raw.log)?,
    })
}

fn workers(raw: RawWorkers, findings: &Findings<'_>) -> Option<Workers> {
    check_cores(&raw, findings);
    Some(Workers {
        count: raw.count?.value,
        cores: complete_if_any(raw.cores?.value)?,
        idle: raw.idle?.value,
        idle_spin: raw.idle_spin?.value,
        flows_max: raw.flows_max?.value,
        time_wait_max: raw.time_wait_max?.value,
        local_ports: raw.local_ports?.value,
        text_memory: raw.text_memory?.value,
        shutdown_timeout: raw.shutdown_timeout?.value,
    })
}

/// The list in place of which a word may stand; `None` if an item could not be read.
fn complete_if_any<T>(list: Option<Items<T>>) -> Option<Option<Vec<T>>> {
    match list {
        Some(items) => items.complete().map(Some),
        None => Some(None),
    }
}

/// One core for each worker, and no core for two.
fn check_cores(raw: &RawWorkers, findings: &Findings<'_>) {
    let (Some((cores, span)), Some(count)) = (chosen(&raw.cores), &raw.count) else {
        return;
    };
    let key = "workers.cores";
    let given = cores.known.len() + cores.unread.len();
    if given != usize::try_from(count.value).unwrap_or(usize::MAX) {
        let what = format!("{given} cores for {} worker", count.value);
        findings.add(
            span,
            key,
            what,
            format!("expected {} core, or \"any\"", count.value),
        );
    }
    let cores = cores.known.iter().map(|core| (core.value, core.span));
    check_unique(key, cores, findings, |core| {
        (
            format!("core {core} stands here twice"),
            "name each core once",
        )
    });
}

fn admin(raw: RawAdmin) -> Option<Admin> {
    Some(Admin {
        socket: raw.socket?.value,
        mode: raw.mode?.value,
    })
}

fn log(raw: &RawLog) -> Option<Log> {
    Some(Log {
        level: raw.level.as_ref()?.value,
        format: raw.format.as_ref()?.value,
    })
}

/// Notes every value that stood before. `describe` gives what and help for it; where the first one
/// stands is added to the help.
fn check_unique<T: Hash + Eq>(
    key: &str,
    values: impl IntoIterator<Item = (T, Span)>,
    findings: &Findings<'_>,
    describe: impl Fn(&T) -> (String, &'static str),
) {
    let mut first: HashMap<T, Span> = HashMap::new();
    for (value, span) in values {
        if let Some(earlier) = first.get(&value) {
            let (what, help) = describe(&value);
            let line = findings.source().line(earlier.start);
            findings.add(
                span,
                key,
                what,
                format!("{help}; the first is in line {line}"),
            );
        } else {
            first.insert(value, span);
        }
    }
}

/// Notes every name that stood before.
fn check_names<'n>(
    key: &str,
    names: impl IntoIterator<Item = &'n Read<String>>,
    findings: &Findings<'_>,
) {
    let names = names.into_iter().flatten();
    let names = names.map(|name| (name.value.as_str(), name.span));
    check_unique(key, names, findings, |name| {
        (format!("{name:?} is taken"), "choose another name")
    });
}
