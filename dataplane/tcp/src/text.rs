//! A queue of text in pooled blocks: what was sent and is not acknowledged, or was received and is
//! not read, with room for text that arrived ahead of its turn.
//!
//! The queue is a chain of blocks, its front somewhere in the first:
//!
//! ```text
//!        start          start + len          start + extent
//!          v                 v                     v
//!   [......xxxxxxxxx][xxxxxxxx...oooo.][oooooooo...........]
//!          `---- text -------'   `- ahead of its turn
//! ```
//!
//! Offsets count from the front. Text ahead of its turn is written by [`TextQueue::write_at`];
//! which bytes of it are there is [`Reassembly`](crate::Reassembly)'s business, and
//! [`TextQueue::extend_to`] makes them text once the gap is filled (RFC 9293 section 3.10.7.4,
//! SHLD-31). Sequence numbers are not known here.
//!
//! A queue that holds nothing has no block. One that is dropped keeps its blocks from the pool;
//! its owner calls [`TextQueue::clear`].

use crate::memory::{BLOCK_LEN, Chunk, Memory, MemoryFull, NONE};

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests;

/// [`BLOCK_LEN`] for 32-bit arithmetic.
#[expect(clippy::cast_possible_truncation, reason = "4096")]
const BLOCK: u32 = BLOCK_LEN as u32;

/// Longest extent of a queue, in bytes: what a 16-bit block number can reach, nearly 256 MiB.
const EXTENT_MAX: u32 = (u16::MAX as u32 - 1) * BLOCK;

/// A queue of text; see the head of the file.
#[derive(Debug)]
pub struct TextQueue {
    /// First block, [`NONE`] where `extent` is zero.
    head: u32,
    /// Last block.
    tail: u32,
    /// The block that was sought last, number `cursor_at` of the chain: use in sequence need not
    /// walk the chain from its head.
    cursor: u32,
    /// Bytes of text.
    len: u32,
    /// Bytes from the front to the end of all that was written; at least `len`.
    extent: u32,
    /// Where the front lies in the first block.
    start: u16,
    cursor_at: u16,
}

const _: () = assert!(
    size_of::<TextQueue>() <= 24,
    "two of them are in every idle flow"
);

impl Default for TextQueue {
    fn default() -> Self {
        Self {
            head: NONE,
            tail: NONE,
            cursor: NONE,
            len: 0,
            extent: 0,
            start: 0,
            cursor_at: 0,
        }
    }
}

impl TextQueue {
    /// Bytes of text.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no text; there may be some ahead of its turn.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether no block is held: no text, and none ahead of its turn.
    #[must_use]
    pub const fn holds_nothing(&self) -> bool {
        self.extent == 0
    }

    /// Bytes that can be appended without another block, over text ahead of its turn too.
    pub(crate) fn room(&self) -> u32 {
        let held = self.blocks_for(self.extent) * BLOCK;
        held.saturating_sub(u32::from(self.start) + self.len)
    }

    /// Blocks that are missing to reach `end` bytes after the front.
    pub(crate) fn blocks_missing(&self, end: u32) -> u32 {
        let held = self.blocks_for(self.extent);
        self.blocks_for(end).saturating_sub(held)
    }

    /// Appends to the text and says how many bytes fitted: those at the front of `text`, which are
    /// in, and the rest is not.
    ///
    /// Text ahead of its turn is written over where it is reached.
    pub fn push(&mut self, memory: &mut Memory, text: &[u8]) -> usize {
        let wanted = count(text.len()).min(EXTENT_MAX - self.len);
        if wanted == 0 || self.is_detached_at(memory, self.len) {
            return 0;
        }
        // Before the chain grows its tail is where the text ends, so that appending leaves the
        // cursor to whoever reads; only with text ahead of its turn the place has to be sought.
        let mut block = if self.extent > self.len {
            self.seek(memory, self.block_number(self.len))
        } else {
            self.tail
        };
        let fitted = wanted.min(self.grow(memory, self.len + wanted) - self.len);
        if block == NONE {
            block = self.head;
        } else if self.extent == self.len && self.within_block(self.len) == 0 {
            block = memory.next_block(block);
        }
        let text = &text[..fitted as usize];
        write(memory, block, self.within_block(self.len), text);
        self.len += fitted;
        self.extent = self.extent.max(self.len);
        text.len()
    }

    /// Writes text ahead of its turn, `offset` bytes after the front and not before the end of the
    /// text. It becomes text by [`extend_to`](Self::extend_to), or by a push over it.
    ///
    /// The blocks of the gap are taken too, so a window's worth of blocks is what one segment at
    /// its far end can take.
    ///
    /// # Errors
    ///
    /// Where the blocks are not to be had. Then nothing has changed.
    pub fn write_at(
        &mut self,
        memory: &mut Memory,
        offset: u32,
        text: &[u8],
    ) -> Result<(), MemoryFull> {
        debug_assert!(offset >= self.len, "what is text already does not change");
        if text.is_empty() {
            return Ok(());
        }
        let end = offset
            .checked_add(count(text.len()))
            .filter(|&end| end <= EXTENT_MAX);
        let end = end.ok_or(MemoryFull)?;
        if self.is_detached_at(memory, offset) {
            return Err(MemoryFull);
        }
        if self.grow(memory, end) < end {
            self.cut(memory, self.extent);
            return Err(MemoryFull);
        }
        self.extent = self.extent.max(end);
        let block = self.seek(memory, self.block_number(offset));
        write(memory, block, self.within_block(offset), text);
        Ok(())
    }

    /// Declares everything up to `len` bytes after the front to be text: the gaps are filled.
    pub fn extend_to(&mut self, len: u32) {
        debug_assert!(
            (self.len..=self.extent).contains(&len),
            "it was written before"
        );
        self.len = len.clamp(self.len, self.extent);
    }

    /// Drops what was written ahead of its turn.
    pub fn drop_ahead(&mut self, memory: &mut Memory) {
        if self.extent > self.len {
            self.cut(memory, self.len);
            self.extent = self.len;
        }
    }

    /// Copies text from `offset` on to `out` and says how many bytes there were.
    pub fn copy_to(&mut self, memory: &Memory, offset: u32, out: &mut [u8]) -> usize {
        let mut copied = 0;
        for slice in self.slices(memory, offset, count(out.len())) {
            out[copied..copied + slice.len()].copy_from_slice(slice);
            copied += slice.len();
        }
        copied
    }

    /// The text from `offset` on, at most `len` bytes, in slices of one block each.
    ///
    /// A call whose offset is a little larger than the last one's walks no chain.
    pub fn slices<'m>(&mut self, memory: &'m Memory, offset: u32, len: u32) -> Slices<'m> {
        let left = len.min(self.len.saturating_sub(offset)) as usize;
        if left == 0 {
            return Slices {
                memory,
                block: NONE,
                within: 0,
                left,
            };
        }
        let block = self.seek(memory, self.block_number(offset));
        Slices {
            memory,
            block,
            within: self.within_block(offset),
            left,
        }
    }

    /// Drops `n` bytes of text from the front; they were acknowledged or read.
    pub fn drop_front(&mut self, memory: &mut Memory, n: u32) {
        debug_assert!(n <= self.len, "only what is text");
        let n = n.min(self.len);
        self.len -= n;
        self.extent -= n;
        if self.extent == 0 {
            self.clear(memory);
            return;
        }
        let front = u32::from(self.start) + n;
        for _ in 0..front / BLOCK {
            let next = memory.next_block(self.head);
            memory.give_block(self.head);
            self.head = next;
            match self.cursor_at.checked_sub(1) {
                Some(nearer) => self.cursor_at = nearer,
                None => self.cursor = next,
            }
        }
        self.start = within(front);
    }

    /// Takes the text of the first block out, owned, without a copy; nothing where there is none
    /// or it is out already.
    ///
    /// It counts as text of the queue until it comes back by [`attach_front`](Self::attach_front).
    /// Until then nothing can be written to that block, and nothing is to be dropped from the front.
    #[must_use = "the block is lost if the chunk is not given back"]
    pub fn detach_front(&mut self, memory: &mut Memory) -> Option<Chunk> {
        if self.len == 0 {
            return None;
        }
        let start = usize::from(self.start);
        let end = BLOCK_LEN.min(start + self.len as usize);
        memory.take_out(self.head, start..end)
    }

    /// Puts a chunk back and drops its first `consumed` bytes. Where the queue was cleared in the
    /// meantime, the block goes back to the pool.
    pub fn attach_front(&mut self, memory: &mut Memory, chunk: Chunk, consumed: usize) {
        let consumed = count(consumed.min(chunk.as_slice().len()));
        let index = memory.put_back(chunk);
        if self.extent > 0 && self.head == index {
            self.drop_front(memory, consumed);
        } else {
            memory.give_block(index);
        }
    }

    /// Drops everything and gives every block back.
    pub fn clear(&mut self, memory: &mut Memory) {
        give_chain(memory, self.head);
        *self = Self::default();
    }

    /// Makes the chain reach `end` bytes after the front, and says how far it reaches now; less
    /// where no more blocks are free.
    fn grow(&mut self, memory: &mut Memory, end: u32) -> u32 {
        let mut blocks = self.blocks_for(self.extent);
        while blocks < self.blocks_for(end) {
            let Some(block) = memory.take_block() else {
                break;
            };
            if self.head == NONE {
                (self.head, self.cursor) = (block, block);
            } else {
                memory.link_block(self.tail, block);
            }
            self.tail = block;
            blocks += 1;
        }
        blocks * BLOCK - u32::from(self.start)
    }

    /// Gives back the blocks beyond `end` bytes after the front.
    fn cut(&mut self, memory: &mut Memory, end: u32) {
        let blocks = self.blocks_for(end);
        if blocks == 0 {
            self.clear(memory);
            return;
        }
        let last = self.walk(memory, blocks - 1);
        give_chain(memory, memory.next_block(last));
        memory.link_block(last, NONE);
        self.tail = last;
        if u32::from(self.cursor_at) >= blocks {
            (self.cursor, self.cursor_at) = (self.head, 0);
        }
    }

    /// The block of that number, and the cursor goes there, except to the tail, which is found
    /// without.
    fn seek(&mut self, memory: &Memory, number: u32) -> u32 {
        if number + 1 == self.blocks_for(self.extent) {
            return self.tail;
        }
        self.cursor = self.walk(memory, number);
        self.cursor_at = u16::try_from(number).expect("extents are limited to what it counts");
        self.cursor
    }

    /// The block of that number, from the cursor where that is not beyond it.
    fn walk(&self, memory: &Memory, number: u32) -> u32 {
        let (mut block, mut steps) = match number.checked_sub(u32::from(self.cursor_at)) {
            Some(steps) => (self.cursor, steps),
            None => (self.head, number),
        };
        while steps > 0 {
            block = memory.next_block(block);
            steps -= 1;
        }
        block
    }

    /// Whether the place at `offset` lies in a block whose bytes a chunk has.
    fn is_detached_at(&self, memory: &Memory, offset: u32) -> bool {
        self.extent > 0 && self.block_number(offset) == 0 && memory.block(self.head).is_none()
    }

    /// How many blocks a chain has that reaches `end` bytes after the front.
    fn blocks_for(&self, end: u32) -> u32 {
        if end == 0 {
            0
        } else {
            (u32::from(self.start) + end).div_ceil(BLOCK)
        }
    }

    /// Which block of the chain `offset` lies in.
    fn block_number(&self, offset: u32) -> u32 {
        (u32::from(self.start) + offset) / BLOCK
    }

    /// Where in its block `offset` lies.
    fn within_block(&self, offset: u32) -> u16 {
        within(u32::from(self.start) + offset)
    }
}

/// Slices of text in sequence; see [`TextQueue::slices`].
#[derive(Debug)]
pub struct Slices<'m> {
    memory: &'m Memory,
    block: u32,
    within: u16,
    left: usize,
}

impl<'m> Iterator for Slices<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        if self.left == 0 {
            return None;
        }
        let rest = &self.memory.block(self.block)?[usize::from(self.within)..];
        let slice = &rest[..rest.len().min(self.left)];
        self.left -= slice.len();
        self.block = self.memory.next_block(self.block);
        self.within = 0;
        Some(slice)
    }
}

/// Writes `text` from byte `within` of `block` on, through as many blocks as it takes.
fn write(memory: &mut Memory, mut block: u32, within: u16, mut text: &[u8]) {
    let mut within = usize::from(within);
    while !text.is_empty() {
        let room = &mut memory.block_mut(block).expect("only the first can be out")[within..];
        let (now, later) = text.split_at(text.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        text = later;
        block = memory.next_block(block);
        within = 0;
    }
}

/// Gives back `block` and all that follow.
fn give_chain(memory: &mut Memory, mut block: u32) {
    while block != NONE {
        let next = memory.next_block(block);
        memory.give_block(block);
        block = next;
    }
}

/// Where in its block a place of the chain lies.
const fn within(place: u32) -> u16 {
    (place % BLOCK) as u16
}

/// The length of a slice of text; one longer than 32 bits count is taken in parts.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
