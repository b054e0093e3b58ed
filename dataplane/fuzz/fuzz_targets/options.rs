//! Fuzz target `options`: see `src/options.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::options::run(bytes));
