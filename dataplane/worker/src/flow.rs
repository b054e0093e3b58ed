//! Flows and the slab they live in.
//!
//! A flow is a TCB and what the worker knows beside it: to whom it belongs, which callbacks are
//! due, and the way its datagrams go. A [`FlowId`] names a slot and the generation of its tenant,
//! so an id that has outlived its flow finds nothing.

use core::fmt;

use tidegate_tcp::{State, Tcb};
use tidegate_wire::{Instant, Moment};

use crate::listener::ListenerId;
use crate::neighbour::HopId;

/// A flow of this worker. It is dead after [`App::on_end`](crate::App::on_end).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowId {
    index: u32,
    generation: u32,
}

impl FlowId {
    /// The slot, below the worker's `flows_max`: an index for tables that go beside the flow table.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Which of the worker's [`Settings`](tidegate_tcp::Settings) a flow follows: an index into
/// [`WorkerConfig::settings`](crate::WorkerConfig::settings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SettingsId(pub u16);

/// How far a flow has come between the stack and the application. Beside it, the TCB has a
/// [`State`] of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Came to a listener and has not finished its handshake. The application knows nothing.
    HalfOpen,
    /// Waits in the accept queue of its listener.
    Queued,
    /// The application's.
    Live,
    /// The application has closed or aborted it and waits for nothing but the end.
    Left,
    /// The end is being told.
    Ending,
    /// The end was told, or there was nobody to tell it to. What remains is TCP's business.
    Over,
}

/// Callbacks that are due for a flow, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due(u8);

impl Due {
    pub(crate) const CONNECTED: Self = Self(1);
    pub(crate) const ACCEPTED: Self = Self(1 << 1);
    pub(crate) const TEXT: Self = Self(1 << 2);
    pub(crate) const WRITABLE: Self = Self(1 << 3);
    pub(crate) const PEER_CLOSED: Self = Self(1 << 4);
    pub(crate) const URGENT: Self = Self(1 << 5);
    pub(crate) const TROUBLE: Self = Self(1 << 6);
    pub(crate) const SOFT_ERROR: Self = Self(1 << 7);

    /// Those that depend on nothing else.
    pub(crate) const AT_ONCE: Self = Self(!(Self::TEXT.0 | Self::PEER_CLOSED.0));

    pub(crate) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether any of `other` is due.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether `other` was due; it no longer is.
    pub(crate) const fn take(&mut self, other: Self) -> bool {
        let was_due = self.has(other);
        self.0 &= !other.0;
        was_due
    }
}

/// A connection and what the worker knows of it.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) tcb: Tcb,
    /// When the application wants to be called; `NEVER` for not at all.
    timer: Moment,
    pub(crate) hop: HopId,
    /// The application's own number.
    pub(crate) tag: u32,
    /// Where it came in, of a flow that was not opened by us.
    pub(crate) listener: Option<ListenerId>,
    pub(crate) settings: SettingsId,
    pub(crate) phase: Phase,
    pub(crate) due: Due,
    /// The application left text and has not asked for it again.
    pub(crate) is_paused: bool,
    /// No block was free for what the application wanted to send.
    pub(crate) is_starved: bool,
    /// The state under which the flow is counted.
    pub(crate) counted: State,
}

/// The time of a timer that is not set.
const NEVER: Moment = Moment::at(Instant::from_nanos(u64::MAX));

impl Flow {
    /// A flow that starts in `phase`.
    pub(crate) const fn new(tcb: Tcb, settings: SettingsId, phase: Phase) -> Self {
        Self {
            tcb,
            timer: NEVER,
            hop: HopId::NONE,
            tag: 0,
            listener: None,
            settings,
            phase,
            due: Due(0),
            is_paused: false,
            is_starved: false,
            counted: State::Closed,
        }
    }

    /// When the application wants to be called.
    pub(crate) fn timer(&self) -> Option<Instant> {
        (self.timer != NEVER).then(|| self.timer.instant())
    }

    pub(crate) fn set_timer(&mut self, at: Option<Instant>) {
        self.timer = at.map_or(NEVER, Moment::at);
    }

    /// Whether the application may act on it.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Whether the application is owed an end.
    pub(crate) const fn is_owed_an_end(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Left)
    }

    /// The earlier of the TCB's and the application's time.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let both = [self.tcb.next_timeout(), self.timer()];
        both.into_iter().flatten().min()
    }
}

/// A place for a flow.
#[derive(Debug)]
struct Slot {
    generation: u32,
    flow: Option<Flow>,
}

/// All flows of a worker. Memory for all of them is set aside at the start and touched when it is
/// first used.
#[derive(Debug)]
pub(crate) struct Flows {
    slots: Vec<Slot>,
    free: Vec<u32>,
    slots_max: u32,
}

impl Flows {
    /// Bytes that each slot costs.
    #[cfg(test)]
    pub(crate) const SLOT_LEN: usize = size_of::<Slot>() + size_of::<u32>();

    /// Room for `flows_max` flows.
    pub(crate) fn new(flows_max: u32) -> Self {
        Self {
            slots: Vec::with_capacity(flows_max as usize),
            free: Vec::with_capacity(flows_max as usize),
            slots_max: flows_max,
        }
    }

    /// Slots that have been in use so far: every flow's index is below it.
    pub(crate) fn slots_used(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("made from a 32-bit count")
    }

    /// How many flows there are.
    pub(crate) fn len(&self) -> u32 {
        self.slots_used() - u32::try_from(self.free.len()).expect("made from a 32-bit count")
    }

    /// Whether there is no room for another flow.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots_used() == self.slots_max
    }

    /// Gives `flow` a slot; `None` where all are taken.
    pub(crate) fn insert(&mut self, flow: Flow) -> Option<FlowId> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.flow = Some(flow);
            return Some(FlowId {
                index,
                generation: slot.generation,
            });
        }
        let index = self.slots_used();
        if index == self.slots_max {
            return None;
        }
        self.slots.push(Slot {
            generation: 0,
            flow: Some(flow),
        });
        Some(FlowId {
            index,
            generation: 0,
        })
    }

    /// Takes the flow out of its slot; ids of it find nothing from now on.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Flow> {
        let slot = &mut self.slots[index as usize];
        let flow = slot.flow.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        Some(flow)
    }

    /// The flow in this slot, if there is one.
    pub(crate) fn at(&self, index: u32) -> Option<&Flow> {
        self.slots.get(index as usize)?.flow.as_ref()
    }

    /// The flow in this slot, if there is one.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut Flow> {
        self.slots.get_mut(index as usize)?.flow.as_mut()
    }

    /// The flow that `id` names, if it still exists.
    pub(crate) fn of(&self, id: FlowId) -> Option<&Flow> {
        let slot = self.slots.get(id.index as usize)?;
        slot.flow
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    /// The flow that `id` names, if it still exists.
    pub(crate) fn of_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.flow
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// The present id of the flow in this slot.
    pub(crate) fn id(&self, index: u32) -> FlowId {
        FlowId {
            index,
            generation: self.slots[index as usize].generation,
        }
    }
}
