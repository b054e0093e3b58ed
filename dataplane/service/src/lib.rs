//! The applications that Tidegate runs on a worker.
//!
//! [`Services`] implements [`App`](tidegate_worker::App) for all of them at once: each listener
//! carries the number of its service as its tag, each flow inherits it, and every callback goes to
//! the service of that number.
//!
//! | service | port | what it does |
//! |---|---|---|
//! | [`Echo`] | 7 | sends back what it reads (RFC 862) |
//! | [`Discard`] | 9 | reads and forgets (RFC 863) |
//! | [`Chargen`] | 19 | sends lines of printable characters for ever (RFC 864) |
//! | [`Respond`] | 80 | one fixed HTTP/1.1 answer to every request, with keep-alive and pipelining |
//! | [`Proxy`] | any | joins each accepted flow with a flow to a backend of its pool |
//!
//! All state is in tables sized when the worker starts; no callback allocates. None of them reads a
//! clock: time comes from [`Stack::now`](tidegate_worker::Stack::now).
#![forbid(unsafe_code)]

mod chargen;
mod discard;
mod echo;
mod per_flow;
mod pool;
mod proxy;
mod respond;
mod services;

pub use chargen::Chargen;
pub use discard::Discard;
pub use echo::Echo;
pub use per_flow::PerFlow;
pub use pool::{Backend, BackendCounts, PoolSpec};
pub use proxy::{Proxy, ProxyCounts};
pub use respond::{Respond, Response};
pub use services::{Service, ServiceCommand, ServiceReport, Services};
