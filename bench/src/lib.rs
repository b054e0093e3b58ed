//! Criterion benches of every layer.
