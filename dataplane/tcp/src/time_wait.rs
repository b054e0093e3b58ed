//! TIME_WAIT in twenty bytes: what is left of a connection while old duplicates of it may still be
//! under way (RFC 9293 3.6.1, MUST-13; the rules of 3.10.7.4 for this state; RFC 6191, RFC 1337).
//!
//! A [`TimeWait`] is made from a [`Tcb`] in TIME_WAIT that its user knows to be over and that has
//! nothing left to transmit ([`Tcb::time_wait`]), and then stands for it. It answers as the TCB would.
//! Sockets, deadline and place are kept by the caller, who has them in a form of its own; answers are
//! values that the caller emits, at once: they are few, and nothing is there that could collect them.

use core::time::Duration;

use tidegate_wire::{Discard, Instant, Tcp, TcpFlags, TcpOptions, Timestamps};

use crate::arrive::{CHALLENGES_PER_SECOND, check_opening, is_acceptable, is_older};
use crate::settings::Settings;
use crate::state::State;
use crate::tcb::{Flags, Tcb, seconds};
use crate::timers::Timer;
use crate::transmit::{TxChecksumMode, finish_checksum};
use crate::{Context, FourTuple, Segment, SeqNum};

/// How long a tuple has to be in TIME_WAIT before an open of our own may take it over: long enough
/// for the peer to see that our timestamps have moved on, as in Linux.
const REUSE_AFTER: Duration = Duration::from_secs(1);

/// The largest window there is (RFC 7323 2.3): no ACK is older than that (RFC 5961 5.2).
const WND_MAX: u32 = 1 << 30;

/// `bits`: Rcv.Wind.Shift, at most 14.
const SHIFT_BITS: u8 = 0b1111;
/// `bits`: timestamps were agreed on, and `ts_recent` holds one of the peer.
const TIMESTAMPS: u8 = 1 << 4;

/// A connection in TIME_WAIT.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// SND.NXT, after our FIN; all of it is acknowledged.
    snd_nxt: SeqNum,
    /// RCV.NXT, after the peer's FIN.
    rcv_nxt: SeqNum,
    /// TS.Recent.
    ts_recent: u32,
    /// What is added to the clock for TSval.
    ts_offset: u32,
    /// The window as the header says it.
    wnd: u16,
    /// [`SHIFT_BITS`] and [`TIMESTAMPS`].
    bits: u8,
    /// Challenge ACKs in this second, and the last four bits of the second (RFC 5961 7).
    challenges: u8,
}

const _: () = assert!(size_of::<TimeWait>() == 20, "records are 64 bytes in all");

/// What becomes of a segment that arrives in TIME_WAIT.
#[derive(Clone, Copy, Debug)]
pub enum Waiting {
    /// It is acceptable and says nothing new.
    Taken {
        /// An ACK where a part of it lies outside the window.
        reply: Option<AckReply>,
    },
    /// It is discarded.
    Discarded {
        /// Why.
        discard: Discard,
        /// The ACK that says what is expected, unless this second has had its share.
        reply: Option<AckReply>,
        /// The peer's FIN came again: 2 MSL begin anew.
        restarts: bool,
    },
    /// It begins a new incarnation (RFC 9293 3.6.1, MAY-2 and SHLD-4): the record is to be removed and
    /// the segment given to the listener, with the initial sequence number that
    /// [`iss_after`](TimeWait::iss_after) allows.
    Superseded,
}

/// An ACK of a connection that has no TCB any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckReply {
    tuple: FourTuple,
    header: Tcp,
}

impl Tcb {
    /// What is left of the connection, and until when, once it is in TIME_WAIT, its user knows that
    /// it is over and has read everything, and its last ACK has gone out. The TCB is then of no use.
    #[must_use]
    pub fn time_wait(&self, cx: &Context<'_>) -> Option<(TimeWait, Instant)> {
        let is_over = self.state == State::TimeWait && self.end().is_some();
        if !is_over || self.wants_transmit(cx) {
            return None;
        }
        let until = self.timers.at(Timer::Closing)?;
        let has_timestamps = self.has(Flags::TIMESTAMPS) && self.has(Flags::TS_RECENT);
        let wnd = self.rcv.wnd.div_ceil(1 << self.rcv.wnd_shift);
        let record = TimeWait {
            snd_nxt: self.snd.nxt,
            rcv_nxt: self.rcv.nxt,
            ts_recent: self.rcv.ts_recent,
            ts_offset: self.snd.ts_offset,
            wnd: u16::try_from(wnd).unwrap_or(u16::MAX),
            bits: self.rcv.wnd_shift | if has_timestamps { TIMESTAMPS } else { 0 },
            challenges: self.challenges << 4 | last_bits(self.challenge_s),
        };
        Some((record, until))
    }
}

impl TimeWait {
    /// SEGMENT ARRIVES (RFC 9293 3.10.7.4), for TIME_WAIT. PAWS goes first, then the checks of the
    /// sequence number, the RST, the SYN and the ACK; text and FIN of an acceptable segment are
    /// ignored.
    pub fn on_segment(&mut self, seg: &Segment<'_>, now: Instant, settings: &Settings) -> Waiting {
        let is_opening = check_opening(seg).is_ok();
        if is_opening && is_new_incarnation(seg, self.rcv_nxt, self.peer_ts(), settings) {
            return Waiting::Superseded;
        }
        if let Err(discard) = self.check_timestamps(seg) {
            return if discard == Discard::TcpPaws {
                self.refuse(seg, discard, now)
            } else {
                silently(discard)
            };
        }
        if is_acceptable(seg, self.rcv_nxt, self.wnd()) {
            return self.on_acceptable(seg, now);
        }
        if seg.has(TcpFlags::RST) {
            return silently(Discard::TcpRstOutsideWindow);
        }
        self.refuse(seg, Discard::TcpOutsideWindow, now)
    }

    /// From the second step on.
    fn on_acceptable(&mut self, seg: &Segment<'_>, now: Instant) -> Waiting {
        self.update_ts_recent(seg);
        let edge = self.rcv_nxt + self.wnd();
        let is_cut = seg.seq.before(self.rcv_nxt) || (seg.seq + seg.len()).after(edge);
        let verdict = self.judge(seg);
        let is_challenged = matches!(verdict, Some((_, true))) && self.may_challenge(now);
        // What hangs over the window's edges is cut, and an ACK says where they are. It also tells a
        // peer that sends on behind its FIN that this is the end.
        let has_more = is_cut || (verdict.is_none() && !seg.is_empty());
        let is_answered = is_challenged || (has_more && !seg.has(TcpFlags::SYN));
        let reply = is_answered.then(|| self.ack(seg.tuple, now));
        match verdict {
            Some((discard, _)) => Waiting::Discarded {
                discard,
                reply,
                restarts: false,
            },
            None => Waiting::Taken { reply },
        }
    }

    /// Second, fourth and fifth: why an acceptable segment is discarded, and whether it is challenged.
    fn judge(&self, seg: &Segment<'_>) -> Option<(Discard, bool)> {
        if seg.has(TcpFlags::RST) {
            // RFC 1337: a RST does not shorten TIME-WAIT, an old duplicate could have caused it.
            Some((Discard::TcpRstInTimeWait, false))
        } else if seg.has(TcpFlags::SYN) {
            Some((Discard::TcpSynChallenged, true))
        } else if !seg.has(TcpFlags::ACK) {
            Some((Discard::TcpNoAckFlag, false))
        } else if seg.ack.after(self.snd_nxt) {
            Some((Discard::TcpAckNotSentYet, true))
        } else if seg.ack.before(self.snd_nxt - WND_MAX) {
            Some((Discard::TcpAckTooOld, true))
        } else {
            None
        }
    }

    /// An initial sequence number for a new incarnation: `proposed` where that is beyond all that the
    /// old one sent (RFC 9293 3.6.1, MAY-2).
    #[must_use]
    pub fn iss_after(&self, proposed: SeqNum) -> SeqNum {
        iss_after(self.snd_nxt, proposed)
    }

    /// The offset of the timestamp clock, with which a new incarnation's goes on.
    #[must_use]
    pub const fn ts_offset(&self) -> u32 {
        self.ts_offset
    }

    /// Whether an open of our own may take the tuple over, after so long in TIME_WAIT (RFC 6191 2,
    /// from the other side): by timestamps, which tell the peer the new incarnation from the old.
    #[must_use]
    pub fn is_reusable(&self, waited: Duration, settings: &Settings) -> bool {
        let has_timestamps = settings.timestamps && self.peer_ts().is_some();
        settings.time_wait_reuse && has_timestamps && waited >= REUSE_AFTER
    }

    /// TS.Recent, where timestamps were agreed on.
    fn peer_ts(&self) -> Option<u32> {
        (self.bits & TIMESTAMPS != 0).then_some(self.ts_recent)
    }

    /// RCV.WND, scaled.
    fn wnd(&self) -> u32 {
        u32::from(self.wnd) << (self.bits & SHIFT_BITS)
    }

    /// PAWS (RFC 7323 5.3), as before TIME_WAIT; TS.Recent cannot have become too old here.
    fn check_timestamps(&self, seg: &Segment<'_>) -> Result<(), Discard> {
        let Some(ts_recent) = self.peer_ts().filter(|_| !seg.has(TcpFlags::RST)) else {
            return Ok(());
        };
        match seg.options.timestamps {
            Some(timestamps) if is_older(timestamps.value, ts_recent) => Err(Discard::TcpPaws),
            None if !seg.has(TcpFlags::SYN) => Err(Discard::TcpNoTimestamp),
            Some(_) | None => Ok(()),
        }
    }

    /// An unacceptable segment. Where it is the peer's FIN again, our last ACK was lost.
    fn refuse(&mut self, seg: &Segment<'_>, discard: Discard, now: Instant) -> Waiting {
        let restarts = seg.has(TcpFlags::FIN);
        // Text that comes again shows that an ACK was lost, so its answer is not throttled.
        let is_answered = !seg.text.is_empty() || self.may_challenge(now);
        Waiting::Discarded {
            discard,
            reply: is_answered.then(|| self.ack(seg.tuple, now)),
            restarts,
        }
    }

    /// RFC 7323 4.3. A peer in this state has acknowledged everything; what has another ACK is not
    /// believed (RFC 5961 5.2).
    fn update_ts_recent(&mut self, seg: &Segment<'_>) {
        let is_believed = seg.has(TcpFlags::ACK) && seg.ack == self.snd_nxt;
        let is_expected = seg.seq.before_or_eq(self.rcv_nxt) && !seg.has(TcpFlags::RST);
        if let (Some(_), Some(timestamps)) = (self.peer_ts(), seg.options.timestamps)
            && is_believed
            && is_expected
        {
            self.ts_recent = timestamps.value;
        }
    }

    /// RFC 5961 7: counts one challenge, if this second has one left.
    fn may_challenge(&mut self, now: Instant) -> bool {
        let second = last_bits(seconds(now));
        if self.challenges & 0b1111 != second {
            self.challenges = second;
        }
        let is_allowed = self.challenges >> 4 < CHALLENGES_PER_SECOND;
        self.challenges += u8::from(is_allowed) << 4;
        is_allowed
    }

    /// <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>.
    fn ack(&self, tuple: FourTuple, now: Instant) -> AckReply {
        #[expect(clippy::cast_possible_truncation, reason = "the wrap at 2^32 is meant")]
        let clock = now.as_millis() as u32;
        let timestamps = self.peer_ts().map(|echo| Timestamps {
            value: clock.wrapping_add(self.ts_offset),
            echo,
        });
        AckReply {
            tuple,
            header: Tcp {
                src_port: tuple.local_port,
                dst_port: tuple.remote_port,
                seq: self.snd_nxt.value(),
                ack: self.rcv_nxt.value(),
                flags: TcpFlags::ACK,
                wnd: self.wnd,
                urgent: 0,
                options: TcpOptions {
                    timestamps,
                    ..TcpOptions::default()
                },
            },
        }
    }
}

impl AckReply {
    /// Octets that [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn segment_len(&self) -> usize {
        self.header.header_len()
    }

    /// Writes the segment to the start of `out`, with its whole checksum, and says how long it is.
    ///
    /// # Panics
    ///
    /// `out` is shorter than [`segment_len`](Self::segment_len).
    pub fn emit(&self, out: &mut [u8]) -> usize {
        let len = self.header.emit(out);
        finish_checksum(&self.tuple, &mut out[..len], TxChecksumMode::Full);
        len
    }
}

const fn silently(discard: Discard) -> Waiting {
    Waiting::Discarded {
        discard,
        reply: None,
        restarts: false,
    }
}

/// The last four bits of a count of seconds, enough to see that another second has begun: a peer that
/// is silent for sixteen finds what it left.
const fn last_bits(second: u32) -> u8 {
    (second & 0b1111) as u8
}

/// RFC 6191 2: by the timestamps where both incarnations have them, else by sequence numbers.
/// `ts_recent` is that of the old one.
pub(crate) fn is_new_incarnation(
    seg: &Segment<'_>,
    rcv_nxt: SeqNum,
    ts_recent: Option<u32>,
    settings: &Settings,
) -> bool {
    let is_seq_higher = seg.seq.after(rcv_nxt);
    let timestamps = seg.options.timestamps.filter(|_| settings.timestamps);
    match (ts_recent, timestamps) {
        (Some(old), Some(new)) if new.value == old => is_seq_higher,
        (Some(old), Some(new)) => is_older(old, new.value),
        // The old one had none, so what has them cannot be an old duplicate.
        (None, Some(_)) => true,
        (_, None) => is_seq_higher,
    }
}

/// See [`TimeWait::iss_after`]. The largest unscaled window is added so that no old segment can lie in
/// the new window.
pub(crate) fn iss_after(snd_nxt: SeqNum, proposed: SeqNum) -> SeqNum {
    proposed.latest(snd_nxt + u32::from(u16::MAX))
}
