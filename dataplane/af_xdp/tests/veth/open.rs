//! How sockets are opened, and what is said when they cannot be.

use af_xdp::{Socket, SocketConfig, Umem, ZeroCopy};

use crate::namespace::{LEFT, with_veth};
use crate::wire::{End, small_rings, umem};

fn refused(umem: &mut Umem, interface: &str, queue: u32, config: SocketConfig) -> af_xdp::Error {
    Socket::open(umem, interface, queue, config).expect_err("it must be refused")
}

#[test]
fn mode_says_what_became_of_the_wishes() {
    with_veth(|| {
        let mut umem = umem(64, true);
        let socket = Socket::open(&mut umem, LEFT, 0, small_rings()).unwrap();
        let mode = socket.mode();
        assert_eq!(mode.to_string(), "copy, need_wakeup, tx_checksum");
        assert_eq!(mode.zero_copy_refused, Some(libc::EOPNOTSUPP));
        assert!(
            mode.tx_budget == 64 || mode.tx_budget == 32,
            "{}",
            mode.tx_budget
        );
    });
}

#[test]
fn busy_polling_is_left_out_where_the_queue_has_no_napi_id() {
    with_veth(|| {
        let mut umem = umem(64, false);
        let busy_poll = Some(af_xdp::BusyPoll {
            time_us: 20,
            budget: 64,
        });
        let config = SocketConfig {
            busy_poll,
            need_wakeup: false,
            ..small_rings()
        };
        let socket = Socket::open(&mut umem, LEFT, 0, config).unwrap();
        assert_eq!(socket.mode().to_string(), "copy");
    });
}

#[test]
fn queue_is_free_again_as_soon_as_its_socket_is_dropped() {
    with_veth(|| {
        let mut umem = umem(50, false);
        let config = SocketConfig {
            fill_size: 8,
            ..small_rings()
        };
        for _ in 0..5 {
            let mut socket =
                Socket::open(&mut umem, LEFT, 0, config).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(socket.fill(&mut umem), 8);
            drop(socket);
        }
        // What the kernel had when a socket went away stays lent.
        assert_eq!((umem.counts().lent, umem.counts().free), (40, 10));
    });
}

#[test]
fn taken_queue_is_an_error_that_says_so() {
    with_veth(|| {
        let _first = End::open(LEFT);
        let error = refused(&mut umem(4, false), LEFT, 0, small_rings());
        assert_eq!((error.call(), error.errno()), ("bind", libc::EBUSY));
        assert_eq!((error.interface(), error.queue()), (Some(LEFT), Some(0)));
        assert!(
            error
                .advice()
                .contains("another AF_XDP socket has this queue"),
            "{error}"
        );
    });
}

#[test]
fn refusals_name_the_place_and_the_way_out() {
    with_veth(|| {
        let mut umem = umem(4, false);
        let config = small_rings();
        let zero_copy = SocketConfig {
            zero_copy: ZeroCopy::On,
            ..config
        };
        let odd = SocketConfig {
            rx_size: 100,
            ..config
        };
        for (interface, queue, config, call, errno, advice) in [
            (
                "missing",
                0,
                config,
                "if_nametoindex",
                libc::ENODEV,
                "exists in this network",
            ),
            (LEFT, 1, config, "bind", libc::EINVAL, "a queue that exists"),
            (
                LEFT,
                0,
                zero_copy,
                "bind",
                libc::EOPNOTSUPP,
                "allow copy mode",
            ),
            (LEFT, 0, odd, "SocketConfig", libc::EINVAL, "powers of two"),
        ] {
            let error = refused(&mut umem, interface, queue, config);
            assert_eq!((error.call(), error.errno()), (call, errno), "{error}");
            assert!(error.advice().contains(advice), "{error}");
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("{interface}: queue {queue}: "))
            );
        }
        // None of them has kept the queue.
        Socket::open(&mut umem, LEFT, 0, small_rings()).unwrap();
    });
}
