//! A segment arrives in SYN-RECEIVED or any later state, RFC 9293 section 3.10.7.4: eight steps.
//!
//! This is the table of contents; each step stands where the last column says. To be read beside
//! the RFC.
//!
//! | step | checks | where |
//! |---|---|---|
//! | before | a SYN in TIME-WAIT (3.6.1), old timestamps (RFC 7323 5.3) | `syn`, `sequence` |
//! | first | the sequence number | `sequence` |
//! | second | the RST bit | here |
//! | third | security: not done, nobody has the option (appendix A.1) | |
//! | fourth | the SYN bit | `syn` |
//! | fifth | the ACK field | `ack` |
//! | sixth | the URG bit | here |
//! | seventh | the text | `text` |
//! | eighth | the FIN bit | `text` |

use tidegate_wire::{Discard, TcpFlags};

use super::Stop;
use crate::events::{Arrival, End, Events};
use crate::state::{Event, State};
use crate::tcb::{Flags, Tcb};
use crate::{Context, Segment};

/// The eight steps.
pub(super) fn other_states<'t>(
    tcb: &mut Tcb,
    seg: Segment<'t>,
    arrival: &mut Arrival<'t>,
    cx: &mut Context<'_>,
) -> Result<(), Stop> {
    tcb.check_new_incarnation(&seg, arrival, cx)?;
    tcb.check_timestamps(&seg, cx)?;
    let seg = tcb.check_sequence(seg, cx)?;
    tcb.check_rst(&seg, cx)?;
    tcb.check_syn(&seg, cx)?;
    tcb.check_ack(&seg, arrival, cx)?;
    tcb.check_urgent(&seg, arrival);
    tcb.take_text(&seg, arrival, cx)?;
    tcb.check_fin(&seg, arrival, cx);
    Ok(())
}

impl Tcb {
    /// Second: the RST bit. RFC 9293 3.10.7.4 has RFC 5961 section 3 here: only a RST exactly at
    /// RCV.NXT resets, because that is hard to guess for those who are not on the path.
    fn check_rst(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        if !seg.has(TcpFlags::RST) {
            return Ok(());
        }
        // RFC 1337: a RST does not shorten TIME-WAIT, an old duplicate could have caused it.
        if self.state == State::TimeWait {
            return Err(Discard::TcpRstInTimeWait.into());
        }
        if seg.seq != self.rcv.nxt {
            self.owe_challenge(cx.now);
            return Err(Discard::TcpRstChallenged.into());
        }
        match (self.state, self.has(Flags::PASSIVE)) {
            // The listener is still there; what came of its SYN goes, and nobody is told.
            (State::SynReceived, true) => self.finish(Event::BackToListen, End::Reset, cx.memory),
            (State::SynReceived, false) => {
                self.finish(Event::ResetArrived, End::Refused, cx.memory)
            }
            _ => self.finish(Event::ResetArrived, End::Reset, cx.memory),
        }
        Err(Stop::Taken)
    }

    /// Sixth: the URG bit. RCV.UP moves only forward, and the user is told when it does (MUST-32).
    pub(super) fn check_urgent(&mut self, seg: &Segment<'_>, arrival: &mut Arrival<'_>) {
        if !seg.has(TcpFlags::URG) || !self.state.can_receive_text() {
            return;
        }
        // MUST-62: the pointer names the octet after the last urgent one; MUST-31: at any distance.
        let up = seg.seq + u32::from(seg.urgent);
        let is_news = if self.has(Flags::URGENT) {
            up.after(self.rcv.up)
        } else {
            up.after(self.rcv.nxt)
        };
        if is_news {
            self.flags.insert(Flags::URGENT);
            self.rcv.up = up;
            arrival.events.insert(Events::URGENT);
        }
    }
}
