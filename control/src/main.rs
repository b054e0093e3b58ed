//! The binary `tidegate`.
#![forbid(unsafe_code)]
fn main() {}
