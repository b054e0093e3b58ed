//! The AF_PACKET driver on a veth against the kernel at its other end.

use tidegate_port::{
    Burst, Driver, DriverChoice, DriverKind, Frame, OpenConfig, Port, PortDrop, TxChecksum,
};
use tidegate_wire::{Instant, RxChecksum};

use super::peer::{ping, udp_echo, udp_flows, udp_send, with_peer, with_peer_of_all};
use super::responder::{OWN_V4, OWN_V6};
use super::space::{PORT_IF, Space, in_space, ip};

fn config() -> OpenConfig {
    OpenConfig {
        driver: DriverChoice::AfPacket,
        addresses: vec![OWN_V4.into(), OWN_V6.into()],
        ..OpenConfig::new(PORT_IF)
    }
}

fn open(space: &Space, config: &OpenConfig) -> Driver {
    space.add_veth(1);
    Driver::open(config).expect("root may open a packet socket")
}

#[test]
fn datagrams_are_exchanged_with_a_kernel() {
    for rx_checksum in [RxChecksum::Verify, RxChecksum::TrustPartial] {
        in_space(|space| {
            let config = OpenConfig {
                rx_checksum,
                ..config()
            };
            let mut port = open(space, &config);
            assert_eq!(port.facts().driver, DriverKind::AfPacket);
            let seen = with_peer(&mut port, &space.peer, || {
                ping("10.77.0.2", 5);
                udp_echo((OWN_V4, 7).into(), 300);
                udp_echo((OWN_V6, 7).into(), 300);
            });
            assert!(seen.arp > 0 && seen.neighbour_solicitations > 0, "{seen:?}");
            assert!(seen.echo_requests >= 5 && seen.udp >= 600, "{seen:?}");
            assert_eq!(seen.damaged, 0);
            assert_eq!(seen.not_ours, 0);
            // A veth's kernel leaves sums unfinished; only a port that verifies has them whole.
            assert_eq!(
                seen.udp_sum_partial == 0,
                rx_checksum == RxChecksum::Verify,
                "{seen:?}"
            );
            let counters = port.counters();
            assert_eq!(
                (counters.rx_dropped, counters.tx_dropped),
                (0, 0),
                "{counters:?}"
            );
            assert!(
                counters.tx_frames > 600 && counters.rx_bytes > 60_000,
                "{counters:?}"
            );
            let counts = port.frame_counts();
            assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
        });
    }
}

#[test]
fn without_offload_sums_are_whole_and_datagrams_are_exchanged_as_well() {
    in_space(|space| {
        let config = OpenConfig {
            tx_checksum_offload: false,
            ..config()
        };
        let mut port = open(space, &config);
        assert!(!port.facts().offloads.tx_checksum);
        with_peer(&mut port, &space.peer, || udp_echo((OWN_V4, 7).into(), 50));
    });
}

#[test]
fn what_is_for_others_is_not_received_until_it_is_owned() {
    in_space(|space| {
        let mut port = open(space, &config());
        let mac = port.facts().mac.to_string();
        ip(&[
            "-n",
            &space.peer,
            "neighbour",
            "add",
            "10.77.0.3",
            "lladdr",
            &mac,
            "dev",
            "peer0",
        ]);
        let to_other = || {
            udp_send(([10, 77, 0, 3], 7).into(), 100, 20);
            // The answer to this one says that those before it have been seen or dropped.
            udp_echo((OWN_V4, 7).into(), 1);
        };
        let seen = with_peer(&mut port, &space.peer, to_other);
        assert_eq!(seen.not_ours, 0);
        port.set_addresses(&[OWN_V4.into(), [10, 77, 0, 3].into()])
            .expect("two fit");
        let seen = with_peer(&mut port, &space.peer, to_other);
        assert_eq!(seen.not_ours, 20);
    });
}

#[test]
fn several_ports_share_the_flows() {
    in_space(|space| {
        space.add_veth(1);
        let mut ports = Driver::open_many(&config(), 2).expect("root may");
        with_peer_of_all(&mut ports, &space.peer, || {
            udp_flows((OWN_V4, 7).into(), 64)
        });
        for port in &ports {
            // 64 flows, each on one side or the other: all on one happens once in 2^63 times.
            assert!(port.counters().rx_frames > 0, "{ports:?}");
        }
    });
}

#[test]
fn a_frame_longer_than_ours_is_dropped_by_name() {
    in_space(|space| {
        let mut port = open(space, &config());
        let notes = &port.facts().notes;
        assert!(notes.iter().any(|note| note.contains("uncut")), "{notes:?}");
        ip(&["-n", &space.port, "link", "set", PORT_IF, "mtu", "4000"]);
        ip(&["-n", &space.peer, "link", "set", "peer0", "mtu", "4000"]);
        with_peer(&mut port, &space.peer, || {
            udp_echo((OWN_V4, 7).into(), 1);
            udp_send((OWN_V4, 7).into(), 3_000, 3);
            udp_echo((OWN_V4, 7).into(), 1);
        });
        assert_eq!(port.counters().drops.of(PortDrop::RxTooLong), 3);
        assert_eq!(port.counters().rx_dropped, 3);
    });
}

#[test]
fn what_the_kernel_refuses_is_counted_and_its_frame_comes_back() {
    in_space(|space| {
        let mut port = open(space, &config());
        let mut burst = Burst::new();
        burst.push(frame(&mut port, 60, None));
        burst.push(frame(&mut port, 1_600, None));
        let behind_the_end = TxChecksum {
            start: 34,
            offset: 100,
        };
        burst.push(frame(&mut port, 60, Some(behind_the_end)));
        burst.push(frame(&mut port, 60, None));
        port.tx_burst(&mut burst, Instant::ZERO);
        assert!(burst.is_empty());
        let counters = port.counters();
        assert_eq!(counters.tx_frames, 2);
        assert_eq!(counters.drops.of(PortDrop::TxTooLong), 1, "{counters:?}");
        assert_eq!(counters.drops.of(PortDrop::TxInvalid), 1, "{counters:?}");
        ip(&["-n", &space.port, "link", "set", PORT_IF, "down"]);
        burst.push(frame(&mut port, 60, None));
        port.tx_burst(&mut burst, Instant::ZERO);
        assert_eq!(port.counters().drops.of(PortDrop::TxRefused), 1);
        let counts = port.frame_counts();
        assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
    });
}

fn frame(port: &mut Driver, len: usize, sum: Option<TxChecksum>) -> Frame {
    let mut frame = port.take_frame().expect("frames are free");
    frame.resize(len);
    frame.set_tx_checksum(sum);
    frame
}
