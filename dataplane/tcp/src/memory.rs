//! Memory of one worker's connections: text in pooled blocks, ranges in pooled sets.
//!
//! Everything is allocated in [`Memory::new`]; afterwards blocks, sets and logs only change hands. All
//! blocks lie in one zeroed allocation, which the operating system backs with pages only as they
//! are used first; the free list is last in, first out, so what was used is used again.
//!
//! A connection without text and without ranges holds nothing here. [`TextQueue`](crate::TextQueue),
//! [`Reassembly`](crate::Reassembly) and [`Scoreboard`](crate::Scoreboard) are small handles; they
//! cannot give back what they hold when they are dropped, so their owner calls `clear`, and
//! [`Memory::counts`] shows it where that was forgotten. Memory belongs to one thread, and who may
//! take how much of it is decided by the windows, not here. It is what RFC 9293 section 3.8.6.2.2
//! calls the receiver's buffer.

use core::ops::Range;

use bytes::BytesMut;

use crate::SeqNum;
use crate::congestion::Bbr;
use crate::pool::Pool;
use crate::ranges::RangeSet;
use crate::rate::RateLog;
use crate::sent::SendLog;

/// Bytes of a block. One page of memory: three blocks hold two full segments of a jumbo frame's
/// size, and a request of a common size needs one. Larger wastes memory on short texts, smaller
/// makes more slices of each segment.
pub const BLOCK_LEN: usize = 4096;

/// No block, no set.
pub(crate) const NONE: u32 = u32::MAX;

/// How much memory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// Blocks of [`BLOCK_LEN`] bytes for text, sent and received.
    pub blocks: u32,
    /// Range sets, a kilobyte each; a connection with a gap in what it received, or in what its
    /// peer did, has one.
    pub range_sets: u32,
    /// Logs of when what is outstanding was sent (RFC 8985 5.2), a kilobyte each; a connection with
    /// SACK and text in flight has one. Where none is free, losses are found by RFC 6675. As many
    /// as there are blocks are always enough.
    pub send_logs: u32,
    /// Records of BBR, 300 bytes each and as much again as a kilobyte while text is in flight; a
    /// connection that uses BBR has one. Where none is free it uses CUBIC.
    pub bbr_records: u32,
}

/// What there is and what is free. A block in a detached [`Chunk`] is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryCounts {
    /// Blocks there are.
    pub blocks_total: u32,
    /// Blocks nobody holds.
    pub blocks_free: u32,
    /// Range sets there are.
    pub range_sets_total: u32,
    /// Range sets nobody holds.
    pub range_sets_free: u32,
    /// Send logs there are.
    pub send_logs_total: u32,
    /// Send logs nobody holds.
    pub send_logs_free: u32,
    /// How often memory has come under pressure; see [`Memory::is_pressed`].
    pub pressures: u32,
    /// Records of BBR there are.
    pub bbr_total: u32,
    /// Records of BBR nobody holds.
    pub bbr_free: u32,
    /// Logs of departures nobody holds, of which there are as many as records.
    pub rate_logs_free: u32,
    /// Connections that wanted BBR and could not have it: no record was free, or the peer has no
    /// SACK.
    pub bbr_denied: u32,
}

/// No block was free, or the queue would have become longer than one can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFull;

/// Pools of text blocks, range sets and send logs.
#[derive(Debug)]
pub struct Memory {
    /// The bytes of each block; nothing while a [`Chunk`] holds them.
    blocks: Vec<Option<BytesMut>>,
    /// For each block the next one of its queue or of the free list.
    next: Vec<u32>,
    free: FreeList,
    /// Whether there is pressure, and how often it began.
    is_pressed: bool,
    pressures: u32,
    sets: Pool<RangeSet>,
    logs: Pool<SendLog>,
    bbrs: Pool<Bbr>,
    rate_logs: Pool<RateLog>,
    bbr_denied: u32,
}

/// Head and length of the list of free blocks, which is linked by index.
#[derive(Debug)]
struct FreeList {
    head: u32,
    count: u32,
}

impl FreeList {
    /// All of `0..count`, lowest first, and the links between them.
    fn all(count: u32) -> (Self, Vec<u32>) {
        let links = (1..=count)
            .map(|next| if next == count { NONE } else { next })
            .collect();
        (
            Self {
                head: if count == 0 { NONE } else { 0 },
                count,
            },
            links,
        )
    }

    fn take(&mut self, links: &mut [u32]) -> Option<u32> {
        if self.count == 0 {
            return None;
        }
        let taken = self.head;
        self.head = core::mem::replace(&mut links[taken as usize], NONE);
        self.count -= 1;
        Some(taken)
    }

    fn give(&mut self, links: &mut [u32], given: u32) {
        links[given as usize] = self.head;
        self.head = given;
        self.count += 1;
    }
}

impl Memory {
    /// Allocates all of it.
    ///
    /// # Panics
    ///
    /// Where the configuration asks for more than 2^32 - 1 blocks' worth of addresses.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        let len = (config.blocks as usize)
            .checked_mul(BLOCK_LEN)
            .expect("fits the address space");
        let mut arena = BytesMut::zeroed(len);
        let blocks = (0..config.blocks)
            .map(|_| Some(arena.split_to(BLOCK_LEN)))
            .collect();
        let (free, next) = FreeList::all(config.blocks);
        Self {
            blocks,
            next,
            free,
            is_pressed: false,
            pressures: 0,
            sets: Pool::new(config.range_sets),
            logs: Pool::new(config.send_logs),
            bbrs: Pool::new(config.bbr_records),
            rate_logs: Pool::new(config.bbr_records),
            bbr_denied: 0,
        }
    }

    /// What there is and what is free.
    #[must_use]
    pub fn counts(&self) -> MemoryCounts {
        let count = |len: usize| u32::try_from(len).expect("made from a 32-bit count");
        MemoryCounts {
            blocks_total: count(self.blocks.len()),
            blocks_free: self.free.count,
            range_sets_total: self.sets.total(),
            range_sets_free: self.sets.count_free(),
            send_logs_total: self.logs.total(),
            send_logs_free: self.logs.count_free(),
            pressures: self.pressures,
            bbr_total: self.bbrs.total(),
            bbr_free: self.bbrs.count_free(),
            rate_logs_free: self.rate_logs.count_free(),
            bbr_denied: self.bbr_denied,
        }
    }

    /// Gives back a chunk whose queue is gone.
    pub fn give(&mut self, chunk: Chunk) {
        let index = self.put_back(chunk);
        self.give_block(index);
    }

    /// A free block, of whatever content, linked to nothing.
    pub(crate) fn take_block(&mut self) -> Option<u32> {
        let block = self.free.take(&mut self.next);
        if !self.is_pressed && self.free.count as usize * 4 < self.blocks.len() {
            self.is_pressed = true;
            self.pressures = self.pressures.wrapping_add(1);
        }
        block
    }

    /// Blocks that nobody holds, less the quarter of all that is kept for text that is sent.
    pub(crate) fn blocks_in_reach(&self) -> u32 {
        let kept = u32::try_from(self.blocks.len() / 4).unwrap_or(u32::MAX);
        self.free.count.saturating_sub(kept)
    }

    /// Whether blocks are so scarce that no connection shall come to need more of them: from when
    /// less than a quarter is free, where received text must leave the rest to what is sent, until
    /// a half is free again.
    #[must_use]
    pub const fn is_pressed(&self) -> bool {
        self.is_pressed
    }

    /// Whether received text may take more blocks. A quarter of the pool is kept for text that is
    /// sent: with all of it full of text that cannot be passed on, nothing would ever move again.
    pub(crate) fn has_room_in_order(&self) -> bool {
        self.free.count as usize >= self.blocks.len() / 4
    }

    /// Whether text ahead of its turn may take so many blocks. It leaves half of the pool: it cannot
    /// be read before what is missing has come, and that needs room as well.
    pub(crate) fn has_room_ahead(&self, blocks: u32) -> bool {
        blocks == 0 || self.free.count as usize >= self.blocks.len() / 2 + blocks as usize
    }

    /// Puts a block on the free list, unless a chunk has its bytes; then it follows with those.
    pub(crate) fn give_block(&mut self, index: u32) {
        if self.blocks[index as usize].is_some() {
            self.free.give(&mut self.next, index);
            if self.is_pressed && self.free.count as usize >= self.blocks.len() / 2 {
                self.is_pressed = false;
            }
        }
    }

    /// The block after `index` in its queue.
    pub(crate) fn next_block(&self, index: u32) -> u32 {
        self.next[index as usize]
    }

    /// Makes `next` the block after `index`.
    pub(crate) fn link_block(&mut self, index: u32, next: u32) {
        self.next[index as usize] = next;
    }

    /// The bytes of a block, nothing while a chunk has them.
    pub(crate) fn block(&self, index: u32) -> Option<&[u8]> {
        self.blocks[index as usize].as_deref()
    }

    /// The bytes of a block, nothing while a chunk has them.
    pub(crate) fn block_mut(&mut self, index: u32) -> Option<&mut [u8]> {
        self.blocks[index as usize].as_deref_mut()
    }

    /// Takes the bytes of a block out, with `text` of them to be seen; nothing where they are out
    /// already.
    pub(crate) fn take_out(&mut self, index: u32, text: Range<usize>) -> Option<Chunk> {
        let block = self.blocks[index as usize].take()?;
        Some(Chunk { block, index, text })
    }

    /// Puts the bytes of a block where they came from and says which block it is.
    pub(crate) fn put_back(&mut self, chunk: Chunk) -> u32 {
        let slot = &mut self.blocks[chunk.index as usize];
        debug_assert!(
            slot.is_none(),
            "a chunk comes back to the memory it was taken from"
        );
        *slot = Some(chunk.block);
        chunk.index
    }

    /// A free range set, empty.
    pub(crate) fn take_set(&mut self) -> Option<u32> {
        self.sets.take(RangeSet::default())
    }

    /// Gives a range set back.
    pub(crate) fn give_set(&mut self, index: u32) {
        self.sets.give(index);
    }

    /// A range set.
    pub(crate) fn set(&self, index: u32) -> &RangeSet {
        self.sets.at(index)
    }

    /// A range set.
    pub(crate) fn set_mut(&mut self, index: u32) -> &mut RangeSet {
        self.sets.at_mut(index)
    }

    /// A free send log, which begins at `left`.
    pub(crate) fn take_log(&mut self, left: SeqNum) -> Option<u32> {
        self.logs.take(SendLog::new(left))
    }

    /// Gives a send log back.
    pub(crate) fn give_log(&mut self, index: u32) {
        self.logs.give(index);
    }

    /// A send log.
    pub(crate) fn log(&self, index: u32) -> Option<&SendLog> {
        self.logs.find(index)
    }

    /// A send log.
    pub(crate) fn log_mut(&mut self, index: u32) -> Option<&mut SendLog> {
        self.logs.find_mut(index)
    }

    /// Lends a record of BBR, where the connection can use it and one is free.
    pub(crate) fn take_bbr(&mut self, is_usable: bool, begin: impl FnOnce() -> Bbr) -> Option<u32> {
        let taken = is_usable.then(|| self.bbrs.take(begin())).flatten();
        self.bbr_denied = self.bbr_denied.saturating_add(u32::from(taken.is_none()));
        taken
    }

    /// Takes a record of BBR back, with its log.
    pub(crate) fn give_bbr(&mut self, index: u32) {
        self.give_rate_log(index);
        self.bbrs.give(index);
    }

    /// A record of BBR.
    pub(crate) fn bbr(&self, index: u32) -> Option<&Bbr> {
        self.bbrs.find(index)
    }

    /// A record of BBR.
    pub(crate) fn bbr_mut(&mut self, index: u32) -> Option<&mut Bbr> {
        self.bbrs.find_mut(index)
    }

    /// A record of BBR and its log of departures, for which one is lent where there is none yet.
    pub(crate) fn bbr_with_log(&mut self, index: u32) -> Option<(&mut Bbr, &mut RateLog)> {
        let bbr = self.bbrs.find_mut(index)?;
        if bbr.log == NONE {
            bbr.log = self.rate_logs.take(RateLog::default()).unwrap_or(NONE);
        }
        let log = self.rate_logs.find_mut(bbr.log)?;
        Some((bbr, log))
    }

    /// A record of BBR, and its log where it has one.
    pub(crate) fn bbr_and_log(&mut self, index: u32) -> Option<(&mut Bbr, Option<&mut RateLog>)> {
        let bbr = self.bbrs.find_mut(index)?;
        let log = self.rate_logs.find_mut(bbr.log);
        Some((bbr, log))
    }

    /// Takes the log of departures of a record back: nothing is in flight.
    pub(crate) fn give_rate_log(&mut self, index: u32) {
        let bbr = self.bbrs.find_mut(index);
        if let Some(bbr) = bbr.filter(|bbr| bbr.log != NONE) {
            self.rate_logs.give(bbr.log);
            bbr.log = NONE;
        }
    }
}

/// Text that was taken out of the front of a receive queue, owned, without a copy.
///
/// It goes back by [`TextQueue::attach_front`](crate::TextQueue::attach_front) or, where the queue
/// is gone, by [`Memory::give`]; one that is dropped takes its block with it until the end.
#[derive(Debug)]
#[must_use = "the block is lost if the chunk is not given back"]
pub struct Chunk {
    block: BytesMut,
    index: u32,
    text: Range<usize>,
}

impl Chunk {
    /// The text.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.block[self.text.clone()]
    }
}

#[cfg(test)]
mod tests;
