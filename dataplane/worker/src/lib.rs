//! The worker: one core's loop, flows, timers, neighbours, and the trait [`App`].
#![forbid(unsafe_code)]

mod active;
mod app;
mod arp;
pub mod clock;
mod config;
mod counters;
mod expire;
mod flow;
mod icmp;
mod idle;
mod listener;
mod mailbox;
mod ndp;
mod neighbour;
mod obey;
mod open;
mod passive;
mod port_tx;
mod queue;
mod rate;
mod receive;
mod route;
mod settle;
mod snapshot;
mod stack;
mod table;
mod tell;
mod transmit;
mod turn;
mod wheel;

pub use app::App;
pub use config::{Idle, SetupError, WorkerConfig};
pub use counters::{Counter, Counters, Gauges, Snapshot};
pub use flow::{FlowId, SettingsId};
pub use listener::{Listen, ListenError, ListenerId, ListenerRow};
pub use mailbox::{Command, Inbox, Mailbox, PostError, mailbox};
pub use open::{Open, OpenError};
pub use route::{Cidr, Interface, ParseCidrError};
pub use snapshot::{FlowPage, FlowRow};
pub use stack::Stack;
pub use turn::Worker;
