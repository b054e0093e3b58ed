//! Fourth, the SYN bit (RFC 9293 3.10.7.4), and the one SYN that is welcome: in TIME-WAIT.

use tidegate_wire::{Discard, TcpFlags};

use super::Stop;
use crate::events::{Arrival, End, Events};
use crate::state::{Event, State};
use crate::tcb::{Flags, Tcb};
use crate::time_wait::is_new_incarnation;
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
        let ts_recent = self.has(Flags::TIMESTAMPS).then_some(self.rcv.ts_recent);
        let is_new = || is_new_incarnation(seg, self.rcv.nxt, ts_recent, cx.settings);
        if !is_opening || !is_over || !is_new() {
            return Ok(());
        }
        self.finish(Event::TimeWaitOver, End::Closed, cx.memory);
        arrival.events.insert(Events::SUPERSEDED);
        Err(Stop::Taken)
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
