//! A limit on how often something is done in a second: a token bucket.

use tidegate_wire::Instant;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// Allows `per_second` a second on average, and as many at once after a quiet second.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Nanoseconds that one costs; zero where none is allowed.
    cost_ns: u64,
    /// When the bucket was, or will have been, empty.
    empty_at: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            cost_ns: SECOND_NS.checked_div(u64::from(per_second)).unwrap_or(0),
            empty_at: Instant::ZERO,
        }
    }

    /// Whether one more may be done now; if so it is counted.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if self.cost_ns == 0 {
            return false;
        }
        let full_at = now.as_nanos().saturating_sub(SECOND_NS);
        let empty_at = self.empty_at.as_nanos().max(full_at) + self.cost_ns;
        let is_allowed = empty_at <= now.as_nanos().max(SECOND_NS);
        if is_allowed {
            self.empty_at = Instant::from_nanos(empty_at);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_average() {
        for start in [0, 1, 1_000_000] {
            let mut rate = Rate::new(10);
            let now = Instant::from_secs(start);
            let at_once = (0..100).filter(|_| rate.take(now)).count();
            assert_eq!(at_once, 10, "at {start} s");
        }
        let mut rate = Rate::new(10);
        let taken = (0..20_000)
            .filter(|ms| rate.take(Instant::from_millis(5_000 + ms)))
            .count();
        assert!((200..=210).contains(&taken), "{taken} in 20 s");
        assert!(!Rate::new(0).take(Instant::from_secs(9)));
    }
}
