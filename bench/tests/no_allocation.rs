//! Nothing is allocated on the data path: a counting allocator watches two whole stacks while they
//! exchange requests and answers. A binary of its own, because the allocator counts for all threads.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidegate_bench::{Pair, REQUEST};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn requests_and_answers_allocate_nothing() {
    let mut pair = Pair::new();
    // What is made once, such as a table's first growth, has been made after a few of them.
    let answer_len = (0..100).map(|_| pair.ask()).last().unwrap();
    assert!(
        answer_len > REQUEST.len() as u64,
        "the answer is a whole one"
    );

    let region = Region::new(ALLOCATOR);
    for _ in 0..10_000 {
        assert_eq!(pair.ask(), answer_len);
    }
    let change = region.change();
    assert_eq!(change.allocations, 0, "{change:?}");
    assert_eq!(change.reallocations, 0, "{change:?}");
}
