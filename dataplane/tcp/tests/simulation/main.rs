//! Simulations: two TCBs, their users and a link between them, in simulated time, from one seed.
//!
//! `world` is time and the link, `host` one end; `two_ends` asks whether everything arrives and
//! ends as it should, `throughput` how fast, `laboratory` how much of a line is used, `marks` what routers that mark do to it.

#![expect(clippy::disallowed_macros, reason = "a test tells what failed")]

mod host;
mod laboratory;
mod marks;
mod throughput;
mod two_ends;
mod world;
