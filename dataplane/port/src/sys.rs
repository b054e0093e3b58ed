//! System calls on interfaces: the ioctls with `struct ifreq`, ethtool's, and those of TAP devices.
//!
//! Wrappers only: each makes one call and says what the kernel said. Error texts are made by the
//! callers, who know what it was for.

#![allow(unsafe_code, reason = "ioctl takes raw pointers")]

pub(crate) mod packet;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `struct ifreq` with a name in it.
pub(crate) struct InterfaceRequest(libc::ifreq);

impl InterfaceRequest {
    /// A request about the interface `name`, at most 15 bytes.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_slave: [0; libc::IFNAMSIZ],
            },
        };
        if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.bytes().any(|byte| byte == 0) {
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        Ok(Self(request))
    }

    /// The member `ifr_flags`.
    fn flags(&self) -> libc::c_short {
        // SAFETY: `new` initialised every byte of the union's first 16, where the flags lie, and
        // any bits make a short.
        unsafe { self.0.ifr_ifru.ifru_flags }
    }
}

/// Reads the interface's flags into the request (`SIOCGIFFLAGS`).
pub(crate) fn read_flags(request: &mut InterfaceRequest) -> io::Result<()> {
    on_any_socket(|socket| {
        // SAFETY: SIOCGIFFLAGS reads and writes one `struct ifreq`, which is borrowed mutably.
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request.0) }
    })
}

/// Writes the flags of the request, and `IFF_UP`, to the interface (`SIOCSIFFLAGS`).
pub(crate) fn add_flag_up(request: &mut InterfaceRequest) -> io::Result<()> {
    const UP: libc::c_short = 1;
    request.0.ifr_ifru.ifru_flags = request.flags() | UP;
    on_any_socket(|socket| {
        // SAFETY: SIOCSIFFLAGS reads one `struct ifreq`, which is borrowed.
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request.0) }
    })
}

/// A command of ethtool whose structure is so many 32-bit words (linux/ethtool.h, 6.18).
#[derive(Clone, Copy)]
pub(crate) struct EthtoolCommand {
    number: u32,
    words: usize,
}

impl EthtoolCommand {
    pub(crate) const GDRVINFO: Self = Self::new(0x03, 49);
    pub(crate) const GRXCSUM: Self = Self::new(0x14, 2);
    pub(crate) const SRXCSUM: Self = Self::new(0x15, 2);
    pub(crate) const GTXCSUM: Self = Self::new(0x16, 2);
    pub(crate) const STXCSUM: Self = Self::new(0x17, 2);
    pub(crate) const GTSO: Self = Self::new(0x1e, 2);
    pub(crate) const STSO: Self = Self::new(0x1f, 2);
    pub(crate) const GGSO: Self = Self::new(0x23, 2);
    pub(crate) const SGSO: Self = Self::new(0x24, 2);
    pub(crate) const GGRO: Self = Self::new(0x2b, 2);
    pub(crate) const SGRO: Self = Self::new(0x2c, 2);
    pub(crate) const GCHANNELS: Self = Self::new(0x3c, 9);

    /// The size of the largest of these structures.
    pub(crate) const WORDS_MAX: usize = 49;

    /// Only the constants above are made, so that the sizes can be checked in one place.
    const fn new(number: u32, words: usize) -> Self {
        assert!(words <= Self::WORDS_MAX, "the buffer holds every structure");
        Self { number, words }
    }
}

/// Carries out one ethtool command; the first word is set to its number.
pub(crate) fn ethtool(
    interface: &str,
    command: EthtoolCommand,
    words: &mut [u32; EthtoolCommand::WORDS_MAX],
) -> io::Result<()> {
    debug_assert!(command.words <= words.len());
    let mut request = InterfaceRequest::new(interface)?;
    words[0] = command.number;
    request.0.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    on_any_socket(|socket| {
        // SAFETY: the kernel reads and writes the command's structure, which is no larger than
        // `words` (checked when the command was made), and `words` is borrowed mutably.
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request.0) }
    })
}

/// Makes `file`, an open `/dev/net/tun`, the other side of the TAP device of the request, which
/// is made where it is missing (`TUNSETIFF` with `IFF_TAP | IFF_NO_PI`, linux/if_tun.h, 6.18); or
/// one of several such (`IFF_MULTI_QUEUE`).
pub(crate) fn attach_tap(
    file: &File,
    request: &mut InterfaceRequest,
    is_one_of_several: bool,
) -> io::Result<()> {
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
    if is_one_of_several {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    request.0.ifr_ifru.ifru_flags =
        libc::c_short::try_from(flags).expect("both flags lie in the lower 15 bits");
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which is borrowed mutably.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request.0) };
    check(result)
}

/// Runs an ioctl that needs a socket of the network namespace, any kind of it.
fn on_any_socket(ioctl: impl FnOnce(BorrowedFd<'_>) -> libc::c_int) -> io::Result<()> {
    use std::os::fd::AsFd;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    check(ioctl(socket.as_fd()))
}

/// The error number of a call that returned -1.
fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
