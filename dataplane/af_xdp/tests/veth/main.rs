//! Sockets and programs on veth pairs in network namespaces of their own.
//!
//! They need root, `ip`, and a kernel with AF_XDP; where that is missing each test says so and does
//! nothing, unless `TIDEGATE_REQUIRE_NET` is set. No test touches an interface it has not made.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, its fixtures too"
)]

mod attach;
mod namespace;
mod open;
mod queues;
mod receive;
mod transmit;
mod wire;
