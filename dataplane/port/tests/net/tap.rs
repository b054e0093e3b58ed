//! The TAP driver: the kernel of the port's own namespace is the peer.

use std::thread;
use std::time::Duration;

use tidegate_port::{Driver, DriverChoice, DriverKind, OpenConfig, Port, host};

use super::peer::{ping, udp_echo, udp_flows, with_peer, with_peer_of_all};
use super::responder::{OWN_V4, OWN_V6};
use super::space::{in_space, ip};

const TAP: &str = "tgtap0";

fn config() -> OpenConfig {
    OpenConfig {
        driver: DriverChoice::Tap,
        addresses: vec![OWN_V4.into(), OWN_V6.into()],
        ..OpenConfig::new(TAP)
    }
}

#[test]
fn a_device_is_made_and_datagrams_are_exchanged_with_the_kernel() {
    in_space(|space| {
        let mut port = Driver::open(&config()).expect("root may make a TAP device");
        let facts = port.facts();
        assert_eq!(facts.driver, DriverKind::Tap);
        assert_ne!(facts.mac, host::interface(TAP).expect("it was made").mac);
        assert!(
            facts.notes.iter().any(|note| note.contains("was made")),
            "{:?}",
            facts.notes
        );
        space.configure_peer(TAP, &space.port);
        let seen = with_peer(&mut port, &space.port, || {
            ping("10.77.0.2", 5);
            udp_echo((OWN_V4, 7).into(), 200);
            udp_echo((OWN_V6, 7).into(), 200);
        });
        assert!(seen.udp >= 400 && seen.echo_requests >= 5, "{seen:?}");
        assert_eq!(seen.udp_sum_partial, 0, "a TAP device finishes every sum");
        let counts = port.frame_counts();
        assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
        drop(port);
        // A child process that another test is starting may hold a copy until it has started.
        let is_gone = || host::interface(TAP).is_err();
        let went = (0..2_000).any(|_| is_gone() || pause());
        assert!(went, "it goes away with the port");
    });
}

#[test]
fn a_device_made_beforehand_is_attached_to_and_stays() {
    in_space(|space| {
        ip(&["-n", &space.port, "tuntap", "add", TAP, "mode", "tap"]);
        let config = OpenConfig {
            driver: DriverChoice::Auto,
            ..config()
        };
        let port = Driver::open(&config).expect("the far end is free");
        assert_eq!(port.facts().driver, DriverKind::Tap);
        let notes = &port.facts().notes;
        assert!(
            notes
                .iter()
                .any(|note| note.contains("is down: `ip link set")),
            "{notes:?}"
        );
        let error = Driver::open(&super::tap::config()).expect_err("it is in use");
        assert_eq!(error.errno(), Some(libc::EBUSY));
        drop(port);
        assert!(host::interface(TAP).is_ok());
    });
}

#[test]
fn several_ports_are_queues_of_one_device() {
    in_space(|space| {
        let mut ports = Driver::open_many(&config(), 2).expect("root may");
        space.configure_peer(TAP, &space.port);
        with_peer_of_all(&mut ports, &space.port, || {
            udp_flows((OWN_V4, 7).into(), 64)
        });
        let [first, second] = ports.as_slice() else {
            panic!("two were asked for");
        };
        assert_eq!(first.facts().mac, second.facts().mac);
        assert!(first.counters().rx_frames + second.counters().rx_frames >= 128);
    });
}

#[test]
fn an_interface_that_is_no_tap_device_is_refused_with_advice() {
    in_space(|space| {
        space.add_veth(1);
        let config = OpenConfig {
            interface: "tg0".into(),
            ..config()
        };
        let error = Driver::open(&config).expect_err("a veth is no TAP device");
        let text = error.to_string();
        assert!(text.contains("tg0: ioctl(TUNSETIFF): "), "{text}");
        assert!(text.ends_with("is no TAP device"), "{text}");
    });
}

/// Waits a moment; it is never what was waited for.
fn pause() -> bool {
    thread::sleep(Duration::from_millis(5));
    false
}
