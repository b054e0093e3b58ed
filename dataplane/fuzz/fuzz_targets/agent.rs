//! Fuzz target `agent`: see `src/agent.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::agent::run(bytes));
