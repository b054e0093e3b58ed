//! A connection in any state, and segments, calls, ICMP errors and time in any order.
//!
//! The first bytes choose settings, side and state; each step then is a byte that names it and the
//! bytes of its arguments. The steps and what is asked of the TCB after each are those of the
//! random test of the crate `tcp`, whose chance a fuzzer replaces by what reaches new code.

#[path = "../../tcp/tests/random/bench.rs"]
mod bench;
#[path = "../../tcp/tests/random/step.rs"]
mod step;

use core::time::Duration;

use tidegate_tcp::{CongestionKind, Ecn, Keepalive, MtuProbing, Pacing, Settings, State, Tcb};
use tidegate_wire::TcpFlags;

use self::bench::Bench;
use self::step::{Options, Step, WAYS, way_to};
use super::bytes::Bytes;

/// The most steps that are played; more would only be slower.
const STEPS_MAX: usize = 250;

/// Plays the bytes.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (is_ipv4, is_active) = (bytes.bool(), bytes.bool());
    let way = bytes.u8() % WAYS;
    let mut bench = Bench::new(is_ipv4, is_active, settings(&mut bytes));
    for step in way_to(way, is_active) {
        bench.step(&step);
    }
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        bench.step(&step(&mut bytes));
    }
    bench.with(Tcb::abort);
    bench.transmit();
    assert_eq!(bench.tcb.state(), State::Closed);
    assert_eq!(bench.tcb.next_timeout(), None);
    bench.tcb.release(&mut bench.memory);
    let counts = bench.memory.counts();
    assert_eq!(counts.blocks_free, counts.blocks_total);
    assert_eq!(counts.range_sets_free, counts.range_sets_total);
    assert_eq!(counts.send_logs_free, counts.send_logs_total);
}

fn settings(bytes: &mut Bytes<'_>) -> Settings {
    Settings {
        wnd_scaling: !bytes.bool(),
        sack: !bytes.bool(),
        timestamps: !bytes.bool(),
        nodelay: bytes.bool(),
        rmem: bytes.pick(&[60_000, 1_000, 10_000, 100_000]),
        wmem: bytes.pick(&[60_000, 1_000, 10_000, 100_000]),
        mss_max: bytes.pick(&[None, Some(0), Some(200), Some(1_200)]),
        congestion: bytes.pick(&[
            CongestionKind::Cubic,
            CongestionKind::NewReno,
            CongestionKind::Bbr,
        ]),
        user_timeout: bytes.pick(&[None, Some(Duration::from_secs(2))]),
        linger: bytes.pick(&[None, Some(Duration::ZERO), Some(Duration::from_secs(1))]),
        keepalive: bytes.bool().then_some(Keepalive {
            idle: Duration::from_secs(3),
            interval: Duration::from_secs(1),
            count: 3,
        }),
        pacing: bytes.pick(&[Pacing::Auto, Pacing::On, Pacing::Off]),
        ecn: bytes.pick(&[Ecn::Passive, Ecn::On, Ecn::Off]),
        mtu_probing: bytes.pick(&[MtuProbing::BlackHole, MtuProbing::Always, MtuProbing::Off]),
        ..Settings::default()
    }
}

fn step(bytes: &mut Bytes<'_>) -> Step {
    match bytes.u8() % 16 {
        0..=4 => segment(bytes),
        5 => Step::Send(bytes.u16()),
        6 => Step::Read(bytes.u8()),
        7 => Step::Pause(bytes.bool()),
        8 => Step::SendUrgent(bytes.u8()),
        9 => Step::Shutdown,
        10 => match bytes.u8() % 3 {
            0 => Step::Close,
            1 => Step::ShutdownRead,
            _ => Step::Abort,
        },
        11 => Step::Icmp {
            kind: bytes.u8() % 3,
            seq: bytes.distance(),
        },
        // Thousandths of a second up to a minute, or any.
        12 => Step::Wait(u32::from(bytes.u16()) * 1_000),
        13 => Step::Wait(bytes.u32() >> 8),
        _ => Step::Transmit,
    }
}

fn segment(bytes: &mut Bytes<'_>) -> Step {
    let flags = bytes.pick(&[
        TcpFlags::ACK.bits(),
        (TcpFlags::ACK | TcpFlags::PSH).bits(),
        (TcpFlags::ACK | TcpFlags::FIN).bits(),
        TcpFlags::SYN.bits(),
        (TcpFlags::SYN | TcpFlags::ACK).bits(),
        TcpFlags::RST.bits(),
        (TcpFlags::ACK | TcpFlags::URG).bits(),
    ]) ^ bytes.pick(&[0, 0x40, 0x80, 0xc0, 0x01, 0xff]);
    let (seq, ack) = (bytes.distance(), bytes.distance());
    let wnd = bytes.pick(&[u16::MAX, 0, 1, 1_000]);
    let len = bytes.pick(&[0, 1, 100, 1_448, 1_460, 3_000]);
    let more = bytes.u8();
    let mut options = Options {
        has_timestamps: more & 1 == 0,
        ts_value: 0,
        sack: Vec::new(),
    };
    if more & 2 != 0 {
        options.ts_value = bytes.u8().cast_signed();
    }
    for _ in 0..(more >> 2) & 3 {
        options
            .sack
            .push((bytes.u16().cast_signed(), bytes.u16() % 4_000));
    }
    let urgent = if more & 16 == 0 { 1 } else { bytes.u16() };
    Step::Segment {
        flags,
        seq,
        ack,
        wnd,
        len,
        urgent,
        options,
    }
}
