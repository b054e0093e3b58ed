//! `tidegate ss` and `tidegate stats`: what a running Tidegate says of itself, for people.
//!
//! Both ask over the admin socket ([`crate::admin`]) and only format the answers.

mod info;
mod ss;
mod stats;
mod table;

pub use ss::{SsOptions, ss};
pub use stats::{StatsOptions, stats};
