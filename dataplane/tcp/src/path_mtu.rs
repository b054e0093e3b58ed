//! The segment size that the path takes, where no router says it: RFC 4821, RFC 8899; and raising
//! again what was lowered (RFC 1191 6.3). What ICMP says is taken in `icmp`.
//!
//! SND.MSS is what is sent and known to pass; `mss_high` is the largest size that may pass too, and
//! `mss_cap` what both ends and the way out allow. While the search is on, a segment of a size
//! between the first two is sent now and then: a probe. One that is acknowledged is the new
//! SND.MSS; one that is lost lowers `mss_high` and is no congestion (RFC 8899 3). The
//! search begins where a path swallows full-sized segments in silence, or with the connection, as
//! [`MtuProbing`] has it.
//!
//! A probe is marked in the [`SendLog`](crate::sent::SendLog), so that RACK finds its loss without
//! a timeout; a connection without a log does not probe, and one without SACK does not search.

use tidegate_wire::Instant;

use crate::Context;
use crate::memory::Memory;
use crate::open::{MSS_DEFAULT_IPV4, MSS_DEFAULT_IPV6};
use crate::ranges::Range;
use crate::recovery::Phase;
use crate::scoreboard::DUP_THRESH;
use crate::settings::{RETRIES_1, Settings};
use crate::tcb::{Flags, Tcb, seconds};

/// When the segment size is searched for, Linux's `tcp_mtu_probing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MtuProbing {
    /// Never: only ICMP changes it. Linux's 0.
    Off,
    /// From when full-sized segments stay unacknowledged as often as R1 has it. Linux's 1.
    #[default]
    BlackHole,
    /// From the beginning, with segments of `base_mss`. Linux's 2.
    Always,
}

/// After so long a larger size is tried again, in seconds. RFC 1191 6.3 proposes ten minutes and
/// forbids less than five; Linux's `tcp_probe_interval` and `mtu_expires` say ten too. A route that
/// has changed for the better is used sooner with less, and one that has not costs more probes.
const RAISE_AFTER_S: u16 = 600;

/// The search is over when so few octets are left to find, Linux's `tcp_probe_threshold`.
const SEARCH_STEP_MIN: u16 = 8;

/// Retransmissions of one segment after which a size is doubted that has passed before: then it is
/// more likely that so many were lost by chance. With an RTO of 200 ms it is 6 s, as in Linux.
const RETRIES_DOUBTED: u8 = RETRIES_1 + 2;

/// Segments that the congestion window has to hold before it is probed, as in Linux: the loss of
/// one among so many is found, and repaired, without a timeout.
const PROBE_CWND_SEGMENTS: u32 = 11;

/// Segments that follow a probe: three that tell of its loss, and one more that is not the last.
const PROBE_FOLLOWERS: u32 = DUP_THRESH + 1;

impl Tcb {
    /// Both SYNs are there: what they allow is the most that will be sent.
    pub(crate) fn begin_mss(&mut self, settings: &Settings) {
        self.snd.mss_cap = self.snd.mss;
        self.snd.mss_high = self.snd.mss;
        if settings.mtu_probing == MtuProbing::Always && self.has(Flags::SACK) {
            self.flags.insert(Flags::MTU_PROBING);
            self.snd.mss = self.snd.mss.min(self.base_mss(settings));
        }
    }

    /// BASE_PLPMTU of RFC 8899 5.1.2, as text and options. IPv6 takes 1280 octets on every link.
    fn base_mss(&self, settings: &Settings) -> u16 {
        if self.tuple.local.is_ipv4() {
            settings.base_mss
        } else {
            settings.base_mss.max(MSS_DEFAULT_IPV6)
        }
    }

    /// Segments become smaller: `mss` octets of text and options.
    pub(crate) fn lower_mss(&mut self, mss: u16) {
        let old = self.smss();
        self.snd.mss = mss;
        self.congestion.on_mss_change(old, self.smss());
    }

    /// Segments become larger.
    fn raise_mss(&mut self, mss: u16) {
        let old = self.smss();
        self.snd.mss = mss;
        self.snd.mss_high = self.snd.mss_high.max(mss);
        self.flags.remove(Flags::MSS_PASSES);
        self.congestion.on_mss_change(old, self.smss());
    }

    /// Sizes above `mss` do not pass, and are not tried again for a while.
    pub(crate) fn bound_mss(&mut self, mss: u16, now: Instant) {
        self.snd.mss_high = mss;
        self.snd.mss_bound_s = short_seconds(now);
    }

    /// RFC 1191 6.3: what was true some minutes ago may be so no more. A larger size is tried
    /// again: by a probe where the search is on, else with the next segment, and where that is too
    /// big a router says so.
    pub(crate) fn check_mss_is_aged(&mut self, now: Instant) {
        let age_s = short_seconds(now).wrapping_sub(self.snd.mss_bound_s);
        if self.snd.mss_high >= self.snd.mss_cap || age_s < RAISE_AFTER_S {
            return;
        }
        if self.has(Flags::MTU_PROBING) {
            self.snd.mss_high = self.snd.mss_cap;
        } else {
            self.raise_mss(self.snd.mss_cap);
        }
    }

    /// Text was acknowledged. What is as much as a full segment at once was one, as a rule.
    pub(crate) fn note_mss_passes(&mut self, acked: u32) {
        if acked >= self.smss() {
            self.flags.insert(Flags::MSS_PASSES);
        }
    }

    /// RFC 8899 4.3, RFC 4821 7.7: the timer has gone off for the same segment as often as R1 has
    /// it, and it is larger than what passes everywhere. Perhaps it is too big and nobody says so.
    /// Each further time half of that is tried, down to what every host takes (RFC 9293 MUST-15).
    ///
    /// The search goes on from there, upward; without SACK there is none, and the full size is
    /// tried again after some minutes.
    pub(crate) fn check_black_hole(&mut self, settings: &Settings, now: Instant) {
        let patience = if self.has(Flags::MSS_PASSES) {
            RETRIES_DOUBTED
        } else {
            RETRIES_1
        };
        if settings.mtu_probing == MtuProbing::Off || self.retries < patience {
            return;
        }
        let default = if self.tuple.local.is_ipv4() {
            MSS_DEFAULT_IPV4
        } else {
            MSS_DEFAULT_IPV6
        };
        let base = self.base_mss(settings);
        if self.snd.mss_cap <= base {
            // Such segments pass nearly everywhere: the silence has another reason.
            return;
        }
        let guess = if self.snd.mss > base {
            base
        } else {
            (self.snd.mss / 2).max(default.min(base))
        };
        let is_full_sized = self.flight_size() > u32::from(guess);
        if guess < self.snd.mss && is_full_sized {
            self.lower_mss(guess);
            if self.has(Flags::SACK) {
                self.flags.insert(Flags::MTU_PROBING);
            } else {
                self.bound_mss(guess, now);
            }
        }
    }

    /// How long the text of a probe is that may go out now; RFC 8899 4.1 and 5.2, RFC 4821 7.4.
    /// `room` is what the congestion window has left.
    pub(crate) fn mtu_probe_len(&self, room: u32, memory: &Memory) -> Option<u32> {
        let is_searching = self.has(Flags::MTU_PROBING)
            && self.snd.mss_high.saturating_sub(self.snd.mss) >= SEARCH_STEP_MIN;
        if !is_searching || self.recovery.phase != Phase::Open || !self.scoreboard.is_empty() {
            return None;
        }
        let is_probed = self.send_log(memory)?.mtu_probe.is_some();
        let smss = self.smss();
        let step = (self.snd.mss_high - self.snd.mss) / 2;
        let len = smss + u32::from(step);
        // Linux's conditions: what follows tells of a loss, and nothing waits for it.
        let needed = i64::from(len + PROBE_FOLLOWERS * smss);
        let queued = i64::from(self.text_end() - self.snd.nxt);
        let usable = i64::from(self.window_edge() - self.snd.nxt);
        let is_welcome = queued >= needed
            && usable >= needed
            && room >= len
            && self.congestion.cwnd() >= PROBE_CWND_SEGMENTS * smss;
        (!is_probed && is_welcome).then_some(len)
    }

    /// A probe went out.
    pub(crate) fn on_mtu_probe_sent(&mut self, range: Range, memory: &mut Memory) {
        if let Some(log) = memory.log_mut(self.snd.log) {
            log.mtu_probe = Some(range);
        }
    }

    /// All before `ack` has arrived. A probe among it is a size that passes (RFC 8899 4.2). Asked
    /// before the log is told; what was sent again in smaller pieces is a probe no more.
    pub(crate) fn check_mtu_probe(&mut self, memory: &mut Memory) {
        let una = self.snd.una;
        let Some(log) = memory.log_mut(self.snd.log) else {
            return;
        };
        let Some(probe) = log.mtu_probe.take_if(|probe| probe.right.before_or_eq(una)) else {
            return;
        };
        self.raise_mss(self.mss_of(probe));
    }

    /// A loss was found outside of a repair. Where it is the probe alone that was lost, that says
    /// something about its size and nothing about congestion (RFC 8899 3): its text goes
    /// again, and the window stays. Otherwise the probe has shown nothing.
    pub(crate) fn is_only_mtu_probe_lost(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(log) = cx.memory.log_mut(self.snd.log) else {
            return false;
        };
        let Some(probe) = log.mtu_probe.take() else {
            return false;
        };
        let log = self.send_log(cx.memory);
        let lost = log.and_then(|log| self.next_logged_loss(log, cx.memory));
        let is_within =
            |part: Range| part.left.after_or_eq(probe.left) && part.right.before_or_eq(probe.right);
        let lost_octets = log.map_or(0, |log| self.lost_octets(log, cx.memory));
        let is_alone = lost.is_some_and(|part| is_within(part) && part.len() == lost_octets);
        if is_alone {
            self.bound_mss(self.mss_of(probe) - 1, cx.now);
            self.recovery.go_back(self.snd.una, self.snd.nxt);
            self.forget_undo(cx.memory);
        }
        is_alone
    }

    /// The segment size, options included, of a segment with this text.
    fn mss_of(&self, probe: Range) -> u16 {
        let options = u32::from(self.snd.mss) - self.smss();
        u16::try_from(probe.len() + options).unwrap_or(self.snd.mss_cap)
    }
}

/// Seconds since the start, of which 16 bits are kept. They wrap after 18 hours; for ten minutes
/// then a larger size may be tried later than it could have been.
#[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
const fn short_seconds(now: Instant) -> u16 {
    seconds(now) as u16
}
