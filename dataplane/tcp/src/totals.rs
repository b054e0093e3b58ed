//! What a connection has done since it began: counts that STATUS (RFC 9293 section 3.10.6) shows.
//!
//! The bytes acknowledged and received are not counted a second time: the sequence numbers say how
//! many, once it is known how often they went round. Nothing here has a say in what is sent.

use tidegate_wire::Instant;

use crate::SeqNum;
use crate::state::State;

/// Counts of one connection. They stop at their largest value; sequence numbers go round more often
/// than can be counted after 281 terabytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    /// How often SND.UNA went past ISS again.
    snd_laps: u16,
    /// How often RCV.NXT went past IRS again.
    rcv_laps: u16,
    /// Segments with text or a FIN that went out, each time counted.
    pub(crate) segments_sent: u32,
    /// Of the segments sent again, those because a timer went off or the window was closed.
    pub(crate) again_by_timer: u32,
    /// Of the segments sent again, those that were tail loss probes.
    pub(crate) again_as_probe: u16,
    /// Of the segments sent again, those that were a SYN or a SYN-ACK.
    pub(crate) again_syn: u8,
    /// The state whose begin is known.
    state: State,
    /// When it began, in hundredths of a second: they wrap after 497 days.
    began_cs: u32,
}

const _: () = assert!(size_of::<Totals>() <= 20, "it is in every idle flow");

impl Totals {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            snd_laps: 0,
            rcv_laps: 0,
            segments_sent: 0,
            again_by_timer: 0,
            again_as_probe: 0,
            again_syn: 0,
            state: State::Closed,
            began_cs: centiseconds(now),
        }
    }

    /// The state may have changed.
    pub(crate) fn note_state(&mut self, state: State, now: Instant) {
        if self.state != state {
            self.state = state;
            self.began_cs = centiseconds(now);
        }
    }

    /// For how long `state` has lasted, exact to a hundredth of a second.
    pub(crate) fn time_in(&self, state: State, now: Instant) -> core::time::Duration {
        let lasted_cs = if self.state == state {
            centiseconds(now).wrapping_sub(self.began_cs)
        } else {
            0
        };
        core::time::Duration::from_millis(u64::from(lasted_cs) * 10)
    }

    /// SND.UNA moves from `una` to `to`.
    pub(crate) fn on_una(&mut self, iss: SeqNum, una: SeqNum, to: SeqNum) {
        let has_gone_round = to.since(iss) < una.since(iss);
        self.snd_laps = self.snd_laps.saturating_add(u16::from(has_gone_round));
    }

    /// RCV.NXT moves from `nxt` to `to`.
    pub(crate) fn on_rcv_nxt(&mut self, irs: SeqNum, nxt: SeqNum, to: SeqNum) {
        let has_gone_round = to.since(irs) < nxt.since(irs);
        self.rcv_laps = self.rcv_laps.saturating_add(u16::from(has_gone_round));
    }

    /// RCV.NXT moves back from `nxt` to `to`: text that was offered found no memory.
    pub(crate) fn on_rcv_nxt_back(&mut self, irs: SeqNum, nxt: SeqNum, to: SeqNum) {
        let has_come_back = to.since(irs) > nxt.since(irs);
        self.rcv_laps = self.rcv_laps.saturating_sub(u16::from(has_come_back));
    }

    /// Octets of sequence space from ISS to SND.UNA.
    pub(crate) fn acked(&self, iss: SeqNum, una: SeqNum) -> u64 {
        u64::from(self.snd_laps) << 32 | u64::from(una.since(iss))
    }

    /// Octets of sequence space from IRS to RCV.NXT.
    pub(crate) fn received(&self, irs: SeqNum, nxt: SeqNum) -> u64 {
        u64::from(self.rcv_laps) << 32 | u64::from(nxt.since(irs))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
const fn centiseconds(now: Instant) -> u32 {
    (now.as_millis() / 10) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_that_go_round_are_counted_on() {
        let iss = SeqNum::new(u32::MAX - 10);
        let mut totals = Totals::new(Instant::ZERO);
        let (mut una, mut acked) = (iss, 0_u64);
        for _ in 0..25 {
            let to = una + 1_000_000_000;
            totals.on_una(iss, una, to);
            totals.on_rcv_nxt(iss, una, to);
            una = to;
            acked += 1_000_000_000;
            assert_eq!(totals.acked(iss, una), acked);
            assert_eq!(totals.received(iss, una), acked);
        }
        // Five times round and a little; back before the fifth.
        let back = una - 4_000_000_000;
        totals.on_rcv_nxt_back(iss, una, back);
        assert_eq!(totals.received(iss, back), acked - 4_000_000_000);
    }

    #[test]
    fn a_state_lasts_from_when_it_was_first_seen() {
        let mut totals = Totals::new(Instant::ZERO);
        totals.note_state(State::Established, Instant::from_secs(3));
        totals.note_state(State::Established, Instant::from_secs(9));
        let lasted = |state| totals.time_in(state, Instant::from_secs(10)).as_secs();
        assert_eq!(lasted(State::Established), 7);
        assert_eq!(lasted(State::CloseWait), 0, "it begins now");
    }
}
