//! Which driver is taken when none is asked for, and what is said about it.

use std::thread;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tidegate_port::{Driver, DriverChoice, DriverKind, Error, OpenConfig, Port, host};
use tidegate_wire::RxChecksum;

use super::peer::{udp_echo, with_peer};
use super::responder::{OWN_V4, OWN_V6};
use super::space::{PORT_IF, in_space};

fn config() -> OpenConfig {
    OpenConfig {
        addresses: vec![OWN_V4.into(), OWN_V6.into()],
        rx_checksum: RxChecksum::TrustPartial,
        ..OpenConfig::new(PORT_IF)
    }
}

/// Gives up capabilities of the calling thread for good.
fn give_up(lost: CapabilitySet) {
    let mut sets = capabilities(None).expect("a thread may look at its own");
    sets.effective.remove(lost);
    sets.permitted.remove(lost);
    set_capabilities(None, sets).expect("to give up is always allowed");
}

#[test]
fn auto_takes_af_xdp_and_the_next_one_where_the_interface_is_taken() {
    in_space(|space| {
        space.add_veth(1);
        let first = Driver::open(&config()).expect("root may");
        assert_eq!(first.facts().driver, DriverKind::AfXdp);
        assert_eq!(first.facts().notes[0], "af_xdp was tried first and works");
        let second = Driver::open(&config()).expect("root may");
        let facts = second.facts();
        assert_eq!(facts.driver, DriverKind::AfPacket);
        assert_eq!(facts.notes[0], "af_packet is the first driver that works");
        let note = &facts.notes[1];
        assert!(
            note.starts_with("af_xdp cannot be used: tg0: queue 0: bind: "),
            "{note}"
        );
        let xdp_only = OpenConfig {
            driver: DriverChoice::AfXdp,
            ..config()
        };
        let error = Driver::open(&xdp_only).expect_err("nothing else was allowed");
        assert_eq!(error.errno(), Some(libc::EBUSY));
    });
}

#[test]
fn without_the_right_to_load_programs_auto_takes_af_packet() {
    in_space(|space| {
        space.add_veth(1);
        // In a thread of its own, as the peer needs what is given up here.
        let open = || {
            give_up(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN);
            let capabilities = host::capabilities().expect("/proc is there");
            assert!(!capabilities.has(host::Capability::Bpf));
            assert!(capabilities.has(host::Capability::NetRaw));
            Driver::open(&config()).expect("CAP_NET_RAW is enough")
        };
        let opened = thread::scope(|scope| scope.spawn(open).join());
        let mut port = opened.expect("it opens");
        let facts = port.facts();
        assert_eq!(facts.driver, DriverKind::AfPacket);
        let note = &facts.notes[1];
        assert!(
            note.starts_with("af_xdp cannot be used: tg0: bpf("),
            "{note}"
        );
        assert!(note.contains("Operation not permitted"), "{note}");
        with_peer(&mut port, &space.peer, || udp_echo((OWN_V4, 7).into(), 20));
    });
}

#[test]
fn where_nothing_is_allowed_every_driver_says_why() {
    in_space(|space| {
        space.add_veth(1);
        give_up(CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN);
        let error = Driver::open(&config()).expect_err("nothing is allowed");
        let Error::NoDriver { attempts, .. } = &error else {
            panic!("{error}");
        };
        let tried: Vec<DriverKind> = attempts.iter().map(|(driver, _)| *driver).collect();
        assert_eq!(
            tried,
            [DriverKind::AfXdp, DriverKind::AfPacket, DriverKind::Tap]
        );
        for (driver, error) in attempts {
            assert!(error.errno().is_some(), "{driver}: {error}");
        }
        let text = error.to_string();
        assert!(
            text.starts_with("tg0: no driver works here; af_xdp: tg0: "),
            "{text}"
        );
        assert!(
            text.contains("af_packet: tg0: socket(AF_PACKET): "),
            "{text}"
        );
        assert!(text.contains("tap: tg0: ioctl(TUNSETIFF): "), "{text}");
    });
}

#[test]
fn a_mistyped_interface_is_an_error_and_not_a_new_device() {
    in_space(|space| {
        space.add_veth(1);
        let config = OpenConfig {
            interface: "tg00".to_owned(),
            ..config()
        };
        let error = Driver::open(&config).expect_err("there is none of that name");
        let text = error.to_string();
        assert!(text.contains("no interface of this name"), "{text}");
        assert!(host::interface("tg00").is_err(), "and none was made");
    });
}
