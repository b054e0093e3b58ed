//! A port together with the burst of frames that is about to leave by it.

use tidegate_port::{Burst, Frame, Port};
use tidegate_wire::{Discard, Ethernet, Instant, Ip};

use crate::config::SetupError;
use crate::route::Interface;

/// A port with its outgoing burst.
#[derive(Debug)]
pub(crate) struct PortTx<P: Port> {
    pub(crate) port: P,
    tx: Burst,
    /// The port took less than it was given; it is not asked again before the next turn.
    is_stuck: bool,
    /// No frame could be taken in this turn.
    is_exhausted: bool,
}

impl<P: Port> PortTx<P> {
    pub(crate) fn new(port: P) -> Self {
        Self {
            port,
            tx: Burst::new(),
            is_stuck: false,
            is_exhausted: false,
        }
    }

    /// Whether a frame of this port holds the longest datagram of its interface.
    pub(crate) fn check_mtu(&mut self, interface: &Interface) -> Result<(), SetupError> {
        // A port without a single frame has nothing to be asked; opening it checked the sizes.
        let Some(frame) = self.port.take_frame() else {
            return Ok(());
        };
        let mtu_max = frame.capacity().saturating_sub(Ethernet::TAGGED_LEN);
        self.port.give_frame(frame);
        if interface.mtu as usize <= mtu_max {
            return Ok(());
        }
        Err(SetupError::Mtu {
            interface: interface.name.clone(),
            mtu: interface.mtu,
            mtu_max,
        })
    }

    /// A new turn: the port is asked again.
    pub(crate) fn begin_turn(&mut self) {
        self.is_stuck = false;
        self.is_exhausted = false;
    }

    /// Whether nothing more can be sent in this turn: the ring or the frames have run out.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Whether the port finishes the checksums of segments.
    pub(crate) fn offload(&self) -> bool {
        self.port.facts().offloads.tx_checksum
    }

    /// Whether frames wait for the port.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.tx.is_empty()
    }

    /// Gives the burst to the port; what it cannot take now stays.
    pub(crate) fn flush(&mut self, now: Instant) {
        if !self.tx.is_empty() && !self.is_stuck {
            self.port.tx_burst(&mut self.tx, now);
            self.is_stuck = !self.tx.is_empty();
        }
    }

    /// An empty frame that can be put into the burst when it is written.
    pub(crate) fn take(&mut self, now: Instant) -> Result<Frame, Discard> {
        if self.tx.is_full() {
            self.flush(now);
        }
        let taken = if self.tx.is_full() {
            Err(Discard::TxRingFull)
        } else {
            self.port.take_frame().ok_or(Discard::TxFramesExhausted)
        };
        self.is_exhausted |= taken.is_err();
        taken
    }

    /// Puts a written frame into the burst. Where there is no room, which [`take`](Self::take)
    /// would have said, the frame is given back and the reason comes back.
    pub(crate) fn put(&mut self, frame: Frame, now: Instant) -> Result<(), Discard> {
        if self.tx.is_full() {
            self.flush(now);
        }
        self.tx.try_push(frame).map_err(|refused| {
            self.port.give_frame(refused.element());
            Discard::TxRingFull
        })
    }

    /// Sends a frame of `len` bytes after its header, written by `write`.
    pub(crate) fn send(
        &mut self,
        ethernet: &Ethernet,
        len: usize,
        now: Instant,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Discard> {
        let mut frame = self.take(now)?;
        let header_len = ethernet.header_len();
        if header_len + len > frame.capacity() {
            self.port.give_frame(frame);
            return Err(Discard::FrameTooLong);
        }
        frame.resize(header_len + len);
        ethernet.emit(frame.bytes_mut());
        write(&mut frame.bytes_mut()[header_len..]);
        self.put(frame, now)
    }

    /// Sends a datagram whose payload of `len` bytes is written by `write`.
    pub(crate) fn send_datagram(
        &mut self,
        (ethernet, ip): (&Ethernet, &Ip),
        (protocol, len): (u8, usize),
        now: Instant,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Discard> {
        let header_len = ip.header_len();
        self.send(ethernet, header_len + len, now, |bytes| {
            ip.emit(protocol, len, bytes);
            write(&mut bytes[header_len..]);
        })
    }
}

/// Frames go home, so that their memory can be unmapped.
impl<P: Port> Drop for PortTx<P> {
    fn drop(&mut self) {
        for frame in self.tx.drain(..) {
            self.port.give_frame(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_port::{Link, LinkConfig};
    use tidegate_wire::{ETHER_TYPE_ARP, MacAddr};

    use super::*;

    #[test]
    fn a_frame_that_is_too_long_is_refused_and_goes_home() {
        let (port, _other) = Link::pair(LinkConfig::default()).unwrap();
        let mut port = PortTx::new(port);
        let header = Ethernet {
            dst: MacAddr::BROADCAST,
            src: MacAddr::ZERO,
            vlan: None,
            ether_type: ETHER_TYPE_ARP,
        };
        let sent = port.send(&header, 2_000, Instant::ZERO, |_| {
            panic!("nothing is written")
        });
        assert_eq!(sent, Err(Discard::FrameTooLong));
        assert_eq!(port.port.frame_counts().held, 0);
        assert!(!port.is_waiting());
    }
}
