//! AF_XDP sockets for Linux: UMEM with linear frames, the four rings, XDP program loading.

mod error;
mod frame;
mod sys;
mod umem;

pub use error::Error;
pub use frame::{Frame, HEADROOM, TxChecksum};
pub use umem::{FrameCounts, ReclaimError, Umem, UmemConfig};
