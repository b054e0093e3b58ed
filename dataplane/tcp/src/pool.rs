//! So many things of one kind, which are handed out by number and come back. Range sets and send
//! logs are (see `memory`).

/// Room for so many, of which those that were used before are there, so that the others cost no
/// memory.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    there: Vec<T>,
    total: u32,
    /// Those that are there and free.
    free: Vec<u32>,
}

impl<T> Pool<T> {
    /// With room for `total`; nothing is allocated later.
    pub(crate) fn new(total: u32) -> Self {
        Self {
            there: Vec::with_capacity(total as usize),
            total,
            free: Vec::with_capacity(total as usize),
        }
    }

    /// How many there are.
    pub(crate) const fn total(&self) -> u32 {
        self.total
    }

    /// How many nobody holds.
    pub(crate) fn count_free(&self) -> u32 {
        let used = self.there.len() - self.free.len();
        self.total - u32::try_from(used).expect("made from a 32-bit count")
    }

    /// A free one, which begins as `new`.
    pub(crate) fn take(&mut self, new: T) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            self.there[index as usize] = new;
            return Some(index);
        }
        // Within the capacity, so nothing is allocated.
        let index = u32::try_from(self.there.len()).ok()?;
        if index >= self.total {
            return None;
        }
        self.there.push(new);
        Some(index)
    }

    /// One that is held.
    pub(crate) fn at(&self, index: u32) -> &T {
        &self.there[index as usize]
    }

    /// One that is held.
    pub(crate) fn at_mut(&mut self, index: u32) -> &mut T {
        &mut self.there[index as usize]
    }

    /// One that is held, or nothing where the index is of none.
    pub(crate) fn find(&self, index: u32) -> Option<&T> {
        self.there.get(index as usize)
    }

    /// One that is held, or nothing where the index is of none.
    pub(crate) fn find_mut(&mut self, index: u32) -> Option<&mut T> {
        self.there.get_mut(index as usize)
    }

    /// Gives one back.
    pub(crate) fn give(&mut self, index: u32) {
        self.free.push(index);
    }
}
