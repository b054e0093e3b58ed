//! Opening: the source address, the local port, and what can be wrong (RFC 9293 3.10.1, active).
//!
//! The local port is chosen as RFC 6056 3.3.4 has it (double-hash port selection): a secret hash of
//! the destination says where to begin, and a counter, one of many and chosen by another secret
//! hash, moves on from there. So ports look random to others, and a port is taken again as late as
//! possible towards the same destination. Ports towards different destinations do not exclude each
//! other.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use tidegate_tcp::FourTuple;

use crate::flow::SettingsId;
use crate::table;

/// A connection that is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Whom to.
    pub remote: SocketAddr,
    /// From which of our addresses; none: the one that the route suggests (RFC 9293 3.9.1.1,
    /// MUST-43 and MUST-44).
    pub local: Option<IpAddr>,
    /// From which port; none: one out of the worker's range.
    pub local_port: Option<u16>,
    /// Send text that is queued in the same callback along with the SYN, if the peer has given us a
    /// Fast Open cookie before, and else ask it for one (RFC 7413). Only for text that may arrive
    /// twice: such a SYN can be delivered again after the connection it opened has ended.
    pub fast_open: bool,
    /// Settings of the flow.
    pub settings: SettingsId,
    /// The application's number.
    pub tag: u32,
}

impl Open {
    /// To `remote`, from whatever address and port are right, with the first settings and tag 0.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Self {
        Self {
            remote,
            local: None,
            local_port: None,
            fast_open: false,
            settings: SettingsId(0),
            tag: 0,
        }
    }
}

/// Why a connection was not opened. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// No interface and no gateway leads there.
    NoRoute,
    /// The remote address cannot be one station's, or the port is 0 (RFC 9293 3.9.1.1, MUST-46).
    InvalidRemote,
    /// The local address is not ours, or is of the other version.
    InvalidLocal,
    /// The local port that was asked for is in use towards this destination.
    PortInUse,
    /// Every port of the range is in use towards this destination.
    NoPortLeft,
    /// The flow table is full.
    TableFull,
    /// There are no such settings.
    NoSuchSettings,
    /// The worker is being drained.
    Draining,
}

impl OpenError {
    /// The name of the error, in lower case, for counters and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::InvalidRemote => "invalid_remote",
            Self::InvalidLocal => "invalid_local",
            Self::PortInUse => "port_in_use",
            Self::NoPortLeft => "no_port_left",
            Self::TableFull => "table_full",
            Self::NoSuchSettings => "no_such_settings",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoute => "no interface and no gateway leads to the remote address",
            Self::InvalidRemote => "the remote address and port cannot be those of one station",
            Self::InvalidLocal => "the local address is not one of ours",
            Self::PortInUse => "the local port is in use towards this destination",
            Self::NoPortLeft => "all local ports are in use towards this destination",
            Self::TableFull => "the flow table is full",
            Self::NoSuchSettings => "there are no settings of that number",
            Self::Draining => "the worker is being drained",
        })
    }
}

impl core::error::Error for OpenError {}

/// Counters of the port choice. More of them make it harder to learn from one destination how
/// many connections go to another; RFC 6056 3.3.4 suggests ten at least.
const COUNTERS: usize = 64;

/// The choice of local ports.
#[derive(Debug)]
pub(crate) struct LocalPorts {
    range: RangeInclusive<u16>,
    key: [u8; 16],
    counters: [u16; COUNTERS],
}

impl LocalPorts {
    /// # Panics
    /// The range is empty; the configuration was checked.
    pub(crate) fn new(range: RangeInclusive<u16>, key: [u8; 16]) -> Self {
        assert!(!range.is_empty(), "there are local ports to choose from");
        Self {
            range,
            key,
            counters: [0; COUNTERS],
        }
    }

    /// A tuple like `tuple` whose local port makes it one that `is_free`; `None` when every port of
    /// the range was tried.
    pub(crate) fn choose(
        &mut self,
        mut tuple: FourTuple,
        is_free: impl Fn(&FourTuple) -> bool,
    ) -> Option<FourTuple> {
        tuple.local_port = 0;
        let [b0, b1, b2, b3, c0, ..] = table::hash(&self.key, &tuple).to_be_bytes();
        let offset = u32::from_be_bytes([b0, b1, b2, b3]);
        let counter = &mut self.counters[usize::from(c0) % COUNTERS];
        let first = *self.range.start();
        let count = u32::from(*self.range.end() - first) + 1;
        for _ in 0..count {
            let step = offset.wrapping_add(u32::from(*counter)) % count;
            *counter = counter.wrapping_add(1);
            let step = u16::try_from(step).expect("below the number of ports");
            tuple.local_port = first + step;
            if is_free(&tuple) {
                return Some(tuple);
            }
        }
        None
    }
}

/// Whether one station can be at `remote` (RFC 9293 3.9.1.1, MUST-46).
pub(crate) const fn is_one_station(remote: SocketAddr) -> bool {
    let is_valid_address = match remote.ip() {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        }
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    };
    is_valid_address && remote.port() != 0
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::collections::HashSet;

    use super::*;

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 0,
            remote: Ipv4Addr::new(192, 0, 2, 2).into(),
            remote_port,
        }
    }

    #[test]
    fn every_port_of_the_range_is_used_once_and_then_none_is_left() {
        let mut ports = LocalPorts::new(40_000..=40_099, [7; 16]);
        let mut used = HashSet::new();
        for _ in 0..100 {
            let chosen = ports.choose(tuple(80), |tuple| !used.contains(&tuple.local_port));
            let port = chosen.unwrap().local_port;
            assert!((40_000..=40_099).contains(&port));
            assert!(used.insert(port), "port {port} twice");
        }
        assert_eq!(
            ports.choose(tuple(80), |tuple| !used.contains(&tuple.local_port)),
            None
        );
        assert!(ports.choose(tuple(81), |_| true).is_some());
    }

    #[test]
    fn the_full_range_of_ports_is_no_special_case() {
        let mut ports = LocalPorts::new(0..=u16::MAX, [7; 16]);
        assert!(
            ports
                .choose(tuple(80), |tuple| tuple.local_port == u16::MAX)
                .is_some()
        );
    }

    #[test]
    fn different_destinations_and_secrets_begin_elsewhere() {
        let first = |key: u8, remote_port| {
            let mut ports = LocalPorts::new(32_768..=60_999, [key; 16]);
            ports
                .choose(tuple(remote_port), |_| true)
                .unwrap()
                .local_port
        };
        let by_destination: HashSet<u16> = (0..50).map(|port| first(1, port)).collect();
        let by_secret: HashSet<u16> = (0..50).map(|key| first(key, 80)).collect();
        assert!(by_destination.len() > 40 && by_secret.len() > 40);
    }

    #[test]
    fn groups_and_port_zero_are_refused() {
        for text in [
            "224.0.0.1:80",
            "255.255.255.255:80",
            "0.0.0.0:80",
            "192.0.2.1:0",
            "[ff02::1]:80",
        ] {
            assert!(!is_one_station(text.parse().unwrap()), "{text}");
        }
        assert!(is_one_station("192.0.2.1:80".parse().unwrap()));
    }
}
