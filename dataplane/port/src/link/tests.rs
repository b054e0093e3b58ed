//! Tests of the simulated link.
