//! From the wire into a socket.

use std::net::IpAddr;

use af_xdp::{Attachment, Program, ProgramConfig, Socket, XdpMode};

use crate::namespace::{LEFT, Pair, RIGHT, Raw, with_veth, with_veth_of};
use crate::wire::{End, OTHER, OWNED, datagram, number_of, small_rings, umem};

fn program(mode: XdpMode) -> Program {
    let config = ProgramConfig {
        mode,
        ..ProgramConfig::default()
    };
    Program::attach(LEFT, config).unwrap_or_else(|error| panic!("{error}"))
}

/// What is owned comes to the socket and not to the kernel; the rest goes the other way.
fn owned_and_other(mode: XdpMode, attachment: Attachment) {
    let program = program(mode);
    assert_eq!(program.attachment(), attachment);
    let mut left = End::serve(LEFT, &program);
    let (kernel, right) = (Raw::open(LEFT), Raw::open(RIGHT));
    for number in 0..200 {
        let (ours, theirs) = (datagram(OWNED, number, 60), datagram(OTHER, number, 1000));
        right.send(&ours);
        right.send(&theirs);
        assert_eq!(left.receive(), ours);
        // A packet socket sees frames behind the driver, before the generic path: there it also
        // gets what is redirected afterwards.
        let mut seen = kernel.receive();
        if attachment == Attachment::Generic && seen == ours {
            seen = kernel.receive();
        }
        assert_eq!(seen, theirs);
        left.assert_frames_add_up(0);
    }
    assert_eq!(left.socket.counters().rx_frames, 200);
    assert_eq!(left.socket.counters().returned_wrong, 0);
}

#[test]
fn owned_address_in_native_mode() {
    with_veth(|| owned_and_other(XdpMode::Auto, Attachment::Native));
}

#[test]
fn owned_address_in_generic_mode() {
    with_veth(|| owned_and_other(XdpMode::Generic, Attachment::Generic));
}

#[test]
fn frame_can_be_read_cut_and_sent_back() {
    with_veth(|| {
        let program = program(XdpMode::Auto);
        let mut left = End::serve(LEFT, &program);
        let right = Raw::open(RIGHT);
        let sent = datagram(OWNED, 1, 90);
        right.send(&sent);
        crate::namespace::wait_readable(&left.socket);
        let mut received = Vec::new();
        assert_eq!(
            left.socket
                .rx(&mut left.umem, 64, |frame| received.push(frame)),
            1
        );
        left.assert_frames_add_up(1);
        let mut frame = received.pop().unwrap();
        assert_eq!(frame.bytes(), sent);
        assert_eq!(frame.capacity(), 2048 - af_xdp::HEADROOM);
        frame.trim_front(4);
        left.send_frame(frame);
        assert_eq!(right.receive(), sent[4..]);
        left.assert_frames_add_up(0);
    });
}

#[test]
fn disowned_address_goes_to_the_kernel() {
    with_veth(|| {
        let program = program(XdpMode::Auto);
        let mut left = End::serve(LEFT, &program);
        let (kernel, right) = (Raw::open(LEFT), Raw::open(RIGHT));
        right.send(&datagram(OWNED, 1, 60));
        assert_eq!(number_of(&left.receive()), 1);
        program.disown(IpAddr::V4(OWNED)).unwrap();
        right.send(&datagram(OWNED, 2, 60));
        assert_eq!(number_of(&kernel.receive()), 2);
        assert_eq!(left.socket.rx(&mut left.umem, 64, |_| unreachable!()), 0);
    });
}

#[test]
fn queue_without_a_socket_goes_to_the_kernel() {
    with_veth(|| {
        let program = program(XdpMode::Auto);
        let mut left = End::serve(LEFT, &program);
        let (kernel, right) = (Raw::open(LEFT), Raw::open(RIGHT));
        right.send(&datagram(OWNED, 1, 60));
        assert_eq!(number_of(&left.receive()), 1);
        drop(left);
        right.send(&datagram(OWNED, 2, 60));
        assert_eq!(number_of(&kernel.receive()), 2);
    });
}

#[test]
fn frame_too_long_for_its_slot_is_dropped_and_counted() {
    with_veth_of(
        Pair {
            mtu: 3000,
            ..Pair::default()
        },
        || {
            let program = program(XdpMode::Auto);
            let mut left = End::serve(LEFT, &program);
            let right = Raw::open(RIGHT);
            right.send(&datagram(OWNED, 1, 1792));
            right.send(&datagram(OWNED, 2, 1793));
            right.send(&datagram(OWNED, 3, 60));
            assert_eq!(left.receive().len(), 1792);
            assert_eq!(number_of(&left.receive()), 3);
            assert_eq!(left.socket.statistics().unwrap().rx_dropped, 1);
            left.assert_frames_add_up(0);
        },
    );
}

#[test]
fn socket_without_frames_lent_drops_and_counts() {
    with_veth(|| {
        let program = program(XdpMode::Auto);
        program.own(IpAddr::V4(OWNED)).unwrap();
        let mut umem = umem(4, false);
        let mut socket = Socket::open(&mut umem, LEFT, 0, small_rings()).unwrap();
        program.serve(&socket).unwrap();
        let right = Raw::open(RIGHT);
        right.send(&datagram(OWNED, 1, 60));
        let statistics = socket.statistics().unwrap();
        assert_eq!(
            (statistics.rx_dropped, statistics.rx_fill_ring_empty),
            (1, 1)
        );
        // With no more frames than these, four is what it can lend.
        assert_eq!(socket.fill(&mut umem), 4);
        assert_eq!(socket.fill(&mut umem), 0);
        right.send(&datagram(OWNED, 2, 60));
        assert_eq!(number_of(&crate::wire::receive(&mut umem, &mut socket)), 2);
    });
}
