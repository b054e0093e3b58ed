//! The configuration as the rest of Tidegate sees it: typed, complete, and true.
//!
//! Every value of these types has been through validation: units are gone (a [`Duration`], bytes),
//! a key that stood in no file has its default, names are resolved, and what one part says fits
//! what the others say. Nothing here knows TOML; that is the schema's business.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// One Tidegate service: everything `tidegate run` needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[workers]`: the threads of the data path and what they may use.
    pub workers: Workers,
    /// `[[port]]`: the interfaces, in the order of the file. At least one.
    pub ports: Vec<Port>,
    /// `[tcp]`: what holds for every connection that no listener and no pool says otherwise of.
    pub tcp: Tcp,
    /// `[[listener]]`: what is served where, in the order of the file. At least one.
    pub listeners: Vec<Listener>,
    /// `[[pool]]`: backends of proxies, in the order of the file.
    pub pools: Vec<Pool>,
    /// `[admin]`: the socket over which `tidegate ss` and `tidegate stats` ask.
    pub admin: Admin,
    /// `[log]`: what is logged, and how.
    pub log: Log,
}

/// `[workers]`: the threads of the data path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// Number of workers. This release runs exactly one.
    pub count: u32,
    /// Cores the workers are pinned to, one a worker; `None` leaves the choice to the kernel.
    pub cores: Option<Vec<usize>>,
    /// What a worker does while there is nothing to do.
    pub idle: Idle,
    /// How long a worker with [`Idle::Adaptive`] looks for frames before it sleeps.
    pub idle_spin: Duration,
    /// Connections that a worker holds at most, those in TIME_WAIT left out.
    pub flows_max: u32,
    /// Connections in TIME_WAIT that a worker holds at most.
    pub time_wait_max: u32,
    /// Ports that connections of our own begin at.
    pub local_ports: RangeInclusive<u16>,
    /// Memory for text that waits to be sent, acknowledged or read, in bytes, a worker.
    pub text_memory: u64,
    /// How long a drain waits for connections to end before they are reset.
    pub shutdown_timeout: Duration,
}

/// What a worker does while there is nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Spin for [`Workers::idle_spin`], then sleep until a frame or a deadline.
    Adaptive,
    /// Never sleep: for a core that belongs to the worker alone.
    Spin,
    /// Sleep at once.
    Sleep,
}

/// One `[[port]]`: an interface, and the addresses that Tidegate answers for on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Name of the interface, as `ip link` shows it.
    pub interface: String,
    /// How frames come in and go out.
    pub driver: Driver,
    /// Addresses that Tidegate owns here, with the network each stands in. At least one.
    pub addresses: Vec<Cidr>,
    /// Routers for everything outside these networks, at most one a family.
    pub gateways: Vec<IpAddr>,
    /// Largest datagram in bytes; `None` takes the interface's own.
    pub mtu: Option<u32>,
    /// Receive queues that are opened, from queue 0; `None` opens all of them.
    pub queues: Option<u32>,
    /// Frames of packet memory of this port, a power of two.
    pub frames: u32,
    /// What is done about the checksum of a received segment.
    pub rx_checksum: RxChecksum,
    /// Whether the interface or the kernel may fill in the checksum of a segment that is sent.
    pub tx_checksum_offload: bool,
    /// Where the XDP program runs; only for the AF_XDP driver.
    pub xdp_mode: XdpMode,
    /// Whether the NIC writes straight into packet memory; only for the AF_XDP driver.
    pub zero_copy: ZeroCopy,
    /// File to which every frame of this port is written in the pcap format.
    pub pcap: Option<PathBuf>,
    /// Damage done to the frames of this port on purpose, for tests on a real path.
    pub fault: Option<PortFault>,
}

/// How a port receives and sends frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// The first of AF_XDP, AF_PACKET and TAP that works here.
    Auto,
    /// An AF_XDP socket a queue, with an XDP program that takes only what is ours.
    AfXdp,
    /// A packet socket.
    AfPacket,
    /// A TAP device.
    Tap,
}

/// An address, and how many of its leading bits name the network it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address itself, host bits included.
    pub addr: IpAddr,
    /// Leading bits of the network: at most 32 (IPv4) or 128 (IPv6).
    pub prefix: u8,
}

/// What a port does about the checksum of a received segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RxChecksum {
    /// Compute it; a wrong one is discarded.
    Verify,
    /// Compute it, but take the bare pseudo-header sum as well.
    Partial,
    /// Do not look at it.
    Trust,
}

/// Where the XDP program of a port runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver if it can, else before the kernel's network stack.
    Auto,
    /// In the driver, or the port is not opened.
    Native,
    /// Before the kernel's network stack.
    Generic,
}

/// Whether the NIC writes straight into packet memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroCopy {
    /// If the driver can.
    Auto,
    /// Yes, or the port is not opened.
    On,
    /// No: the kernel copies.
    Off,
}

/// Damage done to frames on purpose: a tool of the laboratory, not of service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PortFault {
    /// Share of frames that are lost, 0 to 1; the same holds for each direction.
    pub loss: f64,
    /// Share of frames that arrive twice.
    pub duplicate: f64,
    /// Share of frames with one bit turned.
    pub corrupt: f64,
    /// Share of frames that are held back so that later ones overtake them.
    pub reorder: f64,
    /// How long every frame is under way.
    pub delay: Duration,
    /// Where the sequence of random numbers begins; the same seed does the same damage.
    pub seed: u64,
}

/// `[tcp]`: how connections behave. Linux's names where Linux has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tcp {
    /// Most bytes received and not yet read, a connection: the largest window we offer. `None` lets
    /// it grow with what the path carries.
    pub rmem: Option<u32>,
    /// Where it stops growing.
    pub rmem_max: u32,
    /// Most bytes sent and not yet acknowledged, or waiting to be sent, a connection. `None` lets it
    /// grow with the congestion window.
    pub wmem: Option<u32>,
    /// Where it stops growing.
    pub wmem_max: u32,
    /// Offer the window scale option (RFC 7323).
    pub window_scaling: bool,
    /// Offer selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Send small segments at once instead of waiting for acknowledgements (Nagle off).
    pub nodelay: bool,
    /// Longest wait before received text is acknowledged; zero acknowledges at once.
    pub delayed_ack: Duration,
    /// Acknowledgements at the start of a connection that do not wait.
    pub quick_acks: u8,
    /// Segments sent before the first acknowledgement (RFC 6928).
    pub initial_window: u8,
    /// How the sending rate adapts to the path.
    pub congestion_control: CongestionControl,
    /// Whether the first slow start ends before it loses something (RFC 9406).
    pub hystart: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: Ecn,
    /// When text is spread over the round trip instead of sent in bursts.
    pub pacing: Pacing,
    /// Retransmission timeout before the first round trip was measured.
    pub rto_initial: Duration,
    /// Smallest retransmission timeout.
    pub rto_min: Duration,
    /// Largest retransmission timeout.
    pub rto_max: Duration,
    /// How often our SYN is sent again.
    pub syn_retries: u8,
    /// How often our SYN-ACK is sent again.
    pub synack_retries: u8,
    /// Try a SYN for three minutes at least, as RFC 9293 3.8.3 has it, whatever `syn_retries` says.
    pub strict: bool,
    /// How often text is sent again before the connection is given up.
    pub retries2: u8,
    /// How long a connection stays in TIME_WAIT.
    pub time_wait: Duration,
    /// Let connections of our own take over sockets in TIME_WAIT.
    pub time_wait_reuse: bool,
    /// How long an orphaned connection stays in FIN_WAIT2.
    pub fin_timeout: Duration,
    /// Probes on connections on which nothing moves.
    pub keepalive: Option<Keepalive>,
    /// How long sent text may stay unacknowledged before the connection is given up (RFC 5482).
    pub user_timeout: Option<Duration>,
    /// How long a close waits for its text to be acknowledged; zero resets at once.
    pub linger: Option<Duration>,
    /// Largest segment we announce, in bytes of text; `None` takes what the MTU allows.
    pub mss_max: Option<u16>,
    /// When the segment size that the path takes is searched for (RFC 8899).
    pub mtu_probing: MtuProbing,
    /// Where the search begins, in bytes of text and options.
    pub base_mss: u16,
    /// Smallest datagram, in bytes, to which an ICMP message can bring an IPv4 path.
    pub min_pmtu: u16,
    /// IPv4 TTL and IPv6 hop limit of what we send.
    pub ttl: u8,
    /// Differentiated services code point of what we send, 0 to 63.
    pub dscp: u8,
}

/// Probes on connections on which nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub time: Duration,
    /// Time between probes.
    pub intvl: Duration,
    /// Unanswered probes after which the connection is given up.
    pub probes: u8,
}

/// When the segment size that the path takes is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MtuProbing {
    /// Never.
    Off,
    /// Once full segments go unanswered again and again.
    BlackHole,
    /// From the beginning of a connection.
    Always,
}

/// How the sending rate adapts to the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CongestionControl {
    /// CUBIC (RFC 9438).
    Cubic,
    /// Reno with RFC 6582 recovery.
    NewReno,
    /// BBR, version 3 (draft-ietf-ccwg-bbr).
    Bbr,
}

/// When text is spread over the round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// Where the congestion control asks for it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Whether connections use explicit congestion notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ecn {
    /// Neither ask for it nor accept it.
    Off,
    /// Accept it where the peer asks.
    Passive,
    /// Ask for it as well.
    On,
}

/// One `[[listener]]`: addresses, and the service behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs, in `ss` and in `stats`.
    pub name: String,
    /// Where it listens. At least one.
    pub addresses: Vec<ListenAddress>,
    /// What answers.
    pub service: Service,
    /// Established connections that wait to be accepted.
    pub backlog: u32,
    /// Connections whose handshake is not complete.
    pub syn_backlog: u32,
    /// On a full accept queue, answer with a reset instead of silence.
    pub abort_on_overflow: bool,
    /// When SYNs are answered by cookies.
    pub syn_cookies: SynCookies,
    /// Text on a SYN with a good Fast Open cookie is taken.
    pub fast_open: bool,
    /// Connections that came so and whose handshake is not complete.
    pub fast_open_max: u32,
    /// `[tcp]` with what `[listener.tcp]` says otherwise.
    pub tcp: Tcp,
}

/// When a listener answers SYNs by cookies, of which nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynCookies {
    /// Never.
    Off,
    /// While the SYN queue is full.
    Full,
    /// Always.
    Always,
}

/// An address and port to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// One owned address; `None` is every address that a port owns.
    pub address: Option<IpAddr>,
    /// The TCP port, never 0.
    pub port: u16,
}

/// What answers on a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Sends back what it receives (RFC 862).
    Echo,
    /// Throws away what it receives (RFC 863).
    Discard,
    /// Sends without end (RFC 864).
    Chargen,
    /// Gives one fixed HTTP/1.1 answer.
    Respond(Respond),
    /// Joins each connection with one to a backend.
    Proxy {
        /// Index into [`Config::pools`].
        pool: usize,
    },
}

/// The fixed answer of [`Service::Respond`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// HTTP status code, 200 to 599.
    pub status: u16,
    /// Value of the `Content-Type` field; empty leaves the field out.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// One `[[pool]]`: servers that can stand in for one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The name listeners use.
    pub name: String,
    /// The servers, in the order of the file. At least one.
    pub backends: Vec<Backend>,
    /// How a backend is chosen for a new connection.
    pub balance: Balance,
    /// How long a backend may take to accept a connection.
    pub timeout_connect: Duration,
    /// Silence in both directions after which a connection is ended.
    pub timeout_idle: Duration,
    /// How many further backends are tried when one cannot be connected.
    pub retries: u32,
    /// The address connections to backends come from; `None` takes the one nearest to the backend.
    pub source: Option<IpAddr>,
    /// `[tcp]` with what `[pool.tcp]` says otherwise.
    pub tcp: Tcp,
}

/// How a backend is chosen for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    RoundRobin,
}

/// One `[[pool.backend]]`: a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name in logs and in `stats`; the address where the file gives none.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// `[admin]`: the socket over which a running Tidegate answers questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// Its permission bits, as `chmod` takes them.
    pub mode: u32,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least important message that is still logged.
    pub level: Level,
    /// How a message is written.
    pub format: LogFormat,
}

/// How important a log message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something works, but not as it should.
    Warn,
    /// Something an operator wants to know once.
    Info,
    /// Something a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How a log message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line a message, for people.
    Text,
    /// One JSON object a message, for programs.
    Json,
}

impl Cidr {
    /// Whether `other` stands in the network of this address. Never across families.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.addr, other) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let apart = ours.to_bits() ^ theirs.to_bits();
                apart.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let apart = ours.to_bits() ^ theirs.to_bits();
                apart.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => SocketAddr::new(address, self.port).fmt(f),
            None => write!(f, "*:{}", self.port),
        }
    }
}

impl Service {
    /// The word that the key `service` has for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Discard => "discard",
            Self::Chargen => "chargen",
            Self::Respond(_) => "respond",
            Self::Proxy { .. } => "proxy",
        }
    }
}
