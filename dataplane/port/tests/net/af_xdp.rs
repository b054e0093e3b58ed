//! The AF_XDP driver on a veth against the kernel at its other end.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tidegate_port::host::{self, Offload};
use tidegate_port::{
    Burst, Driver, DriverChoice, DriverKind, OpenConfig, Port, PortDrop, XdpMode, ZeroCopy,
};
use tidegate_wire::{Instant, RxChecksum};

use super::peer::{ping, udp_echo, udp_flows, udp_send, with_peer, with_peer_of_all};
use super::responder::{OWN_V4, OWN_V6};
use super::space::{PEER_IF, PORT_IF, Space, in_space, ip};

fn config() -> OpenConfig {
    OpenConfig {
        driver: DriverChoice::AfXdp,
        addresses: vec![OWN_V4.into(), OWN_V6.into()],
        rx_checksum: RxChecksum::TrustPartial,
        ..OpenConfig::new(PORT_IF)
    }
}

fn open(config: &OpenConfig) -> Driver {
    Driver::open(config).expect("root may use AF_XDP")
}

/// Has the peer's kernel finish its sums.
fn finish_sums(space: &Space) {
    space.at_peer(|| host::set_offload(PEER_IF, Offload::TxChecksum, false).expect("veth can"));
}

/// Has the kernel's counts taken over, which happens by the port's own time, and gives back what
/// comes in meanwhile.
fn update_counters(port: &mut Driver) {
    static SECONDS: AtomicU64 = AtomicU64::new(1_000_000);
    let now = Instant::from_secs(SECONDS.fetch_add(1, Ordering::Relaxed));
    let mut burst = Burst::new();
    port.rx_burst(&mut burst, now);
    burst.into_iter().for_each(|frame| port.give_frame(frame));
}

/// Lets the port work until something holds, which on a busy machine may take its time.
fn wait_until(port: &mut Driver, holds: impl Fn(&Driver) -> bool) {
    for _ in 0..10_000 {
        update_counters(port);
        if holds(port) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("{:?} {:?}", port.counters(), port.frame_counts());
}

fn assert_nothing_dropped(port: &mut Driver) {
    update_counters(port);
    let counters = port.counters();
    assert_eq!(
        (counters.rx_dropped, counters.tx_dropped),
        (0, 0),
        "{counters:?}"
    );
    let counts = port.frame_counts();
    assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
}

#[test]
fn datagrams_are_exchanged_with_a_kernel_in_both_modes() {
    for (xdp_mode, name) in [(XdpMode::Native, "native"), (XdpMode::Generic, "generic")] {
        in_space(|space| {
            space.add_veth(1);
            let config = OpenConfig {
                xdp_mode,
                ..config()
            };
            let mut port = open(&config);
            let facts = port.facts();
            assert_eq!(facts.driver, DriverKind::AfXdp);
            assert!(
                facts.queues[0].mode.starts_with(&format!("{name}, copy")),
                "{facts:?}"
            );
            let attached = host::interface(PORT_IF).expect("it is there").xdp;
            assert_eq!(attached.map(|xdp| xdp.mode), Some(xdp_mode));
            let seen = with_peer(&mut port, &space.peer, || {
                ping("10.77.0.2", 5);
                udp_echo((OWN_V4, 7).into(), 300);
                udp_echo((OWN_V6, 7).into(), 300);
            });
            assert!(seen.arp > 0 && seen.neighbour_solicitations > 0, "{seen:?}");
            assert!(seen.echo_requests >= 5 && seen.udp >= 600, "{seen:?}");
            assert_eq!(seen.damaged, 0);
            assert!(
                seen.udp_sum_partial > 0,
                "a veth's kernel leaves sums unfinished: {seen:?}"
            );
            assert!(port.counters().tx_frames > 600);
            assert_nothing_dropped(&mut port);
            drop(port);
            assert_eq!(host::interface(PORT_IF).expect("it is there").xdp, None);
        });
    }
}

#[test]
fn a_peer_that_finishes_its_sums_can_be_verified() {
    for tx_checksum_offload in [true, false] {
        in_space(|space| {
            space.add_veth(1);
            finish_sums(space);
            let config = OpenConfig {
                tx_checksum_offload,
                rx_checksum: RxChecksum::Verify,
                ..config()
            };
            let mut port = open(&config);
            let facts = port.facts();
            assert!(!facts.offloads.tx_checksum || tx_checksum_offload);
            assert!(
                facts.notes.iter().any(|note| note.contains("is a veth")),
                "{facts:?}"
            );
            let seen = with_peer(&mut port, &space.peer, || udp_echo((OWN_V4, 7).into(), 100));
            assert_eq!(seen.udp_sum_partial, 0);
            assert_nothing_dropped(&mut port);
        });
    }
}

#[test]
fn all_queues_of_an_interface_are_served_by_one_port_or_shared_by_several() {
    for ports in [1, 3] {
        in_space(|space| {
            space.add_veth(4);
            let mut ports = Driver::open_many(&config(), ports).expect("four queues are enough");
            let mut queues: Vec<u32> = ports
                .iter()
                .flat_map(|port| port.facts().queues.iter().map(|queue| queue.queue))
                .collect();
            queues.sort_unstable();
            assert_eq!(queues, [0, 1, 2, 3]);
            // Each flow has its own source port, by which the kernel chooses a queue.
            with_peer_of_all(&mut ports, &space.peer, || {
                udp_flows((OWN_V4, 7).into(), 64)
            });
            for port in &mut ports {
                let received = port.counters().rx_frames;
                assert!(
                    received > 0,
                    "64 flows miss a share of the queues: {ports:?}"
                );
                assert_nothing_dropped(port);
            }
        });
    }
}

#[test]
fn queues_that_are_not_served_stay_with_the_kernel() {
    in_space(|space| {
        space.add_veth(4);
        let config = OpenConfig {
            queues: Some(2),
            ..config()
        };
        let port = open(&config);
        assert_eq!(port.facts().queues.len(), 2);
        let notes = &port.facts().notes;
        assert!(
            notes
                .iter()
                .any(|note| note.starts_with("2 of 4 queues are used")),
            "{notes:?}"
        );
        drop(port);
        for (queues, ports, expected) in [
            (Some(5), 1, "5 queues are asked for and 4 in use"),
            (Some(2), 3, "2 queues cannot be shared by 3 ports"),
        ] {
            let config = OpenConfig {
                queues,
                ..config.clone()
            };
            let error = Driver::open_many(&config, ports)
                .expect_err("too many")
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    });
}

#[test]
fn what_is_for_others_stays_with_the_kernel_until_it_is_owned() {
    in_space(|space| {
        space.add_veth(1);
        // The kernel beside us has an address of its own, which goes on to work.
        ip(&[
            "-n",
            &space.port,
            "address",
            "add",
            "10.77.0.9/24",
            "dev",
            PORT_IF,
        ]);
        let mut port = open(&config());
        let seen = with_peer(&mut port, &space.peer, || {
            ping("10.77.0.9", 3);
            ping("10.77.0.2", 3);
        });
        assert_eq!((seen.echo_requests, seen.not_ours), (3, 0), "{seen:?}");
        let other = [10, 77, 0, 3].into();
        port.set_addresses(&[other]).expect("there is room");
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
            PEER_IF,
        ]);
        let seen = with_peer(&mut port, &space.peer, || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
            for to in ["10.77.0.2:7", "10.77.0.3:7", "10.77.0.3:7"] {
                socket.send_to(b"x", to).expect("the neighbours are known");
            }
            ping("10.77.0.9", 1);
        });
        assert_eq!((seen.udp, seen.not_ours), (0, 2), "{seen:?}");
    });
}

#[test]
fn drops_have_names() {
    in_space(|space| {
        space.add_veth(1);
        let config = OpenConfig {
            frames: 256,
            ..config()
        };
        let mut port = open(&config);
        with_peer(&mut port, &space.peer, || udp_echo((OWN_V4, 7).into(), 1));
        assert_nothing_dropped(&mut port);
        // So that the kernel asks no more.
        let mac = port.facts().mac.to_string();
        let neighbour = [
            "10.77.0.2",
            "lladdr",
            &mac,
            "dev",
            PEER_IF,
            "nud",
            "permanent",
        ];
        ip(&[&["-n", &space.peer, "neighbour", "replace"][..], &neighbour].concat());
        let before = port.counters().rx_frames;
        for (namespace, interface) in [(&space.port, PORT_IF), (&space.peer, PEER_IF)] {
            ip(&["-n", namespace, "link", "set", interface, "mtu", "3000"]);
        }
        // The port does not look meanwhile, so no more than these frames can be received into.
        let lent = u64::from(port.frame_counts().fill);
        assert!((96..=128).contains(&lent), "{lent}");
        space.at_peer(|| {
            udp_send((OWN_V4, 7).into(), 2_500, 3);
            udp_send((OWN_V4, 7).into(), 100, 200);
        });
        let all = before + 203;
        wait_until(&mut port, |port| {
            port.counters().rx_frames + port.counters().rx_dropped == all
        });
        let drops = port.counters().drops;
        assert_eq!(drops.of(PortDrop::RxTooLong), 3, "{drops:?}");
        assert!(
            (1..=200 - lent).contains(&drops.of(PortDrop::RxNoFrame)),
            "{drops:?}"
        );

        let mut burst = Burst::new();
        for len in [13, 60, 1_519] {
            let mut frame = port.take_frame().expect("half of the frames are left");
            frame.resize(len);
            burst.push(frame);
        }
        port.tx_burst(&mut burst, Instant::ZERO);
        assert!(burst.is_empty());
        let drops = port.counters().drops;
        assert_eq!(drops.of(PortDrop::TxInvalid), 1, "{drops:?}");
        assert_eq!(drops.of(PortDrop::TxTooLong), 1, "{drops:?}");
        wait_until(&mut port, |port| port.frame_counts().tx == 0);
        let counts = port.frame_counts();
        assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
    });
}

#[test]
fn under_load_between_two_ports_no_frame_is_lost_to_the_books() {
    in_space(|space| {
        space.add_veth(1);
        let config = OpenConfig {
            frames: 512,
            ..config()
        };
        let mut receiver = open(&config);
        let at_peer = OpenConfig {
            interface: PEER_IF.into(),
            addresses: Vec::new(),
            ..config
        };
        let mut sender = space.at_peer(|| open(&at_peer));
        let mut sent = 0;
        for turn in 0..2_000 {
            let now = Instant::from_millis(turn);
            sent += send_burst(&mut sender, now);
            // Now and then the receiver comes late.
            if turn % 7 != 0 {
                let mut burst = Burst::new();
                receiver.rx_burst(&mut burst, now);
                burst
                    .into_iter()
                    .for_each(|frame| receiver.give_frame(frame));
            }
            for port in [&sender, &receiver] {
                let counts = port.frame_counts();
                assert!(counts.is_exact(), "{counts:?}");
            }
        }
        assert!(sent > 10_000, "{sent}");
        wait_until(&mut sender, |port| port.frame_counts().tx == 0);
        update_counters(&mut receiver);
        let (sent, received) = (sender.counters(), receiver.counters());
        // The veth itself may drop where its softirq comes late; nothing comes from nowhere.
        let arrived = received.rx_frames + received.rx_dropped;
        assert!(received.rx_frames > 1_000, "{received:?}");
        assert!(
            arrived <= sent.tx_frames - sent.tx_dropped,
            "{sent:?} {received:?}"
        );
    });
}

/// Sends as many datagrams for the owned address as a burst holds and the port has frames for.
fn send_burst(port: &mut Driver, now: Instant) -> u64 {
    let mut burst = Burst::new();
    while !burst.is_full() {
        let Some(mut frame) = port.take_frame() else {
            break;
        };
        frame.resize(60);
        let bytes = frame.bytes_mut();
        bytes.fill(0);
        bytes[12..14].copy_from_slice(&[8, 0]);
        bytes[14] = 0x45;
        bytes[30..34].copy_from_slice(&OWN_V4.octets());
        burst.push(frame);
    }
    let before = port.counters().tx_frames;
    port.tx_burst(&mut burst, now);
    burst.into_iter().for_each(|frame| port.give_frame(frame));
    port.counters().tx_frames - before
}

#[test]
fn what_cannot_be_is_refused_with_advice() {
    in_space(|space| {
        space.add_veth(1);
        let zero_copy = OpenConfig {
            zero_copy: ZeroCopy::On,
            ..config()
        };
        let frames = OpenConfig {
            frames: 255,
            ..config()
        };
        let missing = OpenConfig {
            interface: "nonesuch0".into(),
            ..config()
        };
        for (config, expected) in [
            (zero_copy, "allow copy mode"),
            (frames, "255 frames for 1 queues are too few"),
            (missing, "nonesuch0: RTM_GETLINK: No such device"),
        ] {
            let error = Driver::open(&config).expect_err("it cannot be").to_string();
            assert!(error.contains(expected), "{error}");
        }
        ip(&["-n", &space.port, "link", "set", PORT_IF, "mtu", "9000"]);
        let error = Driver::open(&config())
            .expect_err("no frame is so long")
            .to_string();
        assert!(
            error.contains("the MTU is 9000 and must be at most 3822"),
            "{error}"
        );
    });
}
