//! The services of a worker between scripted clients and scripted backends, in simulated time.
//!
//! Three workers on two simulated links, everything decided by a seed:
//!
//! ```text
//!   clients (Peers) ---- front link ---- Services ---- back link ---- backends (Peers)
//! ```
//!
//! [`net`] is the stage, [`peers`] are the actors; the other files are the plays, one for each
//! service and kind of trouble. Each play ends with [`net::Net::finish`]: no flow, no block, no
//! frame and no pair may be left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chargen;
mod discard;
mod echo;
mod http;
mod net;
mod peers;
mod proxy_chaos;
mod proxy_ends;
mod proxy_pool;
mod proxy_pressure;
mod proxy_text;
mod respond;
mod respond_limits;
mod services;
