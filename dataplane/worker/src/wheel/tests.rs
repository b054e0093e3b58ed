//! The wheel against a sorted map, and its levels one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SLOTS: u32 = 16;
const TICK: u64 = 1 << TICK_BITS;

fn at_tick(tick: u64) -> Instant {
    Instant::from_nanos(tick * TICK)
}

/// Everything that has expired by `now`.
fn expired(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
    let mut slots: Vec<u32> = core::iter::from_fn(|| wheel.poll_expired(now)).collect();
    slots.sort_unstable();
    slots
}

#[test]
fn a_timer_fires_at_its_tick_on_every_level() {
    for level in 0..6u32 {
        for offset in [0, 1, 63, 64, 65, 4_095] {
            let tick = (1u64 << (LEVEL_BITS * level)) + offset;
            let mut wheel = Wheel::new(1);
            wheel.arm(0, Some(at_tick(tick)));
            assert_eq!(wheel.poll_expired(at_tick(tick - 1)), None, "tick {tick}");
            assert_eq!(wheel.poll_expired(at_tick(tick)), Some(0), "tick {tick}");
            assert_eq!(wheel.poll_expired(at_tick(tick)), None, "tick {tick}");
            assert_eq!(wheel.next_deadline(), None);
        }
    }
}

#[test]
fn a_deadline_between_two_ticks_waits_for_the_second() {
    let mut wheel = Wheel::new(1);
    wheel.arm(0, Some(Instant::from_nanos(5 * TICK + 1)));
    assert_eq!(wheel.next_deadline(), Some(at_tick(6)));
    assert_eq!(wheel.poll_expired(Instant::from_nanos(6 * TICK - 1)), None);
    assert_eq!(wheel.poll_expired(at_tick(6)), Some(0));
}

#[test]
fn what_lies_beyond_the_top_level_waits_all_the_same() {
    let mut wheel = Wheel::new(2);
    let far = AHEAD_MAX * 3 + 12_345;
    wheel.arm(0, Some(at_tick(far)));
    wheel.arm(1, Some(Instant::from_nanos(u64::MAX)));
    for _ in 0..1_000 {
        let next = wheel.next_deadline().unwrap();
        if next > at_tick(far) {
            break;
        }
        match wheel.poll_expired(next) {
            Some(slot) => assert_eq!((slot, next), (0, at_tick(far))),
            None => assert!(next < at_tick(far)),
        }
    }
    assert_eq!(wheel.entries[0].list(), NOWHERE);
    assert_ne!(wheel.entries[1].list(), NOWHERE);
}

#[test]
fn a_deadline_that_moves_away_costs_no_move() {
    let mut wheel = Wheel::new(1);
    wheel.arm(0, Some(at_tick(10)));
    let list = wheel.entries[0].list();
    wheel.arm(0, Some(at_tick(20)));
    assert_eq!(wheel.entries[0].list(), list);
    assert_eq!(wheel.poll_expired(at_tick(10)), None);
    assert_eq!(wheel.next_deadline(), Some(at_tick(20)));
    assert_eq!(wheel.poll_expired(at_tick(20)), Some(0));
}

#[test]
fn what_is_armed_in_the_past_is_due_at_once() {
    let mut wheel = Wheel::new(1);
    assert_eq!(wheel.poll_expired(at_tick(1_000)), None);
    wheel.arm(0, Some(at_tick(3)));
    assert!(wheel.next_deadline().unwrap() <= at_tick(1_000));
    assert_eq!(wheel.poll_expired(at_tick(1_000)), Some(0));
    assert_eq!(wheel.poll_expired(at_tick(1_000)), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Arm the slot so many nanoseconds from now.
    Arm(u32, u64),
    Disarm(u32),
    /// Let so many nanoseconds pass.
    Pass(u64),
}

/// Lengths of time of all magnitudes, from a nanosecond to many years.
fn length() -> impl Strategy<Value = u64> {
    (0..56u32, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
}

#[expect(clippy::disallowed_types, reason = "inside prop_oneof")]
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..SLOTS, length()).prop_map(|(slot, ahead)| Step::Arm(slot, ahead)),
        1 => (0..SLOTS).prop_map(Step::Disarm),
        4 => length().prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn it_expires_what_a_sorted_map_expires(
        start in 0..1u64 << 50,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut wheel = Wheel::new(SLOTS);
        let mut model = BTreeMap::new();
        let mut now = start;
        prop_assert_eq!(wheel.poll_expired(Instant::from_nanos(now)), None);
        for step in steps {
            match step {
                Step::Arm(slot, ahead) => {
                    wheel.arm(slot, Some(Instant::from_nanos(now + ahead)));
                    model.insert(slot, tick_at_or_after(Instant::from_nanos(now + ahead)));
                }
                Step::Disarm(slot) => {
                    wheel.arm(slot, None);
                    model.remove(&slot);
                }
                Step::Pass(length) => {
                    now += length;
                    let tick = now >> TICK_BITS;
                    let due: Vec<u32> =
                        model.extract_if(.., |_, at| *at <= tick).map(|(slot, _)| slot).collect();
                    prop_assert_eq!(expired(&mut wheel, Instant::from_nanos(now)), due);
                }
            }
            let first = model.values().min().map(|tick| at_tick(*tick));
            match (wheel.next_deadline(), first) {
                (Some(next), Some(first)) => prop_assert!(next <= first),
                (None, Some(_)) => prop_assert!(false, "a deadline was forgotten"),
                (_, None) => {}
            }
        }
    }
}
