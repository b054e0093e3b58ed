//! The command line of the agent, and the configuration that it stands for.
//!
//! The options are put together as the text that a file would have, and go through the
//! configuration's own reader: there is one place that knows what is allowed, and one way of saying
//! what is wrong.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use tidegate_config::{Cidr, Config, Faults, quoted, tcp_line};
use tidegate_wire::MacAddr;

/// What faults call the text that the options make.
const NAME: &str = "command line";

/// What the agent is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The interface to be on.
    pub interface: String,
    /// Addresses to answer for, each with its network. At least one.
    pub addresses: Vec<String>,
    /// Routers to everywhere else.
    pub gateways: Vec<IpAddr>,
    /// Our hardware address; none: the interface's.
    pub mac: Option<MacAddr>,
    /// The driver, as `[[port]] driver` has it.
    pub driver: String,
    /// The largest datagram to send, in bytes; none: what the interface allows.
    pub mtu: Option<u32>,
    /// The port of the echo service; none: no such service.
    pub echo: Option<u16>,
    /// Where the control socket is to be.
    pub control: PathBuf,
    /// A file for every frame, in the pcap format.
    pub pcap: Option<PathBuf>,
    /// Keys of `[tcp]` with their values.
    pub tcp: Vec<(String, String)>,
}

impl Options {
    /// The configuration that the options stand for.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the options.
    pub(super) fn config(&self) -> Result<Config, Faults> {
        Config::stack_from_str(NAME, &self.text())
    }

    /// The text of that configuration.
    fn text(&self) -> String {
        let list = |items: Vec<String>| {
            let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
            format!("[{}]", items.join(", "))
        };
        let gateways = self.gateways.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "[[port]]\ninterface = {}\naddresses = {}\ngateways = {}\ndriver = {}\n",
            quoted(&self.interface),
            list(self.addresses.clone()),
            list(gateways),
            quoted(&self.driver),
        );
        // A tester at the other end of a veth pair sees what is on the wire: our checksums are
        // right. Those of a kernel there are not, as there is no hardware to finish them.
        text.push_str("rx_checksum = \"partial\"\ntx_checksum_offload = false\n");
        let mut say = |key: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{key} = {value}");
        };
        if let Some(mtu) = self.mtu {
            say("mtu", mtu.to_string());
        }
        if let Some(pcap) = &self.pcap {
            say("pcap", quoted(&pcap.to_string_lossy()));
        }
        text.push_str("[tcp]\n");
        for (number, (key, value)) in self.tcp.iter().enumerate() {
            // What is said last counts.
            let is_said_later = self.tcp[number + 1..].iter().any(|(other, _)| other == key);
            if !is_said_later {
                text.push_str(&tcp_line(key, value));
                text.push('\n');
            }
        }
        text
    }
}

/// The first address of ours, for those who only need one.
pub(super) fn shown(addresses: &[Cidr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(",")
}
