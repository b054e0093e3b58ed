//! What `host` says about interfaces of a known make.

use tidegate_port::host::{self, Capability, Offload};

use super::space::{PEER_IF, PORT_IF, in_space, ip};

#[test]
fn a_veth_is_described_as_it_was_made() {
    in_space(|space| {
        space.add_veth(3);
        ip(&[
            "-n",
            &space.port,
            "link",
            "set",
            PORT_IF,
            "address",
            "02:11:22:33:44:55",
            "mtu",
            "1400",
        ]);
        let interface = host::interface(PORT_IF).expect("it was just made");
        assert_eq!(interface.name, PORT_IF);
        assert!(interface.index > 0);
        assert_eq!(interface.mac.0, [0x02, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(interface.mtu, 1400);
        assert!(interface.is_up && interface.is_ethernet);
        assert_eq!(interface.kind.as_deref(), Some("veth"));
        assert_eq!((interface.rx_queues, interface.tx_queues), (3, 3));
        assert_eq!(interface.xdp, None);
        assert_eq!(host::driver_name(PORT_IF).expect("veth says"), "veth");
        let channels = host::channels(PORT_IF)
            .expect("it is there")
            .expect("veth says");
        assert_eq!((channels.receiving(), channels.rx_max), (3, 3));
        assert!(
            host::capabilities()
                .expect("/proc")
                .has(Capability::NetAdmin)
        );
    });
}

#[test]
fn offloads_are_turned_off_and_on() {
    in_space(|space| {
        space.add_veth(1);
        // The sums last: where they are not offloaded, cutting segments cannot be either.
        let offloads = [
            Offload::Tso,
            Offload::Gso,
            Offload::Gro,
            Offload::TxChecksum,
        ];
        for offload in offloads {
            for on in [false, true, false] {
                host::set_offload(PORT_IF, offload, on).expect("veth can");
                assert_eq!(
                    host::offload(PORT_IF, offload).expect("veth can"),
                    on,
                    "{offload:?}"
                );
            }
        }
    });
}

#[test]
fn an_interface_of_another_namespace_is_not_found() {
    in_space(|space| {
        space.add_veth(1);
        let error = host::interface(PEER_IF).expect_err("it is in the other namespace");
        assert_eq!(error.errno(), Some(libc::ENODEV));
        let text = error.to_string();
        assert!(
            text.starts_with("peer0: RTM_GETLINK: No such device"),
            "{text}"
        );
        assert!(host::channels(PEER_IF).is_err());
    });
}
