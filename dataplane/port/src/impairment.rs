//! What can go wrong with a frame on its way, and the dice that decide it from a seed.
//!
//! What happens to the n-th frame depends on the seed and on n alone, so switching one kind of
//! fault on does not move the others to different frames.

use core::time::Duration;

use crate::random::SplitMix64;

/// How one direction of a link treats frames. Probabilities lie between 0.0, never, and 1.0,
/// always; beyond these they mean the same. The default does nothing to any frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// The probability that a frame is lost.
    pub loss: f64,
    /// The probability that a frame arrives twice.
    pub duplication: f64,
    /// The probability that one bit of a frame, anywhere in it, is flipped.
    pub corruption: f64,
    /// The probability that a frame is held back by `reorder_delay`, so that later ones overtake
    /// it.
    pub reordering: f64,
    /// How long a frame is held back that is to be overtaken.
    pub reorder_delay: Duration,
    /// How long every frame travels.
    pub delay: Duration,
    /// Up to how much longer a frame travels, each its own random part. Frames do not overtake
    /// each other by it, as in a queue.
    pub jitter: Duration,
    /// Bits a second that the line carries, Ethernet headers counted; `None`: no limit.
    pub bandwidth: Option<u64>,
    /// Where `bandwidth` is given: how many bytes may wait for the line. What comes when the
    /// queue is full is dropped.
    pub queue_bytes: u64,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplication: 0.0,
            corruption: 0.0,
            reordering: 0.0,
            reorder_delay: Duration::from_millis(1),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            bandwidth: None,
            queue_bytes: 256 * 1024,
        }
    }
}

/// What happens to one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    pub(crate) lost: bool,
    pub(crate) duplicated: bool,
    /// Which bit is flipped, as a random number to be reduced by the frame's length.
    pub(crate) corrupted: Option<u64>,
    pub(crate) reordered: bool,
    pub(crate) jitter: Duration,
}

/// Decides the fate of one frame after the other.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    impairment: Impairment,
    /// Whether any fate but the perfect one is possible.
    fair: bool,
    seed: u64,
    /// Frames decided so far.
    rolled: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64, impairment: Impairment) -> Self {
        let mut dice = Self {
            impairment,
            fair: true,
            seed,
            rolled: 0,
        };
        dice.set(impairment);
        dice
    }

    /// What the dice decide by.
    pub(crate) const fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// Decides by other probabilities from the next frame on.
    pub(crate) fn set(&mut self, impairment: Impairment) {
        self.impairment = impairment;
        self.fair = impairment.loss <= 0.0
            && impairment.duplication <= 0.0
            && impairment.corruption <= 0.0
            && impairment.reordering <= 0.0
            && impairment.jitter.is_zero();
    }

    /// The fate of the next frame.
    pub(crate) fn roll(&mut self) -> Fate {
        let index = self.rolled;
        self.rolled += 1;
        if self.fair {
            return Fate::default();
        }
        // Always the same draws in the same order, whatever is switched on.
        let mut random = SplitMix64::stream(self.seed, index);
        let lost = happens(self.impairment.loss, random.next());
        let duplicated = happens(self.impairment.duplication, random.next());
        let corrupted = happens(self.impairment.corruption, random.next());
        let reordered = happens(self.impairment.reordering, random.next());
        let bit = random.next();
        let jitter_ns = u64::try_from(self.impairment.jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = random.below(jitter_ns.saturating_add(1));
        Fate {
            lost,
            duplicated,
            corrupted: corrupted.then_some(bit),
            reordered,
            jitter: Duration::from_nanos(jitter),
        }
    }
}

/// Whether an event of this probability happens, given 64 random bits.
fn happens(probability: f64, bits: u64) -> bool {
    // 53 bits are what a double holds exactly; the result is below 1.0, so 1.0 means always.
    let mantissa = u32::try_from(bits >> 43).expect("21 bits remain");
    let low = u32::try_from((bits >> 11) & 0xffff_ffff).expect("32 bits remain");
    let uniform =
        (f64::from(mantissa) * 4_294_967_296.0 + f64::from(low)) / 9_007_199_254_740_992.0;
    uniform < probability
}

/// Flips one bit, chosen by `random` among all bits of `bytes`. Returns whether there was one.
pub(crate) fn flip_bit(bytes: &mut [u8], random: u64) -> bool {
    let bits = bytes.len() as u64 * 8;
    if bits == 0 {
        return false;
    }
    let bit = SplitMix64::new(random).below(bits);
    let byte = usize::try_from(bit / 8).expect("an index into the slice");
    bytes[byte] ^= 1 << (bit % 8);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_the_probabilities_asked_for() {
        let impairment = Impairment {
            loss: 0.1,
            duplication: 0.02,
            corruption: 0.5,
            reordering: 1.0,
            jitter: Duration::from_micros(100),
            ..Impairment::default()
        };
        let mut dice = Dice::new(42, impairment);
        let mut counts = [0_u32; 4];
        let mut jitter = Duration::ZERO;
        for _ in 0..100_000 {
            let fate = dice.roll();
            counts[0] += u32::from(fate.lost);
            counts[1] += u32::from(fate.duplicated);
            counts[2] += u32::from(fate.corrupted.is_some());
            counts[3] += u32::from(fate.reordered);
            assert!(fate.jitter <= impairment.jitter);
            jitter += fate.jitter;
        }
        assert!((9_700..10_300).contains(&counts[0]), "{counts:?}");
        assert!((1_850..2_150).contains(&counts[1]), "{counts:?}");
        assert!((49_400..50_600).contains(&counts[2]), "{counts:?}");
        assert_eq!(counts[3], 100_000);
        let mean_us = (jitter / 100_000).as_micros();
        assert!((49..=51).contains(&mean_us), "{mean_us}");
    }

    #[test]
    fn one_fault_does_not_move_another() {
        let loss = Impairment {
            loss: 0.3,
            ..Impairment::default()
        };
        let both = Impairment {
            corruption: 0.3,
            ..loss
        };
        let (mut a, mut b) = (Dice::new(9, loss), Dice::new(9, both));
        for _ in 0..1_000 {
            assert_eq!(a.roll().lost, b.roll().lost);
        }
    }

    #[test]
    fn exactly_one_bit_is_flipped() {
        for random in 0..1_000 {
            let mut bytes = [0_u8; 60];
            assert!(flip_bit(&mut bytes, random));
            assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
        assert!(!flip_bit(&mut [], 3));
    }
}
