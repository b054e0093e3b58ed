//! System calls on raw packet sockets: options, filter, and many frames in one call
//! (linux/if_packet.h and linux/virtio_net.h, 6.18).
//!
//! Every frame travels with a `struct virtio_net_hdr` in front of it (`PACKET_VNET_HDR`), in which
//! the kernel says what is left to do about its checksum, and is told the same.

#![allow(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and socket options take raw pointers"
)]

use core::ptr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use af_xdp::{Frame, TxChecksum};
use arrayvec::ArrayVec;

use super::check;
use crate::BURST;

const SOL_PACKET: libc::c_int = 263;
const PACKET_STATISTICS: libc::c_int = 6;
const PACKET_FANOUT: libc::c_int = 18;

/// The kernel chooses the number of the group.
const FANOUT_UNIQUE: u32 = 0x2000;
/// All sockets of the group ignore what this machine sends.
const FANOUT_IGNORE_OUTGOING: u32 = 0x4000;

/// Socket option: a `virtio_net_hdr` travels with each frame.
pub(crate) const PACKET_VNET_HDR: libc::c_int = 15;
/// Socket option: frames that this machine sends are not received.
pub(crate) const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

/// Every protocol, in network order as `sockaddr_ll` wants it.
const ETH_P_ALL: u16 = 0x0003_u16.to_be();

/// Bytes of `struct virtio_net_hdr`.
const VNET_LEN: usize = 10;

/// `struct virtio_net_hdr` without the member for merged buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VnetHeader([u8; VNET_LEN]);

impl VnetHeader {
    const NEEDS_CSUM: u8 = 1;

    /// The header of a frame whose sums are whole, or to be finished as `checksum` says.
    fn new(checksum: Option<TxChecksum>) -> Self {
        // flags, gso_type, hdr_len (2), gso_size (2), csum_start (2), csum_offset (2); a packet
        // socket has the machine's own byte order.
        let mut bytes = [0; VNET_LEN];
        if let Some(TxChecksum { start, offset }) = checksum {
            bytes[0] = Self::NEEDS_CSUM;
            bytes[6..8].copy_from_slice(&start.to_ne_bytes());
            bytes[8..10].copy_from_slice(&offset.to_ne_bytes());
        }
        Self(bytes)
    }

    /// The sum that nobody has finished, where there is one.
    pub(crate) fn unfinished(self) -> Option<TxChecksum> {
        let bytes = self.0;
        (bytes[0] & Self::NEEDS_CSUM != 0).then(|| TxChecksum {
            start: u16::from_ne_bytes([bytes[6], bytes[7]]),
            offset: u16::from_ne_bytes([bytes[8], bytes[9]]),
        })
    }
}

/// Sets an option of level `SOL_PACKET` that is one int.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the kernel reads the size given from `value`, which is an int that lives here.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_PACKET,
            option,
            (&raw const value).cast(),
            socklen::<libc::c_int>(),
        )
    };
    check(result)
}

/// Attaches a classic BPF program that decides which frames are received, in place of the one
/// before.
pub(crate) fn attach_filter(
    socket: BorrowedFd<'_>,
    filter: &[libc::sock_filter],
) -> io::Result<()> {
    let too_long = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let program = libc::sock_fprog {
        len: filter.len().try_into().map_err(too_long)?,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel reads `program` and the `len` instructions it points to, and writes
    // neither; both live until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            socklen::<libc::sock_fprog>(),
        )
    };
    check(result)
}

/// Receives all protocols of one interface from now on.
pub(crate) fn bind(socket: BorrowedFd<'_>, interface_index: u32) -> io::Result<()> {
    let no_device = |_| io::Error::from_raw_os_error(libc::ENODEV);
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET.try_into().expect("AF_PACKET is 17"),
        sll_protocol: ETH_P_ALL,
        sll_ifindex: interface_index.try_into().map_err(no_device)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the kernel reads one `sockaddr_ll` of the size given, which lives here.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            socklen::<libc::sockaddr_ll>(),
        )
    };
    check(result)
}

/// Frames dropped because the socket's buffer was full, since the last time this was asked
/// (`PACKET_STATISTICS`, `tp_drops`).
pub(crate) fn take_drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // struct tpacket_stats: packets, drops.
    let mut statistics = [0_u32; 2];
    let mut len = socklen::<[u32; 2]>();
    // SAFETY: the kernel writes at most `len` bytes, the size of `statistics`, and the new length.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            SOL_PACKET,
            PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut len,
        )
    };
    check(result)?;
    Ok(statistics[1])
}

/// Makes the socket the first of a group among which the kernel shares out flows by a hash, and
/// returns the group's number.
pub(crate) fn start_fanout(socket: BorrowedFd<'_>) -> io::Result<u16> {
    let flags = FANOUT_UNIQUE | FANOUT_IGNORE_OUTGOING;
    // The number in the lower half, mode and flags in the upper; mode 0 is the hash.
    set_option(socket, PACKET_FANOUT, (flags << 16).cast_signed())?;
    let mut fanout = 0_u32;
    let mut len = socklen::<u32>();
    // SAFETY: the kernel writes at most `len` bytes, the size of `fanout`, and the new length.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            SOL_PACKET,
            PACKET_FANOUT,
            (&raw mut fanout).cast(),
            &raw mut len,
        )
    };
    check(result)?;
    Ok(u16::try_from(fanout & 0xffff).expect("16 bits remain"))
}

/// Adds the socket to a group.
pub(crate) fn join_fanout(socket: BorrowedFd<'_>, group: u16) -> io::Result<()> {
    let fanout = FANOUT_IGNORE_OUTGOING << 16 | u32::from(group);
    set_option(socket, PACKET_FANOUT, fanout.cast_signed())
}

/// What the kernel said about a frame that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Its true length, which may be more than there was room for.
    pub(crate) len: usize,
    pub(crate) header: VnetHeader,
}

/// Receives into the first of `frames`, whose lengths say how much room each has, without waiting.
/// Returns one entry for each frame that was filled.
pub(crate) fn receive(
    socket: BorrowedFd<'_>,
    frames: &mut [Frame],
) -> io::Result<ArrayVec<Received, BURST>> {
    let mut headers = [VnetHeader::default(); BURST];
    let mut parts = [[EMPTY; 2]; BURST];
    let mut messages = [no_message(); BURST];
    let count = frames.len().min(BURST);
    for index in 0..count {
        parts[index] = [
            slice(&mut headers[index].0),
            slice(frames[index].bytes_mut()),
        ];
        messages[index].msg_hdr.msg_iov = parts[index].as_mut_ptr();
        messages[index].msg_hdr.msg_iovlen = 2;
    }
    // SAFETY: the first `count` messages point to two parts each; these to a header and to the
    // bytes of a frame, all borrowed mutably by this function and alive until the call returns.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            libc::c_uint::try_from(count).expect("at most a burst"),
            libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            ptr::null_mut(),
        )
    };
    check(received)?;
    let received = usize::try_from(received).expect("checked not to be negative");
    let filled = messages.iter().zip(headers).take(received);
    Ok(filled
        .map(|(message, header)| Received {
            len: (message.msg_len as usize).saturating_sub(VNET_LEN),
            header,
        })
        .collect())
}

/// Sends the first of `frames` without waiting. Returns how many were sent; an error is about the
/// first frame.
pub(crate) fn send(socket: BorrowedFd<'_>, frames: &mut [Frame]) -> io::Result<usize> {
    let mut headers = [VnetHeader::default(); BURST];
    let mut parts = [[EMPTY; 2]; BURST];
    let mut messages = [no_message(); BURST];
    let count = frames.len().min(BURST);
    for index in 0..count {
        headers[index] = VnetHeader::new(frames[index].tx_checksum());
        parts[index] = [
            slice(&mut headers[index].0),
            slice(frames[index].bytes_mut()),
        ];
        messages[index].msg_hdr.msg_iov = parts[index].as_mut_ptr();
        messages[index].msg_hdr.msg_iovlen = 2;
    }
    // SAFETY: the first `count` messages point to two parts each; these to a header and to the
    // bytes of a frame, all borrowed by this function and alive until the call returns.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            libc::c_uint::try_from(count).expect("at most a burst"),
            libc::MSG_DONTWAIT,
        )
    };
    check(sent)?;
    Ok(usize::try_from(sent).expect("checked not to be negative"))
}

const EMPTY: libc::iovec = libc::iovec {
    iov_base: ptr::null_mut(),
    iov_len: 0,
};

fn slice(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

const fn no_message() -> libc::mmsghdr {
    // SAFETY: all bits zero are a message without address, parts and control data; some C
    // libraries have padding members, so it cannot be written out.
    unsafe { core::mem::zeroed() }
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("a small structure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_which_sum_is_unfinished() {
        assert_eq!(VnetHeader::new(None).unfinished(), None);
        let sum = TxChecksum {
            start: 34,
            offset: 16,
        };
        assert_eq!(VnetHeader::new(Some(sum)).unfinished(), Some(sum));
    }
}
