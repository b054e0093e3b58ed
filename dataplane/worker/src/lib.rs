//! The worker: one core's loop, flows, timers, neighbours, and the App trait.
