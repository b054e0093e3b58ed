//! Every file in `examples/` is a valid configuration and says what it seems to say.

use std::{fs, net::IpAddr, path::Path, time::Duration};

use tidegate_config::{Config, RxChecksum, Service};

fn example(name: &str) -> Config {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    Config::from_file(&folder.join(name)).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn every_example_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".toml"), "{name} is no configuration");
        example(&name);
        count += 1;
    }
    assert!(count >= 3, "{count} examples in {}", folder.display());
}

#[test]
fn load_balancer_joins_both_families_to_two_backends() {
    let config = example("load-balancer.toml");
    let web = &config.listeners[0];
    let families: Vec<bool> = web
        .addresses
        .iter()
        .map(|at| at.address.is_some_and(|ip: IpAddr| ip.is_ipv4()))
        .collect();
    assert_eq!(families, [true, false]);
    let Service::Proxy { pool } = web.service else {
        panic!("{:?}", web.service)
    };
    let names: Vec<&str> = config.pools[pool]
        .backends
        .iter()
        .map(|b| b.name.as_str())
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(config.pools[pool].timeout_connect, Duration::from_secs(2));
    assert!(
        config
            .ports
            .iter()
            .all(|port| port.rx_checksum == RxChecksum::Partial)
    );
}

#[test]
fn a_listener_overrides_tcp_for_itself_alone() {
    let config = example("echo.toml");
    let nodelay: Vec<bool> = config.listeners.iter().map(|l| l.tcp.nodelay).collect();
    assert_eq!(nodelay, [true, false, false]);
    assert!(!config.tcp.nodelay);
}

#[test]
fn tcp_holds_for_listeners_that_say_nothing() {
    let config = example("static.toml");
    let keepalive = config.listeners[0]
        .tcp
        .keepalive
        .expect("[tcp] switches it on");
    assert_eq!(
        (keepalive.time, keepalive.probes),
        (Duration::from_secs(60), 3)
    );
    let Service::Respond(respond) = &config.listeners[0].service else {
        panic!()
    };
    assert!(
        respond.body.starts_with("<!doctype html>\n"),
        "{:?}",
        respond.body
    );
}
