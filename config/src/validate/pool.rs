//! Pools: the backends of proxies.

use std::net::SocketAddr;

use crate::{
    fault::Findings,
    model::{Backend, Pool},
    schema::{RawBackend, RawListener, RawPool, ServiceKind},
    section::chosen,
    source::Located,
    validate::{check_names, check_unique, network::Network, tcp},
    value::nearest,
};

/// The names of the pools in their order.
#[derive(Debug)]
pub(super) struct PoolNames(Vec<Option<String>>);

impl PoolNames {
    /// The index of the pool called `name`.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|pool| pool.as_deref() == Some(name))
    }
}

/// Checks the pools against each other and against what the ports can reach.
pub(super) fn check(pools: &[RawPool], network: Option<&Network>, findings: &Findings<'_>) {
    check_names("pool.name", pools.iter().map(|pool| &pool.name), findings);
    for pool in pools {
        let names = pool
            .backends
            .iter()
            .filter_map(|backend| backend.name.as_ref());
        check_names("pool.backend.name", names, findings);
        let addresses = pool
            .backends
            .iter()
            .filter_map(|backend| backend.address.as_ref());
        let addresses = addresses.map(|at| (at.value, at.span));
        check_unique("pool.backend.address", addresses, findings, |address| {
            (
                format!("{address} is in this pool already"),
                "name each backend once",
            )
        });
        let Some(network) = network else { continue };
        for address in pool
            .backends
            .iter()
            .filter_map(|backend| backend.address.as_ref())
        {
            check_reachable(address, network, findings);
        }
        check_source(pool, network, findings);
    }
}

/// Checks that every pool that a listener names exists, and that every pool is named.
pub(super) fn check_uses(
    pools: &[RawPool],
    listeners: &[RawListener],
    findings: &Findings<'_>,
) -> PoolNames {
    let names: Vec<&Located<String>> = pools.iter().filter_map(|p| p.name.as_ref()).collect();
    let all_names_known = names.len() == pools.len() && findings.is_whole();
    let mut used: Vec<&str> = Vec::new();
    for listener in listeners {
        let Some(Some(asked)) = &listener.pool else {
            continue;
        };
        used.push(&asked.value);
        // That another service has no pool is said already.
        let may_be_proxy = listener
            .service
            .as_ref()
            .is_none_or(|service| service.value == ServiceKind::Proxy);
        let exists = names.iter().any(|name| name.value == asked.value);
        if !all_names_known || exists || !may_be_proxy {
            continue;
        }
        let near = nearest(&asked.value, names.iter().map(|name| name.value.as_str()));
        // The pool that was most likely meant is not called unused on top of it.
        used.extend(near);
        let mut known: Vec<String> = names
            .iter()
            .map(|name| format!("{:?}", name.value))
            .collect();
        known.dedup();
        let help = match near {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => "add a [[pool]] of this name".to_owned(),
            None => format!(
                "add a [[pool]] of this name; there are {}",
                known.join(", ")
            ),
        };
        let what = format!("there is no pool {:?}", asked.value);
        findings.add(asked.span, "listener.pool", what, help);
    }
    // A listener whose pool could not be read may be the one that uses it.
    let all_uses_known = listeners
        .iter()
        .all(|listener| !matches!(listener.pool, Some(None)));
    for name in names
        .iter()
        .filter(|_| all_uses_known && findings.is_whole())
    {
        if !used.contains(&name.value.as_str()) {
            let what = format!("no listener uses the pool {:?}", name.value);
            let help = format!(
                "write pool = {:?} in a [[listener]], or leave the pool out",
                name.value
            );
            findings.add(name.span, "pool.name", what, help);
        }
    }
    PoolNames(
        pools
            .iter()
            .map(|pool| Some(pool.name.as_ref()?.value.clone()))
            .collect(),
    )
}

pub(super) fn pool(raw: RawPool, findings: &Findings<'_>) -> Option<Pool> {
    let tcp = tcp::tcp(raw.tcp, findings);
    Some(Pool {
        name: raw.name?.value,
        backends: raw
            .backends
            .into_iter()
            .map(backend)
            .collect::<Option<_>>()?,
        balance: raw.balance?.value,
        timeout_connect: raw.timeout_connect?.value,
        timeout_idle: raw.timeout_idle?.value,
        retries: raw.retries?.value,
        source: raw.source?.value,
        tcp: tcp?,
    })
}

fn backend(raw: RawBackend) -> Option<Backend> {
    let address = raw.address?.value;
    let name = match raw.name {
        Some(name) => name?.value,
        None => address.to_string(),
    };
    Some(Backend { name, address })
}

/// A backend has a way to it, and is not Tidegate itself.
fn check_reachable(address: &Located<SocketAddr>, network: &Network, findings: &Findings<'_>) {
    let ip = address.value.ip();
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    let (what, help) = if network.owns(ip) {
        let what = format!("{ip} is an address of Tidegate itself");
        (what, "expected the address of a server".to_owned())
    } else if !network.may_have_family(ip) {
        let what = format!("no port has an {family} address to reach {ip} from");
        (
            what,
            format!("add an {family} address to the `addresses` of a [[port]]"),
        )
    } else if !network.may_reach(ip) {
        let what = format!("no port reaches {ip}");
        let help = "expected an address in the network of a port; else give a port `gateways`";
        (what, help.to_owned())
    } else {
        return;
    };
    findings.add(address.span, "pool.backend.address", what, help);
}

/// The source of connections to backends is ours, and of the family of every backend.
fn check_source(pool: &RawPool, network: &Network, findings: &Findings<'_>) {
    let Some((source, span)) = chosen(&pool.source) else {
        return;
    };
    let mut backends = pool
        .backends
        .iter()
        .filter_map(|backend| backend.address.as_ref());
    let stranger = backends.find(|backend| backend.value.is_ipv4() != source.is_ipv4());
    let (what, help) = if !network.may_own(*source) {
        let owned = network.owned_list();
        (
            format!("no port owns {source}"),
            format!("expected one of {owned}, or \"auto\""),
        )
    } else if let Some(stranger) = stranger {
        let what = format!("{source} cannot reach the backend {}", stranger.value);
        (
            what,
            "expected \"auto\", or a pool for each family".to_owned(),
        )
    } else {
        return;
    };
    findings.add(span, "pool.source", what, help);
}
