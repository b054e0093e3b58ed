//! Configurations of the tests, and what the verbs of the binary say about a running Tidegate.

use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Output};

use tidegate::admin::{Counters, Flow};
use tidegate::testbed::Bed;
use tidegate::topology::Side;

use crate::{TIDEGATE, wait_until};

/// A listener on all owned addresses.
pub(crate) fn listener(name: &str, port: u16, service: &str) -> String {
    format!(
        "[[listener]]\nname = \"{name}\"\naddresses = [\"*:{port}\"]\nservice = \"{service}\"\n"
    )
}

/// A listener of this name and a pool of the same name. More keys of the pool may stand in `keys`.
pub(crate) fn proxy(name: &str, port: u16, keys: &str, backends: &[(&str, SocketAddr)]) -> String {
    let mut tables = listener(name, port, "proxy");
    tables += &format!("pool = \"{name}\"\n[[pool]]\nname = \"{name}\"\n{keys}");
    for (backend, address) in backends {
        tables += &format!("[[pool.backend]]\nname = \"{backend}\"\naddress = \"{address}\"\n");
    }
    tables
}

/// Two proxies: on port 80 before this IPv4 server, on port 81 before this IPv6 server.
pub(crate) fn proxies(servers: [SocketAddr; 2]) -> String {
    let [v4, v6] = servers;
    proxy("four", 80, "", &[("v4", v4)]) + &proxy("six", 81, "", &[("v6", v6)])
}

/// Each way through [`proxies`]: IPv4 and IPv6 clients to the server of each family, with the
/// number of that server.
pub(crate) fn ways() -> [(SocketAddr, usize); 4] {
    let ([v4_80, v6_80], [v4_81, v6_81]) = (front(80), front(81));
    [(v4_80, 0), (v6_81, 1), (v4_81, 1), (v6_80, 0)]
}

/// Tidegate's addresses towards the client with this port, IPv4 first.
pub(crate) fn front(port: u16) -> [SocketAddr; 2] {
    Side::FRONT
        .owned()
        .map(|address: IpAddr| SocketAddr::new(address, port))
}

/// The addresses of backend number 0 or 1 with this port, IPv4 first.
pub(crate) fn back(number: usize, port: u16) -> [SocketAddr; 2] {
    let (v4, v6) = Side::BACK.kernel[number];
    [v4.into(), v6.into()].map(|address: IpAddr| SocketAddr::new(address, port))
}

/// Runs a verb of the binary.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let output = Command::new(TIDEGATE).args(arguments).output();
    output.expect("the binary runs")
}

/// What the verb prints about the Tidegate of this bed.
pub(crate) fn ask(bed: &Bed, arguments: &[&str]) -> String {
    let socket = bed.folder().socket();
    let socket = socket.to_str().expect("a path of our own making");
    let output = run(&[arguments, &["--socket", socket]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What `tidegate stats --json` prints.
pub(crate) fn stats(bed: &Bed) -> Counters {
    serde_json::from_str(&ask(bed, &["stats", "--json"])).expect("the answer of the protocol")
}

/// The connections that `tidegate ss --json` lists.
pub(crate) fn flows(bed: &Bed) -> Vec<Flow> {
    let text = ask(bed, &["ss", "--json"]);
    // Listeners are lines of another kind.
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Connections there are now; those in TIME_WAIT, which only wait for their time, left out.
fn live_flows(bed: &Bed) -> u64 {
    let flows = stats(bed).flows;
    flows.values().sum::<u64>() - flows["TIME_WAIT"]
}

/// Every received frame was delivered, answered or discarded by name, and every frame of packet
/// memory is somewhere.
#[track_caller]
pub(crate) fn assert_books_balance(stats: &Counters) {
    let of = |name: &str| stats.counters[name];
    let discarded: u64 = stats.discards.values().map(|discard| discard.count).sum();
    let accounted = of("delivered") + of("answered") + discarded;
    assert_eq!(of("rx_frames"), accounted, "{stats:#?}");
    for port in stats.ports.values() {
        let of = |name: &str| port.counts[name];
        let places = ["frames_free", "frames_fill", "frames_held", "frames_tx"];
        let found: u64 = places.map(of).iter().sum();
        assert_eq!(of("frames_total"), found, "{port:#?}");
    }
}

/// Waits until the connections are gone. Then nothing of them remains: all memory is free again,
/// and the books balance.
#[track_caller]
pub(crate) fn assert_nothing_remains(bed: &Bed) {
    wait_until("the connections are gone", || live_flows(bed) == 0);
    let stats = stats(bed);
    for memory in ["text_blocks", "range_sets"] {
        let free = stats.counters[&format!("{memory}_free")];
        assert_eq!(free, stats.counters[memory], "{memory} free and in all");
    }
    assert_books_balance(&stats);
}
