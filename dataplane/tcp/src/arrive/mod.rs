//! A segment arrives, RFC 9293 section 3.10.7: the four cases of the RFC, a file each.
//!
//! | case | section | where |
//! |---|---|---|
//! | CLOSED | 3.10.7.1 | [`closed()`] |
//! | LISTEN | 3.10.7.2 | [`listen()`] |
//! | SYN-SENT | 3.10.7.3 | `syn_sent` |
//! | all others | 3.10.7.4 | `other`, eight steps, with the longer ones beside it |
//!
//! CLOSED and LISTEN have no TCB here, so their answers are values that the caller emits. Nothing
//! in these files sends: a step leaves its TCB wanting to transmit (MUST-58, MUST-59).

use tidegate_wire::Discard;

use crate::events::{Arrival, Events};
use crate::state::State;
use crate::tcb::Tcb;
use crate::{Context, Segment};

mod ack;
mod challenge;
mod closed;
mod duplicate;
mod listen;
mod other;
mod reset;
mod sequence;
mod syn;
mod syn_sent;
mod text;

pub use closed::closed;
pub use listen::{check_opening, listen};
pub use reset::ResetReply;

pub(crate) use challenge::CHALLENGES_PER_SECOND;
pub(crate) use sequence::{is_acceptable, is_older};

/// Why the steps of a case end before the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The segment has done what it could; there is no more to do with it.
    Taken,
    /// The segment is dropped. An answer may be owed all the same.
    Discarded(Discard),
}

impl From<Discard> for Stop {
    fn from(discard: Discard) -> Self {
        Self::Discarded(discard)
    }
}

impl Tcb {
    /// SEGMENT ARRIVES (RFC 9293 3.10.7). Afterwards the TCB may want to transmit, also where the
    /// segment was discarded.
    ///
    /// In-order text is offered in the [`Arrival`], still in the frame; what the user does not take
    /// must be given to [`keep_text`](Self::keep_text) before any other call.
    ///
    /// # Errors
    ///
    /// The reason why the segment was dropped and had no effect beside an answer. Where only its
    /// text was dropped, or something happened before it was, the arrival says so.
    pub fn on_segment<'t>(
        &mut self,
        seg: Segment<'t>,
        cx: &mut Context<'_>,
    ) -> Result<Arrival<'t>, Discard> {
        let mut arrival = Arrival::default();
        let was_over = self.end().is_some();
        let outcome = match self.state {
            State::Closed | State::Listen => Err(Discard::TcpNoListener.into()),
            State::SynSent => syn_sent::syn_sent(self, seg, &mut arrival, cx),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => other::other_states(self, seg, &mut arrival, cx),
        };
        if !was_over && self.end().is_some() {
            arrival.events.insert(Events::ENDED);
        }
        self.settle_timers(cx);
        match outcome {
            Err(Stop::Discarded(discard)) if arrival.events.is_empty() => Err(discard),
            Err(Stop::Discarded(discard)) => {
                arrival.discard = Some(discard);
                Ok(arrival)
            }
            Err(Stop::Taken) | Ok(()) => Ok(arrival),
        }
    }
}
