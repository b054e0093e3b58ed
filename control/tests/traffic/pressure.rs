//! A client that does not read stops the server, and Tidegate holds no more than its windows.

use std::io::{Result, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use tidegate::testbed::Bed;

use crate::digest::{Digest, Text, receive};
use crate::kernel::{join, listen};
use crate::setting::{assert_nothing_remains, back, proxies, stats, ways};
use crate::{TIDEGATE, wait_until};

/// Far more than the kernels at both ends and Tidegate in the middle hold together.
const LENGTH: u64 = 64_000_000;

/// `rmem` and `wmem`: bytes that may wait in either direction of one connection.
const QUEUE: u64 = 256 << 10;

/// Bytes of a block of text.
const BLOCK: u64 = 4096;

/// Blocks that two full queues need. Short segments may each take a block of their own; these are
/// full ones, of which at least two share a block.
const BLOCKS_MAX: u64 = 2 * 2 * QUEUE / BLOCK;

/// Counts what was written, so that a block shows.
struct Counted(TcpStream, Arc<AtomicU64>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let length = self.0.write(bytes)?;
        self.1.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

/// Waits until nothing has moved for a while. On a slow machine that may be too early; what is
/// asserted afterwards holds at any time.
fn wait_for_standstill(count: &AtomicU64) -> u64 {
    let mut seen = 0;
    wait_until("the server stands still", || {
        let before = std::mem::replace(&mut seen, count.load(Ordering::Relaxed));
        sleep(Duration::from_millis(300));
        seen > 0 && seen == before
    });
    seen
}

fn blocks_used(bed: &Bed) -> u64 {
    let counters = stats(bed).counters;
    counters["text_blocks"] - counters["text_blocks_free"]
}

#[test]
fn slow_reader_stops_the_server_and_then_gets_everything() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let servers = back(0, 8000).map(|at| listen(&bed, at));
    let queues = format!("[tcp]\nrmem = {QUEUE}\nwmem = {QUEUE}\n");
    let _tidegate = bed.run(&(queues + &proxies(back(0, 8000))));
    for (to, number) in &ways()[..2] {
        let (client, server) = join(&bed, *to, &servers[*number]);
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted(server, Arc::clone(&written));
        let sending = spawn(move || Text::new(5, LENGTH).send(counted));
        let stopped_at = wait_for_standstill(&written);
        assert!(stopped_at < LENGTH, "the server was not stopped");
        let used = blocks_used(&bed);
        assert!((1..=BLOCKS_MAX).contains(&used), "{used} blocks used");

        let received: Digest = receive(&client).expect("the server ends with FIN");
        assert_eq!(received, sending.join().unwrap().unwrap(), "{to}");
        drop(client);
        assert_nothing_remains(&bed);
    }
    let stats = stats(&bed);
    assert_eq!(stats.discards["text_memory_full"].count, 0);
}
