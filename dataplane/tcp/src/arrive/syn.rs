//! Fourth, the SYN bit (RFC 9293 3.10.7.4), and the one SYN that is welcome: in TIME-WAIT.

use tidegate_wire::{Discard, TcpFlags};

use super::Stop;
use super::sequence::is_older;
use crate::events::{Arrival, End, Events};
use crate::state::{Event, State};
use crate::tcb::{Flags, Tcb};
use crate::{Context, Segment};

impl Tcb {
    /// RFC 9293 3.6.1, MAY-2 and SHLD-4: a SYN in TIME-WAIT may be a new incarnation of the
    /// connection. Then this one ends early, and the caller gives the SYN to the listener.
    pub(super) fn check_new_incarnation(
        &mut self,
        seg: &Segment<'_>,
        arrival: &mut Arrival<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let is_opening = super::check_opening(seg).is_ok();
        // While the user still reads what the old one brought, there is no room for a new one.
        let is_over = self.state == State::TimeWait && self.end().is_some();
        if !is_opening || !is_over || !self.is_new_incarnation(seg, cx) {
            return Ok(());
        }
        self.finish(Event::TimeWaitOver, End::Closed, cx.memory);
        arrival.events.insert(Events::SUPERSEDED);
        Err(Stop::Taken)
    }

    /// RFC 6191 2: by the timestamps where both incarnations have them, else by sequence numbers.
    fn is_new_incarnation(&self, seg: &Segment<'_>, cx: &Context<'_>) -> bool {
        let is_seq_higher = seg.seq.after(self.rcv.nxt);
        let timestamps = seg.options.timestamps.filter(|_| cx.settings.timestamps);
        match (self.has(Flags::TIMESTAMPS), timestamps) {
            (true, Some(new)) if new.value == self.rcv.ts_recent => is_seq_higher,
            (true, Some(new)) => is_older(self.rcv.ts_recent, new.value),
            // The old one had none, so what has them cannot be an old duplicate.
            (false, Some(_)) => true,
            (_, None) => is_seq_higher,
        }
    }

    /// Fourth: a SYN in the window. RFC 9293 3.10.7.4 has RFC 5961 section 4 here: nobody can end a
    /// connection with a forged SYN; a peer that lost its memory answers the ACK with a RST.
    pub(super) fn check_syn(
        &mut self,
        seg: &Segment<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        if !seg.has(TcpFlags::SYN) {
            return Ok(());
        }
        if self.state == State::SynReceived && self.has(Flags::PASSIVE) {
            // Back to LISTEN; the SYN will come again, and then to the listener.
            self.finish(Event::BackToListen, End::Reset, cx.memory);
            return Err(Stop::Taken);
        }
        self.owe_challenge(cx.now);
        Err(Discard::TcpSynChallenged.into())
    }
}
