//! OPEN, RFC 9293 section 3.10.1: how a TCB begins, and what both SYNs agree on (3.7.1, RFC 7323).
//!
//! Choosing addresses, ports and the initial sequence number, and refusing a remote address that is
//! none (MUST-46), is done by the caller.

use tidegate_wire::{Discard, Instant, Moment};

use crate::buffers::share_of;
use crate::congestion::Congestion;
use crate::memory::Memory;
use crate::pacing::Departure;
use crate::ranges::Range;
use crate::reassembly::Reassembly;
use crate::recovery::Recovery;
use crate::rtt::Rtt;
use crate::scoreboard::Scoreboard;
use crate::sent::Stamp;
use crate::settings::Settings;
use crate::state::{Event, State};
use crate::tcb::{Flags, Owes, Rcv, Snd, Tcb, millis};
use crate::text::TextQueue;
use crate::timers::Timers;
use crate::totals::Totals;
use crate::{Context, FourTuple, Segment, SeqNum};

/// The least segment size that we believe a peer needs, in octets of text and options. A smaller
/// one announced would make us send more header than text, or nothing at all once options are
/// deducted; 48 is what Linux takes, and leaves 8 octets beside 40 of options.
const MSS_MIN: u16 = 48;

/// RFC 9293 3.7.1, MUST-15: what a peer can take that announces nothing, over IPv4 and IPv6.
pub(crate) const MSS_DEFAULT_IPV4: u16 = 536;
/// See [`MSS_DEFAULT_IPV4`].
pub(crate) const MSS_DEFAULT_IPV6: u16 = 1220;

impl Tcb {
    /// OPEN, active (RFC 9293 3.10.1): the TCB is in SYN_SENT and wants to transmit its SYN.
    ///
    /// `iss` comes from [`Secrets::iss`](crate::Secrets::iss), `mtu` is the largest datagram of the
    /// way out in octets. Follow it by [`with_ts_offset`](Self::with_ts_offset).
    #[must_use]
    pub fn open(tuple: FourTuple, iss: SeqNum, mtu: u32, cx: &mut Context<'_>) -> Self {
        let mut tcb = Self::new(tuple, iss, mtu, cx);
        tcb.change(Event::ActiveOpen);
        tcb.owes.insert(Owes::SYN);
        tcb.start_user_timer(cx.now);
        tcb
    }

    /// A SYN that came to a listener (RFC 9293 3.10.7.2, third): the TCB is in SYN_RECV and wants
    /// to transmit its SYN-ACK. See [`open`](Self::open) for `iss` and `mtu`.
    ///
    /// # Errors
    ///
    /// Where the segment does not open a connection. It disturbs nothing (MUST-41), and
    /// [`arrive::listen`](crate::arrive::listen) tells the answer, if there is one.
    pub fn accept(
        seg: &Segment<'_>,
        iss: SeqNum,
        mtu: u32,
        cx: &mut Context<'_>,
    ) -> Result<Self, Discard> {
        crate::arrive::check_opening(seg)?;
        let mut tcb = Self::new(seg.tuple, iss, mtu, cx);
        tcb.flags.insert(Flags::PASSIVE);
        tcb.change(Event::PassiveOpen);
        tcb.change(Event::SynArrived);
        tcb.take_syn(seg, cx);
        tcb.owes.insert(Owes::SYN);
        Ok(tcb)
    }

    /// The same TCB with the offset of its timestamp clock, from
    /// [`Secrets::ts_offset`](crate::Secrets::ts_offset) (RFC 7323 7.1). Without it the timestamps
    /// tell everybody for how long this process has been running.
    #[must_use]
    pub const fn with_ts_offset(mut self, ts_offset: u32) -> Self {
        self.snd.ts_offset = ts_offset;
        self
    }

    pub(crate) fn new(tuple: FourTuple, iss: SeqNum, mtu: u32, cx: &Context<'_>) -> Self {
        let settings = cx.settings;
        let mss = mss_for(&tuple, mtu, settings);
        let mut flags = Flags::empty();
        flags.set(Flags::NODELAY, settings.nodelay);
        flags.set(Flags::KEEPALIVE, settings.keepalive.is_some());
        Self {
            tuple,
            state: State::Closed,
            end: None,
            flags,
            owes: Owes::empty(),
            retries: 0,
            window_probes: 0,
            keepalive_probes: 0,
            challenges: 0,
            challenge_s: 0,
            reo_wnd_more: 0,
            reo_wnd_persist: 0,
            quick_acks: settings.quick_acks,
            retransmits: 0,
            user_timeout_ms: settings.user_timeout.map_or(0, millis),
            heard_at: Moment::at(cx.now),
            snd: Snd::new(iss, mss, cx.now),
            rcv: Rcv::new(mss, settings, cx.memory),
            rtt: Rtt::new(settings.initial_rto),
            congestion: Congestion::new(
                settings.congestion,
                u32::from(mss),
                u32::from(settings.initial_window),
            ),
            recovery: Recovery::new(iss),
            scoreboard: Scoreboard::default(),
            timers: Timers::new(),
            totals: Totals::new(cx.now),
        }
    }

    /// Takes over what the peer's SYN says (RFC 9293 3.10.7.2 and 3.10.7.3), options included.
    pub(crate) fn take_syn(&mut self, seg: &Segment<'_>, cx: &Context<'_>) {
        self.rcv.irs = seg.seq;
        self.rcv.nxt = seg.seq + 1;
        self.rcv.ack_sent = self.rcv.nxt;
        self.rcv.up = self.rcv.nxt;
        self.take_syn_options(seg, cx);
        self.agree_on_ecn(seg, cx.settings);
        // RFC 7323 2.2: the window of a SYN is never scaled.
        self.snd.wnd = u32::from(seg.wnd);
        self.snd.wnd_max = self.snd.wnd;
        self.snd.wl1 = seg.seq;
        self.snd.wl2 = self.snd.una;
        self.heard_at = Moment::at(cx.now);
    }

    /// What both SYNs offered is agreed. An option of ours that the peer lacks is dropped.
    fn take_syn_options(&mut self, seg: &Segment<'_>, cx: &Context<'_>) {
        let (settings, options) = (cx.settings, &seg.options);
        self.snd.mss = self.snd.mss.min(peer_mss(seg)).max(MSS_MIN);
        // RFC 7323 2.2, 2.3: both or none, and a shift above 14 counts as 14.
        match (settings.wnd_shift(), options.wnd_shift) {
            (Some(_), Some(shift)) => {
                self.flags.insert(Flags::WND_SCALING);
                self.snd.wnd_shift = shift.min(14);
            }
            _ => self.rcv.wnd_shift = 0,
        }
        self.flags
            .set(Flags::SACK, settings.sack && options.sack_permitted);
        self.begin_mss(settings);
        if let (true, Some(timestamps)) = (settings.timestamps, options.timestamps) {
            self.flags.insert(Flags::TIMESTAMPS);
            self.take_ts_recent(timestamps.value, cx.now);
        }
    }
}

impl Snd {
    fn new(iss: SeqNum, mss: u16, now: Instant) -> Self {
        Self {
            una: iss,
            nxt: iss,
            wnd: 0,
            wnd_max: 0,
            wl1: SeqNum::new(0),
            wl2: SeqNum::new(0),
            iss,
            up: iss,
            small: iss,
            timed: iss,
            refused: iss,
            ts_offset: 0,
            mss,
            mss_cap: mss,
            mss_high: mss,
            mss_bound_s: 0,
            wnd_shift: 0,
            timed_at: Stamp::at(now),
            sent_at: Moment::at(now),
            departure: Departure::at(now),
            log: crate::memory::NONE,
            queue: TextQueue::default(),
        }
    }
}

impl Rcv {
    fn new(mss: u16, settings: &Settings, memory: &Memory) -> Self {
        let zero = SeqNum::new(0);
        Self {
            nxt: zero,
            // RFC 7323 2.2: the window of a SYN is not scaled, so 65535 is all it can say.
            wnd: settings.rmem.min(share_of(memory)).min(u32::from(u16::MAX)),
            irs: zero,
            up: zero,
            fin: zero,
            ack_sent: zero,
            ts_recent: 0,
            ts_recent_at_s: 0,
            mss,
            mss_seen: 0,
            grown: 0,
            round_from: zero,
            round_ms: 0,
            wnd_shift: settings.wnd_shift().unwrap_or(0),
            dup_acks_owed: 0,
            duplicate: Range::EMPTY,
            reassembly: Reassembly::default(),
            queue: TextQueue::default(),
        }
    }
}

/// The segment size that a peer's SYN announces, or what may be assumed (RFC 9293 MUST-15).
pub(crate) fn peer_mss(seg: &Segment<'_>) -> u16 {
    let default = if seg.tuple.local.is_ipv4() {
        MSS_DEFAULT_IPV4
    } else {
        MSS_DEFAULT_IPV6
    };
    seg.options.mss.unwrap_or(default)
}

/// The segment size that a datagram of `mtu` octets has room for (RFC 6691 2; RFC 9293 MUST-67).
pub(crate) fn mss_for(tuple: &FourTuple, mtu: u32, settings: &Settings) -> u16 {
    let mss = u16::try_from(mtu.saturating_sub(headers_len(tuple))).unwrap_or(u16::MAX - 60);
    mss.min(settings.mss_max.unwrap_or(u16::MAX)).max(MSS_MIN)
}

/// Octets of the headers of IP and TCP without options.
pub(crate) const fn headers_len(tuple: &FourTuple) -> u32 {
    if tuple.local.is_ipv4() { 40 } else { 60 }
}
