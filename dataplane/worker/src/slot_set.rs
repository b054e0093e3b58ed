//! A set of slots without order, a bit each.
//!
//! Flows that wait for a next hop stand in it. Joining, leaving and being asked for cost a few
//! instructions; taking one looks at 64 slots at a time, which is for what happens rarely.

/// Slots of one word.
const BITS: u32 = u64::BITS;

/// Slots below a bound, each in or out.
#[derive(Debug)]
pub(crate) struct SlotSet {
    words: Box<[u64]>,
    len: u32,
    /// No word before this one has a bit.
    first: usize,
}

impl SlotSet {
    /// An empty set for slots below `slots`.
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            words: vec![0; slots.div_ceil(BITS) as usize].into(),
            len: 0,
            first: 0,
        }
    }

    /// Whether `slot` is in.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.words[(slot / BITS) as usize] & bit(slot) != 0
    }

    /// Puts `slot` in.
    pub(crate) fn insert(&mut self, slot: u32) {
        if self.contains(slot) {
            return;
        }
        let index = (slot / BITS) as usize;
        self.words[index] |= bit(slot);
        self.first = self.first.min(index);
        self.len += 1;
    }

    /// Takes `slot` out, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        if self.contains(slot) {
            self.words[(slot / BITS) as usize] &= !bit(slot);
            self.len -= 1;
        }
    }

    /// Takes the lowest slot out.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let ahead = self.words[self.first..].iter().position(|word| *word != 0);
        self.first += ahead.expect("len counts the bits, and none is before first");
        let bits = self.words[self.first].trailing_zeros();
        let index = u32::try_from(self.first).expect("made from a 32-bit count");
        let slot = index * BITS + bits;
        self.remove(slot);
        Some(slot)
    }
}

/// The bit of `slot` in its word.
const fn bit(slot: u32) -> u64 {
    1 << (slot % BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(u32),
        Remove(u32),
        Pop,
    }

    #[expect(clippy::disallowed_types, reason = "inside prop_oneof")]
    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..200u32).prop_map(Step::Insert),
            (0..200u32).prop_map(Step::Remove),
            Just(Step::Pop),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set_that_gives_the_lowest_first(steps in prop::collection::vec(step(), 0..200)) {
            let mut set = SlotSet::new(200);
            let mut model = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Insert(slot) => {
                        set.insert(slot);
                        model.insert(slot);
                    }
                    Step::Remove(slot) => {
                        set.remove(slot);
                        model.remove(&slot);
                    }
                    Step::Pop => prop_assert_eq!(set.pop(), model.pop_first()),
                }
                for slot in 0..200 {
                    prop_assert_eq!(set.contains(slot), model.contains(&slot));
                }
            }
        }
    }
}
