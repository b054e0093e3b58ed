//! ICMP errors about a connection, RFC 9293 section 3.9.2.2, with the distrust of RFC 5927.

use tidegate_wire::Discard;

use crate::events::{End, Events};
use crate::open::mss_for;
use crate::state::{Event, State};
use crate::tcb::Tcb;
use crate::{Context, SeqNum};

/// RFC 1191 3: no IPv4 link has a smaller MTU. Octets of a datagram.
const MTU_MIN_IPV4: u32 = 68;
/// RFC 1191 5: what to try where an old router does not say its MTU.
const MTU_UNSAID: u32 = 576;
/// RFC 8201 4: nor has an IPv6 link.
const MTU_MIN_IPV6: u32 = 1_280;

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpKind {
    /// It may pass: unreachable 0, 1, 5, time exceeded, parameter problem (MUST-56), and for ICMPv6
    /// what corresponds to these.
    Soft,
    /// It will not pass: protocol unreachable (SHLD-26), or nobody answers on the link.
    Hard,
    /// It will not pass: port unreachable (SHLD-26). Nobody listens, which is what a RST would say.
    Refused,
    /// The datagram was too big for a link of this MTU (RFC 1191, RFC 8201), in octets; 0 where the
    /// router does not say.
    TooBig {
        /// The MTU of that link.
        mtu: u32,
    },
}

/// An ICMP error about a segment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// What it says.
    pub kind: IcmpKind,
    /// The sequence number of the segment that it quotes.
    pub seq: SeqNum,
}

impl Tcb {
    /// An ICMP error about this connection has come (MUST-54). Source quench is not to be passed on
    /// to here (MUST-55).
    ///
    /// # Errors
    ///
    /// Where it quotes a sequence number that is not in flight: then it is old, or a forgery
    /// (RFC 5927 4.1).
    pub fn on_icmp(&mut self, error: IcmpError, cx: &mut Context<'_>) -> Result<Events, Discard> {
        if !error.seq.is_within(self.snd.una, self.snd.nxt) {
            return Err(Discard::IcmpNotInFlight);
        }
        let events = match error.kind {
            IcmpKind::Soft => Events::SOFT_ERROR,
            IcmpKind::Hard => self.on_hard_error(End::Unreachable, cx),
            IcmpKind::Refused => self.on_hard_error(End::Refused, cx),
            IcmpKind::TooBig { mtu } => {
                self.on_too_big(mtu, cx);
                Events::empty()
            }
        };
        self.settle_timers(cx);
        Ok(events)
    }

    /// SHLD-26: a hard error ends the connection, but RFC 5927 5.2 has the last word: once both ends
    /// have proven that they are there it is a soft one.
    fn on_hard_error(&mut self, end: End, cx: &mut Context<'_>) -> Events {
        if !matches!(self.state, State::SynSent | State::SynReceived) {
            return Events::SOFT_ERROR;
        }
        self.finish(Event::Abort, end, cx.memory);
        Events::ENDED
    }

    /// The path takes less than was thought (RFC 9293 3.7.2). Segments become smaller, never
    /// larger, and what is outstanding goes out again in the new size; that is no congestion. Some
    /// minutes later `path_mtu` tries more.
    fn on_too_big(&mut self, mtu: u32, cx: &mut Context<'_>) {
        let mtu_min = if self.tuple.local.is_ipv4() {
            u32::from(cx.settings.min_pmtu).max(MTU_MIN_IPV4)
        } else {
            MTU_MIN_IPV6
        };
        let mtu = if mtu == 0 { MTU_UNSAID } else { mtu };
        let mss = mss_for(&self.tuple, mtu.max(mtu_min), cx.settings);
        if mss >= self.snd.mss {
            // RFC 8899 4.6.2: it is about a probe, and says what the next one may try.
            if mss < self.snd.mss_high {
                self.bound_mss(mss, cx.now);
            }
            return;
        }
        self.lower_mss(mss);
        self.bound_mss(mss, cx.now);
        if self.state.is_synchronized() {
            self.go_back_unharmed(cx.memory);
        }
    }
}
