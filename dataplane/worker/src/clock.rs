//! The clock: the one place of the dataplane that reads one.
//!
//! `CLOCK_MONOTONIC` counts from the same moment for every thread of the machine, so what several
//! workers say about time can be compared. It is read once a turn; everything else gets the time as
//! an argument.

use core::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidegate_wire::Instant;

/// The time now.
#[must_use]
pub fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    let secs = u64::try_from(time.tv_sec).expect("the monotonic clock starts at zero");
    let nanos = u64::try_from(time.tv_nsec).expect("nanoseconds are never negative");
    Instant::from_secs(secs) + Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back() {
        let mut last = now();
        for _ in 0..1_000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}
