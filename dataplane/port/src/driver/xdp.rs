//! The AF_XDP driver: frames are redirected before the kernel's stack, into our packet memory.
//!
//! One program on the interface redirects what is for the owned addresses, and leaves the rest to
//! the kernel; one socket on each queue receives it. All sockets of a port share one UMEM. Several
//! ports may share an interface, one for each worker: queue `q` belongs to port `q % ports`, and
//! the program stays until the last of them is gone.
//!
//! Receiving goes round the port's queues, beginning with another one each time. Sending uses the
//! first of them only: frames of one flow must not overtake each other, and one queue carries more
//! than one core sends.
//!
//! What it needs: CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF outside of a user namespace, and
//! CAP_IPC_LOCK where packet memory exceeds the limit on locked memory.
//!
//! Descriptors say nothing about checksums. A virtual peer's kernel leaves the sums of what it
//! sends to hardware that is not there: have it finish them, or trust partial sums.

use core::net::IpAddr;
use std::os::fd::AsFd;

use af_xdp::{
    Attachment, Frame, Program, ProgramConfig, Socket, SocketConfig, Statistics, Umem, UmemConfig,
};
use tidegate_wire::{Instant, RxChecksum};

use crate::memory::{ETHERNET_MAX, frame_size};
use crate::{
    Burst, DriverKind, Error, FRAMES_MIN, Facts, Offloads, OpenConfig, Port, PortCounters,
    PortDrop, PortFrameCounts, QueueFacts, WaitFds, XdpMode, ZeroCopy, host,
};

/// How often the kernel is asked how much it dropped, in milliseconds. The answer takes a system
/// call for each queue, and nobody looks more often.
const STATISTICS_INTERVAL_MS: u64 = 100;

/// The largest ring, in entries: the longest burst that a sleeping worker does not lose, at
/// 10 Mpps half a millisecond. Larger rings spread the frames over more memory than caches hold.
const RING_MAX: u32 = 4096;

/// How many frames are lent for receiving at a time. One at a time costs a write each that the
/// kernel's core must see; many at a time let the ring run low.
const FILL_STEP: u32 = 32;

/// Frames shorter than an Ethernet header are no frames.
const ETHERNET_MIN: usize = 14;

/// The program of an interface, shared by its ports; nobody looks at it on the data path.
#[expect(
    clippy::disallowed_types,
    reason = "immutable, and it must stay attached until the last port is gone"
)]
type SharedProgram = std::sync::Arc<Program>;

/// A port on AF_XDP sockets.
#[derive(Debug)]
pub struct XdpPort {
    /// Dropped before the sockets, so that nothing is redirected to a socket that is gone.
    program: SharedProgram,
    queues: Vec<Queue>,
    umem: Umem,
    facts: Facts,
    addresses: Vec<IpAddr>,
    counters: PortCounters,
    /// The queue to look at first.
    next_rx: usize,
    /// When the kernel is to be asked next for its drops.
    statistics_due: Instant,
}

/// One queue with what was last seen of the kernel's counts.
#[derive(Debug)]
struct Queue {
    socket: Socket,
    fill_size: u32,
    seen: Statistics,
    seen_tx_dropped: u64,
}

impl XdpPort {
    /// Opens as many ports on the interface as are asked for; each takes its share of the queues.
    ///
    /// # Errors
    ///
    /// Whatever the kernel refuses, with what to do about it; more ports than queues; too few
    /// frames; an MTU that does not fit into a frame.
    pub fn open(config: &OpenConfig, ports: u32) -> Result<Vec<Self>, Error> {
        let name = &config.interface;
        let interface = host::interface(name)?;
        if !interface.is_ethernet {
            return Err(Error::config(name, "is no Ethernet interface"));
        }
        let available = match host::channels(name)? {
            Some(channels) => channels.receiving().max(1),
            None => interface.rx_queues.max(1),
        };
        let queues = queues(config, available, ports)?;
        let mut unserved = Vec::new();
        for port in 0..ports {
            let own = (port..queues).step_by(ports as usize).collect();
            unserved.push(Unserved::open(config, &interface, own)?);
        }
        let program = SharedProgram::new(attach(config, available)?);
        if program.attachment() == Attachment::Generic {
            note_merging(&interface, &mut unserved);
        }
        let mut opened = Vec::new();
        for port in unserved {
            opened.push(port.serve(config, &interface, &program, available)?);
        }
        for address in &config.addresses {
            program.own(*address)?;
        }
        Ok(opened)
    }

    /// Answers for these addresses, and no longer for others, from now on. It holds for all ports
    /// of the interface; give the same list to each.
    ///
    /// # Errors
    ///
    /// When the program's map is full: it has room for 1024, or for as many as it began with.
    pub fn set_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        for address in addresses {
            self.program.own(*address)?;
        }
        for address in &self.addresses {
            if !addresses.contains(address) {
                self.program.disown(*address)?;
            }
        }
        self.addresses = addresses.to_vec();
        Ok(())
    }

    pub(super) const fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    fn update_drops(&mut self, now: Instant) {
        if now < self.statistics_due {
            return;
        }
        self.statistics_due = Instant::from_millis(now.as_millis() + STATISTICS_INTERVAL_MS);
        for queue in &mut self.queues {
            queue.count_drops(&mut self.counters);
        }
    }

    /// Takes frames out of the burst that no socket would send.
    fn drop_unsendable(&mut self, burst: &mut Burst) {
        let len_max = self.facts.mtu as usize + ETHERNET_MAX;
        let is_unsendable = |frame: &Frame| !(ETHERNET_MIN..=len_max).contains(&frame.len());
        while let Some(index) = burst.iter().position(is_unsendable) {
            let frame = burst.remove(index);
            let drop = if frame.len() > len_max {
                PortDrop::TxTooLong
            } else {
                PortDrop::TxInvalid
            };
            self.counters.count_drop(drop, 1);
            self.umem.give(frame);
        }
    }
}

/// How many queues are to be used.
fn queues(config: &OpenConfig, available: u32, ports: u32) -> Result<u32, Error> {
    let name = &config.interface;
    let queues = config.queues.unwrap_or(available);
    if queues > available {
        let what = format!("{queues} queues are asked for and {available} in use: `ethtool -L`");
        return Err(Error::config(name, what));
    }
    if ports == 0 || ports > queues {
        let what = format!(
            "{queues} queues cannot be shared by {ports} ports: use one worker a queue, or more \
             queues (`ethtool -L`)"
        );
        return Err(Error::config(name, what));
    }
    Ok(queues)
}

fn attach(config: &OpenConfig, queues: u32) -> Result<Program, Error> {
    let default = ProgramConfig::default();
    let addresses = u32::try_from(config.addresses.len()).unwrap_or(u32::MAX);
    let program = Program::attach(
        &config.interface,
        ProgramConfig {
            mode: match config.xdp_mode {
                XdpMode::Auto => af_xdp::XdpMode::Auto,
                XdpMode::Native => af_xdp::XdpMode::Native,
                XdpMode::Generic => af_xdp::XdpMode::Generic,
            },
            addresses: default.addresses.max(addresses),
            queues: default.queues.max(queues),
        },
    )?;
    Ok(program)
}

/// In the generic mode the kernel may have merged segments before we see them.
fn note_merging(interface: &host::Interface, ports: &mut [Unserved]) {
    let name = &interface.name;
    if host::offload(name, host::Offload::Gro).unwrap_or(false) {
        for port in ports {
            port.notes.push(format!(
                "{name} merges received segments (gro) and the program runs in the generic mode; \
                 those longer than a frame are dropped as rx_too_long: `ethtool -K {name} gro off`"
            ));
        }
    }
}

/// A port whose sockets are open and to which nothing is redirected yet.
struct Unserved {
    umem: Umem,
    queues: Vec<Queue>,
    notes: Vec<String>,
}

impl Unserved {
    fn open(
        config: &OpenConfig,
        interface: &host::Interface,
        numbers: Vec<u32>,
    ) -> Result<Self, Error> {
        let name = &config.interface;
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        if config.frames / count < FRAMES_MIN {
            let what = format!(
                "{} frames for {count} queues are too few: use {FRAMES_MIN} or more a queue",
                config.frames
            );
            return Err(Error::config(name, what));
        }
        let mut umem = Umem::new(UmemConfig {
            frames: config.frames,
            frame_size: frame_size(name, interface.mtu)?,
            tx_metadata: config.tx_checksum_offload,
        })?;
        let socket_config = socket_config(config, count);
        let mut queues: Vec<Queue> = Vec::new();
        for number in numbers {
            let socket = match queues.first() {
                None => Socket::open(&mut umem, name, number, socket_config)?,
                Some(first) => {
                    Socket::open_shared(&mut umem, &first.socket, name, number, socket_config)?
                }
            };
            let mut queue = Queue {
                socket,
                fill_size: socket_config.fill_size,
                seen: Statistics::default(),
                seen_tx_dropped: 0,
            };
            queue.socket.fill(&mut umem);
            queues.push(queue);
        }
        Ok(Self {
            umem,
            queues,
            notes: Vec::new(),
        })
    }

    /// Has the program redirect to the sockets.
    fn serve(
        self,
        config: &OpenConfig,
        interface: &host::Interface,
        program: &SharedProgram,
        available: u32,
    ) -> Result<XdpPort, Error> {
        for queue in &self.queues {
            program.serve(&queue.socket)?;
        }
        Ok(XdpPort {
            program: SharedProgram::clone(program),
            facts: facts(config, interface, program, available, &self),
            queues: self.queues,
            umem: self.umem,
            addresses: config.addresses.clone(),
            counters: PortCounters::default(),
            next_rx: 0,
            statistics_due: Instant::ZERO,
        })
    }
}

/// Rings for `queues` queues: half of the frames may be lent for receiving, so that the other half
/// is left for sending and for those at work.
fn socket_config(config: &OpenConfig, queues: u32) -> SocketConfig {
    let share = config.frames / queues;
    let ring = |entries: u32| (1 << entries.max(1).ilog2()).min(RING_MAX);
    SocketConfig {
        fill_size: ring(share / 2),
        rx_size: ring(share / 2),
        tx_size: ring(share / 4),
        completion_size: ring(share / 4),
        zero_copy: match config.zero_copy {
            ZeroCopy::Auto => af_xdp::ZeroCopy::Auto,
            ZeroCopy::On => af_xdp::ZeroCopy::On,
            ZeroCopy::Off => af_xdp::ZeroCopy::Off,
        },
        need_wakeup: true,
        busy_poll: config.busy_poll.map(|busy_poll| af_xdp::BusyPoll {
            time_us: u32::try_from(busy_poll.duration.as_micros()).unwrap_or(u32::MAX),
            budget: busy_poll.budget,
        }),
    }
}

fn facts(
    config: &OpenConfig,
    interface: &host::Interface,
    program: &Program,
    available: u32,
    port: &Unserved,
) -> Facts {
    let name = &interface.name;
    let attachment = match program.attachment() {
        Attachment::Native => "native",
        Attachment::Generic => "generic",
    };
    let modes = port.queues.iter().map(|queue| queue.socket.mode());
    let queues = port.queues.iter().map(|queue| QueueFacts {
        queue: queue.socket.queue(),
        mode: format!("{attachment}, {}", queue.socket.mode()),
    });
    let mut notes = port.notes.clone();
    if let Some(error) = program.native_refused() {
        notes.push(format!("the program could not run in the driver: {error}"));
    }
    if let Some(errno) = modes.clone().find_map(|mode| mode.zero_copy_refused) {
        let error = std::io::Error::from_raw_os_error(errno);
        notes.push(format!(
            "{name}'s driver copies frames, zero-copy was refused: {error}"
        ));
    }
    let used = config.queues.unwrap_or(available);
    if used < available {
        notes.push(format!(
            "{used} of {available} queues are used: what comes in on the others goes to the kernel"
        ));
    }
    if interface.kind.as_deref() == Some("veth") && config.rx_checksum == RxChecksum::Verify {
        notes.push(format!(
            "{name} is a veth: segments from a kernel at its other end have wrong sums unless it \
             finishes them (`ethtool -K <peer> tx off`), or partial sums are trusted here"
        ));
    }
    Facts {
        name: name.clone(),
        driver: DriverKind::AfXdp,
        mac: interface.mac,
        mtu: config.mtu_on(interface),
        offloads: Offloads {
            tx_checksum: modes.clone().all(|mode| mode.tx_checksum),
        },
        rx_checksum: config.rx_checksum,
        queues: queues.collect(),
        notes,
    }
}

impl Queue {
    /// Brings home what has been sent, receives, and lends new frames for what comes next.
    fn receive(&mut self, umem: &mut Umem, burst: &mut Burst, counters: &mut PortCounters) {
        self.complete(umem);
        let room = u32::try_from(burst.remaining_capacity()).expect("at most a burst");
        self.socket.rx(umem, room, |frame| {
            counters.count_rx(frame.len());
            burst.push(frame);
        });
        // Not for every single frame: to submit costs a write that the kernel's core must see.
        let step = FILL_STEP.min(self.fill_size / 2);
        if self.socket.frames().fill + step <= self.fill_size {
            self.socket.fill(umem);
        }
        self.socket.wake_rx();
    }

    /// Has the kernel go on with what it could not send before, and takes back what it has sent.
    fn complete(&mut self, umem: &mut Umem) {
        if self.socket.frames().tx > 0 {
            if self.socket.tx_pending() > 0 {
                self.socket.wake_tx();
            }
            self.socket.complete(umem);
        }
    }

    /// Adds what the kernel and the socket have dropped since the last time.
    fn count_drops(&mut self, counters: &mut PortCounters) {
        // Kernels before 5.9 do not count it all; there nothing is known.
        let Ok(now) = self.socket.statistics() else {
            return;
        };
        let before = core::mem::replace(&mut self.seen, now);
        // The kernel counts a frame as dropped for want of room and for its length alike; in the
        // first case it has also found the fill ring empty.
        let dropped = now.rx_dropped - before.rx_dropped;
        let found_empty = now.rx_fill_ring_empty - before.rx_fill_ring_empty;
        let no_frame = dropped.min(found_empty);
        let tx_dropped = self.socket.counters().tx_dropped;
        for (drop, frames) in [
            (PortDrop::RxNoFrame, no_frame),
            (PortDrop::RxTooLong, dropped - no_frame),
            (PortDrop::RxRingFull, now.rx_ring_full - before.rx_ring_full),
            (
                PortDrop::RxInvalid,
                now.rx_invalid_descs - before.rx_invalid_descs,
            ),
            (
                PortDrop::TxInvalid,
                now.tx_invalid_descs - before.tx_invalid_descs,
            ),
            (PortDrop::TxRefused, tx_dropped - self.seen_tx_dropped),
        ] {
            counters.count_drop(drop, frames);
        }
        self.seen_tx_dropped = tx_dropped;
    }
}

impl Port for XdpPort {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.update_drops(now);
        let (last, first) = self.queues.split_at_mut(self.next_rx);
        for queue in first.iter_mut().chain(last) {
            queue.receive(&mut self.umem, burst, &mut self.counters);
        }
        self.next_rx = (self.next_rx + 1) % self.queues.len();
    }

    fn tx_burst(&mut self, burst: &mut Burst, _now: Instant) {
        self.drop_unsendable(burst);
        let queue = self
            .queues
            .first_mut()
            .expect("a port has at least one queue");
        queue.complete(&mut self.umem);
        let room = usize::try_from(queue.socket.tx_room()).unwrap_or(usize::MAX);
        let taken = room.min(burst.len());
        if taken > 0 {
            let counters = &mut self.counters;
            let frames = burst.drain(..taken);
            let frames = frames.inspect(|frame| counters.count_tx(frame.len()));
            queue.socket.tx(&mut self.umem, frames);
        }
        queue.socket.wake_tx();
    }

    fn take_frame(&mut self) -> Option<Frame> {
        self.umem.take()
    }

    fn give_frame(&mut self, frame: Frame) {
        self.umem.give(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        let counts = self.umem.counts();
        let lent = self.queues.iter().map(|queue| queue.socket.frames());
        PortFrameCounts {
            total: counts.total,
            free: counts.free,
            fill: lent.clone().map(|frames| frames.fill).sum(),
            held: counts.held,
            tx: lent.map(|frames| frames.tx).sum(),
        }
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        for queue in &self.queues {
            // Where there is no more room, the queue is still looked at in each turn.
            let _ = fds.try_push(queue.socket.as_fd());
        }
    }

    fn next_event(&self) -> Option<Instant> {
        None
    }
}
