//! The pools keep their count.

use super::*;

#[test]
fn every_block_and_set_is_taken_once_and_comes_back() {
    let mut memory = Memory::new(MemoryConfig {
        blocks: 3,
        range_sets: 2,
        send_logs: 1,
        bbr_records: 0,
    });
    let blocks: Vec<u32> = core::iter::from_fn(|| memory.take_block()).collect();
    assert_eq!(blocks, [0, 1, 2]);
    let sets: Vec<u32> = core::iter::from_fn(|| memory.take_set()).collect();
    assert_eq!(sets, [0, 1]);
    let una = SeqNum::new(0);
    assert_eq!(
        (memory.take_log(una), memory.take_log(una)),
        (Some(0), None)
    );
    let none_free = MemoryCounts {
        blocks_total: 3,
        blocks_free: 0,
        range_sets_total: 2,
        range_sets_free: 0,
        send_logs_total: 1,
        send_logs_free: 0,
        pressures: 1,
        bbr_total: 0,
        bbr_free: 0,
        rate_logs_free: 0,
        bbr_denied: 0,
    };
    assert_eq!(memory.counts(), none_free);
    for &block in &blocks {
        assert_eq!(memory.block(block).map(<[u8]>::len), Some(BLOCK_LEN));
        memory.give_block(block);
    }
    sets.iter().for_each(|&set| memory.give_set(set));
    memory.give_log(0);
    let all_free = MemoryCounts {
        blocks_free: 3,
        range_sets_free: 2,
        send_logs_free: 1,
        ..none_free
    };
    assert_eq!(memory.counts(), all_free);
    assert_eq!(
        memory.take_block(),
        Some(2),
        "what was used last is used first"
    );
}

#[test]
fn pressure_begins_below_a_quarter_and_ends_at_a_half() {
    let mut memory = Memory::new(MemoryConfig {
        blocks: 8,
        range_sets: 0,
        send_logs: 0,
        bbr_records: 0,
    });
    let blocks: Vec<u32> = (0..6).filter_map(|_| memory.take_block()).collect();
    assert!(!memory.is_pressed(), "two of eight are free");
    let last = memory.take_block().unwrap();
    assert!(memory.is_pressed());
    assert_eq!(
        (memory.counts().pressures, memory.blocks_in_reach()),
        (1, 0)
    );
    memory.give_block(last);
    memory.give_block(blocks[0]);
    assert!(memory.is_pressed(), "three are free");
    memory.give_block(blocks[1]);
    assert!(!memory.is_pressed());
    assert_eq!(
        (memory.counts().pressures, memory.blocks_in_reach()),
        (1, 2)
    );
}

#[test]
fn a_memory_of_nothing_is_full() {
    let mut memory = Memory::new(MemoryConfig {
        blocks: 0,
        range_sets: 0,
        send_logs: 0,
        bbr_records: 0,
    });
    assert_eq!((memory.take_block(), memory.take_set()), (None, None));
}

/// Pages of this process that are in memory, from the second number of /proc/self/statm.
fn resident_pages() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn blocks_cost_no_memory_before_they_are_used() {
    let before = resident_pages();
    let memory = Memory::new(MemoryConfig {
        blocks: 1 << 16,
        range_sets: 1 << 16,
        send_logs: 1 << 16,
        bbr_records: 1 << 16,
    });
    let pages = resident_pages().saturating_sub(before);
    assert!(
        pages < 1 << 14,
        "{pages} pages for {} blocks",
        memory.counts().blocks_total
    );
}
