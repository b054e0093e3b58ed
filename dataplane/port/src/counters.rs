//! What a port counts: frames and bytes that went through, and each drop under a name.

/// Totals since the port was opened. A frame that came in is in `rx_frames` or in exactly one of
/// [`drops`](Self::drops), a frame to send in `tx_frames` or in one of them; only one that the
/// kernel took and refused later (`tx_refused` of AF_XDP) is in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Frames given to the worker.
    pub rx_frames: u64,
    /// Their bytes, Ethernet header included, check sequence not.
    pub rx_bytes: u64,
    /// Frames given to the interface.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that came in and were dropped: the sum of the `rx_` drops.
    pub rx_dropped: u64,
    /// Frames that were to go out and were dropped: the sum of the `tx_` drops.
    pub tx_dropped: u64,
    /// The drops by name.
    pub drops: PortDrops,
}

impl PortCounters {
    /// Counts one frame given to the worker.
    pub fn count_rx(&mut self, bytes: usize) {
        self.rx_frames += 1;
        self.rx_bytes += bytes as u64;
    }

    /// Counts one frame given to the interface.
    pub fn count_tx(&mut self, bytes: usize) {
        self.tx_frames += 1;
        self.tx_bytes += bytes as u64;
    }

    /// Counts `frames` drops of one kind.
    pub fn count_drop(&mut self, drop: PortDrop, frames: u64) {
        self.drops.0[drop.index()] += frames;
        match drop.direction() {
            Direction::Rx => self.rx_dropped += frames,
            Direction::Tx => self.tx_dropped += frames,
        }
    }
}

/// Which way a frame goes, seen from the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the worker.
    Rx,
    /// Towards the interface.
    Tx,
}

/// Drops by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortDrops([u64; PortDrop::COUNT]);

impl PortDrops {
    /// How many frames were dropped for this reason.
    #[must_use]
    pub const fn of(&self, drop: PortDrop) -> u64 {
        self.0[drop.index()]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (PortDrop, u64)> + '_ {
        PortDrop::ALL.iter().map(|drop| (*drop, self.of(*drop)))
    }
}

/// One row a reason: variant, direction, name for metrics, sentence for the operator.
macro_rules! port_drops {
    ($($variant:ident, $direction:ident, $name:literal, $sentence:literal;)*) => {
        /// Why a port dropped a frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum PortDrop {
            $(#[doc = $sentence] $variant,)*
        }

        impl PortDrop {
            /// All reasons, in the order of [`index`](Self::index).
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The reason's place in [`ALL`](Self::ALL).
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// Whether frames coming in or going out are meant.
            #[must_use]
            pub const fn direction(self) -> Direction {
                match self {
                    $(Self::$variant => Direction::$direction,)*
                }
            }

            /// The name that metrics use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What has happened, and what to do where something can be done.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

port_drops! {
    RxNoFrame, Rx, "rx_no_frame",
        "No frame was free to receive into; give the port more frames.";
    RxTooLong, Rx, "rx_too_long",
        "A frame was longer than the port's frames, mostly one that the kernel had merged or not \
         yet cut; turn off GRO and LRO here, TSO and GSO at a virtual peer.";
    RxRingFull, Rx, "rx_ring_full",
        "The rx ring or the socket's buffer was full; the worker did not come in time.";
    RxInvalid, Rx, "rx_invalid",
        "The kernel refused or could not place a frame or a descriptor.";
    RxFault, Rx, "rx_fault",
        "A received frame was dropped on purpose by the fault wrapper.";
    TxTooLong, Tx, "tx_too_long",
        "A frame to send was longer than the interface's MTU allows.";
    TxRefused, Tx, "tx_refused",
        "The kernel took a frame and refused to send it: interface down, or its queue full.";
    TxInvalid, Tx, "tx_invalid",
        "The kernel found a descriptor or a frame to send invalid.";
    TxFault, Tx, "tx_fault",
        "A frame to send was dropped on purpose by the fault wrapper.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drop_is_counted_once_by_name_and_once_by_direction() {
        let mut counters = PortCounters::default();
        for drop in PortDrop::ALL {
            counters.count_drop(*drop, 1 + drop.index() as u64);
        }
        for (drop, count) in counters.drops.iter() {
            assert_eq!(count, 1 + drop.index() as u64);
            let prefix = if drop.direction() == Direction::Rx {
                "rx_"
            } else {
                "tx_"
            };
            assert!(drop.name().starts_with(prefix), "{}", drop.name());
            assert!(drop.sentence().ends_with('.'));
        }
        let sum: u64 = counters.drops.iter().map(|(_, count)| count).sum();
        assert_eq!(sum, counters.rx_dropped + counters.tx_dropped);
    }
}
