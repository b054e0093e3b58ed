//! A hierarchical timer wheel, linked by index: one entry a slot, no allocation.
//!
//! Time is cut in ticks of 2^20 ns (1.05 ms). Level 0 has 64 places of one tick, level 1 has 64 of
//! 64 ticks, and so on; a bitmap a level says which places hold something, so the next deadline is
//! found in one look at each level. An entry is placed by the highest bit in which its tick differs
//! from the present one, and moves down a level whenever its place is reached:
//!
//! | level | a place holds | the level reaches |
//! |---|---|---|
//! | 0 | 1.05 ms | 67 ms |
//! | 1 | 67 ms | 4.3 s |
//! | 2 | 4.3 s | 4 min 35 s |
//! | 3 | 4 min 35 s | 4 h 53 min |
//! | 4 | 4 h 53 min | 13 days |
//! | 5 | 13 days | 2 years 3 months |
//!
//! Re-arming is lazy. A deadline that moves away, as a retransmission timer does with every ACK,
//! is only written down; the entry stays where it is and is placed anew when that place is
//! reached. So [`Wheel::next_deadline`] may be too early, never too late, and a timer never fires
//! before its time and at most one tick after it.

use tidegate_wire::Instant;

/// Nanoseconds of a tick, as a power of two. 1 ms is fine enough for delayed ACKs (40 ms) and the
/// least RTO (200 ms); a finer tick makes more work, a coarser one delays ACKs visibly.
const TICK_BITS: u32 = 20;
/// Places of a level, as a power of two: the bits of a bitmap word.
const LEVEL_BITS: u32 = 6;
/// Places of a level.
const PLACES: usize = 1 << LEVEL_BITS;
/// Levels. What lies beyond the last is placed at its far end and placed again from there.
const LEVELS: usize = 6;
/// How far ahead an entry is placed at most: the top level less one place, so that the place of the
/// present is never filled with the future.
const AHEAD_MAX: u64 = (1 << (LEVEL_BITS * 6)) - (1 << (LEVEL_BITS * 5));

/// The list of entries whose time has come; the lists before it are the places of the levels.
const DUE: u16 = 384;
const _: () = assert!(DUE as usize == LEVELS * PLACES);
/// An entry that is in no list.
const NOWHERE: u16 = u16::MAX;
/// End of a list.
const END: u32 = u32::MAX;
/// The deadline of an entry that waits for nothing.
const NEVER: u64 = (1 << DEADLINE_BITS) - 1;
/// Bits of a deadline in ticks: all of [`Instant`]'s range has 44. The list has the other 16.
const DEADLINE_BITS: u32 = 48;

/// The last tick that is a point in time.
const TICK_MAX: u64 = u64::MAX >> TICK_BITS;

/// What the wheel knows of one slot.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The tick at which it is due, [`NEVER`] where it is disarmed, and above that the list it is
    /// in.
    packed: u64,
    next: u32,
    prev: u32,
}

impl Entry {
    const fn new(deadline: u64, list: u16) -> Self {
        let mut entry = Self {
            packed: 0,
            next: END,
            prev: END,
        };
        entry.pack(deadline, list);
        entry
    }

    const fn deadline(&self) -> u64 {
        self.packed & NEVER
    }

    const fn list(&self) -> u16 {
        (self.packed >> DEADLINE_BITS) as u16
    }

    const fn pack(&mut self, deadline: u64, list: u16) {
        self.packed = (list as u64) << DEADLINE_BITS | deadline;
    }

    const fn set_list(&mut self, list: u16) {
        self.pack(self.deadline(), list);
    }

    const fn set_deadline(&mut self, deadline: u64) {
        self.pack(deadline, self.list());
    }
}

/// Timers of all slots; see the module.
#[derive(Debug)]
pub struct Wheel {
    entries: Vec<Entry>,
    /// First entry of each place, and of the list of those due.
    heads: [u32; LEVELS * PLACES + 1],
    /// Which places of a level hold something.
    occupied: [u64; LEVELS],
    /// The tick up to which everything was looked at.
    elapsed: u64,
}

impl Wheel {
    /// Bytes that each slot costs.
    #[cfg(test)]
    pub(crate) const ENTRY_LEN: usize = size_of::<Entry>();

    /// A wheel for slots below `slots`, nothing armed.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        let entry = Entry::new(NEVER, NOWHERE);
        Self {
            entries: vec![entry; slots as usize],
            heads: [END; LEVELS * PLACES + 1],
            occupied: [0; LEVELS],
            elapsed: 0,
        }
    }

    /// Makes room for slots below `slots`, where there is less. It allocates.
    pub(crate) fn grow(&mut self, slots: u32) {
        let len = self.entries.len().max(slots as usize);
        self.entries.resize(len, Entry::new(NEVER, NOWHERE));
    }

    /// Lets `slot` be due at `deadline` instead of whenever it was, or not at all.
    pub fn arm(&mut self, slot: u32, deadline: Option<Instant>) {
        let deadline = deadline.map_or(NEVER, tick_at_or_after);
        let entry = &mut self.entries[slot as usize];
        let is_earlier = deadline < entry.deadline();
        entry.set_deadline(deadline);
        // Only an earlier deadline moves the entry now; a later one waits for the old place. An
        // entry that has no place gets one as soon as it has a deadline.
        let has_no_place = entry.list() == NOWHERE && deadline != NEVER;
        if is_earlier || has_no_place {
            self.unlink(slot);
            self.place(slot);
        }
    }

    /// Takes one slot whose time has come by `now`; it is disarmed by that. To be called until it
    /// answers `None`, or again in the next turn.
    pub fn poll_expired(&mut self, now: Instant) -> Option<u32> {
        let now = now.as_nanos() >> TICK_BITS;
        loop {
            if let Some(slot) = self.pop_due(now) {
                return Some(slot);
            }
            match self.next_place() {
                Some((tick, list)) if tick <= now => self.reach(tick, list),
                Some(_) | None => {
                    self.elapsed = self.elapsed.max(now);
                    return None;
                }
            }
        }
    }

    /// When [`poll_expired`](Self::poll_expired) has work to do next; never later than the first
    /// deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.heads[usize::from(DUE)] != END {
            return Some(instant_of(self.elapsed));
        }
        self.next_place().map(|(tick, _)| instant_of(tick))
    }

    /// The first entry of the due list that is still due, disarmed and out of the list. Others in
    /// front of it have been moved to a later deadline and are placed there.
    fn pop_due(&mut self, now: u64) -> Option<u32> {
        loop {
            let slot = self.heads[usize::from(DUE)];
            if slot == END {
                return None;
            }
            self.unlink(slot);
            let entry = &mut self.entries[slot as usize];
            if entry.deadline() <= now {
                entry.set_deadline(NEVER);
                return Some(slot);
            }
            if entry.deadline() != NEVER {
                self.place(slot);
            }
        }
    }

    /// The first place that is reached, and when. Lower levels always come first: what they hold
    /// lies before the next place of the level above.
    fn next_place(&self) -> Option<(u64, u16)> {
        for level in 0..LEVELS {
            let occupied = self.occupied[level];
            if occupied == 0 {
                continue;
            }
            let shift = shift_of(level);
            let present = self.elapsed >> shift;
            let ahead = occupied
                .rotate_right(place_in_level(present))
                .trailing_zeros();
            let place = present + u64::from(ahead);
            let tick = (place << shift).max(self.elapsed);
            return Some((tick, list_of(level, place)));
        }
        None
    }

    /// Moves time to `tick`, where the place `list` begins, and its entries to where they belong.
    fn reach(&mut self, tick: u64, list: u16) {
        self.elapsed = tick;
        let mut slot = self.heads[usize::from(list)];
        self.heads[usize::from(list)] = END;
        self.occupied[usize::from(list) / PLACES] &= !(1 << (usize::from(list) % PLACES));
        while slot != END {
            let entry = &mut self.entries[slot as usize];
            let next = entry.next;
            entry.set_list(NOWHERE);
            if entry.deadline() != NEVER {
                self.place(slot);
            }
            slot = next;
        }
    }

    /// Puts an entry that is in no list and has a deadline where it belongs.
    fn place(&mut self, slot: u32) {
        let deadline = self.entries[slot as usize].deadline();
        let list = if deadline <= self.elapsed {
            DUE
        } else {
            let tick = deadline.min(self.elapsed + AHEAD_MAX);
            let level = level_of(self.elapsed, tick);
            list_of(level, tick >> shift_of(level))
        };
        let head = self.heads[usize::from(list)];
        if head != END {
            self.entries[head as usize].prev = slot;
        }
        let entry = &mut self.entries[slot as usize];
        entry.next = head;
        entry.prev = END;
        entry.set_list(list);
        self.heads[usize::from(list)] = slot;
        if list != DUE {
            self.occupied[usize::from(list) / PLACES] |= 1 << (usize::from(list) % PLACES);
        }
    }

    /// Takes an entry out of its list, if it is in one.
    fn unlink(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        let (next, prev, list) = (entry.next, entry.prev, entry.list());
        if list == NOWHERE {
            return;
        }
        entry.set_list(NOWHERE);
        if next != END {
            self.entries[next as usize].prev = prev;
        }
        if prev != END {
            self.entries[prev as usize].next = next;
            return;
        }
        self.heads[usize::from(list)] = next;
        if next == END && list != DUE {
            self.occupied[usize::from(list) / PLACES] &= !(1 << (usize::from(list) % PLACES));
        }
    }
}

/// The first tick that is not before `deadline`: a timer never fires early.
fn tick_at_or_after(deadline: Instant) -> u64 {
    deadline.as_nanos().div_ceil(1 << TICK_BITS).min(TICK_MAX)
}

const fn instant_of(tick: u64) -> Instant {
    Instant::from_nanos(tick << TICK_BITS)
}

/// Ticks of a place of `level`, as a power of two.
#[expect(clippy::cast_possible_truncation, reason = "there are six levels")]
const fn shift_of(level: usize) -> u32 {
    LEVEL_BITS * level as u32
}

/// The level on which a tick is placed: that of the highest bit in which it differs from the
/// present.
fn level_of(elapsed: u64, tick: u64) -> usize {
    let differing = (elapsed ^ tick) | (PLACES as u64 - 1);
    let level = (u64::BITS - 1 - differing.leading_zeros()) / LEVEL_BITS;
    (level as usize).min(LEVELS - 1)
}

/// A count of places, modulo those of a level.
#[expect(
    clippy::cast_possible_truncation,
    reason = "below 64 after the remainder"
)]
const fn place_in_level(place: u64) -> u32 {
    (place % PLACES as u64) as u32
}

/// The number of a place among all lists.
#[expect(clippy::cast_possible_truncation, reason = "there are 384 places")]
const fn list_of(level: usize, place: u64) -> u16 {
    (level * PLACES) as u16 + place_in_level(place) as u16
}

#[cfg(test)]
mod tests;
