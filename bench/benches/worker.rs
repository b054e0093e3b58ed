//! The worker's two large tables: flows by four-tuple, and the timer wheel.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_bench::{Asker, cidr};
use tidegate_port::{Link, LinkConfig, LinkPort, Port};
use tidegate_tcp::FourTuple;
use tidegate_wire::Instant;
use tidegate_worker::{Interface, Open, Wheel, Worker, WorkerConfig};

/// Lookups of one iteration, so that a lookup is not measured with the clock's own cost.
const LOOKUPS: u32 = 64;

fn flow_table(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow table lookup");
    group.throughput(Throughput::Elements(u64::from(LOOKUPS)));
    for flows in [1_u32, 1_000, 100_000] {
        let (worker, tuples) = opened(flows);
        let mut next = 0_usize;
        let mut look_up_some = || {
            for _ in 0..LOOKUPS {
                // A stride that visits all flows in an order the cache cannot guess.
                next = (next + 7_919) % tuples.len();
                black_box(worker.stack().find(black_box(&tuples[next])));
            }
        };
        group.bench_function(BenchmarkId::from_parameter(flows), |b| {
            b.iter(&mut look_up_some);
        });
    }
    group.finish();
}

/// A worker with so many flows on their way, and their four-tuples.
fn opened(flows: u32) -> (Worker<LinkPort, Asker>, Vec<FourTuple>) {
    let (port, _other_end) = Link::pair(LinkConfig::default()).expect("packet memory for a bench");
    let config = WorkerConfig {
        flows_max: flows,
        interfaces: vec![Interface::new(port.facts(), vec![cidr(1)], Vec::new())],
        ..WorkerConfig::default()
    };
    let mut worker = Worker::new(config, vec![port], Asker::default()).expect("sizes are right");
    let mut tuples = Vec::new();
    for number in 0..flows {
        let [_, b, c, d] = (number + 2).to_be_bytes();
        let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, b, c, d)), 80);
        let flow = worker
            .stack_mut()
            .open(Open::to(remote))
            .expect("there is room");
        tuples.push(worker.stack().tuple(flow).expect("the flow is open"));
    }
    (worker, tuples)
}

fn timer_wheel(c: &mut Criterion) {
    const SLOTS: u32 = 100_000;
    let mut group = c.benchmark_group("timer wheel");
    group.throughput(Throughput::Elements(u64::from(SLOTS)));
    let start = Instant::from_secs(1);
    // What happens to a flow's timer with every ACK: the deadline moves away.
    let mut wheel = armed(SLOTS, start);
    let mut now = start;
    group.bench_function("arm again, later", |b| {
        b.iter(|| {
            now += Duration::from_micros(1);
            for slot in 0..SLOTS {
                wheel.arm(slot, Some(now + Duration::from_millis(200)));
            }
        });
    });
    group.bench_function("expire all", |b| {
        b.iter_batched_ref(
            || armed(SLOTS, start),
            |wheel| {
                let mut expired = 0;
                while wheel
                    .poll_expired(start + Duration::from_secs(10))
                    .is_some()
                {
                    expired += 1;
                }
                assert_eq!(expired, SLOTS, "every timer expires once");
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// A wheel with all slots armed, at deadlines up to four seconds ahead.
fn armed(slots: u32, now: Instant) -> Wheel {
    let mut wheel = Wheel::new(slots);
    assert!(wheel.poll_expired(now).is_none(), "nothing is armed yet");
    for slot in 0..slots {
        wheel.arm(
            slot,
            Some(now + Duration::from_millis(u64::from(slot % 4_000) + 1)),
        );
    }
    wheel
}

criterion_group!(benches, flow_table, timer_wheel);
criterion_main!(benches);
