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
#[path = "../traffic/digest.rs"]
mod digest;
mod hostile;
mod keys;
mod lab;
mod load;
mod opts;
mod passive;
mod peer;
#[path = "../traffic/raw.rs"]
mod raw;
mod readme;
mod requests;
mod wire;

/// The binary under test.
const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// How long anything may take before it counts as hanging.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Waits until something is the case, which some other thread or process brings about.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
