//! Fuzz target `segments`: see `src/segments.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::segments::run(bytes));
