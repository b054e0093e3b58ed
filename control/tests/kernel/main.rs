//! The real binary in network namespaces on veth pairs, against the Linux kernel's TCP.
//!
//! Needs root and the `ip` command; without, each test says so and is skipped, or fails if
//! `TIDEGATE_REQUIRE_NET=1` is set. Nothing here depends on the speed of the machine: waits end by
//! an event, and the limits on them only turn a hang into a failure.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod admin;
mod client;
mod demo;
mod echo;
mod ecn;
mod fast_open;
mod life;
mod passing;
mod ping;
mod respond;

/// The binary under test.
const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// How long anything may take before it counts as hanging.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A listener on all owned addresses.
fn listener(name: &str, port: u16, service: &str) -> String {
    format!(
        "[[listener]]\nname = \"{name}\"\naddresses = [\"*:{port}\"]\nservice = \"{service}\"\n"
    )
}
