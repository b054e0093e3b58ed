//! Several queues over one UMEM.

use std::net::IpAddr;

use af_xdp::{Program, ProgramConfig, Socket, Umem, Wake};

use crate::namespace::{LEFT, Pair, RIGHT, with_veth, with_veth_of};
use crate::wire::{OWNED, datagram, number_of, receive, small_rings, umem};

/// A socket on each of two queues, over one memory.
fn two_queues(interface: &str) -> (Umem, [Socket; 2]) {
    let mut umem = umem(256, true);
    let first = Socket::open(&mut umem, interface, 0, small_rings()).unwrap();
    let second = Socket::open_shared(&mut umem, &first, interface, 1, small_rings())
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(second.mode(), first.mode());
    (umem, [first, second])
}

fn send(umem: &mut Umem, socket: &mut Socket, bytes: &[u8]) {
    let mut frame = umem.take().unwrap();
    frame.resize(bytes.len());
    frame.bytes_mut().copy_from_slice(bytes);
    assert_eq!(socket.tx(umem, [frame]), 1);
    assert_eq!(socket.wake_tx(), Wake::Done);
    assert_eq!(socket.complete(umem), 1);
}

#[test]
fn two_queues_share_one_umem_and_keep_their_frames_apart() {
    let pair = Pair {
        left_queues: 2,
        right_queues: 2,
        ..Pair::default()
    };
    with_veth_of(pair, || {
        let program = Program::attach(LEFT, ProgramConfig::default()).unwrap();
        program.own(IpAddr::V4(OWNED)).unwrap();
        let (mut left_umem, mut left) = two_queues(LEFT);
        let (mut right_umem, mut right) = two_queues(RIGHT);
        for socket in &mut left {
            assert_eq!(socket.fill(&mut left_umem), 64);
            program.serve(socket).unwrap();
        }
        // A veth hands a frame to the queue of its peer that has the number of the sender's.
        for number in 0..300 {
            let queue = usize::try_from(number % 3 % 2).unwrap();
            send(
                &mut right_umem,
                &mut right[queue],
                &datagram(OWNED, number, 60),
            );
            let received = receive(&mut left_umem, &mut left[queue]);
            assert_eq!(number_of(&received), number);
            let lent: u32 = left.iter().map(|socket| socket.frames().fill).sum();
            assert_eq!((lent, left_umem.counts().lent), (128, 128));
        }
        assert_eq!(left[0].counters().rx_frames, 200);
        assert_eq!(left[1].counters().rx_frames, 100);
        assert_eq!(left.map(|socket| socket.counters().returned_wrong), [0, 0]);
        assert_eq!(right_umem.counts().free, 256);
    });
}

#[test]
fn second_socket_of_a_umem_on_the_same_queue_is_refused() {
    let pair = Pair {
        left_queues: 2,
        right_queues: 2,
        ..Pair::default()
    };
    with_veth_of(pair, || {
        let mut umem = umem(64, false);
        let first = Socket::open(&mut umem, LEFT, 0, small_rings()).unwrap();
        for queue in [0, 2] {
            let error = Socket::open_shared(&mut umem, &first, LEFT, queue, small_rings());
            let error = error.unwrap_err();
            assert_eq!((error.errno(), error.queue()), (libc::EINVAL, Some(queue)));
            assert!(
                error.advice().contains("this UMEM has no socket yet"),
                "{error}"
            );
        }
    });
}

#[test]
fn socket_refuses_a_umem_that_is_not_its_own() {
    with_veth(|| {
        let (mut own, mut other) = (umem(4, false), umem(4, false));
        let mut socket = Socket::open(&mut own, LEFT, 0, small_rings()).unwrap();
        let fill = std::panic::AssertUnwindSafe(|| socket.fill(&mut other));
        let panic = std::panic::catch_unwind(fill).unwrap_err();
        let message = panic
            .downcast_ref::<String>()
            .expect("an assertion has failed");
        assert!(message.contains("opened with another UMEM"), "{message}");
        assert_eq!(other.counts().free, 4);
    });
}
