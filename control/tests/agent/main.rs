//! `tidegate agent` on a veth pair: driven over its control socket, with the kernel's TCP or frames
//! made by hand at the other end.
//!
//! Needs root and the `ip` command; without, each test says so and is skipped, or fails if
//! `TIDEGATE_REQUIRE_NET=1` is set. Nothing here depends on the speed of the machine: waits end by
//! an event, and the limits on them only turn a hang into a failure.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod active;
mod control;
mod lab;
mod passive;
mod readme;
mod requests;

/// The binary under test.
const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// How long anything may take before it counts as hanging.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
