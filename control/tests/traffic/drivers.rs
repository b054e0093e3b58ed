//! The same exchange over each driver and mode.

use std::net::TcpStream;

use tidegate::testbed::{Bed, Ports};
use tidegate::topology::{Plan, Service};
use tidegate_port::host::{Offload, set_offload};

use crate::TIDEGATE;
use crate::digest::Text;
use crate::kernel::{connect, exchange, join, listen};
use crate::setting::{assert_nothing_remains, back, front, listener, proxies, ways};

/// Echoes and texts through proxies; then the ports must say that they are what was asked for.
fn assert_served(plan: Plan, driver: &'static str, keys: &str, mode: &str) {
    if let Some(bed) = Bed::with_plan(TIDEGATE, plan) {
        assert_serves(&bed, driver, keys, mode);
    }
}

fn assert_serves(bed: &Bed, driver: &'static str, keys: &str, mode: &str) {
    let servers = back(0, 8000).map(|at| listen(bed, at));
    let ports = Ports {
        driver,
        front: keys.to_owned(),
        back: keys.to_owned(),
    };
    let tables = proxies(back(0, 8000)) + &listener("echo", 7, "echo");
    let tidegate = bed.run_on(&ports, &tables);
    for port in &tidegate.status().ports {
        assert_eq!(port.driver, driver);
        assert!(
            port.queues.iter().all(|queue| queue.contains(mode)),
            "{port:?}"
        );
    }
    for to in front(7) {
        let (sent, received) = exchange(&connect(bed, to), Text::new(1, 1_000_000));
        assert_eq!(received, sent, "{to}");
    }
    for (to, number) in ways() {
        let (client, server) = join(bed, to, &servers[number]);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| exchange(&server, Text::new(2, 1_000_000)));
            let (up_sent, down_received) = exchange(&client, Text::new(3, 1_000_000));
            let (down_sent, up_received) = other.join().unwrap();
            assert_eq!((up_received, down_received), (up_sent, down_sent), "{to}");
        });
    }
    assert_nothing_remains(bed);
}

fn plan() -> Plan {
    Plan::new("tidegate-test")
}

#[test]
fn af_xdp_in_the_driver() {
    assert_served(plan(), "af_xdp", "xdp_mode = \"native\"\n", "native");
}

#[test]
fn af_xdp_in_the_driver_with_two_queues_and_large_segments() {
    let plan = Plan {
        queues: 2,
        large_segments: true,
        ..plan()
    };
    assert_served(plan, "af_xdp", "xdp_mode = \"native\"\n", "native");
}

#[test]
fn af_xdp_in_generic_mode() {
    assert_served(plan(), "af_xdp", "xdp_mode = \"generic\"\n", "generic");
}

#[test]
fn af_packet() {
    assert_served(plan(), "af_packet", "", "");
}

/// A kernel hands large segments to a veth uncut, unless it is told to cut them before.
#[test]
fn af_packet_and_generic_mode_with_peers_that_cut_segments() {
    for (driver, keys) in [("af_packet", ""), ("af_xdp", "xdp_mode = \"generic\"\n")] {
        let plan = Plan {
            large_segments: true,
            ..plan()
        };
        let Some(bed) = Bed::with_plan(TIDEGATE, plan) else {
            return;
        };
        for namespace in [bed.client(), bed.backends()] {
            let cut = || set_offload("eth0", Offload::Tso, false);
            namespace.run(cut).unwrap();
        }
        assert_serves(&bed, driver, keys, "");
    }
}

#[test]
fn tap() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    // The device is made by Tidegate; at its other end is the kernel of the same namespace.
    let text = format!(
        "[admin]\nsocket = \"{}\"\n[[port]]\ninterface = \"tap0\"\ndriver = \"tap\"\n\
         addresses = [\"203.0.113.1/24\", \"2001:db8:3::1/64\"]\n{}",
        bed.folder().socket().display(),
        listener("echo", 7, "echo"),
    );
    let tidegate = Service::start(TIDEGATE, bed.tidegate(), bed.folder(), &text).unwrap();
    assert_eq!(tidegate.status().ports[0].driver, "tap");
    let namespace = bed.tidegate();
    for address in ["203.0.113.2/24", "2001:db8:3::2/64"] {
        let nodad = address.contains(':').then_some("nodad");
        let mut arguments = vec!["address", "add", address, "dev", "tap0"];
        arguments.extend(nodad);
        namespace.ip(&arguments).unwrap();
    }
    namespace.ip(&["link", "set", "dev", "tap0", "up"]).unwrap();
    for to in ["203.0.113.1:7", "[2001:db8:3::1]:7"] {
        let stream = namespace.run(|| TcpStream::connect(to)).unwrap();
        let (sent, received) = exchange(&stream, Text::new(4, 1_000_000));
        assert_eq!(received, sent, "{to}");
    }
    assert_nothing_remains(&bed);
}
