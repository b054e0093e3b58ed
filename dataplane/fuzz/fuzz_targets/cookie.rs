//! Fuzz target `cookie`: see `src/cookie.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::cookie::run(bytes));
