//! How an AF_XDP port comes to be: packet memory and sockets first, then the program, which begins
//! to redirect when its sockets are ready and the addresses are owned.

use af_xdp::{
    Attachment, Program, ProgramConfig, Socket, SocketConfig, Statistics, Umem, UmemConfig,
};
use tidegate_wire::{Instant, RxChecksum};

use super::{Queue, SharedProgram, XdpPort};
use crate::driver::note_of_uncut_segments;
use crate::memory::frame_size;
use crate::{
    DriverKind, Error, FRAMES_MIN, Facts, Offloads, OpenConfig, PortCounters, QueueFacts, XdpMode,
    ZeroCopy, host,
};

/// The largest ring, in entries: the longest burst that a sleeping worker does not lose, at
/// 10 Mpps half a millisecond. Larger rings spread the frames over more memory than caches hold.
const RING_MAX: u32 = 4096;

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

/// In the generic mode the kernel may have merged segments before we see them, or a peer not cut
/// them.
fn note_merging(interface: &host::Interface, ports: &mut [Unserved]) {
    let name = &interface.name;
    if let Some(note) = note_of_uncut_segments(interface) {
        for port in &mut *ports {
            port.notes.push(note.clone());
        }
    }
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
