//! What every step of a TCB is given from outside: time, settings and memory.
//!
//! RFC 9293 3.10 describes each event by what it changes in the TCB; what it takes for granted
//! beside that, a clock, the user's wishes and buffers, is here.

use tidegate_wire::Instant;

use crate::memory::Memory;
use crate::settings::Settings;

/// The surroundings of a step. Nothing in this crate reads a clock or allocates.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time of this turn.
    pub now: Instant,
    /// The settings of the connection's listener or pool; the same in every call for one TCB.
    pub settings: &'a Settings,
    /// The worker's pool of text blocks and range sets.
    pub memory: &'a mut Memory,
}
