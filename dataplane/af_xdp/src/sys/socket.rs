//! System calls on AF_XDP sockets: create, configure, bind, wake. Constants and structures are
//! those of linux/if_xdp.h, 6.18.

#![allow(unsafe_code, reason = "socket calls take pointers to structures")]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::{errno, failed};
use crate::error::Error;

/// Option of `SOL_XDP`: how many frames one `sendto` may send in copy mode. Younger than `libc`.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// What the kernel fills in or reads as plain bytes.
///
/// # Safety
///
/// A `repr(C)` structure or integer for which every pattern of bits is a value.
unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: a struct of 64-bit integers.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: a struct of 64-bit integers.
unsafe impl Plain for libc::xdp_statistics {}
// SAFETY: a struct of one integer.
unsafe impl Plain for libc::xdp_options {}
// SAFETY: a struct of integers without padding.
unsafe impl Plain for libc::xdp_umem_reg {}

/// The index of a network interface of this network namespace.
pub(crate) fn interface_index(name: &str) -> Result<u32, Error> {
    let missing = "use the name of an interface that exists in this network namespace (ip link)";
    let name = CString::new(name).map_err(|_| Error::invalid("if_nametoindex", missing))?;
    // SAFETY: the name is a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        Err(failed("if_nametoindex", missing))
    } else {
        Ok(index)
    }
}

/// A new AF_XDP socket, not bound to anything.
pub(crate) fn create() -> Result<OwnedFd, Error> {
    // SAFETY: the call takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(match errno() {
            libc::EAFNOSUPPORT => failed(
                "socket(AF_XDP)",
                "use a kernel that was built with CONFIG_XDP_SOCKETS",
            ),
            _ => failed(
                "socket(AF_XDP)",
                "run with CAP_NET_RAW, or use another driver",
            ),
        });
    }
    // SAFETY: the descriptor has just been made and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Registers memory; the kernel pins its pages and counts them against `RLIMIT_MEMLOCK`.
pub(crate) fn register_umem(fd: BorrowedFd<'_>, region: libc::xdp_umem_reg) -> Result<(), i32> {
    set(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, region)
}

/// Makes one of the four rings, of `size` entries; `ring` is one of `XDP_RX_RING`, `XDP_TX_RING`,
/// `XDP_UMEM_FILL_RING`, `XDP_UMEM_COMPLETION_RING`.
pub(crate) fn create_ring(fd: BorrowedFd<'_>, ring: libc::c_int, size: u32) -> Result<(), i32> {
    set(fd, libc::SOL_XDP, ring, size)
}

/// Where in the mapped rings what lies.
pub(crate) fn ring_offsets(fd: BorrowedFd<'_>) -> Result<libc::xdp_mmap_offsets, i32> {
    option(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)
}

/// Lets one wake-up send up to `frames` frames in copy mode (Linux 6.17).
pub(crate) fn set_tx_budget(fd: BorrowedFd<'_>, frames: u32) -> Result<(), i32> {
    set(fd, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, frames)
}

/// What the kernel counts for the socket.
pub(crate) fn statistics(fd: BorrowedFd<'_>) -> Result<libc::xdp_statistics, i32> {
    option(fd, libc::SOL_XDP, libc::XDP_STATISTICS)
}

/// Whether the bound socket does without copies.
pub(crate) fn is_zero_copy(fd: BorrowedFd<'_>) -> Result<bool, i32> {
    let options: libc::xdp_options = option(fd, libc::SOL_XDP, libc::XDP_OPTIONS)?;
    Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// The NAPI instance behind the queue of a bound socket; 0 where the driver shows none.
pub(crate) fn napi_id(fd: BorrowedFd<'_>) -> Result<u32, i32> {
    option(fd, libc::SOL_SOCKET, libc::SO_INCOMING_NAPI_ID)
}

/// Has the wake-up calls run the driver's poll function themselves: for up to `time_us`
/// microseconds and `budget` frames a call, and with interrupts held off in between.
pub(crate) fn prefer_busy_poll(fd: BorrowedFd<'_>, time_us: u32, budget: u32) -> Result<(), i32> {
    set(fd, libc::SOL_SOCKET, libc::SO_PREFER_BUSY_POLL, 1u32)?;
    set(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, time_us)?;
    set(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL_BUDGET, budget)
}

/// Binds the socket to a queue. With `XDP_SHARED_UMEM` in `flags`, `umem_of` is the socket that
/// has registered the memory.
pub(crate) fn bind(
    fd: BorrowedFd<'_>,
    interface: u32,
    queue: u32,
    flags: u16,
    umem_of: Option<BorrowedFd<'_>>,
) -> Result<(), i32> {
    let umem_of = umem_of.map_or(0, |fd| fd.as_raw_fd());
    let address = libc::sockaddr_xdp {
        sxdp_family: u16::try_from(libc::AF_XDP).expect("44"),
        sxdp_flags: flags,
        sxdp_ifindex: interface,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: u32::try_from(umem_of).expect("descriptors are not negative"),
    };
    let len = len_of::<libc::sockaddr_xdp>();
    // SAFETY: the address is a `sockaddr_xdp` and `len` is its size.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// Has the kernel look at the tx ring.
pub(crate) fn wake_tx(fd: BorrowedFd<'_>) -> Result<(), i32> {
    let flags = libc::MSG_DONTWAIT;
    // SAFETY: no bytes and no address are passed; what is to be sent lies in the ring.
    let result = unsafe { libc::sendto(fd.as_raw_fd(), ptr::null(), 0, flags, ptr::null(), 0) };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// Has the kernel look at the fill ring.
pub(crate) fn wake_rx(fd: BorrowedFd<'_>) -> Result<(), i32> {
    let (flags, nowhere) = (libc::MSG_DONTWAIT, ptr::null_mut());
    // SAFETY: no room for bytes or an address is passed; what is received lies in the ring.
    let result = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            ptr::null_mut(),
            0,
            flags,
            nowhere,
            ptr::null_mut(),
        )
    };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

fn len_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a structure of a few bytes")
}

fn set<T: Plain>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: T,
) -> Result<(), i32> {
    let len = len_of::<T>();
    // SAFETY: the kernel reads at most `len` bytes, which is the size of the value.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// Fails with `EPROTO` if the kernel's idea of the value has another size.
fn option<T: Plain>(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int) -> Result<T, i32> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut len = len_of::<T>();
    // SAFETY: the kernel writes at most `len` bytes, which is the size of the value.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            level,
            name,
            value.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result < 0 {
        return Err(errno());
    }
    if len as usize != size_of::<T>() {
        return Err(libc::EPROTO);
    }
    // SAFETY: the bytes were zeroed and partly overwritten, and any bytes are a `Plain` value.
    Ok(unsafe { value.assume_init() })
}
