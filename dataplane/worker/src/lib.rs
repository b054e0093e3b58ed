//! The worker: one core's loop, flows, timers, neighbours, and the trait [`App`].
//!
//! A [`Worker`] owns everything it touches: its ports and their frames, its flows, its timer wheel,
//! its application. It shares nothing that two write, takes no lock, and allocates nothing once it
//! runs. One pass of its loop is a **turn**:
//!
//! ```text
//!   receive   a burst from each port: parse all, look up all, process all;
//!             callbacks get text where it lies in the frame
//!   expire    timers of flows, applications and neighbours
//!   transmit  what flows want to send, a bounded share each
//!   obey      a few commands of control
//! ```
//!
//! Segments are processed before anything is sent, so a burst is answered once (RFC 9293 3.10.7.4,
//! MUST-58 and MUST-59). Between turns control reads [`Counters`] and posts [`Command`]s into the
//! [`Mailbox`].
//!
//! An application implements [`App`] and acts with the [`Stack`], whose calls queue and mark and
//! never call back. Time is an argument: [`Worker::turn`] takes it, and only [`Worker::run`] reads a
//! [`clock`]. So two workers on a simulated link are a test that always goes the same way:
//!
//! ```
//! use tidegate_port::{Link, LinkConfig, Port};
//! use tidegate_tcp::End;
//! use tidegate_wire::Instant;
//! use tidegate_worker::{
//!     App, FlowId, Interface, Listen, ListenerId, Open, Stack, Worker, WorkerConfig,
//! };
//!
//! /// Sends back what it reads, and remembers what came back to the side that began.
//! #[derive(Default)]
//! struct Echo {
//!     heard: Vec<u8>,
//!     ends: Vec<End>,
//! }
//!
//! impl App for Echo {
//!     type Command = ();
//!
//!     fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, _: ListenerId) {
//!         stack.set_tag(flow, 1);
//!     }
//!
//!     fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
//!         stack.send(flow, b"high tide").expect("the flow is open");
//!         stack.shutdown(flow).expect("the flow is open");
//!     }
//!
//!     fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
//!         if stack.tag(flow) == 1 {
//!             return stack.send(flow, text).unwrap_or(text.len());
//!         }
//!         self.heard.extend_from_slice(text);
//!         text.len()
//!     }
//!
//!     fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
//!         stack.resume(flow);
//!     }
//!
//!     fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
//!         stack.close(flow);
//!     }
//!
//!     fn on_end(&mut self, _: &mut Stack, _: FlowId, end: End) {
//!         self.ends.push(end);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let worker = |port, address: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let interface = Interface::new(Port::facts(&port), vec![address.parse()?], vec![]);
//!     let config = WorkerConfig { interfaces: vec![interface], ..WorkerConfig::default() };
//!     Ok(Worker::new(config, vec![port], Echo::default())?)
//! };
//! let (port_a, port_b) = Link::pair(LinkConfig::default())?;
//! let mut client = worker(port_a, "192.0.2.1/24")?;
//! let mut server = worker(port_b, "192.0.2.2/24")?;
//! server.stack_mut().listen(Listen::on(7))?;
//! client.stack_mut().open(Open::to("192.0.2.2:7".parse()?))?;
//!
//! let mut now = Instant::ZERO;
//! while client.app().ends.is_empty() {
//!     if !(client.turn(now) | server.turn(now)) {
//!         let next = client.next_deadline().into_iter().chain(server.next_deadline()).min();
//!         now = next.ok_or("nothing will ever happen")?;
//!     }
//! }
//! assert_eq!(client.app().heard, b"high tide");
//! assert_eq!(client.app().ends, [End::Closed]);
//! # Ok(())
//! # }
//! ```
//!
//! What is not here: the protocol itself (`tidegate-tcp`), the bytes of headers (`tidegate-wire`),
//! drivers (`tidegate-port`). Frames are not handed from one worker to another yet: a worker serves
//! all queues of its ports.
#![forbid(unsafe_code)]

mod active;
mod app;
mod arp;
pub mod clock;
mod config;
mod cookie;
mod counters;
mod expire;
mod fast_open;
mod flow;
mod half_open;
mod handshake;
mod icmp;
mod idle;
mod invariants;
mod keyed;
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
mod reply;
mod retune;
mod route;
mod settle;
mod slot_set;
mod snapshot;
mod stack;
mod table;
mod tell;
mod time_wait;
mod transmit;
mod turn;
mod wheel;

pub use app::{App, Notice};
pub use config::{Idle, SetupError, WorkerConfig};
pub use cookie::SynCookies;
pub use counters::{Counter, Counters, Gauges, Snapshot};
pub use flow::{FlowId, SettingsId};
pub use listener::{Listen, ListenError, ListenerId, ListenerRow};
pub use mailbox::{Command, Inbox, Mailbox, PostError, mailbox};
pub use open::{Open, OpenError};
pub use route::{Cidr, Interface, ParseCidrError};
pub use snapshot::{FlowPage, FlowRow, TimeWaitRow};
pub use stack::Stack;
pub use turn::Worker;
pub use wheel::Wheel;
