//! The command line: verbs, options, and the help that teaches them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tidegate_wire::MacAddr;

use crate::admin::DEFAULT_SOCKET;
use crate::agent::Options;

/// What `tidegate --help` says at its end.
const EXAMPLES: &str = "\
Examples:
  sudo tidegate demo                      see it work: namespaces, a load balancer, real clients
  tidegate check /etc/tidegate.toml       is the file right, is the machine ready?
  sudo tidegate run /etc/tidegate.toml    serve; SIGTERM lets connections end, SIGINT does not wait
  sudo tidegate ss -o                     the connections with their timers
  sudo tidegate stats                     counters, and what was dropped and why
  sudo tidegate agent --help              a TCP endpoint for test labs, driven by a program";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    about = "A TCP service and load balancer on AF_XDP, beside the kernel's own network",
    long_about = "A TCP service and load balancer on AF_XDP.\n\n\
        Tidegate answers for IP addresses of its own on an interface that the kernel goes on using: \
        what is for these addresses is taken out before the kernel's network stack by a small XDP \
        program and served by Tidegate's TCP, one worker a core; everything else passes.\n\n\
        A service is one TOML file: ports (interfaces and the addresses owned there), listeners \
        (what is served where), and pools of backends.",
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve what a configuration file says, in the foreground
    #[command(
        long_about = "Serves what a configuration file says, in the foreground.\n\n\
            Logs which driver and mode each queue of each port got, and why. SIGTERM drains: no new \
            connections, existing ones go on for at most [workers] shutdown_timeout, then exit 0. A \
            second SIGTERM, or SIGINT at any time, stops at once. However the process ends, no XDP \
            program stays behind.\n\n\
            Needs root, or CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF, and CAP_IPC_LOCK for packet \
            memory beyond the limit of locked memory. `tidegate check FILE` says what is \
            missing.",
        after_help = "Examples:\n  sudo tidegate run /etc/tidegate.toml\n  \
            sudo ip netns exec blue tidegate run blue.toml"
    )]
    Run {
        /// The configuration, TOML
        file: PathBuf,
    },
    /// Check a configuration file, and whether this machine can run it
    #[command(
        long_about = "Checks a configuration file, all of it, and whether this machine can run it.\n\n\
            Every fault of the file is shown with its line and what would be right. Then the machine: \
            interface, queues, capabilities, locked memory, other XDP programs, MTU; each line is ok, \
            differs or missing, with the command that mends it. Changes nothing. Exits with 0 if \
            `tidegate run` would start, else with 1.",
        after_help = "Example:\n  tidegate check /etc/tidegate.toml"
    )]
    Check {
        /// The configuration, TOML
        file: PathBuf,
    },
    /// Show the connections of a running Tidegate, as `ss -ant` does those of the kernel
    #[command(
        long_about = "Shows the connections of a running Tidegate, as `ss -ant` shows those of the \
            kernel.\n\n\
            Recv-Q is text received and not yet read by the service, Send-Q text not yet acknowledged \
            by the peer. Of a listener they are the connections that wait to be accepted, and how many \
            may. Process is the listener's name, with the pool and backend of a proxy's connections \
            to its backends.\n\n\
            With --info each connection has a second line in the form and with the names of `ss -i`; \
            times are in milliseconds, windows in segments, rates in bits a second. It adds \
            retrans_by:FAST/TIMER/TAIL-PROBE/SYN, the segments sent again by reason, and state_ms, the \
            time in the present state. --info --json gives the same as numbers.",
        after_help = "Examples:\n  sudo tidegate ss -o\n  sudo tidegate ss -i\n  sudo tidegate ss -s\n  \
            sudo tidegate ss --json | jq 'select(.state == \"ESTABLISHED\") | .remote'"
    )]
    Ss(SsArguments),
    /// Show the counters of a running Tidegate, and what it dropped and why
    #[command(
        long_about = "Shows the counters of a running Tidegate, and what it dropped and why.\n\n\
            No frame is dropped without a name: each discard has one, with a severity and a \
            sentence. Counters that are zero are hidden unless --all is given.",
        after_help = "Examples:\n  sudo tidegate stats\n  \
            sudo tidegate stats --json | jq .discards"
    )]
    Stats(StatsArguments),
    /// See Tidegate at work on this machine: namespaces, a load balancer, real clients and servers
    #[command(
        long_about = "Shows Tidegate at work on this machine, with nothing configured.\n\n\
            Makes three network namespaces (client, tidegate, backends) joined by veth pairs, starts \
            two HTTP servers on the kernel's TCP, Tidegate on AF_XDP as their load balancer, and \
            clients on the kernel's TCP, over IPv4 and IPv6. Every answer is checked; once a second a \
            line shows requests and connections per second, the share of each backend, connections by \
            state and discards. At the end a summary; then everything is removed.\n\n\
            Exits with 0 only if every answer was right and each backend has answered over each \
            family. Without root the same runs in a user namespace with the driver af_packet.",
        after_help = "Examples:\n  sudo tidegate demo\n  sudo tidegate demo --seconds 60\n  \
            sudo tidegate demo --keep --seconds 2    then try by hand with curl"
    )]
    Demo(DemoArguments),
    /// Be a TCP endpoint for a test lab: sockets that a program drives over a Unix socket
    #[command(
        long_about = "Is a TCP endpoint for a test lab: Tidegate's TCP on one interface, with an echo \
            service and with sockets that a program drives.\n\n\
            The program connects to the Unix socket given by --control and sends one JSON object a \
            line, {\"op\": \"listen\", \"port\": 80}; each is answered by one line, {\"ok\": true, ...} or \
            {\"ok\": false, \"error\": \"ECONNREFUSED\"}. Requests of one control connection are answered in \
            order, control connections do not wait for each other, and what one has opened is aborted \
            when it closes. Text (data) is in base64, timeouts are in seconds.\n\n  \
            listen          port, backlog, opts       h, a handle\n  \
            accept          h, timeout                h of the connection, ip and port of the peer\n  \
            connect         ip, port, opts, lport     h, lport; at once\n  \
            wait_connected  h, timeout                or why it failed\n  \
            send            h, data                   n, the bytes taken; never waits\n  \
            recv            h, n, timeout             data, eof\n  \
            shutdown, close, abort   h                FIN; FIN or RST and gone; RST and gone\n  \
            setopt          h, opts\n  \
            error, state    h                         value, or null\n\n\
            opts: rcvbuf, sndbuf, nodelay, keepalive {idle, interval, count}, user_timeout_ms, dscp, \
            ttl.\n\n\
            Prints one line when it is ready. SIGTERM and SIGINT end it; open connections are reset. \
            Checksums on the wire are real and nothing is segmented by the kernel, so that whatever \
            makes its own frames can sit at the other end of a veth pair. Needs the same privilege as \
            `tidegate run`.",
        after_help = "Examples:\n  sudo tidegate agent --interface veth0 --address 192.0.2.1/24 \
            --echo 7 --control /run/agent.sock\n  \
            sudo tidegate agent --interface veth0 --address 192.0.2.1/24 --address 2001:db8::1/64 \\\n      \
            --gateway 192.0.2.254 --control agent.sock --tcp time_wait=2s --tcp congestion=reno \\\n      \
            --tcp delayed_ack=off --tcp rto_min=1s --tcp initial_window=10 --tcp sack=off\n  \
            echo '{\"op\": \"listen\", \"port\": 80}' | nc -U -N agent.sock"
    )]
    Agent(AgentArguments),
    /// A backend of the demo
    #[command(hide = true)]
    DemoBackend {
        /// What it calls itself in its answers
        name: String,
        /// Where it listens
        #[arg(required = true)]
        addresses: Vec<SocketAddr>,
    },
}

/// Of `tidegate ss`.
#[derive(Debug, Args)]
pub struct SsArguments {
    /// The admin socket: `socket` in the table `admin` of the configuration
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Show the timer of each connection: its name, when it fires, retransmissions so far
    #[arg(short = 'o', long)]
    pub options: bool,
    /// Show TCP's own figures of each connection on a line below it: round trips, windows, losses
    #[arg(short, long)]
    pub info: bool,
    /// Show counts by state only
    #[arg(short, long)]
    pub summary: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// Of `tidegate stats`.
#[derive(Debug, Args)]
pub struct StatsArguments {
    /// The admin socket: `socket` in the table `admin` of the configuration
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Show counters that are zero as well
    #[arg(short, long)]
    pub all: bool,
    /// Print the admin protocol's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Of `tidegate demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// How long the clients send, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Send until Ctrl-C
    #[arg(long, conflicts_with = "seconds")]
    pub forever: bool,
    /// Leave the namespaces, the backends and Tidegate up at the end, to try by hand
    #[arg(long)]
    pub keep: bool,
    /// Set by the demo itself where it runs in a user namespace of its own
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// Of `tidegate agent`.
#[derive(Debug, Args)]
pub struct AgentArguments {
    /// The interface, as `ip link` shows it. The kernel must not own the addresses given here
    #[arg(long, value_name = "IF")]
    pub interface: String,
    /// An address to answer for, with the length of its network's prefix; once for each
    #[arg(long = "address", value_name = "IP/LEN", required = true)]
    pub addresses: Vec<String>,
    /// The router to everywhere else, one for IPv4 and one for IPv6
    #[arg(long = "gateway", value_name = "IP")]
    pub gateways: Vec<IpAddr>,
    /// Hardware address of the stack, if not the interface's
    #[arg(long)]
    pub mac: Option<MacAddr>,
    /// Port of the echo service; 0 for none
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub echo: u16,
    /// The Unix socket for programs; the file of an agent that has ended is replaced
    #[arg(long, value_name = "PATH")]
    pub control: PathBuf,
    /// A key of the table `tcp` of the configuration; once for each. Flags may be on or off, and
    /// `congestion` is short for `congestion_control`
    #[arg(long = "tcp", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub tcp: Vec<(String, String)>,
    /// How frames come in and go out: auto, af_xdp, af_packet
    #[arg(long, value_name = "DRIVER", default_value = "auto")]
    pub driver: String,
    /// Largest datagram that is sent, in bytes; never more than the interface allows
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,
    /// Write every frame to this file, for tcpdump -r or Wireshark
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
}

impl AgentArguments {
    /// What the agent is asked for.
    #[must_use]
    pub fn into_options(self) -> Options {
        Options {
            interface: self.interface,
            addresses: self.addresses,
            gateways: self.gateways,
            mac: self.mac,
            driver: self.driver,
            mtu: self.mtu,
            echo: Some(self.echo).filter(|port| *port != 0),
            control: self.control,
            pcap: self.pcap,
            tcp: self.tcp,
        }
    }
}

/// Both sides of the first `=`.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE, such as time_wait=2s")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
