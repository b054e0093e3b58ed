//! How a socket comes to be: create, register the memory, make and map the rings, bind.
//!
//! System calls in order: if_nametoindex, socket, setsockopt XDP_UMEM_REG (unless the memory is
//! shared), setsockopt for the four rings, getsockopt XDP_MMAP_OFFSETS, mmap of the four rings,
//! bind, then the options that may fail: getsockopt XDP_OPTIONS, setsockopt
//! XDP_MAX_TX_SKB_BUDGET, SO_INCOMING_NAPI_ID, SO_PREFER_BUSY_POLL and what belongs to it.
//! The privilege it takes is `CAP_NET_RAW`, and `CAP_IPC_LOCK` beyond `RLIMIT_MEMLOCK`.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use super::config::{SocketConfig, SocketMode, ZeroCopy};
use super::{Socket, SocketCounters};
use crate::error::Error;
use crate::frame::TX_METADATA_LEN;
use crate::ring::{Consumer, Descriptor, Entry, Layout, Producer};
use crate::sys::{self, Mapping};
use crate::umem::Umem;

/// How often a bind is tried that says `EBUSY`, and how long to wait before the next time. A queue
/// stays busy for some milliseconds after its last socket was closed, because the kernel lets go
/// of it in the background; 100 ms is ample, and one who really holds it holds it longer.
const BIND_TRIES: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(5);

/// What one wake-up sends at most in copy mode unless asked otherwise (net/xdp/xsk.c, 6.18).
const TX_BUDGET_DEFAULT: u32 = 32;

/// From whom the kernel learns about the memory.
#[derive(Clone, Copy)]
pub(super) enum Memory<'a> {
    /// From this socket itself, which registers it.
    Own,
    /// From a socket that has registered it, on another queue.
    SharedWith(&'a Socket),
}

/// Opens a socket on a queue.
pub(super) fn open(
    umem: &mut Umem,
    memory: Memory<'_>,
    interface: &str,
    queue: u32,
    config: SocketConfig,
) -> Result<Socket, Error> {
    let within = |error: Error| error.of_interface(interface).of_queue(queue);
    config.check().map_err(within)?;
    let index = sys::socket::interface_index(interface).map_err(within)?;
    let fd = sys::socket::create().map_err(within)?;
    let tx_checksum = match memory {
        Memory::Own => register(fd.as_fd(), umem).map_err(within)?,
        Memory::SharedWith(first) => {
            assert_eq!(first.umem, umem.id(), "the other socket has another UMEM");
            first.mode.tx_checksum
        }
    };
    let rings = Rings::new(fd.as_fd(), config).map_err(within)?;
    let bound = match memory {
        Memory::Own => bind(fd.as_fd(), index, queue, config).map_err(within)?,
        Memory::SharedWith(first) => {
            bind_shared(fd.as_fd(), index, queue, first).map_err(within)?
        }
    };
    let too_many = || Error::invalid("Umem", "make a new UMEM: it has had 65,535 sockets");
    let number = umem.number_socket().ok_or_else(too_many).map_err(within)?;
    let mode = SocketMode {
        zero_copy: sys::socket::is_zero_copy(fd.as_fd()).unwrap_or(bound.zero_copy),
        zero_copy_refused: bound.zero_copy_refused,
        need_wakeup: bound.need_wakeup,
        busy_poll: start_busy_poll(fd.as_fd(), config),
        tx_checksum,
        tx_budget: lift_tx_budget(fd.as_fd(), config.tx_size),
    };
    Ok(Socket {
        fd,
        fill: rings.fill,
        rx: rings.rx,
        tx: rings.tx,
        completion: rings.completion,
        umem: umem.id(),
        number,
        frames: super::SocketFrames::default(),
        interface: interface.into(),
        queue,
        mode,
        counters: SocketCounters::default(),
        last_reclaim_error: None,
    })
}

impl SocketConfig {
    fn check(&self) -> Result<(), Error> {
        let sizes = [
            self.fill_size,
            self.rx_size,
            self.tx_size,
            self.completion_size,
        ];
        if sizes.iter().all(|size| size.is_power_of_two()) {
            Ok(())
        } else {
            Err(Error::invalid(
                "SocketConfig",
                "use powers of two for the sizes of the rings",
            ))
        }
    }
}

/// Registers the memory, and says whether the kernel will finish checksums for its frames. One
/// that cannot (before 6.11) is not asked to.
fn register(fd: BorrowedFd<'_>, umem: &Umem) -> Result<bool, Error> {
    let config = umem.config();
    let plain = libc::xdp_umem_reg {
        addr: umem.memory().base().as_ptr() as u64,
        len: umem.memory().len() as u64,
        chunk_size: config.frame_size,
        headroom: 0,
        flags: 0,
        tx_metadata_len: 0,
    };
    if config.tx_metadata {
        // XDP_UMEM_TX_SW_CSUM has the kernel compute whole sums in copy mode. Without it a frame
        // that is not sent to a wire, but through a veth to another program, arrives with the
        // partial sum. Zero-copy drivers do not look at the flag.
        let flags = libc::XDP_UMEM_TX_METADATA_LEN | libc::XDP_UMEM_TX_SW_CSUM;
        let metadata = libc::xdp_umem_reg {
            flags,
            tx_metadata_len: u32::from(TX_METADATA_LEN),
            ..plain
        };
        if sys::socket::register_umem(fd, metadata).is_ok() {
            return Ok(true);
        }
    }
    sys::socket::register_umem(fd, plain)
        .map(|()| false)
        .map_err(|errno| {
            Error::new(
                "setsockopt(XDP_UMEM_REG)",
                errno,
                match errno {
                    libc::ENOBUFS => {
                        "raise RLIMIT_MEMLOCK, run with CAP_IPC_LOCK, or use fewer frames"
                    }
                    libc::ENOMEM => "use fewer frames or give the machine more memory",
                    _ => "use frames of 2048 or 4096 bytes, not larger than a page",
                },
            )
        })
}

/// The four rings, mapped.
struct Rings {
    fill: Producer<u64>,
    rx: Consumer<Descriptor>,
    tx: Producer<Descriptor>,
    completion: Consumer<u64>,
}

impl Rings {
    fn new(fd: BorrowedFd<'_>, config: SocketConfig) -> Result<Self, Error> {
        for (ring, size, call) in [
            (
                libc::XDP_UMEM_FILL_RING,
                config.fill_size,
                "setsockopt(XDP_UMEM_FILL_RING)",
            ),
            (
                libc::XDP_UMEM_COMPLETION_RING,
                config.completion_size,
                "setsockopt(XDP_UMEM_COMPLETION_RING)",
            ),
            (libc::XDP_RX_RING, config.rx_size, "setsockopt(XDP_RX_RING)"),
            (libc::XDP_TX_RING, config.tx_size, "setsockopt(XDP_TX_RING)"),
        ] {
            sys::socket::create_ring(fd, ring, size)
                .map_err(|errno| Error::new(call, errno, "use smaller rings"))?;
        }
        let offsets = sys::socket::ring_offsets(fd).map_err(|errno| {
            Error::new(
                "getsockopt(XDP_MMAP_OFFSETS)",
                errno,
                "use Linux 5.10 or later",
            )
        })?;
        let fill = layout(offsets.fr, config.fill_size);
        let completion = layout(offsets.cr, config.completion_size);
        let rx = layout(offsets.rx, config.rx_size);
        let tx = layout(offsets.tx, config.tx_size);
        Ok(Self {
            fill: Producer::new(map::<u64>(fd, fill, libc::XDP_UMEM_PGOFF_FILL_RING)?, fill),
            completion: Consumer::new(
                map::<u64>(fd, completion, libc::XDP_UMEM_PGOFF_COMPLETION_RING)?,
                completion,
            ),
            rx: Consumer::new(
                map::<Descriptor>(fd, rx, libc::XDP_PGOFF_RX_RING as u64)?,
                rx,
            ),
            tx: Producer::new(
                map::<Descriptor>(fd, tx, libc::XDP_PGOFF_TX_RING as u64)?,
                tx,
            ),
        })
    }
}

fn layout(offsets: libc::xdp_ring_offset, size: u32) -> Layout {
    let offset = |bytes| usize::try_from(bytes).expect("the kernel's offsets are a few hundred");
    Layout {
        producer: offset(offsets.producer),
        consumer: offset(offsets.consumer),
        flags: offset(offsets.flags),
        entries: offset(offsets.desc),
        size,
    }
}

fn map<T: Entry>(fd: BorrowedFd<'_>, layout: Layout, offset: u64) -> Result<Mapping, Error> {
    Mapping::shared(fd, layout.mapping_len::<T>(), offset)
}

/// How a socket was bound.
struct Bound {
    zero_copy: bool,
    zero_copy_refused: Option<i32>,
    need_wakeup: bool,
}

/// Binds in the first mode that works of those the configuration allows.
fn bind(fd: BorrowedFd<'_>, index: u32, queue: u32, config: SocketConfig) -> Result<Bound, Error> {
    let wakeup = if config.need_wakeup {
        libc::XDP_USE_NEED_WAKEUP
    } else {
        0
    };
    let need_wakeup = config.need_wakeup;
    let mut zero_copy_refused = None;
    if config.zero_copy != ZeroCopy::Off {
        match retry_bind(|| sys::socket::bind(fd, index, queue, libc::XDP_ZEROCOPY | wakeup, None))
        {
            Ok(()) => {
                return Ok(Bound {
                    zero_copy: true,
                    zero_copy_refused,
                    need_wakeup,
                });
            }
            Err(errno) if config.zero_copy == ZeroCopy::On => return Err(bind_error(errno, true)),
            Err(errno) => zero_copy_refused = Some(errno),
        }
    }
    retry_bind(|| sys::socket::bind(fd, index, queue, libc::XDP_COPY | wakeup, None))
        .map(|()| Bound {
            zero_copy: false,
            zero_copy_refused,
            need_wakeup,
        })
        .map_err(|errno| bind_error(errno, false))
}

/// Binds with the memory of another socket; the mode comes with it, and asking for one is an error.
fn bind_shared(fd: BorrowedFd<'_>, index: u32, queue: u32, first: &Socket) -> Result<Bound, Error> {
    let umem_of = Some(first.fd.as_fd());
    retry_bind(|| sys::socket::bind(fd, index, queue, libc::XDP_SHARED_UMEM, umem_of))
        .map(|()| Bound {
            zero_copy: first.mode.zero_copy,
            zero_copy_refused: first.mode.zero_copy_refused,
            need_wakeup: first.mode.need_wakeup,
        })
        .map_err(|errno| match errno {
            libc::EINVAL => bind_error(errno, false).advise(
                "choose a queue that exists (ethtool -l) and on which this UMEM has no socket yet",
            ),
            _ => bind_error(errno, first.mode.zero_copy),
        })
}

fn retry_bind(bind: impl Fn() -> Result<(), i32>) -> Result<(), i32> {
    for _ in 1..BIND_TRIES {
        match bind() {
            Err(libc::EBUSY) => thread::sleep(BIND_PAUSE),
            result => return result,
        }
    }
    bind()
}

fn bind_error(errno: i32, zero_copy: bool) -> Error {
    let advice = match errno {
        libc::EBUSY => "another AF_XDP socket has this queue: close it or choose another queue",
        libc::EOPNOTSUPP if zero_copy => "the driver always copies: allow copy mode",
        libc::EINVAL if zero_copy => {
            "choose a queue that exists (ethtool -l), and frames that hold the interface's MTU"
        }
        libc::EINVAL => "choose a queue that exists (ethtool -l)",
        libc::ENETDOWN => "set the interface up (ip link set dev .. up)",
        libc::ENODEV => "the interface has just gone away",
        libc::EPERM => "run with CAP_NET_RAW",
        _ => "see bind(2) and Documentation/networking/af_xdp.rst of the kernel",
    };
    Error::new("bind", errno, advice)
}

/// Lets one wake-up send a whole tx ring in copy mode, and says how many frames it will send. The
/// kernel takes no more than the ring holds and no fewer than its default (`EACCES`), and older
/// ones than 6.17 do not know the option.
fn lift_tx_budget(fd: BorrowedFd<'_>, tx_size: u32) -> u32 {
    match sys::socket::set_tx_budget(fd, tx_size) {
        Ok(()) => tx_size,
        Err(_) => TX_BUDGET_DEFAULT,
    }
}

/// Starts preferred busy polling where it was asked for and the queue has a NAPI id; without one
/// it has no effect but to make every call slower.
fn start_busy_poll(fd: BorrowedFd<'_>, config: SocketConfig) -> bool {
    let Some(busy_poll) = config.busy_poll else {
        return false;
    };
    sys::socket::napi_id(fd).is_ok_and(|id| id != 0)
        && sys::socket::prefer_busy_poll(fd, busy_poll.time_us, busy_poll.budget).is_ok()
}
