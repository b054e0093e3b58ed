//! What a worker is made of, according to the configuration: sizes, settings, services, listeners.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, Result};
use tidegate_config::{self as config, Config};
use tidegate_port::Facts;
use tidegate_service::{
    Backend, Chargen, Discard, Echo, PoolSpec, Proxy, Respond, Response, Service, Services,
};
use tidegate_worker::{Interface, Listen, SettingsId, SynCookies, WorkerConfig};

use super::settings;

/// Bytes of a block of text.
const BLOCK: u64 = 4096;

/// The sizes and settings of the worker.
///
/// Settings number 0 are those of `[tcp]`; then come one for each listener and one for each pool.
pub(crate) fn worker(config: &Config, facts: &[Facts]) -> Result<WorkerConfig> {
    let workers = &config.workers;
    let ports = facts.iter().zip(&config.ports);
    let interfaces = ports.map(|(facts, port)| {
        Interface::new(facts, settings::addresses(port), port.gateways.clone())
    });
    let listeners = config.listeners.iter().map(|listener| &listener.tcp);
    let pools = config.pools.iter().map(|pool| &pool.tcp);
    let all = [&config.tcp].into_iter().chain(listeners).chain(pools);
    let text_blocks = workers.text_memory / BLOCK;
    Ok(WorkerConfig {
        flows_max: workers.flows_max,
        time_wait_max: workers.time_wait_max,
        local_ports: workers.local_ports.clone(),
        text_blocks: u32::try_from(text_blocks).context("[workers] text_memory is too large")?,
        // Only a flow with a gap needs one; a quarter of all flows at once is a bad day.
        range_sets: (workers.flows_max / 4).max(64),
        neighbours_max: 4096,
        commands_max: 64,
        idle: settings::idle(workers),
        core: workers
            .cores
            .as_ref()
            .and_then(|cores| cores.first().copied()),
        secret: secret()?,
        settings: all.map(settings::tcp).collect(),
        interfaces: interfaces.collect(),
        ..WorkerConfig::default()
    })
}

/// The settings of a listener, by its number.
fn listener_settings(listener: usize) -> SettingsId {
    SettingsId(u16::try_from(1 + listener).expect("the configuration bounds the listeners"))
}

/// The settings of a pool, by its number.
fn pool_settings(config: &Config, pool: usize) -> SettingsId {
    let number = 1 + config.listeners.len() + pool;
    SettingsId(u16::try_from(number).expect("the configuration bounds listeners and pools"))
}

/// A service for each listener, in their order: the number of a listener is the tag of its flows.
pub(super) fn services(config: &Config) -> Services {
    let listeners = config.listeners.iter().enumerate();
    Services::new(
        listeners
            .map(|(number, listener)| service(config, number, listener))
            .collect(),
    )
}

fn service(config: &Config, number: usize, listener: &config::Listener) -> Service {
    let flows_max = config.workers.flows_max;
    match &listener.service {
        config::Service::Echo => Service::Echo(Echo),
        config::Service::Discard => Service::Discard(Discard),
        config::Service::Chargen => Service::Chargen(Chargen::new(flows_max)),
        config::Service::Respond(respond) => {
            let response = Response {
                status: respond.status,
                content_type: respond.content_type.clone(),
                body: respond.body.clone().into_bytes(),
            };
            Service::Respond(Respond::new(&response, flows_max))
        }
        config::Service::Proxy { pool } => {
            Service::Proxy(Proxy::new(pool_spec(config, *pool), tag(number), flows_max))
        }
    }
}

fn pool_spec(config: &Config, number: usize) -> PoolSpec {
    let pool = &config.pools[number];
    let backend = |backend: &config::Backend| Backend {
        name: backend.name.clone(),
        address: backend.address,
    };
    // The configuration accepts no other way yet; a new one must be thought of here.
    let config::Balance::RoundRobin = pool.balance;
    PoolSpec {
        name: pool.name.clone(),
        backends: pool.backends.iter().map(backend).collect(),
        connect_timeout: pool.timeout_connect,
        idle_timeout: pool.timeout_idle,
        retries: pool.retries,
        source: pool.source,
        settings: pool_settings(config, number),
    }
}

/// Every address of every listener.
pub(super) fn listens(config: &Config) -> Vec<Listen> {
    let mut listens = Vec::new();
    for (number, listener) in config.listeners.iter().enumerate() {
        listens.extend(listener.addresses.iter().map(|at| Listen {
            address: at.address,
            port: at.port,
            backlog: listener.backlog,
            syn_backlog: listener.syn_backlog,
            abort_on_overflow: listener.abort_on_overflow,
            fast_open: listener.fast_open,
            fast_open_max: listener.fast_open_max,
            syn_cookies: match listener.syn_cookies {
                config::SynCookies::Off => SynCookies::Off,
                config::SynCookies::Full => SynCookies::Full,
                config::SynCookies::Always => SynCookies::Always,
            },
            settings: listener_settings(number),
            tag: tag(number),
        }));
    }
    listens
}

/// The tag of a listener's flows.
fn tag(listener: usize) -> u32 {
    u32::try_from(listener).expect("the configuration bounds the listeners")
}

/// 32 bytes that nobody can guess.
fn secret() -> Result<[u8; 32]> {
    let mut secret = [0; 32];
    let mut random = File::open("/dev/urandom").context("/dev/urandom")?;
    random.read_exact(&mut secret).context("/dev/urandom")?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[workers]
flows_max = 1000
text_memory = \"1m\"
[[port]]
interface = \"eth1\"
addresses = [\"192.0.2.1/24\"]
[tcp]
rmem = 65536
[[listener]]
name = \"plain\"
addresses = [\"192.0.2.1:7\", \"*:8\"]
service = \"echo\"
backlog = 5
[[listener]]
name = \"web\"
addresses = [\"*:80\"]
service = \"proxy\"
pool = \"servers\"
[listener.tcp]
nodelay = true
[[pool]]
name = \"servers\"
[pool.tcp]
ttl = 7
[[pool.backend]]
name = \"a\"
address = \"192.0.2.11:80\"
";

    #[test]
    fn each_listener_and_pool_has_its_settings_and_each_flow_its_service() {
        let config = Config::from_str("test.toml", TEXT).unwrap();
        let worker = worker(&config, &[]).unwrap();
        assert_eq!((worker.flows_max, worker.text_blocks), (1000, 256));
        assert_eq!(worker.settings.len(), 1 + 2 + 1);
        assert!(
            worker
                .settings
                .iter()
                .all(|settings| settings.rmem == 65_536)
        );

        let listens = listens(&config);
        let at: Vec<(u16, u32, u32)> = listens
            .iter()
            .map(|listen| (listen.port, listen.tag, listen.backlog))
            .collect();
        assert_eq!(at, [(7, 0, 5), (8, 0, 5), (80, 1, 4096)]);
        let nodelay = |listen: &Listen| worker.settings[usize::from(listen.settings.0)].nodelay;
        assert_eq!(
            listens.iter().map(nodelay).collect::<Vec<_>>(),
            [false, false, true]
        );
        let pool = pool_spec(&config, 0);
        assert_eq!(worker.settings[usize::from(pool.settings.0)].hop_limit, 7);
        assert_eq!(pool.backends[0].address, "192.0.2.11:80".parse().unwrap());
    }

    #[test]
    fn each_start_has_a_secret_of_its_own() {
        assert_ne!(secret().unwrap(), secret().unwrap());
    }
}
