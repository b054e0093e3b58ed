//! Packet memory of the ports that are not AF_XDP: a UMEM that nobody has registered, of which a
//! part is set aside for receiving.
//!
//! What is set aside cannot be taken for sending, so a worker that sends as fast as it can still
//! receives the acknowledgements it waits for.

use af_xdp::{Frame, HEADROOM, Umem, UmemConfig};

use crate::{BURST, Error, PortFrameCounts};

/// Bytes in front of a datagram: an Ethernet header with one VLAN tag.
pub(crate) const ETHERNET_MAX: usize = 18;

/// The longest datagram that a frame can carry behind its headroom: 3822 bytes.
pub(crate) const MTU_MAX: usize = 4096 - HEADROOM - ETHERNET_MAX;

/// The frame size that carries datagrams of `mtu` bytes.
pub(crate) fn frame_size(interface: &str, mtu: u32) -> Result<u32, Error> {
    match HEADROOM + mtu as usize + ETHERNET_MAX {
        0..=2048 => Ok(2048),
        2049..=4096 => Ok(4096),
        _ => Err(Error::config(
            interface,
            format!("the MTU is {mtu} and must be at most {MTU_MAX}: `ip link set mtu`"),
        )),
    }
}

/// Frames, some of them set aside for receiving.
#[derive(Debug)]
pub(crate) struct PacketMemory {
    umem: Umem,
    fill: Vec<Frame>,
    fill_target: usize,
}

impl PacketMemory {
    /// Maps memory for `frames` frames that carry datagrams of `mtu` bytes; at most half of them
    /// are set aside for receiving.
    pub(crate) fn new(interface: &str, frames: u32, mtu: u32) -> Result<Self, Error> {
        let frames_min = 2 * BURST;
        if (frames as usize) < frames_min {
            let what = format!("frames must be at least {frames_min}, not {frames}");
            return Err(Error::config(interface, what));
        }
        let umem = Umem::new(UmemConfig {
            frames,
            frame_size: frame_size(interface, mtu)?,
            tx_metadata: false,
        })?;
        let fill_target = frames as usize / 2;
        Ok(Self {
            umem,
            fill: Vec::with_capacity(fill_target),
            fill_target,
        })
    }

    /// A free frame to be sent.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        self.umem.take()
    }

    /// Takes a frame back.
    pub(crate) fn give(&mut self, frame: Frame) {
        self.umem.give(frame);
    }

    /// Sets free frames aside until half of all are.
    pub(crate) fn top_up_fill(&mut self) {
        while self.fill.len() < self.fill_target {
            let Some(frame) = self.umem.take() else {
                return;
            };
            self.fill.push(frame);
        }
    }

    /// A frame to receive into.
    pub(crate) fn take_fill(&mut self) -> Option<Frame> {
        self.fill.pop()
    }

    /// Takes a frame back that was to be received into and was not.
    pub(crate) fn return_fill(&mut self, mut frame: Frame) {
        frame.reset();
        self.fill.push(frame);
    }

    /// Where the frames are.
    pub(crate) fn counts(&self) -> PortFrameCounts {
        let counts = self.umem.counts();
        let fill = u32::try_from(self.fill.len()).expect("no more than all frames");
        PortFrameCounts {
            total: counts.total,
            free: counts.free,
            fill,
            held: counts.held - fill,
            tx: counts.lent,
        }
    }
}

impl Drop for PacketMemory {
    fn drop(&mut self) {
        for frame in self.fill.drain(..) {
            self.umem.give(frame);
        }
    }
}
