//! TCP without I/O, in the layout of RFC 9293 section 3.10.
//!
//! A [`Tcb`] is one connection. It is given segments, calls and timeouts, each with the time and
//! the memory it may use in a [`Context`], and asked afterwards what it wants to transmit:
//!
//! ```text
//!   open / accept ---+                        +--> Events, text in order
//!   on_segment ------+--> Tcb (11 states) ----+--> poll_transmit: one segment after the other
//!   on_timeout ------+                        +--> next_timeout
//!   send, close, .. -+
//! ```
//!
//! No call sends, reads a clock, allocates or calls back. The folder is the table of contents of
//! RFC 9293 3.10; names are the RFC's. To read it, begin with `tcb` and `arrive::other`.
//!
//! What it does not do: IP, ARP, port numbers, listeners, the table of connections.
#![forbid(unsafe_code)]

pub mod arrive;
mod buffers;
mod call;
mod congestion;
mod context;
mod cookie;
mod ecn;
mod events;
mod fast_open;
mod go_back;
mod half_open;
mod icmp;
mod invariants;
mod iss;
mod memory;
mod model;
mod open;
mod pacing;
mod path_mtu;
mod pool;
mod rack;
mod ranges;
mod rate;
mod reassembly;
mod recovery;
mod reduction;
mod rtt;
mod scoreboard;
mod segment;
mod sent;
mod seq;
mod settings;
mod snapshot;
mod state;
mod tail_probe;
mod tcb;
mod text;
mod time_wait;
mod timeout;
mod timers;
mod totals;
mod transmit;
mod tuple;
mod undo;

pub use arrive::ResetReply;
pub use call::{SendError, ShutdownError};
pub use congestion::{
    Ack, BbrFigures, BbrPhase, Congestion, CongestionKind, Cubic, NewReno, initial_window,
};
pub use context::Context;
pub use ecn::Ecn;
pub use events::{Arrival, End, Events};
pub use fast_open::{Brought, FastOpenKeys};
pub use half_open::HalfOpen;
pub use icmp::{IcmpError, IcmpKind};
pub use iss::Secrets;
pub use memory::{BLOCK_LEN, Chunk, Memory, MemoryConfig, MemoryCounts, MemoryFull};
pub use pacing::Pacing;
pub use path_mtu::MtuProbing;
pub use ranges::{RANGES_MAX, Range, RangesFull};
pub use reassembly::Reassembly;
pub use rtt::{Rtt, RttBounds};
pub use scoreboard::{DUP_THRESH, Outstanding, Scoreboard};
pub use segment::Segment;
pub use seq::SeqNum;
pub use settings::{Keepalive, Settings};
pub use snapshot::{Again, RepairPhase, TcbSnapshot};
pub use state::{Event, State};
pub use tcb::Tcb;
pub use text::{Slices, TextQueue};
pub use time_wait::{AckReply, TimeWait, Waiting};
pub use transmit::TxChecksumMode;
pub use tuple::FourTuple;
