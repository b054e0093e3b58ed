//! Text queues against a plain vector.

use proptest::prelude::*;

use super::*;
use crate::memory::{Chunk, MemoryConfig, MemoryCounts};

fn memory(blocks: u32) -> Memory {
    Memory::new(MemoryConfig {
        blocks,
        range_sets: 0,
        send_logs: 0,
        bbr_records: 1,
    })
}

fn free(memory: &Memory) -> u32 {
    let MemoryCounts { blocks_free, .. } = memory.counts();
    blocks_free
}

/// Text whose every byte tells where it stands.
fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|at| u8::try_from((at / 251 + at) % 256).unwrap())
        .collect()
}

fn text_of(queue: &mut TextQueue, memory: &Memory) -> Vec<u8> {
    let mut out = vec![0; queue.len() as usize];
    assert_eq!(queue.copy_to(memory, 0, &mut out), out.len());
    out
}

#[test]
fn an_empty_queue_holds_no_block() {
    let mut memory = memory(3);
    let mut queue = TextQueue::default();
    assert_eq!(queue.push(&mut memory, b""), 0);
    assert!(queue.is_empty() && queue.holds_nothing());
    assert_eq!(queue.push(&mut memory, &pattern(0, 5_000)), 5_000);
    assert_eq!((queue.len(), free(&memory)), (5_000, 1));
    queue.drop_front(&mut memory, 4_096);
    assert_eq!((queue.len(), free(&memory)), (904, 2));
    queue.drop_front(&mut memory, 904);
    assert_eq!((queue.holds_nothing(), free(&memory)), (true, 3));
    assert!(queue.detach_front(&mut memory).is_none());
}

#[test]
fn a_push_that_does_not_fit_keeps_the_front_of_it() {
    let mut memory = memory(2);
    let mut queue = TextQueue::default();
    assert_eq!(queue.push(&mut memory, &pattern(0, 10_000)), 8_192);
    assert_eq!(queue.push(&mut memory, b"more"), 0);
    assert_eq!(text_of(&mut queue, &memory), pattern(0, 8_192));
    queue.drop_front(&mut memory, 4_000);
    assert_eq!(
        queue.push(&mut memory, b"more"),
        0,
        "the front of the first block is not reused"
    );
    queue.drop_front(&mut memory, 96);
    assert_eq!(queue.push(&mut memory, b"more"), 4);
    queue.clear(&mut memory);
    assert_eq!(free(&memory), 2);
}

#[test]
fn text_ahead_of_its_turn_becomes_text_when_the_gap_is_filled() {
    let mut memory = memory(4);
    let mut queue = TextQueue::default();
    let text = pattern(0, 9_000);
    queue.write_at(&mut memory, 5_000, &text[5_000..]).unwrap();
    assert_eq!((queue.len(), free(&memory)), (0, 1));
    assert_eq!(
        queue.slices(&memory, 0, 100).count(),
        0,
        "none of it is text yet"
    );
    assert_eq!(queue.push(&mut memory, &text[..5_000]), 5_000);
    queue.extend_to(9_000);
    assert_eq!(text_of(&mut queue, &memory), text);
    queue.drop_front(&mut memory, 9_000);
    assert_eq!(free(&memory), 4);
}

#[test]
fn a_write_without_room_changes_nothing() {
    let mut memory = memory(3);
    let mut queue = TextQueue::default();
    assert_eq!(queue.push(&mut memory, &pattern(0, 4_000)), 4_000);
    assert_eq!(
        queue.write_at(&mut memory, 3 * 4_096 - 1, b"xy"),
        Err(MemoryFull)
    );
    assert_eq!(
        queue.write_at(&mut memory, u32::MAX, b"xy"),
        Err(MemoryFull)
    );
    assert_eq!((queue.len(), free(&memory)), (4_000, 2));
    assert_eq!(queue.write_at(&mut memory, 3 * 4_096 - 2, b"xy"), Ok(()));
    assert_eq!(free(&memory), 0);
    queue.drop_ahead(&mut memory);
    assert_eq!(
        (text_of(&mut queue, &memory), free(&memory)),
        (pattern(0, 4_000), 2)
    );
    queue.clear(&mut memory);
    let mut empty = TextQueue::default();
    assert_eq!(empty.write_at(&mut memory, 20_000, b"x"), Err(MemoryFull));
    assert_eq!((empty.holds_nothing(), free(&memory)), (true, 3));
}

#[test]
fn a_queue_ends_where_its_block_numbers_end() {
    let mut memory = memory(1);
    let mut queue = TextQueue::default();
    assert_eq!(
        queue.write_at(&mut memory, EXTENT_MAX, b"x"),
        Err(MemoryFull)
    );
    assert_eq!(free(&memory), 1);
}

#[test]
fn a_chunk_comes_back_where_it_came_from() {
    let mut memory = memory(3);
    let mut queue = TextQueue::default();
    let text = pattern(0, 6_000);
    queue.push(&mut memory, &text);
    let chunk = queue.detach_front(&mut memory).unwrap();
    assert_eq!(chunk.as_slice(), &text[..4_096]);
    assert_eq!((queue.len(), free(&memory)), (6_000, 1));
    assert!(
        queue.detach_front(&mut memory).is_none(),
        "it is out already"
    );
    queue.attach_front(&mut memory, chunk, 1_000);
    assert_eq!(text_of(&mut queue, &memory), text[1_000..]);
    let chunk = queue.detach_front(&mut memory).unwrap();
    assert_eq!(chunk.as_slice(), &text[1_000..4_096]);
    queue.attach_front(&mut memory, chunk, 3_096);
    assert_eq!(
        (text_of(&mut queue, &memory), free(&memory)),
        (text[4_096..].to_vec(), 2)
    );
    queue.clear(&mut memory);
    assert_eq!(free(&memory), 3);
}

#[test]
fn a_chunk_keeps_what_lies_ahead_in_its_block() {
    let mut memory = memory(1);
    let mut queue = TextQueue::default();
    queue.push(&mut memory, b"abc");
    queue.write_at(&mut memory, 4, b"e").unwrap();
    let chunk = queue.detach_front(&mut memory).unwrap();
    assert_eq!(chunk.as_slice(), b"abc");
    assert_eq!(queue.push(&mut memory, b"d"), 0, "the block is out");
    assert_eq!(queue.write_at(&mut memory, 5, b"f"), Err(MemoryFull));
    queue.attach_front(&mut memory, chunk, 3);
    assert_eq!((queue.len(), free(&memory)), (0, 0));
    assert_eq!(queue.push(&mut memory, b"d"), 1);
    queue.extend_to(2);
    assert_eq!(text_of(&mut queue, &memory), b"de");
}

#[test]
fn a_chunk_of_a_queue_that_is_gone_goes_back_to_the_pool() {
    let mut memory = memory(2);
    let mut queue = TextQueue::default();
    queue.push(&mut memory, b"abc");
    let chunk = queue.detach_front(&mut memory).unwrap();
    queue.clear(&mut memory);
    assert_eq!(free(&memory), 1, "what is out is not free");
    queue.push(&mut memory, b"new");
    queue.attach_front(&mut memory, chunk, 2);
    assert_eq!(
        (text_of(&mut queue, &memory), free(&memory)),
        (b"new".to_vec(), 1)
    );
    let chunk = queue.detach_front(&mut memory).unwrap();
    queue.clear(&mut memory);
    memory.give(chunk);
    assert_eq!(free(&memory), 2);
}

/// What a test does to a queue; sizes are cut to what is permitted.
#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Copy(usize, usize),
    Drop(usize),
    /// So far beyond the end, so long.
    Ahead(usize, usize),
    DropAhead,
    Detach,
    Attach(usize),
    Clear,
}

fn any_step() -> impl Strategy<Value = Step> {
    let len = || {
        prop_oneof![
            0..20_usize,
            0..3_000_usize,
            Just(4_096_usize),
            0..12_000_usize
        ]
    };
    prop_oneof![
        4 => len().prop_map(Step::Push),
        4 => (len(), len()).prop_map(|(offset, len)| Step::Copy(offset, len)),
        4 => len().prop_map(Step::Drop),
        3 => (len(), len()).prop_map(|(gap, len)| Step::Ahead(gap, len)),
        1 => Just(Step::DropAhead),
        2 => Just(Step::Detach),
        2 => len().prop_map(Step::Attach),
        1 => Just(Step::Clear),
    ]
}

/// A queue and what it should hold.
struct Pair {
    queue: TextQueue,
    /// Text, then what was written ahead of its turn, with gaps.
    model: Vec<Option<u8>>,
    /// How much of `model` is text.
    len: usize,
    chunk: Option<Chunk>,
    /// Bytes dropped from the front so far, so that the pattern goes on.
    dropped: usize,
}

impl Pair {
    fn new() -> Self {
        let queue = TextQueue::default();
        Self {
            queue,
            model: Vec::new(),
            len: 0,
            chunk: None,
            dropped: 0,
        }
    }

    fn step(&mut self, memory: &mut Memory, step: &Step) {
        match *step {
            Step::Push(len) => self.push(memory, len),
            Step::Copy(offset, len) => self.copy(memory, offset, len),
            Step::Drop(n) if self.chunk.is_none() => {
                let n = n.min(self.len);
                self.queue.drop_front(memory, count(n));
                self.drop_model(n);
            }
            Step::Ahead(gap, len) => self.write_ahead(memory, gap, len),
            Step::DropAhead if self.chunk.is_none() => {
                self.queue.drop_ahead(memory);
                self.model.truncate(self.len);
            }
            Step::Detach => self.detach(memory),
            Step::Attach(consumed) => self.attach(memory, consumed),
            Step::Clear => {
                self.queue.clear(memory);
                self.drop_model(self.len);
                self.model.clear();
            }
            Step::Drop(_) | Step::DropAhead => {}
        }
        assert_eq!(self.queue.len() as usize, self.len);
        assert_eq!(self.queue.is_empty(), self.len == 0);
        assert_eq!(self.queue.holds_nothing(), self.model.is_empty());
    }

    fn push(&mut self, memory: &mut Memory, len: usize) {
        let text = pattern(self.dropped + self.len, len);
        let pushed = self.queue.push(memory, &text);
        assert!(pushed == len || self.chunk.is_some() || free(memory) == 0);
        self.write_model(self.len, &text[..pushed]);
        self.len += pushed;
        // What was ahead and is reached is text from now on.
        let reached = self.model[self.len..]
            .iter()
            .take_while(|byte| byte.is_some())
            .count();
        self.len += reached;
        self.queue.extend_to(count(self.len));
    }

    fn copy(&mut self, memory: &Memory, offset: usize, len: usize) {
        if self.chunk.is_some() {
            return;
        }
        let mut out = vec![0; len];
        let copied = self.queue.copy_to(memory, count(offset), &mut out);
        let text = &self.model[offset.min(self.len)..self.len.min(offset + len)];
        let out: Vec<Option<u8>> = out[..copied].iter().copied().map(Some).collect();
        assert_eq!(out, text);
    }

    fn write_ahead(&mut self, memory: &mut Memory, gap: usize, len: usize) {
        let offset = self.len + 1 + gap;
        let text = pattern(self.dropped + offset, len);
        let before = free(memory);
        match self.queue.write_at(memory, count(offset), &text) {
            Ok(()) if len > 0 => self.write_model(offset, &text),
            Ok(()) => {}
            Err(MemoryFull) => assert_eq!(free(memory), before),
        }
    }

    fn detach(&mut self, memory: &mut Memory) {
        let was_out = self.chunk.is_some();
        if let Some(chunk) = self.queue.detach_front(memory) {
            let text: Vec<Option<u8>> = chunk.as_slice().iter().copied().map(Some).collect();
            assert_eq!(text, self.model[..text.len()]);
            // A chunk of a queue that was cleared may be out still.
            if let Some(stray) = self.chunk.replace(chunk) {
                memory.give(stray);
            }
        } else {
            assert!(was_out || self.len == 0);
        }
    }

    fn attach(&mut self, memory: &mut Memory, consumed: usize) {
        let Some(chunk) = self.chunk.take() else {
            return;
        };
        let before = self.queue.len();
        self.queue.attach_front(memory, chunk, consumed);
        self.drop_model((before - self.queue.len()) as usize);
    }

    fn write_model(&mut self, offset: usize, text: &[u8]) {
        if self.model.len() < offset + text.len() {
            self.model.resize(offset + text.len(), None);
        }
        for (place, &byte) in self.model[offset..].iter_mut().zip(text) {
            *place = Some(byte);
        }
    }

    fn drop_model(&mut self, n: usize) {
        self.model.drain(..n);
        self.len -= n;
        self.dropped += n;
    }
}

proptest! {
    /// Two queues share a pool that is too small for both.
    #[test]
    fn queues_do_what_a_vector_does(
        steps in prop::collection::vec((any::<bool>(), any_step()), 1..120),
        blocks in 1..12_u32,
    ) {
        let mut memory = memory(blocks);
        let mut pairs = [Pair::new(), Pair::new()];
        for (which, step) in &steps {
            pairs[usize::from(*which)].step(&mut memory, step);
        }
        for mut pair in pairs {
            pair.attach(&mut memory, 0);
            prop_assert_eq!(
                text_of(&mut pair.queue, &memory).into_iter().map(Some).collect::<Vec<_>>(),
                &pair.model[..pair.len],
            );
            pair.queue.clear(&mut memory);
        }
        prop_assert_eq!(free(&memory), blocks);
    }

    /// The chain is as long as what was written needs, no longer.
    #[test]
    fn a_queue_holds_as_many_blocks_as_it_needs(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut memory = memory(64);
        let mut pair = Pair::new();
        for step in steps.iter().filter(|step| !matches!(step, Step::Detach)) {
            pair.step(&mut memory, step);
            let front = usize::from(pair.queue.start);
            let needed = match pair.model.len() {
                0 => 0,
                extent => (front + extent).div_ceil(BLOCK_LEN),
            };
            prop_assert_eq!(64 - free(&memory) as usize, needed);
        }
    }
}
