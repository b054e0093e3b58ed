//! Going back: all that is outstanding is sent again from the beginning, because the retransmission
//! timer went off (RFC 6298 5.4, RFC 5681 3.1), or because the peer may not have kept it.
//!
//! SND.NXT stays where it is; the cursor of [`Recovery`](crate::recovery::Recovery) goes back.

use crate::memory::Memory;
use crate::recovery::Phase;
use crate::tcb::{Flags, Owes, Tcb};

impl Tcb {
    /// The retransmission timer went off: everything outstanding counts as lost, and what the peer
    /// reported is forgotten, because it may have reneged (RFC 2018 8).
    pub(crate) fn on_retransmission_timeout(&mut self, memory: &mut Memory) {
        let is_repeated = self.retries > 1;
        // RFC 5682 2.1 step 1: where a timeout is being repaired that goes on, and nothing is asked
        // again, unless nothing was acknowledged since.
        let was_recovering = match self.recovery.phase {
            Phase::Open => false,
            Phase::Fast => true,
            Phase::GoBack => !is_repeated,
        };
        self.begin_undo(true, memory);
        self.congestion
            .on_rto(self.flight_size(), self.smss(), is_repeated);
        self.flags.remove(Flags::CWR);
        self.owe_cwr();
        self.forget_reports(memory);
        self.go_back(memory);
        self.begin_frto(was_recovering, memory);
        self.recovery.owe_first();
        // Karn's rule (RFC 6298 3): what is sent again is not timed.
        self.flags.remove(Flags::TIMED);
    }

    /// The scoreboard is cleared. What stood there has arrived, once: its acknowledgment will say
    /// nothing of when, and nothing of whether the timeout was for nothing.
    fn forget_reports(&mut self, memory: &mut Memory) {
        let reported = self.scoreboard.ranges(memory);
        if let Some(log) = memory.log_mut(self.snd.log) {
            reported.iter().for_each(|part| log.mark_ambiguous(*part));
        }
        self.scoreboard.clear(memory);
    }

    /// What was sent may not have been kept, because the window was closed or the segments were too
    /// large. It goes again, and no congestion is to blame.
    pub(crate) fn go_back_unharmed(&mut self, memory: &mut Memory) {
        self.go_back(memory);
        self.forget_undo(memory);
        self.flags.remove(Flags::TIMED);
    }

    /// All that is outstanding is sent again, from the beginning.
    fn go_back(&mut self, memory: &mut Memory) {
        self.recovery.go_back(self.snd.una, self.snd.nxt);
        self.owes.remove(Owes::TAIL_PROBE);
        if let Some(log) = memory.log_mut(self.snd.log) {
            log.mark_all_lost();
            log.tail_probe = None;
            log.mtu_probe = None;
            log.prr = None;
        }
    }
}
