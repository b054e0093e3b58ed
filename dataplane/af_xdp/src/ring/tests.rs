//! Both sides of a ring against a `VecDeque`, over ordinary shared memory, without a socket.

use std::collections::VecDeque;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::sys::shared_twice;

const CURSORS: Layout = Layout {
    producer: 0,
    consumer: 64,
    flags: 128,
    entries: 192,
    size: 0,
};

/// A ring of `size` entries whose cursors both stand at `start`.
fn ring<T: Entry>(size: u32, start: u32) -> (Producer<T>, Consumer<T>) {
    let layout = Layout { size, ..CURSORS };
    let (one, two) = shared_twice(layout.mapping_len::<T>());
    let ring = Ring::<T>::new(one, layout);
    ring.producer().store(start, Ordering::Relaxed);
    ring.consumer().store(start, Ordering::Relaxed);
    (
        Producer::new(ring.memory, layout),
        Consumer::new(two, layout),
    )
}

#[derive(Clone, Debug)]
enum Step {
    /// Reserve so many, write them all, submit.
    Produce(u32),
    /// Peek so many, read them all, release.
    Consume(u32),
}

fn step() -> impl Strategy<Value = Step> {
    (any::<bool>(), 0u32..20).prop_map(|(produce, n)| {
        if produce {
            Step::Produce(n)
        } else {
            Step::Consume(n)
        }
    })
}

/// Anywhere, but every other time where the cursors are about to wrap.
fn start() -> impl Strategy<Value = u32> {
    (any::<bool>(), any::<u32>()).prop_map(|(wraps, n)| if wraps { u32::MAX - n % 40 } else { n })
}

proptest! {
    /// Whatever the bursts, entries come out once each and in order, and no place is used twice,
    /// also where the cursors wrap.
    #[test]
    fn ring_is_a_bounded_queue(
        size in proptest::sample::select(vec![1u32, 2, 8, 16]),
        start in start(),
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let (mut producer, mut consumer) = ring::<u64>(size, start);
        let mut model = VecDeque::new();
        let mut next = 0u64;
        for step in steps {
            let in_model = u32::try_from(model.len()).unwrap();
            match step {
                Step::Produce(wanted) => {
                    let reserved = producer.reserve(wanted);
                    prop_assert_eq!(reserved, wanted.min(size - in_model));
                    for _ in 0..reserved {
                        producer.write(next);
                        model.push_back(next);
                        next += 1;
                    }
                    producer.submit();
                }
                Step::Consume(wanted) => {
                    let available = consumer.peek(wanted);
                    prop_assert_eq!(available, wanted.min(in_model));
                    for _ in 0..available {
                        prop_assert_eq!(Some(consumer.read()), model.pop_front());
                    }
                    consumer.release();
                }
            }
            prop_assert_eq!(producer.pending() as usize, model.len());
        }
    }
}

#[test]
fn entries_are_seen_only_after_submit_and_places_only_after_release() {
    let (mut producer, mut consumer) = ring::<u64>(2, u32::MAX);
    assert_eq!(producer.reserve(9), 2);
    producer.write(1);
    assert_eq!(consumer.peek(1), 0);
    producer.write(2);
    producer.submit();
    assert_eq!((consumer.peek(9), producer.reserve(1)), (2, 0));
    assert_eq!((consumer.read(), consumer.read()), (1, 2));
    assert_eq!(producer.reserve(1), 0);
    consumer.release();
    assert_eq!(producer.reserve(9), 2);
}

#[test]
fn descriptor_survives_the_ring() {
    let (mut producer, mut consumer) = ring::<Descriptor>(4, 7);
    let sent = Descriptor {
        addr: 0x1_0000_0100,
        len: 1514,
        options: 2,
    };
    assert_eq!(producer.reserve(1), 1);
    producer.write(sent);
    producer.submit();
    assert_eq!(consumer.peek(4), 1);
    assert_eq!(consumer.read(), sent);
}

#[test]
fn cursors_of_a_broken_partner_do_no_harm() {
    let (mut producer, mut consumer) = ring::<u64>(4, 0);
    producer.ring.consumer().store(1_000, Ordering::Relaxed);
    assert_eq!(producer.reserve(5), 0);
    consumer.ring.producer().store(900_000, Ordering::Relaxed);
    assert_eq!(consumer.peek(u32::MAX), consumer.size());
}

#[test]
fn wake_up_flag_is_read_from_the_ring() {
    let (producer, consumer) = ring::<u64>(4, 0);
    assert!(!producer.need_wakeup());
    consumer
        .ring
        .word(128)
        .store(NEED_WAKEUP, Ordering::Relaxed);
    assert!(producer.need_wakeup());
}

#[test]
#[should_panic(expected = "a ring of 3 entries")]
fn size_is_a_power_of_two() {
    ring::<u64>(3, 0);
}

/// Two threads that share nothing but the memory: what one has written the other reads.
#[test]
fn bursts_cross_threads_in_order() {
    const COUNT: u64 = 200_000;
    let (mut producer, mut consumer) = ring::<u64>(64, u32::MAX - 100_000);
    let writer = thread::spawn(move || {
        let mut next = 0;
        while next < COUNT {
            for _ in 0..producer.reserve(32) {
                producer.write(next);
                next += 1;
            }
            producer.submit();
            thread::yield_now();
        }
    });
    let mut expected = 0;
    while expected < COUNT {
        for _ in 0..consumer.peek(32) {
            let read = consumer.read();
            assert_eq!(read, expected);
            expected += 1;
        }
        consumer.release();
        thread::yield_now();
    }
    writer.join().unwrap();
}
