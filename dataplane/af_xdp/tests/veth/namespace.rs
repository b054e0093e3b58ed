//! A network namespace for a test, with a veth pair in it, and the kernel's own view of the wire.
//!
//! The namespace has no name: it belongs to a thread and goes away with it and with whatever was
//! made in it, also if the test panics or is killed.

#![allow(
    unsafe_code,
    reason = "unshare, poll and packet sockets are not in std"
)]

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::thread;

use af_xdp::{Program, ProgramConfig, XdpMode};

/// How long a test waits for what must come, in milliseconds. It is for broken code only.
const PATIENCE_MS: libc::c_int = 20_000;

/// The ends of the pair that each namespace has.
pub(crate) const LEFT: &str = "left";
pub(crate) const RIGHT: &str = "right";

/// Runs a test in a new namespace with a veth pair of one queue and MTU 1500.
pub(crate) fn with_veth(test: impl FnOnce() + Send + 'static) {
    with_veth_of(Pair::default(), test);
}

/// What kind of pair to make.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) left_queues: u32,
    pub(crate) right_queues: u32,
    pub(crate) mtu: u32,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            left_queues: 1,
            right_queues: 1,
            mtu: 1500,
        }
    }
}

/// Runs a test in a new namespace with a veth pair, or says why it cannot.
pub(crate) fn with_veth_of(pair: Pair, test: impl FnOnce() + Send + 'static) {
    // The thread takes the namespace with it when it ends.
    let thread = thread::spawn(move || match set_up(pair) {
        Ok(()) => test(),
        Err(reason) => skip(&reason),
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Says loudly that a test is not run; fails where that is not allowed.
fn skip(reason: &str) {
    assert!(
        std::env::var_os("TIDEGATE_REQUIRE_NET").is_none(),
        "cannot run: {reason}"
    );
    writeln!(io::stderr(), "SKIPPED: {reason}").expect("standard error is open");
}

fn set_up(pair: Pair) -> Result<(), String> {
    // SAFETY: the call takes no pointers and concerns this thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
        return Err(format!(
            "no network namespace: {}",
            io::Error::last_os_error()
        ));
    }
    // Nothing but the test's own frames is to be on the wire.
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")
        .map_err(|error| format!("no sysctl: {error}"))?;
    let Pair {
        left_queues,
        right_queues,
        mtu,
    } = pair;
    let end = |queues| format!("mtu {mtu} numrxqueues {queues} numtxqueues {queues}");
    let (left, right) = (end(left_queues), end(right_queues));
    ip(&format!(
        "link add {LEFT} {left} type veth peer name {RIGHT} {right}"
    ))?;
    ip(&format!("link set {LEFT} up"))?;
    ip(&format!("link set {RIGHT} up"))?;
    // In a user namespace all of this works, but no BPF.
    let generic = ProgramConfig {
        mode: XdpMode::Generic,
        ..ProgramConfig::default()
    };
    match Program::attach(LEFT, generic) {
        Err(error) if error.errno() == libc::EPERM => Err(error.to_string()),
        result => result.map(drop).map_err(|error| panic!("{error}")),
    }
}

/// Runs `ip` in the namespace of the test.
pub(crate) fn ip(arguments: &str) -> Result<(), String> {
    ip_output(arguments).map(|_| ())
}

/// What `ip` says.
pub(crate) fn ip_output(arguments: &str) -> Result<String, String> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| format!("cannot run ip: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// Waits until the descriptor is readable; panics if it never is.
pub(crate) fn wait_readable(fd: &impl AsFd) {
    let fd = fd.as_fd().as_raw_fd();
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one structure is passed, and it outlives the call.
    let ready = unsafe { libc::poll(&raw mut poll, 1, PATIENCE_MS) };
    assert_eq!(ready, 1, "nothing came: {}", io::Error::last_os_error());
}

/// A packet socket on an interface: the kernel's side of the wire.
pub(crate) struct Raw(OwnedFd);

impl Raw {
    pub(crate) fn open(interface: &str) -> Self {
        let protocol = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(protocol)) };
        assert!(fd >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: the descriptor has just been made.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let name = std::ffi::CString::new(interface).unwrap();
        // SAFETY: the name is a C string.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap(),
            sll_protocol: protocol,
            sll_ifindex: i32::try_from(index).unwrap(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let len = u32::try_from(size_of_val(&address)).unwrap();
        // SAFETY: the address is a `sockaddr_ll` and `len` is its size.
        let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        assert_eq!(result, 0, "bind: {}", io::Error::last_os_error());
        Self(fd)
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        // SAFETY: the frame is as long as is said, and only read.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        assert_eq!(
            sent,
            frame.len().cast_signed(),
            "send: {}",
            io::Error::last_os_error()
        );
    }

    /// The next frame that came in from the wire; panics if none comes.
    pub(crate) fn receive(&self) -> Vec<u8> {
        loop {
            wait_readable(&self.0);
            let mut frame = vec![0; 65536];
            // SAFETY: a structure of integers, for which zeros are a value.
            let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            let mut from_len = u32::try_from(size_of_val(&from)).unwrap();
            // SAFETY: frame and address are as long as is said.
            let len = unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    frame.as_mut_ptr().cast(),
                    frame.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut from_len,
                )
            };
            frame.truncate(usize::try_from(len).expect("a frame is there"));
            // A packet socket sees what its own interface sends, too.
            if from.sll_pkttype != libc::PACKET_OUTGOING {
                return frame;
            }
        }
    }
}
