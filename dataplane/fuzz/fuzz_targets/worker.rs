//! Fuzz target `worker`: see `src/worker.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::worker::run(bytes));
