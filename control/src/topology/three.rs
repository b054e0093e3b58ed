//! The network of the demo and of the tests: a client, Tidegate in the middle, backends.
//!
//! ```text
//!  client                      tidegate                       backends
//! +---------------------+     +--------------------+         +----------------------------+
//! | eth0  192.0.2.2     |veth | front              |   veth  | eth0  198.51.100.11, .12   |
//! |       2001:db8:1::2 |=====|   (no address) back|=========|       2001:db8:2::11, ::12 |
//! +---------------------+     +--------------------+         +----------------------------+
//! ```
//!
//! Tidegate owns 192.0.2.1 and 2001:db8:1::1 on `front`, 198.51.100.1 and 2001:db8:2::1 on `back`.
//! The kernel of the middle namespace has none of them, or it would answer as well. All addresses
//! come from the ranges that are set aside for documentation (RFC 5737, RFC 3849).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::id;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::namespace::Namespace;

/// How long an interface may take to come up; the kernel promises nothing, and needs a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may be chosen about the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// First part of the names of the namespaces: `PREFIX-PID-client`, and so on.
    pub prefix: String,
    /// Something that tells several networks of one process apart; it comes after the pid.
    pub number: Option<u32>,
    /// Receive and transmit queues of each end of each veth pair.
    pub queues: u32,
    /// Layer 3 bytes a frame, of all interfaces.
    pub mtu: u32,
    /// Whether the client's and the backends' kernels may hand over segments larger than the MTU,
    /// as they do on a veth pair. Only AF_XDP in native mode turns this off by itself.
    pub large_segments: bool,
}

impl Plan {
    /// One queue, MTU 1500, no large segments.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            number: None,
            queues: 1,
            mtu: 1500,
            large_segments: false,
        }
    }
}

/// One of the two sides of Tidegate: what the kernel's end of the veth pair is called and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side {
    /// Tidegate's interface, in the middle namespace.
    pub interface: &'static str,
    /// What Tidegate owns there, IPv4 and IPv6.
    pub tidegate: (Ipv4Addr, Ipv6Addr),
    /// What the kernel at the other end has, IPv4 and IPv6, in the order they are configured.
    pub kernel: &'static [(Ipv4Addr, Ipv6Addr)],
}

impl Side {
    /// Where the client is.
    pub const FRONT: Self = Self {
        interface: "front",
        tidegate: (
            Ipv4Addr::new(192, 0, 2, 1),
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
        ),
        kernel: &[(
            Ipv4Addr::new(192, 0, 2, 2),
            Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2),
        )],
    };

    /// Where the backends are.
    pub const BACK: Self = Self {
        interface: "back",
        tidegate: (
            Ipv4Addr::new(198, 51, 100, 1),
            Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1),
        ),
        kernel: &[
            (
                Ipv4Addr::new(198, 51, 100, 11),
                Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x11),
            ),
            (
                Ipv4Addr::new(198, 51, 100, 12),
                Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x12),
            ),
        ],
    };

    /// A `[[port]]` of Tidegate's configuration for this side.
    ///
    /// A veth peer leaves checksums to hardware that is not there: what arrives carries only the
    /// sum of the pseudo-header, hence `rx_checksum = "partial"`.
    #[must_use]
    pub fn port(&self, driver: &str) -> String {
        let (interface, (v4, v6)) = (self.interface, self.tidegate);
        format!(
            "[[port]]\ninterface = \"{interface}\"\ndriver = \"{driver}\"\n\
             addresses = [\"{v4}/24\", \"{v6}/64\"]\nrx_checksum = \"partial\"\n"
        )
    }

    /// Tidegate's addresses, IPv4 first.
    #[must_use]
    pub fn owned(&self) -> [IpAddr; 2] {
        [self.tidegate.0.into(), self.tidegate.1.into()]
    }
}

/// The interface of the client's and of the backends' namespace.
pub(super) const KERNEL_INTERFACE: &str = "eth0";

/// The three namespaces, joined. Dropping it ends what runs inside and removes everything.
#[derive(Debug)]
pub struct Three {
    /// The clients' namespace.
    pub client: Namespace,
    /// Tidegate's namespace, with the interfaces `front` and `back`.
    pub tidegate: Namespace,
    /// The servers' namespace.
    pub backends: Namespace,
}

impl Three {
    /// Makes the namespaces and joins them.
    ///
    /// # Errors
    ///
    /// No privilege, no `ip` command, or a kernel without veth.
    pub fn create(plan: &Plan) -> Result<Self> {
        let number = plan
            .number
            .map_or(String::new(), |number| format!("{number}-"));
        let name = |role: &str| format!("{}-{}-{number}{role}", plan.prefix, id());
        let three = Self {
            client: Namespace::create(&name("client"))?,
            tidegate: Namespace::create(&name("tidegate"))?,
            backends: Namespace::create(&name("backends"))?,
        };
        join(&three.tidegate, &three.client, &Side::FRONT, plan)?;
        join(&three.tidegate, &three.backends, &Side::BACK, plan)?;
        Ok(three)
    }

    /// Leaves the namespaces and what runs inside when this is dropped.
    pub fn keep(&mut self) {
        self.client.keep();
        self.tidegate.keep();
        self.backends.keep();
    }
}

/// One veth pair from Tidegate's namespace to a kernel's, with the kernel's addresses.
fn join(tidegate: &Namespace, kernel: &Namespace, side: &Side, plan: &Plan) -> Result<()> {
    let queues = plan.queues.to_string();
    let mtu = plan.mtu.to_string();
    let count = ["mtu", &mtu, "numtxqueues", &queues, "numrxqueues", &queues];
    let mut add = vec!["link", "add", "name", side.interface];
    add.extend(count);
    add.extend([
        "type",
        "veth",
        "peer",
        "name",
        KERNEL_INTERFACE,
        "netns",
        kernel.name(),
    ]);
    add.extend(count);
    tidegate.ip(&add)?;
    for (v4, v6) in side.kernel {
        kernel.ip(&[
            "address",
            "add",
            &format!("{v4}/24"),
            "dev",
            KERNEL_INTERFACE,
        ])?;
        // Duplicate address detection would hold the address back for a second.
        let v6 = format!("{v6}/64");
        kernel.ip(&["address", "add", &v6, "dev", KERNEL_INTERFACE, "nodad"])?;
    }
    if !plan.large_segments {
        kernel.ip(&["link", "set", "dev", KERNEL_INTERFACE, "gso_max_segs", "1"])?;
    }
    tidegate.ip(&["link", "set", "dev", side.interface, "up"])?;
    kernel.ip(&["link", "set", "dev", KERNEL_INTERFACE, "up"])?;
    wait_until_up(tidegate, side.interface)?;
    wait_until_up(kernel, KERNEL_INTERFACE)
}

/// The kernel brings an interface into operation some time after it was told to, up to a second
/// later. Before that it answers to no ARP request and to no solicitation.
fn wait_until_up(namespace: &Namespace, interface: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !namespace
        .ip_output(&["-o", "link", "show", "dev", interface])?
        .contains("state UP")
    {
        if Instant::now() > end {
            bail!("{interface} in {} does not come up", namespace.name());
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}
