//! What is left of a connection in TIME_WAIT answers as its TCB did (RFC 9293 3.10.7.4): both are
//! given the same segments, at random, and must discard, answer, restart and give way alike.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_tcp::{
    Context, Events, FourTuple, Memory, MemoryConfig, Segment, SeqNum, Settings, State, Tcb,
    TimeWait, TxChecksumMode, Waiting,
};
use tidegate_wire::{Instant, Tcp, TcpFlags, TcpOptions, Timestamps};

const START: Instant = Instant::from_secs(100);
const PEER_ISS: u32 = 0xffff_fff0;

/// A connection that we have closed first.
struct Closed {
    tcb: Tcb,
    settings: Settings,
    memory: Memory,
    has_timestamps: bool,
    /// What the peer would send next, and acknowledge.
    seq: SeqNum,
    ack: SeqNum,
}

impl Closed {
    fn new(has_timestamps: bool) -> Self {
        let tuple = FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 40_000,
            remote: Ipv4Addr::new(192, 0, 2, 2).into(),
            remote_port: 80,
        };
        let settings = Settings::default();
        let mut memory = Memory::new(MemoryConfig {
            blocks: 8,
            range_sets: 1,
            send_logs: 1,
            bbr_records: 0,
        });
        let mut cx = Context {
            now: START,
            settings: &settings,
            memory: &mut memory,
        };
        let iss = SeqNum::new(1_000);
        let tcb = Tcb::open(tuple, iss, 1_500, &mut cx).with_ts_offset(77);
        let mut closed = Self {
            tcb,
            settings,
            memory,
            has_timestamps,
            seq: SeqNum::new(PEER_ISS),
            ack: iss + 1,
        };
        assert_eq!(closed.transmit(START).len(), 1, "the SYN");
        closed.arrives(TcpFlags::SYN | TcpFlags::ACK);
        closed.seq += 1;
        closed.with(START, Tcb::close);
        assert!(!closed.transmit(START).is_empty(), "ACK and FIN");
        closed.ack += 1;
        closed.arrives(TcpFlags::FIN | TcpFlags::ACK);
        closed.seq += 1;
        assert_eq!(closed.tcb.state(), State::TimeWait);
        closed
    }

    /// What is left of it once the last ACK is out.
    fn record(&mut self) -> TimeWait {
        assert!(self.with(START, |tcb, cx| tcb.time_wait(cx)).is_none());
        assert_eq!(self.transmit(START).len(), 1, "the last ACK");
        let (record, until) = self
            .with(START, |tcb, cx| tcb.time_wait(cx))
            .expect("it is over");
        assert_eq!(until, START + Duration::from_secs(60));
        record
    }

    fn with<T>(&mut self, now: Instant, act: impl FnOnce(&mut Tcb, &mut Context<'_>) -> T) -> T {
        let mut cx = Context {
            now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let result = act(&mut self.tcb, &mut cx);
        self.tcb.assert_invariants(&self.memory);
        result
    }

    /// A segment of the peer, in order and with the flags.
    fn segment(&self, flags: TcpFlags) -> Segment<'static> {
        let timestamps = Timestamps {
            value: 5_000,
            echo: 0,
        };
        Segment {
            tuple: self.tcb.tuple(),
            seq: self.seq,
            ack: self.ack,
            flags,
            wnd: 60_000,
            urgent: 0,
            options: TcpOptions {
                timestamps: self.has_timestamps.then_some(timestamps),
                wnd_shift: flags.contains(TcpFlags::SYN).then_some(3),
                ..TcpOptions::default()
            },
            text: &[],
            traffic_class: 0,
        }
    }

    fn arrives(&mut self, flags: TcpFlags) {
        let seg = self.segment(flags);
        let arrival = self.with(START, |tcb, cx| tcb.on_segment(seg, cx).map(|_| ()));
        assert_eq!(arrival, Ok(()), "it is acceptable");
    }

    fn transmit(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        let mut out = [0; 1_500];
        while let Some(len) = self.with(now, |tcb, cx| {
            tcb.poll_transmit(&mut out, TxChecksumMode::Full, cx)
        }) {
            segments.push(out[..len].to_vec());
        }
        segments
    }
}

/// A segment at random, told from what the TCB expects.
#[derive(Clone, Debug)]
struct Step {
    after_ms: u64,
    flags: u8,
    seq: i32,
    ack: i32,
    len: usize,
    ts: Option<i8>,
}

#[expect(clippy::disallowed_types, reason = "inside prop_oneof")]
fn step() -> impl Strategy<Value = Step> {
    let distance = || prop_oneof![4 => -3..3_i32, 2 => -70_000..70_000_i32, 1 => any::<i32>()];
    // Everything is acknowledged; an ACK of less could only be from before.
    let ack = prop_oneof![4 => Just(0), 2 => 1..70_000_i32, 1 => i32::MIN..-(1 << 30) - 1];
    let flags = prop_oneof![
        3 => Just(TcpFlags::ACK.bits()),
        2 => Just((TcpFlags::ACK | TcpFlags::FIN).bits()),
        2 => Just(TcpFlags::SYN.bits()),
        2 => any::<u8>(),
    ];
    let len = prop_oneof![3 => Just(0), 1 => 1..2_000_usize];
    let ts = prop::option::weighted(0.9, -2..3_i8);
    (0..700_u64, flags, distance(), ack, len, ts).prop_map(
        |(after_ms, flags, seq, ack, len, ts)| Step {
            after_ms,
            flags,
            seq,
            ack,
            len,
            ts,
        },
    )
}

/// The answers without the checksums, which are the emitter's business.
fn headers(segments: &[Vec<u8>]) -> Vec<Tcp> {
    let header = |segment: &Vec<u8>| Tcp::parse(segment).expect("our own").0;
    segments.iter().map(header).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_record_answers_as_the_tcb_would(
        has_timestamps: bool,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut closed = Closed::new(has_timestamps);
        let mut record = closed.record();
        let mut until = START + Duration::from_secs(60);
        let mut now = START;
        for step in steps {
            now += Duration::from_millis(step.after_ms);
            let text = vec![0; step.len];
            let mut seg = Segment {
                seq: closed.seq + step.seq.cast_unsigned(),
                ack: closed.ack + step.ack.cast_unsigned(),
                flags: TcpFlags::from_bits_retain(step.flags),
                text: &text,
                ..closed.segment(TcpFlags::ACK)
            };
            seg.options.timestamps = step.ts.map(|ts| Timestamps {
                value: 5_000_u32.wrapping_add_signed(i32::from(ts)),
                echo: 0,
            });
            let of_tcb = closed.with(now, |tcb, cx| {
                tcb.on_segment(seg, cx).map(|arrival| arrival.events)
            });
            let waiting = record.on_segment(&seg, now, &closed.settings);
            if matches!(waiting, Waiting::Superseded) {
                prop_assert_eq!(of_tcb, Ok(Events::SUPERSEDED));
                let proposed = SeqNum::new(5);
                prop_assert_eq!(record.iss_after(proposed), closed.tcb.iss_after(proposed));
                return Ok(());
            }
            let (reply, discard) = match waiting {
                Waiting::Taken { reply } => (reply, Ok(Events::empty())),
                Waiting::Discarded { discard, reply, restarts } => {
                    if restarts {
                        until = now + Duration::from_secs(60);
                    }
                    (reply, Err(discard))
                }
                Waiting::Superseded => unreachable!("answered above"),
            };
            prop_assert_eq!(of_tcb, discard);
            let replies: Vec<Vec<u8>> = reply
                .map(|reply| {
                    let mut out = vec![0; reply.segment_len()];
                    reply.emit(&mut out);
                    out
                })
                .into_iter()
                .collect();
            prop_assert_eq!(headers(&closed.transmit(now)), headers(&replies));
            prop_assert_eq!(closed.tcb.next_timeout(), Some(until));
        }
    }
}

#[test]
fn sockets_are_taken_over_by_timestamps_after_a_second() {
    let second = Duration::from_secs(1);
    for has_timestamps in [false, true] {
        let record = Closed::new(has_timestamps).record();
        let settings = Settings::default();
        assert!(!record.is_reusable(second / 2, &settings));
        assert_eq!(record.is_reusable(second, &settings), has_timestamps);
        for settings in [
            Settings {
                time_wait_reuse: false,
                ..settings
            },
            Settings {
                timestamps: false,
                ..settings
            },
        ] {
            assert!(!record.is_reusable(second * 30, &settings));
        }
        assert_eq!(record.ts_offset(), 77);
    }
}
