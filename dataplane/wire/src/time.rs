//! Time as the dataplane sees it: nanoseconds since a start that nobody needs to know.
//!
//! Time is an argument everywhere; nothing in this crate reads a clock. Lengths of time are
//! [`core::time::Duration`].

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time, in nanoseconds since an arbitrary start; it reaches 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The arbitrary start.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// The point `millis` milliseconds after the start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The point `secs` seconds after the start.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time that has passed since `earlier`, or zero where `earlier` is the later one.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in nanoseconds, capped at what 64 bits hold.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

/// A point in time in six bytes, for records of which there are many: whole microseconds, rounded
/// up, so that a deadline is not early. It reaches nine years; what is later counts as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment([u16; 3]);

impl Moment {
    /// The latest.
    const MICROS_MAX: u64 = (1 << 48) - 1;

    /// The moment at `instant`, or up to a microsecond later.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cut in three, 48 bits in all"
    )]
    pub const fn at(instant: Instant) -> Self {
        let micros = instant.0.div_ceil(1_000);
        let micros = if micros > Self::MICROS_MAX {
            Self::MICROS_MAX
        } else {
            micros
        };
        Self([micros as u16, (micros >> 16) as u16, (micros >> 32) as u16])
    }

    /// The same as an [`Instant`].
    #[must_use]
    pub const fn instant(self) -> Instant {
        let [low, middle, high] = self.0;
        Instant::from_micros((high as u64) << 32 | (middle as u64) << 16 | low as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_nanos(u64::MAX);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.saturating_since(end), Duration::ZERO);
        assert_eq!(
            (Instant::from_millis(3) + Duration::from_micros(5)).as_micros(),
            3_005
        );
    }

    #[test]
    fn a_moment_is_not_early_and_not_a_microsecond_late() {
        for nanos in [0, 1, 999, 1_000, 1_001, 123_456_789_012_345_678] {
            let instant = Instant::from_nanos(nanos);
            let moment = Moment::at(instant).instant();
            assert!(moment >= instant && moment.as_nanos() - nanos < 1_000);
        }
        let never = Moment::at(Instant::from_nanos(u64::MAX));
        assert_eq!(never.instant().as_micros(), (1 << 48) - 1);
        assert_eq!(size_of::<Moment>(), 6);
    }
}
