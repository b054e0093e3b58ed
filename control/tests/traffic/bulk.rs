//! 100 MB in one connection, each way, compared by hash.

use std::thread;

use tidegate::testbed::Bed;

use crate::digest::{Text, receive};
use crate::kernel::{accept, connect, exchange, join, listen, send};
use crate::setting::{
    assert_no_silent_drop, back, flows, front, listener, proxies, stats, ways,
};
use crate::{TIDEGATE, wait_until};

const LENGTH: u64 = 100_000_000;

#[test]
fn echo_gives_back_a_long_text_while_it_comes() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    for (seed, to) in front(7).into_iter().enumerate() {
        let text = Text::new(seed as u64, LENGTH / 2);
        let (sent, received) = exchange(&connect(&bed, to), text);
        assert_eq!(received, sent, "{to}");
    }
    let stats = stats(&bed);
    assert_eq!(stats.counters["rx_text_bytes"], LENGTH);
    assert_no_silent_drop(&stats);
    wait_until("the connections are gone", || flows(&bed) == 0);
}
