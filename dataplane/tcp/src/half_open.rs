//! A passive connection in SYN-RECEIVED, folded: what a listener keeps of a SYN (RFC 9293 3.10.7.2).
//!
//! Until the peer has proven that it is there, a record of it shall cost little (RFC 4987 3.2). All
//! that distinguishes one [`Tcb`] in SYN-RECEIVED from another, as long as there is no text and no
//! user, is a [`HalfOpen`]. It has no rules of its own: for each segment, timeout and ICMP error it
//! is unfolded, the TCB does what RFC 9293 3.10 says, transmits, and is folded again, or has become
//! ESTABLISHED or CLOSED:
//!
//! ```text
//!   Tcb::accept -- SYN-ACK --> fold --+--> unfold -- on_segment, on_timeout, on_icmp --+--> flow
//!                                     ^                                                |
//!                                     +------------- still SYN-RECEIVED ---------------+--> gone
//! ```
//!
//! Not for a simultaneous open, whose user has called OPEN, nor for Fast Open, which has text.

use core::time::Duration;

use tidegate_wire::{Instant, Moment};

use crate::open::headers_len;
use crate::sent::Stamp;
use crate::state::{Event, State};
use crate::tcb::{Flags, Tcb, seconds};
use crate::timers::Timer;
use crate::{Context, FourTuple, SeqNum};

/// Flags that a TCB can have which is worth folding; with any other it has a user, or text.
const FOLDED: Flags = Flags::PASSIVE
    .union(Flags::TIMESTAMPS)
    .union(Flags::SACK)
    .union(Flags::NODELAY)
    .union(Flags::KEEPALIVE)
    .union(Flags::TS_RECENT)
    .union(Flags::SYN_RETRIED)
    .union(Flags::WND_SCALING)
    .union(Flags::TIMED)
    .union(Flags::ECN);

/// A folded TCB; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpen {
    tuple: FourTuple,
    flags: Flags,
    iss: SeqNum,
    irs: SeqNum,
    ts_recent: u32,
    /// When the SYN-ACK goes out again.
    due: Stamp,
    /// When it went out last.
    sent_at: Stamp,
    snd_wnd: u16,
    rcv_wnd: u16,
    snd_mss: u16,
    rcv_mss: u16,
    /// Snd.Wind.Shift, and Rcv.Wind.Shift above it; neither is above 14.
    wnd_shifts: u8,
    retries: u8,
    retransmits: u8,
    challenges: u8,
    /// Lowest bits of the second that `challenges` are of.
    challenge_s: u8,
}

const _: () = assert!(
    size_of::<HalfOpen>() <= 80,
    "a record of the worker has 128 bytes in all"
);

impl HalfOpen {
    /// Folds a TCB that owes nothing; nothing where there is more to it than can be kept.
    #[must_use]
    pub fn fold(tcb: &Tcb) -> Option<Self> {
        let is_plain = tcb.state == State::SynReceived
            && tcb.has(Flags::PASSIVE)
            && FOLDED.contains(tcb.flags.difference(Flags::MTU_PROBING))
            && tcb.owes.is_empty()
            && tcb.rcv.dup_acks_owed == 0
            && tcb.snd.queue.is_empty()
            && tcb.rcv.queue.is_empty();
        let due = tcb.timers.at(Timer::Retransmit).filter(|_| is_plain)?;
        let short = |window: u32| u16::try_from(window).unwrap_or(u16::MAX);
        Some(Self {
            tuple: tcb.tuple,
            flags: tcb.flags.difference(Flags::MTU_PROBING),
            iss: tcb.snd.iss,
            irs: tcb.rcv.irs,
            ts_recent: tcb.rcv.ts_recent,
            due: Stamp::at(due),
            sent_at: Stamp::at(tcb.snd.sent_at.instant()),
            // Those of SYNs, which are not scaled (RFC 7323 2.2).
            snd_wnd: short(tcb.snd.wnd),
            rcv_wnd: short(tcb.rcv.wnd),
            snd_mss: tcb.snd.mss_cap,
            rcv_mss: tcb.rcv.mss,
            wnd_shifts: tcb.rcv.wnd_shift << 4 | tcb.snd.wnd_shift,
            retries: tcb.retries,
            retransmits: u8::try_from(tcb.retransmits).unwrap_or(u8::MAX),
            challenges: tcb.challenges,
            challenge_s: low_byte(tcb.challenge_s),
        })
    }

    /// The TCB, with the offset of its timestamp clock, which
    /// [`Secrets::ts_offset`](crate::Secrets::ts_offset) knows.
    #[must_use]
    pub fn unfold(&self, ts_offset: u32, cx: &Context<'_>) -> Tcb {
        let mtu = u32::from(self.rcv_mss) + headers_len(&self.tuple);
        let mut tcb = Tcb::new(self.tuple, self.iss, mtu, cx);
        tcb.change(Event::PassiveOpen);
        tcb.change(Event::SynArrived);
        tcb.flags = self.flags;
        tcb.retries = self.retries;
        tcb.retransmits = u32::from(self.retransmits);
        tcb.totals.again_syn = self.retransmits;
        tcb.challenges = self.challenges;
        tcb.challenge_s = self.challenge_second(cx.now);

        let snd = &mut tcb.snd;
        snd.nxt = self.iss + 1;
        snd.timed = snd.nxt;
        snd.timed_at = self.sent_at;
        snd.sent_at = Moment::at(past(self.sent_at, cx.now));
        snd.wnd = u32::from(self.snd_wnd);
        snd.wnd_max = snd.wnd;
        (snd.wl1, snd.wl2) = (self.irs, self.iss);
        snd.mss = self.snd_mss;
        snd.wnd_shift = self.wnd_shifts & 0xf;
        snd.ts_offset = ts_offset;
        tcb.begin_mss(cx.settings);

        let rcv = &mut tcb.rcv;
        rcv.irs = self.irs;
        rcv.nxt = self.irs + 1;
        (rcv.up, rcv.ack_sent) = (rcv.nxt, rcv.nxt);
        rcv.wnd = u32::from(self.rcv_wnd);
        rcv.mss = self.rcv_mss;
        rcv.wnd_shift = self.wnd_shifts >> 4;
        rcv.ts_recent = self.ts_recent;
        // It is at most as old as the record, far from the 24 days of RFC 7323 5.5.
        rcv.ts_recent_at_s = seconds(cx.now);

        for _ in 0..self.retries {
            tcb.rtt.back_off(&cx.settings.rtt_bounds());
        }
        tcb.timers.arm(Timer::Retransmit, self.next_timeout(cx.now));
        tcb
    }

    /// The sockets.
    #[must_use]
    pub const fn tuple(&self) -> FourTuple {
        self.tuple
    }

    /// When the TCB has a timeout; `now` where that is past.
    #[must_use]
    pub const fn next_timeout(&self, now: Instant) -> Instant {
        let left_us = self.due.micros_since(Stamp::at(now));
        Instant::from_micros(now.as_micros() + left_us as u64)
    }

    /// Whether the SYN-ACK has gone out again because nothing came back: such a record may make
    /// room for a new one (RFC 4987 3.4).
    #[must_use]
    pub const fn is_retried(&self) -> bool {
        self.retries > 0
    }

    /// The whole of the second of which the lowest bits are kept, as no record lives for long.
    fn challenge_second(&self, now: Instant) -> u32 {
        let age = low_byte(seconds(now)).wrapping_sub(self.challenge_s);
        seconds(now).wrapping_sub(u32::from(age))
    }
}

/// The time of a stamp that is not after `now`.
fn past(stamp: Stamp, now: Instant) -> Instant {
    let age_us = Stamp::at(now).micros_since(stamp);
    now - Duration::from_micros(u64::from(age_us))
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are meant")]
const fn low_byte(seconds: u32) -> u8 {
    seconds as u8
}
