//! TCP without I/O, in the layout of RFC 9293 section 3.10.
#![forbid(unsafe_code)]

mod congestion;
mod iss;
mod memory;
mod ranges;
mod reassembly;
mod rtt;
mod scoreboard;
mod seq;
mod state;
mod text;
mod tuple;

pub use congestion::{Ack, Congestion, CongestionKind, Cubic, NewReno, initial_window};
pub use iss::Secrets;
pub use memory::{BLOCK_LEN, Chunk, Memory, MemoryConfig, MemoryCounts, MemoryFull};
pub use ranges::{RANGES_MAX, Range, RangesFull};
pub use reassembly::Reassembly;
pub use rtt::{Rtt, RttBounds};
pub use scoreboard::{DUP_THRESH, Outstanding, Scoreboard};
pub use seq::SeqNum;
pub use state::{Event, State};
pub use text::{Slices, TextQueue};
pub use tuple::FourTuple;
