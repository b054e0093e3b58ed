//! Explicit congestion notification, RFC 3168 section 6.1: routers mark instead of dropping.
//!
//! Both SYNs agree on it. From then on new text goes out as ECT(0); the receiver of a mark (CE) sets
//! ECE on all that it sends until the sender, which has reduced its window, says CWR. What is sent
//! without ECT (a SYN, an ACK alone, what goes again, a probe) was never asked to be marked, because
//! its loss would not be noticed, or could be brought about by a forger (6.1.4 to 6.1.6).
//!
//! Not here: the ECN nonce, which RFC 8311 3.1 has abolished; ECT(1), which it leaves to experiments
//! (L4S) and which counts as ECT(0) when it arrives; more than one mark a round trip (RFC 9768).

use tidegate_wire::TcpFlags;

use crate::settings::Settings;
use crate::state::State;
use crate::tcb::{Flags, Owes, Tcb};
use crate::{Context, Segment};

/// The two bits of the traffic class that are the ECN field (RFC 3168 5).
pub(crate) const ECN_BITS: u8 = 0b11;
/// ECT(0): the sender understands marks.
const ECT_0: u8 = 0b10;
/// CE: a router has marked it.
pub(crate) const CE: u8 = 0b11;
/// What asks for ECN on a SYN (RFC 3168 6.1.1).
const ASKING: TcpFlags = TcpFlags::ECE.union(TcpFlags::CWR);

/// Whether connections use ECN. The names and the meaning of Linux's `tcp_ecn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// Neither ask for it nor accept it (Linux: 0).
    Off,
    /// Accept it where the peer asks (Linux: 2).
    #[default]
    Passive,
    /// Ask for it as well (Linux: 1).
    On,
}

impl Ecn {
    /// Whether a SYN with these flags and our SYN-ACK to it agree on ECN; for one that is answered
    /// without a TCB, too.
    #[must_use]
    pub fn accepts(self, syn: TcpFlags) -> bool {
        self != Self::Off && syn.contains(ASKING)
    }

    /// Whether our SYN, which asked, and a SYN-ACK with these flags agree on it. One that sends
    /// both bits back does not know what they mean (RFC 3168 6.1.1).
    fn is_granted(self, syn_ack: TcpFlags) -> bool {
        self == Self::On && syn_ack.intersection(ASKING) == TcpFlags::ECE
    }
}

impl Tcb {
    /// RFC 3168 6.1.1: what the peer's SYN or SYN-ACK says about ECN.
    pub(crate) fn agree_on_ecn(&mut self, seg: &Segment<'_>, settings: &Settings) {
        let is_agreed = if seg.has(TcpFlags::ACK) {
            settings.ecn.is_granted(seg.flags)
        } else {
            // In a simultaneous open ours is under way already, and must have asked.
            let has_asked = self.state != State::SynSent || settings.ecn == Ecn::On;
            has_asked && settings.ecn.accepts(seg.flags)
        };
        self.flags.set(Flags::ECN, is_agreed);
    }

    /// The ECN bits of our SYN or SYN-ACK. RFC 3168 6.1.1.1: a SYN that goes again does not ask,
    /// because something on the way may have dropped the first one for asking.
    pub(crate) fn ecn_bits_of_syn(&self, settings: &Settings) -> TcpFlags {
        if self.state == State::SynSent {
            let is_first = self.snd.nxt == self.snd.iss;
            return if settings.ecn == Ecn::On && is_first {
                ASKING
            } else {
                TcpFlags::empty()
            };
        }
        if self.has(Flags::ECN) {
            TcpFlags::ECE
        } else {
            TcpFlags::empty()
        }
    }

    /// The ECN bits of any other segment but a RST.
    pub(crate) fn ecn_bits(&self, is_new_text: bool) -> TcpFlags {
        let mut bits = TcpFlags::empty();
        bits.set(TcpFlags::ECE, self.has(Flags::CE_SEEN));
        // RFC 3168 6.1.2: what goes again never says CWR, it may be older than the reduction.
        bits.set(TcpFlags::CWR, is_new_text && self.has(Flags::CWR_OWED));
        bits
    }

    /// RFC 3168 6.1.1: who has sent a SYN that did not ask must not send ECT, even if the peer answers
    /// the one that did. Marks on what that peer sends are echoed all the same.
    const fn may_send_ect(&self) -> bool {
        let has_always_asked = !self.has(Flags::SYN_RETRIED) || self.has(Flags::PASSIVE);
        self.has(Flags::ECN) && has_always_asked
    }

    /// A segment went out.
    pub(crate) fn note_ecn_sent(&mut self, is_new_text: bool) {
        let is_ect = is_new_text && self.may_send_ect();
        self.flags.set(Flags::ECT_SENT, is_ect);
        if is_new_text {
            self.flags.remove(Flags::CWR_OWED);
        }
    }

    /// The traffic class byte of the segment that [`poll_transmit`](Self::poll_transmit) has just
    /// written: Diffserv from the settings (RFC 9293 3.9.1.9, SHLD-22), and the ECN field.
    #[must_use]
    pub const fn traffic_class(&self, settings: &Settings) -> u8 {
        let ecn = if self.has(Flags::ECT_SENT) { ECT_0 } else { 0 };
        settings.diffserv() | ecn
    }

    /// What arriving text says about congestion on its way (RFC 3168 6.1.3).
    pub(crate) fn take_marks(&mut self, seg: &Segment<'_>) {
        if !self.has(Flags::ECN) {
            return;
        }
        if seg.has(TcpFlags::CWR) {
            // The window of a peer that says so may be a single segment, so it is not kept waiting.
            self.flags.remove(Flags::CE_SEEN);
            self.owes.insert(Owes::ACK);
        }
        // After the CWR: this segment's own mark is a new one.
        if seg.is_marked() && !self.has(Flags::CE_SEEN) {
            // The ACK that brings the news is not delayed.
            self.flags.insert(Flags::CE_SEEN);
            self.owes.insert(Owes::ACK);
        }
    }

    /// An acceptable ACK that has not been taken yet. RFC 3168 6.1.2: ECE is answered by one
    /// reduction for each window of text, and nothing is sent again. RFC 9438 4.6 has the amount.
    pub(crate) fn check_congestion_echo(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) {
        let is_passed = self.recovery.is_passed_by(seg.ack);
        if self.has(Flags::CWR) && is_passed {
            self.flags.remove(Flags::CWR);
        }
        let flight_size = self.flight_size();
        // With nothing outstanding there is nothing to slow down; the peer says it again.
        let is_news = is_passed && !self.recovery.is_repairing() && flight_size > 0;
        if !self.may_send_ect() || !seg.has(TcpFlags::ECE) || !is_news {
            return;
        }
        let smss = self.smss();
        let flight_size = self.flight_size_before();
        self.congestion.on_congestion_echo(flight_size, smss);
        self.note_mark(cx);
        self.recovery.set_point(self.snd.nxt);
        self.flags.insert(Flags::CWR | Flags::CWR_OWED);
    }

    /// RFC 3168 6.1.2: whatever the window was reduced for, the next new text says CWR.
    pub(crate) fn owe_cwr(&mut self) {
        if self.may_send_ect() {
            self.flags.insert(Flags::CWR_OWED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: TcpFlags = TcpFlags::empty();

    #[test]
    fn a_syn_asks_by_both_bits_and_a_syn_ack_grants_by_one() {
        let bits = [NONE, TcpFlags::ECE, TcpFlags::CWR, ASKING];
        for ecn in [Ecn::Off, Ecn::Passive, Ecn::On] {
            let accepted = bits.map(|bits| ecn.accepts(bits | TcpFlags::SYN));
            assert_eq!(accepted, [false, false, false, ecn != Ecn::Off], "{ecn:?}");
            let granted = bits.map(|bits| ecn.is_granted(bits | TcpFlags::SYN | TcpFlags::ACK));
            assert_eq!(granted, [false, ecn == Ecn::On, false, false], "{ecn:?}");
        }
    }
}
