//! The applications: echo, discard, chargen, respond and proxy.
