//! From a socket onto the wire.

use af_xdp::{Program, ProgramConfig, Socket, TxChecksum, Wake};

use crate::namespace::{LEFT, RIGHT, Raw, ip, wait_readable, with_veth};
use crate::wire::{End, OTHER, OWNED, datagram, number_of, small_rings, umem};

#[test]
fn frames_reach_the_wire_in_order_without_any_program() {
    with_veth(|| {
        let mut left = End::open(LEFT);
        let right = Raw::open(RIGHT);
        assert_eq!(left.socket.wake_tx(), Wake::NotNeeded);
        for number in 0..100 {
            let len = 60 + usize::try_from(number).unwrap() * 7;
            left.send(&datagram(OTHER, number, len));
            assert_eq!(right.receive(), datagram(OTHER, number, len));
            left.assert_frames_add_up(0);
        }
        assert_eq!(left.socket.counters().tx_frames, 100);
    });
}

#[test]
fn full_ring_takes_what_fits_and_one_wake_up_sends_it_all() {
    with_veth(|| {
        let mut left = End::open(LEFT);
        let right = Raw::open(RIGHT);
        let frames: Vec<_> = (0..70)
            .map(|n| left.frame(&datagram(OTHER, n, 60)))
            .collect();
        let mut frames = frames.into_iter();
        assert_eq!(left.socket.tx_room(), 64);
        assert_eq!(left.socket.tx(&mut left.umem, frames.by_ref()), 64);
        assert_eq!(
            (
                left.socket.tx_room(),
                left.socket.tx_pending(),
                frames.len()
            ),
            (0, 64, 6)
        );
        left.assert_frames_add_up(6);
        assert_eq!(left.socket.wake_tx(), Wake::Done);
        assert_eq!(left.socket.tx_pending(), 0);
        assert_eq!(left.socket.complete(&mut left.umem), 64);
        for number in 0..64 {
            assert_eq!(number_of(&right.receive()), number);
        }
        frames.for_each(|frame| left.umem.give(frame));
        left.assert_frames_add_up(0);
    });
}

#[test]
fn frame_shorter_than_its_header_is_refused_and_not_lost() {
    with_veth(|| {
        let mut left = End::open(LEFT);
        let right = Raw::open(RIGHT);
        let frames = [
            left.frame(&[]),
            left.frame(&[1; 13]),
            left.frame(&datagram(OTHER, 1, 60)),
        ];
        assert_eq!(left.socket.tx(&mut left.umem, frames), 3);
        assert_eq!(left.socket.wake_tx(), Wake::Done);
        assert_eq!(number_of(&right.receive()), 1);
        assert_eq!(left.socket.complete(&mut left.umem), 1);
        assert_eq!(left.socket.counters().tx_refused, 2);
        assert_eq!(left.socket.statistics().unwrap().tx_invalid_descs, 0);
        left.assert_frames_add_up(0);
    });
}

#[test]
fn frames_that_the_device_drops_come_back_and_do_not_stop_the_rest() {
    with_veth(|| {
        let mut left = End::open(LEFT);
        // Longer than the MTU: the veth drops them.
        let long = datagram(OTHER, 0, 1700);
        let frames = [
            left.frame(&long),
            left.frame(&long),
            left.frame(&datagram(OTHER, 1, 60)),
        ];
        let right = Raw::open(RIGHT);
        assert_eq!(left.socket.tx(&mut left.umem, frames), 3);
        assert_eq!(left.socket.wake_tx(), Wake::Done);
        assert_eq!(number_of(&right.receive()), 1);
        assert_eq!(left.socket.complete(&mut left.umem), 3);
        assert_eq!(left.socket.counters().tx_dropped, 2);
        left.assert_frames_add_up(0);
    });
}

#[test]
fn interface_that_is_down_is_told_apart_and_loses_no_frame() {
    with_veth(|| {
        let mut left = End::open(LEFT);
        let right = Raw::open(RIGHT);
        ip(&format!("link set {LEFT} down")).unwrap();
        let frame = left.frame(&datagram(OTHER, 1, 60));
        assert_eq!(left.socket.tx(&mut left.umem, [frame]), 1);
        assert_eq!(left.socket.wake_tx(), Wake::Failed(libc::ENETDOWN));
        left.assert_frames_add_up(0);
        ip(&format!("link set {LEFT} up")).unwrap();
        assert_eq!(left.socket.wake_tx(), Wake::Done);
        assert_eq!(number_of(&right.receive()), 1);
        assert_eq!(left.socket.complete(&mut left.umem), 1);
    });
}

/// The complement of the sum of 16-bit words, computed word by word as RFC 1071 defines it.
fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0u32, |sum, word| {
        let word = u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]);
        let sum = sum + u32::from(word);
        (sum & 0xffff) + (sum >> 16)
    });
    !u16::try_from(sum).unwrap()
}

/// Sends frames that ask for a checksum; whoever finishes it, the wire carries the right sum.
fn checksum_is_finished(tx_metadata: bool) {
    let mut umem = umem(16, tx_metadata);
    let socket = Socket::open(&mut umem, LEFT, 0, small_rings()).unwrap();
    assert_eq!(socket.mode().tx_checksum, tx_metadata);
    let mut left = End { umem, socket };
    let right = Raw::open(RIGHT);
    for len in [60, 61, 1001, 1514] {
        // The sum begins behind the header of 34 bytes; the field is its fourth word, and holds
        // the sum of the addresses, say 0x1234, as a pseudo-header would leave it.
        let mut bytes = datagram(OTHER, 7, len);
        bytes[40..42].copy_from_slice(&[0x12, 0x34]);
        let wanted = checksum(&bytes[34..]);
        let mut frame = left.frame(&bytes);
        frame.set_tx_checksum(Some(TxChecksum {
            start: 34,
            offset: 6,
        }));
        left.send_frame(frame);
        bytes[40..42].copy_from_slice(&wanted.to_be_bytes());
        assert_eq!(right.receive(), bytes, "{len} bytes");
    }
    // A request that does not fit the frame harms nobody.
    let bytes = datagram(OTHER, 8, 60);
    let mut frame = left.frame(&bytes);
    frame.set_tx_checksum(Some(TxChecksum {
        start: 40,
        offset: 19,
    }));
    left.send_frame(frame);
    assert_eq!(right.receive(), bytes);
    assert_eq!(left.socket.statistics().unwrap().tx_invalid_descs, 0);
    left.assert_frames_add_up(0);
}

#[test]
fn checksum_is_finished_by_the_kernel() {
    with_veth(|| checksum_is_finished(true));
}

#[test]
fn checksum_is_finished_by_the_socket() {
    with_veth(|| checksum_is_finished(false));
}

/// 100,000 frames between two sockets, through rings that wrap 1,500 times: none is lost, doubled
/// or out of order, and at every turn each frame is in exactly one place.
#[test]
fn frames_add_up_at_every_turn() {
    const COUNT: u64 = 100_000;
    with_veth(|| {
        let program = Program::attach(LEFT, ProgramConfig::default()).unwrap();
        let mut left = End::serve(LEFT, &program);
        let mut right = End::open(RIGHT);
        let (mut sent, mut received) = (0, 0);
        let template = datagram(OWNED, 0, 60);
        while received < COUNT {
            // No more on the way than the receiver has frames for.
            let room = (64 - (sent - received)).min(COUNT - sent).min(32);
            let mut burst = Vec::new();
            for _ in 0..room.min(u64::from(right.socket.tx_room())) {
                let mut frame = right.frame(&template);
                frame.bytes_mut()[42..50].copy_from_slice(&sent.to_be_bytes());
                burst.push(frame);
                sent += 1;
            }
            right.assert_frames_add_up(u32::try_from(burst.len()).unwrap());
            right.socket.tx(&mut right.umem, burst);
            right.socket.wake_tx();
            right.socket.complete(&mut right.umem);
            right.assert_frames_add_up(0);

            wait_readable(&left.socket);
            let mut burst = Vec::new();
            left.socket
                .rx(&mut left.umem, 64, |frame| burst.push(frame));
            left.assert_frames_add_up(u32::try_from(burst.len()).unwrap());
            for frame in burst {
                assert_eq!(number_of(frame.bytes()), received);
                received += 1;
                left.umem.give(frame);
            }
            left.socket.fill(&mut left.umem);
            left.assert_frames_add_up(0);
        }
        assert_eq!(right.umem.counts().free, right.umem.counts().total);
        assert_eq!(left.socket.counters().returned_wrong, 0);
        assert_eq!(right.socket.counters().returned_wrong, 0);
        let statistics = left.socket.statistics().unwrap();
        assert_eq!((statistics.rx_dropped, statistics.rx_ring_full), (0, 0));
    });
}
