//! Fuzz target `admin`: see `src/admin.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::admin::run(bytes));
