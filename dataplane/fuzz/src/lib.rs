//! What the fuzz targets do with the bytes they are given: one module a target, each with a `run`.
//!
//! The fuzzer is libFuzzer, by [cargo-fuzz](https://github.com/rust-fuzz/cargo-fuzz). A stable
//! compiler is enough as long as no sanitizer is asked for; there is little for one to find, since
//! the crates that are fuzzed forbid `unsafe`. From the root of the repository:
//!
//! ```text
//! cargo install cargo-fuzz --locked
//! cargo fuzz run --fuzz-dir dataplane/fuzz --sanitizer none segments -- -max_total_time=600
//! ```
//!
//! A crash leaves its bytes in `dataplane/fuzz/artifacts`. Copy them, under a name that says what
//! they are, into the target's folder in `dataplane/fuzz/corpus`: `cargo test -p tidegate --test
//! corpus` needs no fuzzer and plays every file there. Keep the corpus small: after a long run
//! `cargo fuzz cmin` into a folder of one's own, and of that what reaches new places in few bytes.
//!
//! | target | bytes are | what must hold |
//! |---|---|---|
//! | `parse` | a frame | no panic; what is let through can be printed and written again |
//! | `options` | TCP options | no panic; what was read is written and read again unchanged |
//! | `segments` | steps of a connection in any state | `Tcb::assert_invariants` after each, and no leak |
//! | `worker` | frames, calls and time for a whole worker | each frame has a fate, each flow one end, and no leak |
//! | `cookie` | a SYN, and what comes back for its cookie | a good one is taken, an old one is not, and no leak |
//! | `admin` | lines of the admin socket | no panic; a message is written and read again unchanged |
//! | `agent` | lines of an agent's control connection | no panic; what is no request is refused as the protocol has it |
#![forbid(unsafe_code)]

pub mod admin;
pub mod agent;
mod bytes;
pub mod cookie;
pub mod options;
pub mod parse;
pub mod segments;
pub mod worker;
