//! What `ethtool` shows and sets, by the same ioctl (`SIOCETHTOOL`, linux/ethtool.h, 6.18):
//! driver, channels, offloads.

use std::io;

use crate::Error;
use crate::sys::{self, EthtoolCommand};

/// How many queues an interface has in use and how many it could have.
///
/// Some drivers count pairs (`combined`), others each direction, some both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that only receive.
    pub rx: u32,
    /// Queues that only transmit.
    pub tx: u32,
    /// Queues that do both.
    pub combined: u32,
    /// How many that only receive there could be.
    pub rx_max: u32,
    /// How many that only transmit there could be.
    pub tx_max: u32,
    /// How many that do both there could be.
    pub combined_max: u32,
}

impl Channels {
    /// Queues that receive.
    #[must_use]
    pub const fn receiving(&self) -> u32 {
        self.rx + self.combined
    }
}

/// Work that an interface may take from the kernel's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Checking sums of received segments (`rx`).
    RxChecksum,
    /// Finishing sums of sent segments (`tx`). Where it is off, `tso` is off too.
    TxChecksum,
    /// Cutting one large TCP segment into many (`tso`).
    Tso,
    /// The same by the kernel, just before the driver (`gso`).
    Gso,
    /// Merging received segments into large ones (`gro`).
    Gro,
}

impl Offload {
    /// The word that `ethtool -K` uses for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RxChecksum => "rx",
            Self::TxChecksum => "tx",
            Self::Tso => "tso",
            Self::Gso => "gso",
            Self::Gro => "gro",
        }
    }

    const fn commands(self) -> (EthtoolCommand, EthtoolCommand) {
        match self {
            Self::RxChecksum => (EthtoolCommand::GRXCSUM, EthtoolCommand::SRXCSUM),
            Self::TxChecksum => (EthtoolCommand::GTXCSUM, EthtoolCommand::STXCSUM),
            Self::Tso => (EthtoolCommand::GTSO, EthtoolCommand::STSO),
            Self::Gso => (EthtoolCommand::GGSO, EthtoolCommand::SGSO),
            Self::Gro => (EthtoolCommand::GGRO, EthtoolCommand::SGRO),
        }
    }
}

/// The name of the kernel's driver for an interface, such as `veth` or `ixgbe`.
///
/// # Errors
///
/// `ENODEV` when there is no such interface, `EOPNOTSUPP` when the driver does not say.
pub fn driver_name(interface: &str) -> Result<String, Error> {
    let mut words = [0; EthtoolCommand::WORDS_MAX];
    sys::ethtool(interface, EthtoolCommand::GDRVINFO, &mut words)
        .map_err(|error| failed(interface, "ioctl(ETHTOOL_GDRVINFO)", error))?;
    // struct ethtool_drvinfo: cmd, then the driver's name in 32 bytes.
    let name: Vec<u8> = words[1..9]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    Ok(String::from_utf8_lossy(&name[..end]).into_owned())
}

/// How many queues an interface uses; `None` where its driver does not say.
///
/// # Errors
///
/// `ENODEV` when there is no such interface.
pub fn channels(interface: &str) -> Result<Option<Channels>, Error> {
    let mut words = [0; EthtoolCommand::WORDS_MAX];
    match sys::ethtool(interface, EthtoolCommand::GCHANNELS, &mut words) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(None),
        Err(error) => return Err(failed(interface, "ioctl(ETHTOOL_GCHANNELS)", error)),
    }
    // struct ethtool_channels: cmd, four maxima, four counts; "other" is for interrupts only.
    let [_, rx_max, tx_max, _, combined_max, rx, tx, _, combined, ..] = words;
    Ok(Some(Channels {
        rx,
        tx,
        combined,
        rx_max,
        tx_max,
        combined_max,
    }))
}

/// Whether an offload is on.
///
/// # Errors
///
/// `ENODEV` when there is no such interface.
pub fn offload(interface: &str, offload: Offload) -> Result<bool, Error> {
    let mut words = [0; EthtoolCommand::WORDS_MAX];
    sys::ethtool(interface, offload.commands().0, &mut words)
        .map_err(|error| failed(interface, "ioctl(SIOCETHTOOL)", error))?;
    Ok(words[1] != 0)
}

/// Turns an offload on or off, as `ethtool -K` does. It changes what the kernel's own stack gets
/// on this interface too.
///
/// # Errors
///
/// `EPERM` without CAP_NET_ADMIN, `EOPNOTSUPP` where the driver cannot change it.
pub fn set_offload(interface: &str, offload: Offload, on: bool) -> Result<(), Error> {
    let mut words = [0; EthtoolCommand::WORDS_MAX];
    words[1] = u32::from(on);
    sys::ethtool(interface, offload.commands().1, &mut words)
        .map_err(|error| failed(interface, "ioctl(SIOCETHTOOL)", error))
}

fn failed(interface: &str, call: &'static str, error: io::Error) -> Error {
    let advice = match error.raw_os_error() {
        Some(libc::EPERM) => "changing an interface needs CAP_NET_ADMIN",
        Some(libc::EOPNOTSUPP) => "the interface's driver does not offer it",
        _ => "run `ip link` in the same network namespace to see what is there",
    };
    Error::call(interface, call, error, advice)
}
