//! Answers to segments that are not as they should be: ACKs, and not too many of them.
//!
//! RFC 5961 section 7 (and erratum 4772): challenge ACKs are throttled, per connection and not by
//! a counter that all connections share, which an outsider could read off (CVE-2016-5696). The same
//! limit holds for all ACKs that segments without text provoke, so that two ends that disagree
//! cannot answer each other for ever.

use tidegate_wire::Instant;

use crate::tcb::{Owes, Tcb, seconds};

/// Challenge ACKs a connection sends in a second at most. A peer that lost its memory needs one,
/// and one more for each that is lost; with fewer, a blind flood could keep that one from it.
pub(crate) const CHALLENGES_PER_SECOND: u8 = 10;

impl Tcb {
    /// Owes an ACK for what is out of order, unless this second has had its share.
    pub(super) fn owe_challenge(&mut self, now: Instant) {
        if self.may_challenge(now) {
            self.owes.insert(Owes::ACK);
        }
    }

    /// Counts one challenge, if this second has one left.
    pub(super) fn may_challenge(&mut self, now: Instant) -> bool {
        let second = seconds(now);
        if self.challenge_s != second {
            self.challenge_s = second;
            self.challenges = 0;
        }
        let is_allowed = self.challenges < CHALLENGES_PER_SECOND;
        self.challenges += u8::from(is_allowed);
        is_allowed
    }
}
