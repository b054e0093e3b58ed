//! `Program`: an XDP program on an interface that redirects what is for owned addresses.
//!
//! An interface has one XDP program for all its queues. It is assembled here (`code`), so neither
//! a compiler for BPF nor an object file is needed, and attached by a BPF link, which goes away with
//! its descriptor: a process that is killed leaves nothing behind.
//!
//! The program knows two maps: addresses that are owned, and the socket of each queue. Frames for
//! other addresses, and for owned ones on a queue without a socket, go the kernel's way.
//!
//! System calls in order: bpf BPF_MAP_CREATE twice, if_nametoindex, bpf BPF_PROG_LOAD, bpf
//! BPF_LINK_CREATE; at the end bpf BPF_LINK_DETACH. It takes `CAP_BPF` and `CAP_NET_ADMIN`, which a user namespace cannot give.

mod assembler;
mod code;
mod maps;

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use self::code::Action;
use self::maps::Maps;
use crate::error::Error;
use crate::socket::Socket;
use crate::sys::bpf::{self, LinkMode};
use crate::sys::socket::interface_index;

/// Where the program is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver where it can, else in the kernel's generic path.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the generic path, behind the driver: slower, but every interface has it.
    Generic,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// In the driver, before the kernel has made anything of the frame.
    Native,
    /// In the kernel's generic path.
    Generic,
}

/// What to ask of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramConfig {
    /// Where it is to run.
    pub mode: XdpMode,
    /// How many addresses can be owned at once.
    pub addresses: u32,
    /// How many queues can be served: at least as many as the interface has.
    pub queues: u32,
}

impl Default for ProgramConfig {
    /// Room for 1024 addresses and 256 queues, which takes some 100 KB of kernel memory.
    fn default() -> Self {
        Self {
            mode: XdpMode::Auto,
            addresses: 1024,
            queues: 256,
        }
    }
}

/// An XDP program on an interface; dropping it detaches it.
#[derive(Debug)]
pub struct Program {
    maps: Maps,
    interface: Box<str>,
    attachment: Attachment,
    native_refused: Option<Error>,
    /// The program is attached for as long as this is open.
    link: OwnedFd,
}

impl Program {
    /// Loads the program and attaches it to `interface`. Nothing is owned yet, so nothing changes
    /// for anybody.
    ///
    /// # Errors
    ///
    /// `EPERM` without the privileges; `EBUSY` or `EEXIST` if the interface has an XDP program;
    /// `EINVAL` or `EACCES` from the kernel's verifier, with its log; and what the driver says.
    pub fn attach(interface: &str, config: ProgramConfig) -> Result<Self, Error> {
        let within = |error: Error| error.of_interface(interface);
        let maps = Maps::new(config.addresses, config.queues).map_err(within)?;
        let index = interface_index(interface).map_err(within)?;
        let program = load(&code::build(&maps, Action::Pass)).map_err(within)?;
        let link = |mode| {
            bpf::link(program.as_fd(), index, mode).map_err(|errno| within(link_error(errno, mode)))
        };
        let (link, attachment, native_refused) = match config.mode {
            XdpMode::Native => (link(LinkMode::Native)?, Attachment::Native, None),
            XdpMode::Generic => (link(LinkMode::Generic)?, Attachment::Generic, None),
            XdpMode::Auto => match link(LinkMode::Native) {
                Ok(link) => (link, Attachment::Native, None),
                Err(error) if is_occupied(error.errno()) => return Err(error),
                Err(error) => (link(LinkMode::Generic)?, Attachment::Generic, Some(error)),
            },
        };
        Ok(Self {
            maps,
            interface: interface.into(),
            attachment,
            native_refused,
            link,
        })
    }

    /// Sends what is redirected on the socket's queue to this socket, instead of to the one that
    /// served the queue before, if any. A socket that is dropped stops to be served by itself.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the program was not made for so many queues.
    ///
    /// # Panics
    ///
    /// If the socket was opened on another interface.
    pub fn serve(&self, socket: &Socket) -> Result<(), Error> {
        assert_eq!(
            socket.interface(),
            &*self.interface,
            "the socket is on another interface"
        );
        let fd = socket.as_fd().as_raw_fd();
        self.maps
            .serve(socket.queue(), fd)
            .map_err(|error| error.of_interface(&self.interface).of_queue(socket.queue()))
    }

    /// Redirects what is for `address` from now on: IP, and the ARP or neighbour discovery that
    /// concerns it. An IPv4 address and its IPv6-mapped form are the same.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the program was not made for so many addresses.
    pub fn own(&self, address: IpAddr) -> Result<(), Error> {
        self.maps
            .own(address)
            .map_err(|error| error.of_interface(&self.interface))
    }

    /// Leaves what is for `address` to the kernel from now on.
    ///
    /// # Errors
    ///
    /// None that are known of a map that exists.
    pub fn disown(&self, address: IpAddr) -> Result<(), Error> {
        self.maps
            .disown(address)
            .map_err(|error| error.of_interface(&self.interface))
    }

    /// Where it runs.
    pub fn attachment(&self) -> Attachment {
        self.attachment
    }

    /// Why it does not run in the driver, where that was tried.
    pub fn native_refused(&self) -> Option<&Error> {
        self.native_refused.as_ref()
    }

    /// The interface it is attached to.
    pub fn interface(&self) -> &str {
        &self.interface
    }
}

impl Drop for Program {
    /// Detaches the program now. To close the link alone would do it too, but late if a child
    /// process has just been forked and not yet got rid of its copy of the descriptor.
    fn drop(&mut self) {
        // It fails only if the interface has gone, and the program with it.
        let _ = bpf::detach(self.link.as_fd());
    }
}

/// Loads the program; if the verifier refuses it, once more for the log.
fn load(instructions: &[bpf::Instruction]) -> Result<OwnedFd, Error> {
    /// What the verifier may write, in bytes. It says some 100 bytes an instruction; a log that
    /// does not fit would replace the error by `ENOSPC`.
    const LOG_LEN: usize = 256 * 1024;
    /// The program calls only helpers that are open to all licences; the kernel wants to know.
    const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
    const CALL: &str = "bpf(BPF_PROG_LOAD)";

    let errno = match bpf::load_program(instructions, LICENSE, None) {
        Ok(program) => return Ok(program),
        Err(libc::EPERM) => {
            let advice = "run with CAP_BPF and CAP_NET_ADMIN outside of a user namespace";
            return Err(Error::new(CALL, libc::EPERM, advice));
        }
        Err(errno) => errno,
    };
    let mut log = vec![0; LOG_LEN];
    match bpf::load_program(instructions, LICENSE, Some(&mut log)) {
        Ok(program) => Ok(program),
        Err(_) => {
            let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
            let log = String::from_utf8_lossy(&log[..end]);
            let advice =
                format!("use Linux 5.10 or later, or report what the verifier said: {log}");
            Err(Error::new(CALL, errno, advice))
        }
    }
}

/// Whether the error number says that the interface has a program: in the same mode or the other.
fn is_occupied(errno: i32) -> bool {
    matches!(errno, libc::EBUSY | libc::EEXIST)
}

fn link_error(errno: i32, mode: LinkMode) -> Error {
    let advice = match (errno, mode) {
        (errno, _) if is_occupied(errno) => {
            "the interface has an XDP program: stop the process that attached it (bpftool net), or \
             detach it (ip link set dev .. xdp off; xdpgeneric off)"
        }
        (libc::EPERM, _) => "run with CAP_NET_ADMIN in the namespace of the interface",
        (libc::EOPNOTSUPP, LinkMode::Native) => "the driver has no XDP: use the generic mode",
        (libc::ERANGE, LinkMode::Native) => {
            "lower the MTU until a frame fits a page (for a veth: the MTU of its peer, to 3506), \
             or use the generic mode"
        }
        (libc::ENOSPC, LinkMode::Native) => {
            "give the interface more rx queues (a veth: as many as its peer has tx queues), or use \
             the generic mode"
        }
        (_, LinkMode::Native) => "the driver refuses: see dmesg, or use the generic mode",
        (_, LinkMode::Generic) => "see bpf(2) and dmesg",
    };
    Error::new("bpf(BPF_LINK_CREATE)", errno, advice)
}

#[cfg(test)]
mod tests;
