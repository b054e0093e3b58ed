//! Fuzz target `parse`: see `src/parse.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::parse::run(bytes));
