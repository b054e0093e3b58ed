//! The admin protocol: what a running Tidegate can be asked over its Unix socket.
//!
//! A client connects to the socket (`[admin] socket`, by default `/run/tidegate/admin.sock`), writes
//! one JSON object a line, and reads one JSON object a line for each, in order, for as long as it
//! likes. Anything that speaks lines will do:
//!
//! ```text
//! $ echo '{"ask":"status"}' | socat - UNIX-CONNECT:/run/tidegate/admin.sock
//! {"answer":"status","version":"0.1.0","pid":4711,"uptime_ms":61250,"phase":"running", ...}
//! ```
//!
//! | request | answer |
//! |---|---|
//! | `{"ask":"status"}` | version, pid, uptime, whether it runs or drains, and what each port's queues got |
//! | `{"ask":"flows"}` | a page of the connections, and where the next page begins |
//! | `{"ask":"flows","from":"0:4096","max":100}` | the page that begins there, with at most 100 |
//! | `{"ask":"flows","info":true}` | the same, each flow with an object `info`: round trips, windows, losses, bytes |
//! | `{"ask":"listeners"}` | each listener's address, service, queues and their limits |
//! | `{"ask":"counters"}` | connections by state, counters, discards by name, each port's counters |
//!
//! What cannot be understood or answered gets `{"answer":"error","message":"..."}`, and the
//! connection stays open. New requests, new keys in requests (always optional) and new keys in
//! answers may be added; a client leaves aside what it does not know. All times are in
//! milliseconds unless their name ends otherwise, all sizes in bytes; counters run from the start of the process and never fall.
//!
//! Pages: a flow that opens or ends between two pages may be missing or seen once too often; no
//! page stops the worker for longer than it takes to copy `max` flows.
//!
//! Who may connect is a matter of the socket's permissions (`[admin] mode`, by default 0660).

mod client;
mod info;
mod message;
mod server;

pub use client::{Client, DEFAULT_SOCKET};
pub use info::{BbrInfo, TcpInfo};
pub use message::{
    Answer, BackendCounters, Counters, Discarded, Flow, FlowPage, Listener, Phase, PortCounters,
    PortStatus, Request, Status, Timer,
};
pub use server::Server;
