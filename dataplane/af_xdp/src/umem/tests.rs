//! Tests of packet memory: the states of a frame, its geometry, and what is caught.

use proptest::prelude::*;

use super::*;
use crate::frame::{HEADROOM, TX_METADATA_LEN, TxChecksum};

fn umem(frames: u32) -> Umem {
    Umem::new(UmemConfig {
        frames,
        frame_size: 2048,
        tx_metadata: false,
    })
    .unwrap()
}

#[test]
fn sizes_are_checked() {
    for (frames, frame_size) in [(1, 1024), (1, 8192), (1, 3000), (0, 2048)] {
        let error = Umem::new(UmemConfig {
            frames,
            frame_size,
            tx_metadata: false,
        })
        .unwrap_err();
        assert_eq!(error.errno(), libc::EINVAL);
    }
}

#[test]
fn fresh_frame_is_empty_and_begins_behind_the_headroom() {
    for frame_size in [2048, 4096] {
        let mut umem = Umem::new(UmemConfig {
            frames: 3,
            frame_size,
            tx_metadata: true,
        })
        .unwrap();
        let frame = umem.take().unwrap();
        assert!(frame.is_empty());
        assert_eq!(frame.capacity(), frame_size as usize - HEADROOM);
        assert_eq!(frame.tx_checksum(), None);
        umem.give(frame);
    }
}

#[test]
fn frames_do_not_overlap() {
    let mut umem = umem(8);
    let mut frames: Vec<Frame> = std::iter::from_fn(|| umem.take()).collect();
    assert_eq!(frames.len(), 8);
    for (i, frame) in (0u8..).zip(&mut frames) {
        frame.resize(frame.capacity());
        frame.bytes_mut().fill(i);
    }
    for (i, frame) in (0u8..).zip(&frames) {
        assert!(frame.bytes().iter().all(|byte| *byte == i));
    }
    assert_eq!(
        umem.counts(),
        FrameCounts {
            total: 8,
            free: 0,
            lent: 0,
            held: 8
        }
    );
    frames.into_iter().for_each(|frame| umem.give(frame));
    assert_eq!(
        umem.counts(),
        FrameCounts {
            total: 8,
            free: 8,
            lent: 0,
            held: 0
        }
    );
}

#[test]
fn lent_frame_comes_back_with_its_bytes() {
    let mut umem = umem(2);
    let mut frame = umem.take().unwrap();
    frame.resize(5);
    frame.bytes_mut().copy_from_slice(b"hello");
    frame.trim_front(1);
    let addr = umem.lend(frame);
    assert_eq!(addr % 2048, 257);
    assert_eq!(
        umem.counts(),
        FrameCounts {
            total: 2,
            free: 1,
            lent: 1,
            held: 0
        }
    );
    let mut frame = umem.reclaim(addr).unwrap();
    frame.resize(4);
    assert_eq!(frame.bytes(), b"ello");
    frame.reset();
    assert_eq!((frame.len(), frame.capacity()), (0, 2048 - HEADROOM));
    umem.give(frame);
}

#[test]
fn address_returned_twice_is_caught() {
    let mut umem = umem(2);
    let frame = umem.take().unwrap();
    let addr = umem.lend(frame);
    let frame = umem.reclaim(addr).unwrap();
    assert_eq!(umem.reclaim(addr).unwrap_err(), ReclaimError::NotLent(addr));
    umem.give(frame);
    let error = umem.reclaim(addr).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the frame at {addr:#x} was returned twice or never lent")
    );
    assert_eq!(
        umem.reclaim(2 * 2048).unwrap_err(),
        ReclaimError::OutOfRange(4096)
    );
    assert!(matches!(
        umem.reclaim(u64::MAX),
        Err(ReclaimError::OutOfRange(u64::MAX))
    ));
}

#[test]
fn frame_lent_to_a_socket_cannot_be_reclaimed_by_a_caller() {
    let mut umem = umem(1);
    let frame = umem.take().unwrap();
    let addr = umem.lend_to(frame, Holder::Fill(0));
    assert!(umem.reclaim(addr).is_err());
    assert!(umem.reclaim_from(addr, Holder::Tx(0)).is_err());
    assert!(umem.reclaim_from(addr, Holder::Fill(1)).is_err());
    let frame = umem.reclaim_from(addr, Holder::Fill(0)).unwrap();
    umem.give(frame);
    assert_eq!(umem.counts().free, 1);
}

#[test]
#[should_panic(expected = "another UMEM")]
fn frame_of_another_umem_is_refused() {
    let (mut one, mut two) = (umem(1), umem(1));
    let frame = one.take().unwrap();
    assert!(one.owns(&frame) && !two.owns(&frame));
    two.give(frame);
}

#[test]
fn memory_outlives_the_umem_while_a_frame_is_held() {
    let mut umem = umem(4);
    let mut frame = umem.take().unwrap();
    frame.resize(1);
    frame.bytes_mut()[0] = 7;
    drop(umem);
    assert_eq!(frame.bytes(), [7]);
    std::thread::spawn(move || assert_eq!(frame.bytes(), [7]))
        .join()
        .unwrap();
}

#[test]
#[should_panic(expected = "do not fit")]
fn frame_cannot_grow_past_its_slot() {
    umem(1).take().unwrap().resize(2048 - HEADROOM + 1);
}

#[test]
fn checksum_is_finished_in_software_as_rfc_1071_says() {
    let mut umem = umem(1);
    let mut frame = umem.take().unwrap();
    // RFC 1071 section 3 sums 00 01 f2 03 f4 f5 f6 f7 to ddf2; two bytes in front are not summed,
    // and the field behind holds a partial sum of 0.
    frame.resize(12);
    frame
        .bytes_mut()
        .copy_from_slice(b"\xaa\xaa\x00\x01\xf2\x03\xf4\xf5\xf6\xf7\x00\x00");
    frame.set_tx_checksum(Some(TxChecksum {
        start: 2,
        offset: 8,
    }));
    frame.finish_tx_checksum();
    assert_eq!(frame.bytes()[10..], (!0xddf2u16).to_be_bytes());
    assert_eq!(frame.tx_checksum(), None);
    // One that does not fit changes nothing.
    let before = frame.bytes().to_vec();
    frame.set_tx_checksum(Some(TxChecksum {
        start: 2,
        offset: 9,
    }));
    frame.finish_tx_checksum();
    assert_eq!(frame.bytes(), before);
    umem.give(frame);
}

#[test]
fn metadata_lies_in_front_of_the_data_and_nowhere_else() {
    let mut umem = umem(1);
    let mut frame = umem.take().unwrap();
    frame.resize(64);
    frame.bytes_mut().fill(0x55);
    frame.trim_front(TX_METADATA);
    frame.write_tx_metadata(
        2,
        TxChecksum {
            start: 34,
            offset: 16,
        },
    );
    let addr = umem.lend(frame);
    let mut frame = umem.reclaim(addr - TX_METADATA as u64).unwrap();
    frame.resize(64);
    let mut wanted = [0u8; TX_METADATA];
    wanted[0] = 2;
    wanted[8] = 34;
    wanted[10] = 16;
    assert_eq!(frame.bytes()[..TX_METADATA], wanted);
    assert_eq!(frame.bytes()[TX_METADATA..], [0x55; 40]);
    umem.give(frame);
}

const TX_METADATA: usize = TX_METADATA_LEN as usize;

#[derive(Clone, Debug)]
enum Step {
    Take,
    Give,
    Lend,
    Reclaim,
    ReclaimAgain,
}

fn step() -> impl Strategy<Value = Step> {
    proptest::sample::select(vec![
        Step::Take,
        Step::Give,
        Step::Lend,
        Step::Reclaim,
        Step::ReclaimAgain,
    ])
}

proptest! {
    /// Whatever the order, the book adds up, and what came back once does not come back again.
    #[test]
    fn book_adds_up(steps in proptest::collection::vec(step(), 0..200)) {
        let mut umem = umem(5);
        let (mut held, mut lent) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Take => held.extend(umem.take()),
                Step::Give => if let Some(frame) = held.pop() { umem.give(frame) },
                Step::Lend => lent.extend(held.pop().map(|frame| umem.lend(frame))),
                Step::Reclaim => if let Some(addr) = lent.pop() {
                    held.push(umem.reclaim(addr).unwrap());
                },
                Step::ReclaimAgain => if let Some(frame) = held.last() {
                    let addr = u64::from(frame.index()) * 2048 + HEADROOM as u64;
                    prop_assert_eq!(umem.reclaim(addr).unwrap_err(), ReclaimError::NotLent(addr));
                },
            }
            let counts = umem.counts();
            prop_assert_eq!((counts.held as usize, counts.lent as usize), (held.len(), lent.len()));
            prop_assert_eq!(counts.free + counts.held + counts.lent, counts.total);
        }
    }
}
