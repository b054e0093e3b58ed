//! What happens to a TCB at random.

#![expect(
    clippy::disallowed_types,
    reason = "prop_oneof shares strategies in an Arc"
)]

use std::time::Duration;

use proptest::prelude::*;
use tidegate_tcp::{Keepalive, Settings};
use tidegate_wire::TcpFlags;

use crate::step::{Options, Step};

pub(crate) fn options() -> impl Strategy<Value = Options> {
    let sack = prop::collection::vec((any::<i16>(), 0..4_000_u16), 0..4);
    (prop::bool::weighted(0.9), any::<i8>(), sack).prop_map(|(has_timestamps, ts_value, sack)| {
        Options {
            has_timestamps,
            ts_value,
            sack,
        }
    })
}

/// Mostly small distances, sometimes any.
pub(crate) fn distance() -> impl Strategy<Value = i32> {
    prop_oneof![
        6 => Just(0),
        4 => -3..3_i32,
        4 => -3_000..70_000_i32,
        1 => any::<i32>(),
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        8 => Just(TcpFlags::ACK.bits()),
        3 => Just((TcpFlags::ACK | TcpFlags::PSH).bits()),
        2 => Just((TcpFlags::ACK | TcpFlags::FIN).bits()),
        1 => any::<u8>(),
    ];
    let wnd = prop_oneof![3 => Just(65_535_u16), 1 => Just(0), 2 => any::<u16>()];
    let segment = (
        flags,
        distance(),
        distance(),
        wnd,
        0..3_000_u16,
        any::<u16>(),
        options(),
    )
        .prop_map(
            |(flags, seq, ack, wnd, len, urgent, options)| Step::Segment {
                flags,
                seq,
                ack,
                wnd,
                // Half of them carry no text.
                len: len.saturating_sub(1_500),
                urgent,
                options,
            },
        );
    prop_oneof![
        20 => segment,
        6 => any::<u16>().prop_map(Step::Send),
        4 => any::<u8>().prop_map(Step::Read),
        1 => any::<bool>().prop_map(Step::Pause),
        1 => any::<u8>().prop_map(Step::SendUrgent),
        1 => Just(Step::Shutdown),
        1 => prop_oneof![4 => Just(Step::Read(1)), 1 => Just(Step::ShutdownRead)],
        1 => prop_oneof![2 => Just(Step::Close), 1 => Just(Step::Abort)],
        1 => (0..3_u8, distance()).prop_map(|(kind, seq)| Step::Icmp { kind, seq }),
        6 => (0..3_000_000_u32).prop_map(Step::Wait),
        10 => Just(Step::Transmit),
    ]
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let sizes = (
        1_000..100_000_u32,
        1_000..100_000_u32,
        prop::option::of(0..2_000_u16),
    );
    let times = (0..3_000_u64, any::<bool>(), prop::option::of(0..2_000_u64));
    (switches, sizes, times).prop_map(|(switches, sizes, times)| Settings {
        wnd_scaling: switches.0,
        sack: switches.1,
        timestamps: switches.2,
        nodelay: switches.3,
        rmem: sizes.0,
        wmem: sizes.1,
        mss_max: sizes.2,
        user_timeout: Some(Duration::from_millis(times.0)).filter(|time| !time.is_zero()),
        keepalive: times.1.then(|| Keepalive {
            idle: Duration::from_secs(3),
            interval: Duration::from_secs(1),
            count: 3,
        }),
        linger: times.2.map(Duration::from_millis),
        ..Settings::default()
    })
}
