//! AF_XDP sockets for Linux: UMEM with linear frames, the four rings, XDP program loading.

mod error;
mod frame;
mod program;
mod ring;
mod socket;
mod sys;
mod umem;

pub use error::Error;
pub use frame::{Frame, HEADROOM, TxChecksum};
pub use program::{Attachment, Program, ProgramConfig, XdpMode};
pub use socket::{
    BusyPoll, Socket, SocketConfig, SocketCounters, SocketFrames, SocketMode, Statistics, Wake,
    ZeroCopy,
};
pub use umem::{FrameCounts, ReclaimError, Umem, UmemConfig};
