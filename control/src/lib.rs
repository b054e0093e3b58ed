//! The control side of Tidegate, as a library: what the verbs of the binary `tidegate` are made of.
//!
//! It is a library so that its tests, which run the real binary in network namespaces against the
//! Linux kernel's TCP, can use the same [`topology`] as the demo. Nothing here is on the data path.

#![forbid(unsafe_code)]

pub mod admin;
pub mod agent;
pub mod check;
pub mod cli;
pub mod demo;
pub mod run;
pub mod show;
mod socket_file;
pub mod testbed;
pub mod topology;
