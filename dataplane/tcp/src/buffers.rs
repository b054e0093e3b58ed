//! How much text a connection may hold: buffers that grow with what the path carries, and shrink
//! with what the worker has left. RFC 9293 section 3.8.6 leaves the size of the window to us.
//!
//! - **Received text.** A window of `rmem` is offered first. In each round trip it is counted what
//!   the user has taken; twice that is room for the next round trip of a peer whose window doubles
//!   in each, and the window grows to it, up to `rmem_max` ("dynamic right-sizing"). A user that
//!   does not read gets no larger window.
//! - **Text to be sent.** `wmem`, or twice the congestion window where that is more: one half is in
//!   flight while the user writes the other, up to `wmem_max`.
//! - **Memory.** A quarter of it stays free for what moves. Of what is free beyond that no queue may
//!   hold more than a quarter, but always [`QUEUE_MIN`]. So however many users do not read, the share
//!   that is left for one more is as large as theirs. Under [pressure](crate::Memory::is_pressed) no window grows.
//!
//! What was offered stays offered (RFC 9293 SHLD-14): less room only means that the right edge
//! waits where it is. Where `rmem` and `rmem_max` are the same the size is fixed.

use tidegate_wire::Instant;

use crate::memory::{BLOCK_LEN, Memory};
use crate::tcb::{Flags, Tcb};
use crate::{Context, Segment};

/// A queue may hold so many bytes, however little memory is left. Linux's least buffer is a page;
/// with less than a few segments every loss would have to wait for the timer.
const QUEUE_MIN: u32 = 16 << 10;

/// Segments of room beside what was measured, for a peer whose window has only begun to grow; as in
/// Linux.
const SPARE_SEGMENTS: u32 = 16;

/// [`BLOCK_LEN`] for 32-bit arithmetic.
#[expect(clippy::cast_possible_truncation, reason = "4096")]
const BLOCK: u32 = BLOCK_LEN as u32;

/// Most bytes that one queue may hold, by what is free.
pub(crate) fn share_of(memory: &Memory) -> u32 {
    let free = u64::from(memory.blocks_in_reach()) * u64::from(BLOCK);
    u32::try_from(free / 4).unwrap_or(u32::MAX).max(QUEUE_MIN)
}

impl Tcb {
    /// Bytes that the receive queue may hold.
    pub(crate) fn rcv_queue_max(&self, cx: &Context<'_>) -> u32 {
        self.rcv_buffer(cx).min(share_of(cx.memory))
    }

    /// The same without a look at the memory: what the connection has come to need.
    fn rcv_buffer(&self, cx: &Context<'_>) -> u32 {
        let grown = cx
            .settings
            .rmem
            .saturating_add(u32::from(self.rcv.grown) * BLOCK);
        grown.min(cx.settings.rcv_queue_max())
    }

    /// Bytes that the send queue may hold.
    pub(crate) fn snd_queue_max(&self, cx: &Context<'_>) -> u32 {
        let wanted = self.congestion.cwnd().saturating_mul(2);
        let buffer = wanted
            .max(cx.settings.wmem)
            .min(cx.settings.snd_queue_max());
        buffer.min(share_of(cx.memory))
    }

    /// What the user takes from now on counts for the next round trip.
    pub(crate) fn begin_round(&mut self, now: Instant) {
        self.rcv.round_from = self.rcv.nxt - self.rcv.queue.len();
        self.rcv.round_ms = self.ts_value(now);
    }

    /// Text has come: where a round trip is over, the receive buffer follows what the user has taken
    /// in it.
    pub(crate) fn tune_rcv_buffer(&mut self, seg: &Segment<'_>, cx: &Context<'_>) {
        if cx.settings.rmem_max <= cx.settings.rmem || !self.is_round_over(seg, cx) {
            return;
        }
        let from = self.rcv.round_from;
        self.begin_round(cx.now);
        let taken = self.rcv.round_from.since(from);
        let spare = SPARE_SEGMENTS * u32::from(self.rcv.mss);
        let wanted = taken.saturating_mul(2).saturating_add(spare);
        if wanted > self.rcv_buffer(cx) && !cx.memory.is_pressed() {
            let blocks = wanted.saturating_sub(cx.settings.rmem).div_ceil(BLOCK);
            self.rcv.grown = u16::try_from(blocks).unwrap_or(u16::MAX);
        }
    }

    /// Whether the peer has answered to something that was sent in this round. Its timestamps tell;
    /// otherwise the round trip that the handshake has shown.
    fn is_round_over(&self, seg: &Segment<'_>, cx: &Context<'_>) -> bool {
        let begun = self.rcv.round_ms;
        match seg.options.timestamps {
            // The same millisecond may be one in which the round had not begun.
            Some(timestamps) if self.has(Flags::TIMESTAMPS) => {
                timestamps.echo.wrapping_sub(begun).cast_signed() > 0
            }
            _ => {
                let srtt = self.rtt.srtt().unwrap_or(self.rtt.rto());
                let passed_ms = self.ts_value(cx.now).wrapping_sub(begun);
                u128::from(passed_ms) > srtt.as_millis()
            }
        }
    }
}
