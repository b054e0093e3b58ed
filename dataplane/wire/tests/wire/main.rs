//! The crate from outside: real frames, every discard, every header there and back, any bytes.
//!
//! One binary, so that the frames are written once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod any_bytes;
mod discards;
mod frames;
mod lines;
mod mend;
mod real_frames;
mod round_trip;
