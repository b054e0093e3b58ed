//! One request and its answer between two whole stacks on the simulated link: both sides' work together,
//! from the asker's send call to the last byte of the answer.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate_bench::Pair;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn request_and_response(c: &mut Criterion) {
    let mut pair = Pair::new();
    let mut group = c.benchmark_group("exchange");
    group.throughput(Throughput::Elements(1));
    group.bench_function("request and response", |b| b.iter(|| pair.ask()));
    group.finish();
}

criterion_group!(benches, request_and_response);
criterion_main!(benches);
