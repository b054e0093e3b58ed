//! The AF_PACKET driver: a raw socket on the interface (packet(7)), for machines and users that
//! may not load an XDP program. It needs CAP_NET_RAW in the interface's network namespace.
//!
//! Frames are copied, many in one call (`recvmmsg`, `sendmmsg`), between the kernel's memory and
//! ours. A filter keeps only frames for the addresses that we own, and what this machine itself
//! sends is not received.
//!
//! The kernel's own stack sees the same frames, beside us. As the owned addresses are not
//! configured on any interface of the kernel, it answers nothing for them: no ARP reply and no
//! reset. But a machine that forwards (`net.ipv4.ip_forward`) would also forward them; the facts'
//! notes say when that is so.
//!
//! Checksums. A virtual peer's kernel leaves the TCP sum to hardware that is not there, so the
//! segment arrives with the sum of its pseudo-header only. The kernel says so for each frame. Where
//! the port is to have sums verified, the driver finishes such a sum; where partial sums are
//! trusted, it leaves them.
//!
//! What it does not do: no ring shared with the kernel (it was no faster in our measurements), no
//! cutting of segments that a peer's kernel left uncut, no regard for the interface's own queues.

use core::net::IpAddr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use af_xdp::Frame;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use tidegate_wire::{Instant, RxChecksum};

use super::{filter, note_of_uncut_segments, tx_drop};
use crate::memory::PacketMemory;
use crate::sys::packet::{self, Received};
use crate::{
    Burst, DriverKind, Error, Facts, Offloads, OpenConfig, Port, PortCounters, PortDrop,
    PortFrameCounts, QueueFacts, WaitFds, host,
};

/// Bytes that may wait in the socket each way. The kernel doubles it and counts its own overhead,
/// so it is room for some thousands of frames of 1500 bytes. Smaller loses bursts that come while
/// the worker sleeps; larger only adds delay.
const SOCKET_BUFFER: usize = 8 << 20;

/// How often the kernel is asked how much it dropped, in milliseconds. The answer takes a system
/// call, and nobody looks more often.
const STATISTICS_INTERVAL_MS: u64 = 100;

const ADVICE: &str = "an AF_PACKET socket needs CAP_NET_RAW in the interface's network namespace";

/// A port on a raw packet socket.
#[derive(Debug)]
pub struct PacketPort {
    socket: OwnedFd,
    facts: Facts,
    memory: PacketMemory,
    counters: PortCounters,
    /// When the kernel is to be asked next for its drops.
    statistics_due: Instant,
}

impl PacketPort {
    /// Opens as many raw sockets on the interface as ports are asked for; the kernel shares out
    /// flows among them by a hash (`PACKET_FANOUT_HASH`).
    ///
    /// # Errors
    ///
    /// When the interface is missing, is no Ethernet or has a larger MTU than frames carry; when
    /// the process may not open such a socket; when there are too many addresses for a filter.
    pub fn open(config: &OpenConfig, ports: u32) -> Result<Vec<Self>, Error> {
        let name = &config.interface;
        let interface = host::interface(name)?;
        if !interface.is_ethernet {
            return Err(Error::config(name, "is no Ethernet interface"));
        }
        let opened = (0..ports).map(|queue| Self::open_one(config, &interface, queue));
        let opened: Vec<Self> = opened.collect::<Result<_, _>>()?;
        if let [first, others @ ..] = opened.as_slice()
            && !others.is_empty()
        {
            let failed = |error| Error::call(name, "setsockopt(PACKET_FANOUT)", error, ADVICE);
            let group = packet::start_fanout(first.socket.as_fd()).map_err(failed)?;
            for other in others {
                packet::join_fanout(other.socket.as_fd(), group).map_err(failed)?;
            }
        }
        // Only now, or each socket would have received what is for the whole group.
        for port in &opened {
            port.set_addresses(&config.addresses)?;
        }
        Ok(opened)
    }

    /// Opens a socket that is set up and does not receive yet.
    fn open_one(
        config: &OpenConfig,
        interface: &host::Interface,
        queue: u32,
    ) -> Result<Self, Error> {
        let name = &config.interface;
        let memory = PacketMemory::new(name, config.frames, interface.mtu)?;
        let failed = |call, error: io::Error| Error::call(name, call, error, ADVICE);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol nothing is received until it is bound, options and filter set.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
            .map_err(|error| failed("socket(AF_PACKET)", error.into()))?;
        let port = Self {
            socket,
            facts: facts(config, interface, queue),
            memory,
            counters: PortCounters::default(),
            statistics_due: Instant::ZERO,
        };
        let fd = port.socket.as_fd();
        packet::set_option(fd, packet::PACKET_IGNORE_OUTGOING, 1)
            .map_err(|error| failed("setsockopt(PACKET_IGNORE_OUTGOING)", error))?;
        packet::set_option(fd, packet::PACKET_VNET_HDR, 1)
            .map_err(|error| failed("setsockopt(PACKET_VNET_HDR)", error))?;
        port.grow_buffers();
        packet::attach_filter(fd, &filter::nothing())
            .map_err(|error| failed("setsockopt(SO_ATTACH_FILTER)", error))?;
        packet::bind(fd, interface.index).map_err(|error| failed("bind(AF_PACKET)", error))?;
        Ok(port)
    }

    /// Receives for these addresses, and no longer for others, from now on.
    ///
    /// # Errors
    ///
    /// When the filter would be too long.
    pub fn set_addresses(&self, addresses: &[IpAddr]) -> Result<(), Error> {
        let name = &self.facts.name;
        let program = filter::program(addresses).ok_or_else(|| {
            let what = format!(
                "{} addresses make a filter of more than {} instructions; use fewer, or af_xdp",
                addresses.len(),
                filter::INSTRUCTIONS_MAX,
            );
            Error::config(name, what)
        })?;
        packet::attach_filter(self.socket.as_fd(), &program)
            .map_err(|error| Error::call(name, "setsockopt(SO_ATTACH_FILTER)", error, ADVICE))
    }

    /// Larger buffers, beyond the system's limit where we may; smaller ones only lose more.
    fn grow_buffers(&self) {
        let socket = &self.socket;
        if sockopt::set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(socket, SOCKET_BUFFER);
        }
        let _ = sockopt::set_socket_send_buffer_size(socket, SOCKET_BUFFER);
    }

    pub(super) const fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// What to do with a frame that was filled: give it to the worker, or say why not.
    fn check_received(&self, frame: &mut Frame, received: Received) -> Result<(), PortDrop> {
        if received.len > frame.capacity() {
            return Err(PortDrop::RxTooLong);
        }
        frame.resize(received.len);
        if self.facts.rx_checksum == RxChecksum::Verify {
            frame.set_tx_checksum(received.header.unfinished());
            frame.finish_tx_checksum();
        }
        Ok(())
    }

    fn update_drops(&mut self, now: Instant) {
        if now < self.statistics_due {
            return;
        }
        self.statistics_due = Instant::from_millis(now.as_millis() + STATISTICS_INTERVAL_MS);
        if let Ok(drops) = packet::take_drops(self.socket.as_fd()) {
            self.counters.count_drop(PortDrop::RxRingFull, drops.into());
        }
    }
}

fn facts(config: &OpenConfig, interface: &host::Interface, queue: u32) -> Facts {
    let mut notes = Vec::new();
    let name = &interface.name;
    if !interface.is_up {
        notes.push(format!("{name} is down: `ip link set {name} up`"));
    }
    if host::offload(name, host::Offload::Gro).unwrap_or(false) {
        notes.push(format!(
            "{name} merges received segments (gro); those longer than a frame are dropped as \
             rx_too_long: `ethtool -K {name} gro off`"
        ));
    }
    notes.extend(note_of_uncut_segments(interface));
    for (family, path) in [
        ("ipv4", "/proc/sys/net/ipv4/ip_forward"),
        ("ipv6", "/proc/sys/net/ipv6/conf/all/forwarding"),
    ] {
        if fs::read(path).is_ok_and(|value| value.starts_with(b"1")) {
            notes.push(format!(
                "this machine forwards {family}: the kernel forwards our frames a second time \
                 ({path} is 1)"
            ));
        }
    }
    Facts {
        name: name.clone(),
        driver: DriverKind::AfPacket,
        mac: interface.mac,
        mtu: config.mtu_on(interface),
        offloads: Offloads {
            tx_checksum: config.tx_checksum_offload,
        },
        rx_checksum: config.rx_checksum,
        queues: vec![QueueFacts {
            queue,
            mode: "packet socket, copy".to_owned(),
        }],
        notes,
    }
}

impl Port for PacketPort {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.update_drops(now);
        self.memory.top_up_fill();
        let mut frames = Burst::new();
        while frames.len() < burst.remaining_capacity() {
            let Some(mut frame) = self.memory.take_fill() else {
                break;
            };
            frame.resize(frame.capacity());
            frames.push(frame);
        }
        // An error here is "nothing there", or about the interface and not about a frame.
        let received = packet::receive(self.socket.as_fd(), &mut frames).unwrap_or_default();
        let mut frames = frames.into_iter();
        for (received, mut frame) in received.into_iter().zip(&mut frames) {
            match self.check_received(&mut frame, received) {
                Ok(()) => {
                    self.counters.count_rx(frame.len());
                    burst.push(frame);
                }
                Err(drop) => {
                    self.counters.count_drop(drop, 1);
                    self.memory.return_fill(frame);
                }
            }
        }
        frames.for_each(|frame| self.memory.return_fill(frame));
    }

    fn tx_burst(&mut self, burst: &mut Burst, _now: Instant) {
        while !burst.is_empty() {
            let (taken, drop) = match packet::send(self.socket.as_fd(), burst) {
                Ok(sent) => (sent, None),
                Err(error) => match tx_drop(&error) {
                    Some(drop) => (1, Some(drop)),
                    None => return,
                },
            };
            for frame in burst.drain(..taken) {
                match drop {
                    None => self.counters.count_tx(frame.len()),
                    Some(drop) => self.counters.count_drop(drop, 1),
                }
                self.memory.give(frame);
            }
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        self.memory.take()
    }

    fn give_frame(&mut self, frame: Frame) {
        self.memory.give(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        self.memory.counts()
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        // Full only when other ports have used up the room: then this one is looked at each turn.
        let _ = fds.try_push(self.socket.as_fd());
    }

    fn next_event(&self) -> Option<Instant> {
        None
    }
}
