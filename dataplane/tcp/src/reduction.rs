//! How the window goes down in fast recovery: proportional rate reduction, RFC 9937 (and before it
//! RFC 6937).
//!
//! Instead of waiting until half of the window has drained, for each segment that is delivered a
//! part of one is sent, so that the window arrives at the threshold when the recovery is over. The
//! account stands in the send log; a connection that got none has the window at the threshold at
//! once, and RFC 6582's inflation where it has no SACK either.

use crate::memory::Memory;
use crate::tcb::Tcb;

/// The variables of RFC 9937 section 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prr {
    /// RecoverFS, in octets: what was in flight when it began.
    recover_fs: u32,
    /// prr_delivered, in octets.
    delivered: u32,
    /// prr_out, in octets.
    out: u32,
}

/// What an ACK in fast recovery says, in octets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    /// DeliveredData.
    pub(crate) octets: u32,
    /// SafeACK: SND.UNA has moved, and nothing more counts as lost.
    pub(crate) is_safe: bool,
    /// inflight.
    pub(crate) pipe: u32,
    pub(crate) ssthresh: u32,
    pub(crate) smss: u32,
}

impl Prr {
    /// Recovery begins with so many octets in flight.
    pub(crate) const fn new(recover_fs: u32) -> Self {
        Self {
            recover_fs,
            delivered: 0,
            out: 0,
        }
    }

    /// Octets were sent, for the first time or again.
    pub(crate) const fn on_sent(&mut self, octets: u32) {
        self.out = self.out.saturating_add(octets);
    }

    /// sndcnt: octets that may be sent beyond what is in flight (RFC 9937 5).
    pub(crate) fn on_ack(&mut self, ack: &Delivered) -> u32 {
        self.delivered = self.delivered.saturating_add(ack.octets);
        let sndcnt = if ack.pipe > ack.ssthresh {
            // In proportion; rounded up to whole segments, or the first would wait for the second.
            let product = u64::from(self.delivered) * u64::from(ack.ssthresh);
            let share = product.div_ceil(u64::from(self.recover_fs.max(1)));
            let whole = share.next_multiple_of(u64::from(ack.smss.max(1)));
            u32::try_from(whole)
                .unwrap_or(u32::MAX)
                .saturating_sub(self.out)
        } else {
            // More was lost than the window is to go down by. What is delivered is replaced
            // (PRR-CRB), and while all goes well by a segment more each time (PRR-SSRB).
            let bound = self.delivered.saturating_sub(self.out).max(ack.octets);
            let more = if ack.is_safe { ack.smss } else { 0 };
            (bound + more).min(ack.ssthresh - ack.pipe)
        };
        // The first retransmission is not held back.
        if self.out == 0 {
            sndcnt.max(ack.smss)
        } else {
            sndcnt
        }
    }
}

impl Tcb {
    /// Fast recovery begins with an ACK that delivered so much, or none.
    pub(crate) fn begin_reduction(&mut self, delivered: u32, memory: &mut Memory) {
        if self.is_modelled() {
            // BBR has an answer of its own to a loss.
            return;
        }
        let recover_fs = self.undelivered() + delivered;
        if let Some(log) = memory.log_mut(self.snd.log) {
            log.prr = Some(Prr::new(recover_fs));
        }
        self.reduce(delivered, false, memory);
    }

    /// An ACK in fast recovery: cwnd := inflight + sndcnt.
    pub(crate) fn reduce(&mut self, delivered: u32, is_safe: bool, memory: &mut Memory) {
        let ack = Delivered {
            octets: delivered,
            is_safe,
            pipe: self.pipe(memory),
            ssthresh: self.congestion.ssthresh(),
            smss: self.smss(),
        };
        let log = memory.log_mut(self.snd.log);
        if let Some(prr) = log.and_then(|log| log.prr.as_mut()) {
            let sndcnt = prr.on_ack(&ack);
            self.congestion
                .set_cwnd(ack.pipe.saturating_add(sndcnt).max(ack.smss));
        }
    }

    /// Fast recovery is over, or something worse has happened.
    pub(crate) fn end_reduction(&self, memory: &mut Memory) {
        if let Some(log) = memory.log_mut(self.snd.log) {
            log.prr = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// Of a hundred segments one is lost, and of those that are delivered so many in ten are
    /// replaced: what goes out is spread over the round trip, and is the threshold in the end.
    #[test]
    fn the_window_goes_down_evenly() {
        for tenths in [5, 7] {
            let ssthresh = tenths * 10 * MSS;
            let (mut prr, mut pipe) = (Prr::new(100 * MSS), 99 * MSS);
            for delivered in 1..100 {
                pipe -= MSS;
                let room = prr.on_ack(&Delivered {
                    octets: MSS,
                    is_safe: false,
                    pipe,
                    ssthresh,
                    smss: MSS,
                });
                let sent = room - room % MSS;
                prr.on_sent(sent);
                pipe += sent;
                let in_proportion = (delivered * tenths).div_ceil(10);
                assert!(prr.out.abs_diff(in_proportion * MSS) <= MSS, "{prr:?}");
            }
            assert!(pipe.abs_diff(ssthresh) <= MSS, "{pipe} and not {ssthresh}");
        }
    }

    /// Where more was lost than the window goes down by: a segment for a segment, and one more for
    /// each ACK that shows progress.
    #[test]
    fn what_is_delivered_is_replaced_where_much_is_lost() {
        let mut prr = Prr::new(20 * MSS);
        let mut ack = Delivered {
            octets: MSS,
            is_safe: false,
            pipe: 4 * MSS,
            ssthresh: 10 * MSS,
            smss: MSS,
        };
        assert_eq!(prr.on_ack(&ack), MSS);
        prr.on_sent(MSS);
        assert_eq!(prr.on_ack(&ack), MSS);
        prr.on_sent(MSS);
        ack.is_safe = true;
        assert_eq!(prr.on_ack(&ack), 2 * MSS);
        prr.on_sent(2 * MSS);
        ack.pipe = 9 * MSS + 500;
        assert_eq!(prr.on_ack(&ack), 500, "not above the threshold");
    }

    #[test]
    fn the_first_retransmission_is_not_held_back() {
        let mut prr = Prr::new(10 * MSS);
        let ack = Delivered {
            octets: 0,
            is_safe: false,
            pipe: 9 * MSS,
            ssthresh: 7 * MSS,
            smss: MSS,
        };
        assert_eq!(prr.on_ack(&ack), MSS);
        prr.on_sent(MSS);
        assert_eq!(prr.on_ack(&ack), 0);
    }
}
