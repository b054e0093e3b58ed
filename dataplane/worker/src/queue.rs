//! A queue of slots in which each slot stands at most once, linked by index.
//!
//! Flows that want to transmit, or that have something to tell the application, wait in one of
//! these. All links are allocated when the worker starts: joining, leaving from the middle and
//! being asked whether one is in cost a few stores. It does not know what the slots hold.

/// A slot that is in no queue.
const ABSENT: u32 = u32::MAX;
/// The end of the queue, in both directions.
const END: u32 = u32::MAX - 1;

/// Neighbours of a slot in the queue.
#[derive(Clone, Copy, Debug)]
struct Link {
    next: u32,
    prev: u32,
}

/// Slots in the order in which they came.
#[derive(Debug)]
pub(crate) struct IndexQueue {
    links: Box<[Link]>,
    head: u32,
    tail: u32,
    len: u32,
}

impl IndexQueue {
    /// Bytes that each slot costs.
    #[cfg(test)]
    pub(crate) const LINK_LEN: usize = size_of::<Link>();

    /// An empty queue for slots below `slots`.
    pub(crate) fn new(slots: u32) -> Self {
        let link = Link {
            next: ABSENT,
            prev: END,
        };
        Self {
            links: vec![link; slots as usize].into(),
            head: END,
            tail: END,
            len: 0,
        }
    }

    /// How many slots wait.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether none waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `slot` waits.
    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.links[slot as usize].next != ABSENT
    }

    /// Puts `slot` at the end, unless it is in the queue already.
    pub(crate) fn push(&mut self, slot: u32) {
        if self.contains(slot) {
            return;
        }
        self.links[slot as usize] = Link {
            next: END,
            prev: self.tail,
        };
        match self.tail {
            END => self.head = slot,
            tail => self.links[tail as usize].next = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    /// Takes the slot that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = self.head;
        if slot == END {
            return None;
        }
        self.remove(slot);
        Some(slot)
    }

    /// Takes `slot` out, wherever it stands, if it is in.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Link { next, prev } = self.links[slot as usize];
        if next == ABSENT {
            return;
        }
        match prev {
            END => self.head = next,
            prev => self.links[prev as usize].next = next,
        }
        match next {
            END => self.tail = prev,
            next => self.links[next as usize].prev = prev,
        }
        self.links[slot as usize].next = ABSENT;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push(u32),
        Pop,
        Remove(u32),
    }

    #[expect(clippy::disallowed_types, reason = "inside prop_oneof")]
    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..8u32).prop_map(Step::Push),
            Just(Step::Pop),
            (0..8u32).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue_without_repetition(steps in prop::collection::vec(step(), 0..200)) {
            let mut queue = IndexQueue::new(8);
            let mut model = VecDeque::new();
            for step in steps {
                match step {
                    Step::Push(slot) => {
                        queue.push(slot);
                        if !model.contains(&slot) {
                            model.push_back(slot);
                        }
                    }
                    Step::Pop => prop_assert_eq!(queue.pop(), model.pop_front()),
                    Step::Remove(slot) => {
                        queue.remove(slot);
                        model.retain(|other| *other != slot);
                    }
                }
                prop_assert_eq!(queue.len() as usize, model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                for slot in 0..8 {
                    prop_assert_eq!(queue.contains(slot), model.contains(&slot));
                }
            }
        }
    }
}
