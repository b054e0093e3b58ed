//! Random segments, calls, timeouts and ICMP errors, at a TCB in every state: it never panics,
//! keeps its invariants, never sends more than the path or the peer takes, never takes back an ACK
//! or a window (RFC 9293 3.8.6, SHLD-14), comes to rest, and gives all its memory back.

use bench::Bench;
use proptest::prelude::*;
use step::{WAYS, way_to};
use steps::{settings, step};
use tidegate_tcp::{Settings, State, Tcb};

mod bench;
mod step;
mod steps;

#[test]
fn ways_lead_to_their_states() {
    use State::{
        CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived, SynSent,
        TimeWait,
    };
    let wanted = [
        SynReceived,
        Established,
        FinWait1,
        FinWait1,
        CloseWait,
        LastAck,
        Established,
        FinWait2,
        Closing,
        TimeWait,
        Established,
    ];
    assert_eq!(wanted.len(), usize::from(WAYS));
    for is_active in [false, true] {
        for (way, state) in (0..).zip(wanted) {
            let mut bench = Bench::new(true, is_active, Settings::default());
            for step in way_to(way, is_active) {
                bench.step(&step);
            }
            let state = if is_active && way == 0 {
                SynSent
            } else {
                state
            };
            assert_eq!(bench.tcb.state(), state, "way {way}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_steps_keep_the_invariants(
        is_ipv4: bool,
        is_active: bool,
        settings in settings(),
        way in 0..WAYS,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut bench = Bench::new(is_ipv4, is_active, settings);
        for step in way_to(way, is_active).iter().chain(&steps) {
            bench.step(step);
        }
        bench.with(Tcb::abort);
        bench.transmit();
        prop_assert_eq!(bench.tcb.state(), State::Closed);
        prop_assert_eq!(bench.tcb.next_timeout(), None);
        bench.tcb.release(&mut bench.memory);
        let counts = bench.memory.counts();
        prop_assert_eq!(counts.blocks_free, counts.blocks_total);
        prop_assert_eq!(counts.range_sets_free, counts.range_sets_total);
        prop_assert_eq!(counts.send_logs_free, counts.send_logs_total);
    }
}
