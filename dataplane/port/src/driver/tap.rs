//! The TAP driver: a virtual Ethernet interface whose other end of the cable is this process
//! (`/dev/net/tun`, linux/if_tun.h, 6.18).
//!
//! The peer is this machine's kernel, with whatever addresses its end of the cable has. It needs
//! no privilege where the device was made beforehand for this user; to make one, CAP_NET_ADMIN
//! (which a user has in a namespace of their own) and a `/dev/net/tun` that may be opened.
//!
//! The device hands over whole frames with finished sums, one read or write each, so there is
//! nothing to trust and nothing to leave to hardware. It belongs to one process at a time, and one
//! that was made here disappears with the port.
//!
//! What it does not do: no filter, as every frame on this cable is for us.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use af_xdp::Frame;
use tidegate_wire::{Instant, MacAddr};

use super::tx_drop;
use crate::memory::{ETHERNET_MAX, PacketMemory};
use crate::sys::{self, InterfaceRequest};
use crate::{
    Burst, DriverKind, Error, Facts, Offloads, OpenConfig, Port, PortCounters, PortDrop,
    PortFrameCounts, QueueFacts, WaitFds, host,
};

const DEVICE: &str = "/dev/net/tun";

/// A port that is the far end of a TAP device's cable.
#[derive(Debug)]
pub struct TapPort {
    device: File,
    facts: Facts,
    memory: PacketMemory,
    counters: PortCounters,
}

impl TapPort {
    /// Attaches to the TAP device of the configured name; makes it, and sets it up, where it is
    /// missing. With several ports each is one queue of it (`IFF_MULTI_QUEUE`); a device that was
    /// made beforehand must have been made for several.
    ///
    /// # Errors
    ///
    /// When `/dev/net/tun` cannot be opened, when the name belongs to another kind of interface or
    /// to a device in use, and when it has a larger MTU than frames carry.
    pub fn open(config: &OpenConfig, ports: u32) -> Result<Vec<Self>, Error> {
        let is_new = host::interface(&config.interface).is_err();
        let devices = (0..ports).map(|_| attach(&config.interface, ports > 1));
        let devices: Vec<File> = devices.collect::<Result<_, _>>()?;
        if is_new {
            host::set_up(&config.interface)?;
        }
        let interface = host::interface(&config.interface)?;
        let open_one = |(queue, device)| {
            Ok(Self {
                device,
                memory: PacketMemory::new(&config.interface, config.frames, interface.mtu)?,
                facts: facts(config, &interface, is_new, queue),
                counters: PortCounters::default(),
            })
        };
        (0..).zip(devices).map(open_one).collect()
    }

    pub(super) const fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Reads one frame, if one is there.
    fn read(&mut self, mut frame: Frame) -> Result<Frame, (Frame, Option<PortDrop>)> {
        frame.resize(frame.capacity());
        match self.device.read(frame.bytes_mut()) {
            // A frame that fills all the room has been cut off: no legal one is so long.
            Ok(len) if len == frame.capacity() => Err((frame, Some(PortDrop::RxTooLong))),
            Ok(len) => {
                frame.resize(len);
                Ok(frame)
            }
            Err(_) => Err((frame, None)),
        }
    }
}

/// Opens the far end of the device's cable, or one queue of it.
fn attach(name: &str, is_one_of_several: bool) -> Result<File, Error> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(DEVICE)
        .map_err(|error| {
            let advice = "load the kernel's module `tun` and allow this user to open /dev/net/tun";
            Error::call(name, "open(/dev/net/tun)", error, advice)
        })?;
    let failed = |error: io::Error| {
        let advice = match error.raw_os_error() {
            Some(libc::EBUSY) => "another process uses the device",
            Some(libc::EINVAL) if is_one_of_several => {
                "an interface of this name exists and is no TAP device for several queues: use one \
                 worker, or make it with `ip tuntap add mode tap multi_queue`"
            }
            Some(libc::EINVAL) => "an interface of this name exists and is no TAP device",
            _ => "make it for this user beforehand: `ip tuntap add mode tap user ..`",
        };
        Error::call(name, "ioctl(TUNSETIFF)", error, advice)
    };
    let mut request = InterfaceRequest::new(name).map_err(failed)?;
    sys::attach_tap(&device, &mut request, is_one_of_several).map_err(failed)?;
    Ok(device)
}

fn facts(config: &OpenConfig, interface: &host::Interface, is_new: bool, queue: u32) -> Facts {
    let name = &interface.name;
    let mut notes = Vec::new();
    if is_new {
        notes.push(format!("{name} was made and goes away with this process"));
    }
    if !interface.is_up {
        notes.push(format!("{name} is down: `ip link set {name} up`"));
    }
    Facts {
        name: name.clone(),
        driver: DriverKind::Tap,
        mac: far_end(interface.mac),
        mtu: config.mtu_on(interface),
        offloads: Offloads { tx_checksum: false },
        rx_checksum: config.rx_checksum,
        queues: vec![QueueFacts {
            queue,
            mode: "tap, copy".to_owned(),
        }],
        notes,
    }
}

/// Our hardware address: that of the kernel's end with the last bit changed, as a locally
/// administered one. The two ends must differ, and ours should be the same after a restart when
/// the kernel's is.
fn far_end(mac: MacAddr) -> MacAddr {
    let [a, b, c, d, e, last] = mac.0;
    MacAddr([(a | 2) & !1, b, c, d, e, last ^ 1])
}

impl Port for TapPort {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn rx_burst(&mut self, burst: &mut Burst, _now: Instant) {
        self.memory.top_up_fill();
        while !burst.is_full() {
            let Some(frame) = self.memory.take_fill() else {
                return;
            };
            match self.read(frame) {
                Ok(frame) => {
                    self.counters.count_rx(frame.len());
                    burst.push(frame);
                }
                Err((frame, Some(drop))) => {
                    self.counters.count_drop(drop, 1);
                    self.memory.return_fill(frame);
                }
                Err((frame, None)) => {
                    self.memory.return_fill(frame);
                    return;
                }
            }
        }
    }

    fn tx_burst(&mut self, burst: &mut Burst, _now: Instant) {
        let len_max = self.facts.mtu as usize + ETHERNET_MAX;
        let mut taken = 0;
        for frame in burst.iter_mut() {
            frame.finish_tx_checksum();
            if frame.len() > len_max {
                self.counters.count_drop(PortDrop::TxTooLong, 1);
                taken += 1;
                continue;
            }
            match self.device.write(frame.bytes()) {
                Ok(_) => self.counters.count_tx(frame.len()),
                Err(error) => match tx_drop(&error) {
                    Some(drop) => self.counters.count_drop(drop, 1),
                    None => break,
                },
            }
            taken += 1;
        }
        for frame in burst.drain(..taken) {
            self.memory.give(frame);
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
        let _ = fds.try_push(self.device.as_fd());
    }

    fn next_event(&self) -> Option<Instant> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_end_has_another_address_which_is_local_and_no_group() {
        let near = MacAddr([0x00, 0x16, 0x3e, 1, 2, 3]);
        assert_eq!(far_end(near), MacAddr([0x02, 0x16, 0x3e, 1, 2, 2]));
        assert_ne!(far_end(far_end(near)), far_end(near));
    }
}
