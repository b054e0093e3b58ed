//! A segment arrives in SYN-SENT, RFC 9293 section 3.10.7.3: five steps, of which the third,
//! security, is not done.

use tidegate_wire::{Discard, TcpFlags};

use super::Stop;
use crate::events::{Arrival, End};
use crate::state::Event;
use crate::tcb::{Flags, Owes, Tcb};
use crate::{Context, Segment};

/// The five steps.
pub(super) fn syn_sent<'t>(
    tcb: &mut Tcb,
    seg: Segment<'t>,
    arrival: &mut Arrival<'t>,
    cx: &mut Context<'_>,
) -> Result<(), Stop> {
    tcb.check_ack_of_syn(&seg, cx)?;
    tcb.check_refusal(&seg, cx)?;
    if !seg.has(TcpFlags::SYN) {
        // Fifth: neither SYN nor RST.
        return Err(Discard::TcpSynSentNeither.into());
    }
    tcb.take_syn(&seg, cx);
    if !seg.has(TcpFlags::ACK) {
        tcb.open_simultaneously();
        return Ok(());
    }
    tcb.take_syn_ack(&seg, arrival, cx);
    // The rest is as in the other states, from the sixth step on; the SYN has been taken.
    let rest = Segment {
        seq: seg.seq + 1,
        flags: seg.flags - TcpFlags::SYN,
        ..seg
    };
    let rest = tcb.within_window(rest);
    tcb.check_urgent(&rest, arrival);
    tcb.take_text(&rest, arrival, cx)?;
    tcb.check_fin(&rest, arrival, cx);
    Ok(())
}

impl Tcb {
    /// First: an ACK must be of our SYN, that is in (ISS, SND.NXT].
    fn check_ack_of_syn(&mut self, seg: &Segment<'_>, cx: &Context<'_>) -> Result<(), Stop> {
        let is_good = seg.ack.after(self.snd.iss) && seg.ack.before_or_eq(self.snd.nxt);
        if !seg.has(TcpFlags::ACK) || is_good {
            return Ok(());
        }
        self.refuse(seg, cx.now);
        Err(Discard::TcpSynSentBadAck.into())
    }

    /// Second: a RST is believed with a good ACK, and then the open has failed. RFC 9293 has RFC
    /// 5961's comparison with RCV.NXT here, too; there is no RCV.NXT yet, the ACK is the proof.
    fn check_refusal(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        if !seg.has(TcpFlags::RST) {
            return Ok(());
        }
        if !seg.has(TcpFlags::ACK) {
            return Err(Discard::TcpSynSentRstWithoutAck.into());
        }
        self.finish(Event::ResetArrived, End::Refused, cx.memory);
        Err(Stop::Taken)
    }

    /// Fourth, a SYN without ACK: both ends opened at the same time (3.5, MUST-10). Our SYN goes
    /// out again with the same ISS and the ACK of theirs. Text waits until the peer sends it again.
    fn open_simultaneously(&mut self) {
        self.change(Event::SynArrived);
        self.owes.insert(Owes::SYN);
    }

    /// Fourth, SYN and ACK: the connection is there.
    fn take_syn_ack(&mut self, seg: &Segment<'_>, arrival: &mut Arrival<'_>, cx: &mut Context<'_>) {
        self.change(Event::SynAckArrived);
        self.owes.insert(Owes::ACK);
        self.establish(seg, arrival, cx);
    }

    /// Owes a RST for an ACK that makes no sense during the handshake (3.5.3, group 2). The state
    /// stays as it is; an old duplicate is ended at its sender.
    pub(super) fn refuse(&mut self, seg: &Segment<'_>, now: tidegate_wire::Instant) {
        if !seg.has(TcpFlags::RST) && self.may_challenge(now) {
            self.owe_refusal(seg.ack);
        }
    }

    /// Owes a RST at `seq`, without an ACK (RFC 9293 3.5.3).
    pub(super) fn owe_refusal(&mut self, seq: crate::SeqNum) {
        self.owes.insert(Owes::REFUSAL);
        self.snd.refused = seq;
    }

    /// Whether the handshake used more than one of our SYNs.
    pub(super) const fn is_syn_retried(&self) -> bool {
        self.has(Flags::SYN_RETRIED)
    }
}
