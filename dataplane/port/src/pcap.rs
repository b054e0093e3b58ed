//! `Pcap`: a port around a port that writes down every frame that passes, for tcpdump and
//! Wireshark.
//!
//! The file is the classic one with nanoseconds (draft-ietf-opsawg-pcap): a header of 24 bytes,
//! then for each frame 16 bytes and the frame. It does not say which way a frame went; addresses
//! do. Received frames are written as they came, sent ones when the port has taken them, with the
//! checksum finished that was left to the port: as the other side will see them.
//!
//! Records are gathered and written 64 KiB at a time, on the data path: this is a tool to find
//! faults with, and whoever uses it pays with speed. When a write fails, nothing more is written,
//! because it is unknown how much of a record is in the file; what passes from then on is counted.

use core::fmt;
use core::time::Duration;
use std::io::{self, Write};

use af_xdp::{Frame, TxChecksum};
use arrayvec::ArrayVec;
use tidegate_wire::{Instant, Sum};

use crate::{BURST, Burst, Facts, Port, PortCounters, PortFrameCounts, WaitFds};

/// The magic number of a file whose times are in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;

/// Ethernet.
const LINK_TYPE: u32 = 1;

/// The longest frame that readers must expect.
const SNAP_LEN: u32 = 65_535;

const RECORD_HEADER_LEN: usize = 16;

/// How much is gathered before it is written. Less makes more system calls, more loses more when
/// the process is killed.
const WRITE_AT: usize = 64 * 1024;

/// A port that writes down what passes through another one.
pub struct Pcap<P, W: Write> {
    port: P,
    writer: W,
    /// Records that are not written yet.
    gathered: Vec<u8>,
    /// How many.
    gathered_frames: u64,
    /// When, since 1970, the port's time began.
    start: Duration,
    statistics: PcapStatistics,
    /// Why nothing more is written.
    failure: Option<io::ErrorKind>,
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PcapStatistics {
    /// Frames that passed.
    pub frames: u64,
    /// Frames that were given to the writer.
    pub written: u64,
    /// Frames that were not, because a write has failed.
    pub lost: u64,
}

impl<P: Port, W: Write> Pcap<P, W> {
    /// Writes down what passes through `port`. `start` is when, since 1970, the port's time began;
    /// zero is good enough where only differences matter.
    ///
    /// # Errors
    ///
    /// When the file's header cannot be written.
    pub fn new(port: P, mut writer: W, start: Duration) -> io::Result<Self> {
        // Magic number, version 2.4, two words that are always zero, snap length, link type.
        let words = [MAGIC_NANOSECONDS, 2 | 4 << 16, 0, 0, SNAP_LEN, LINK_TYPE];
        for word in words {
            writer.write_all(&word.to_le_bytes())?;
        }
        Ok(Self {
            port,
            writer,
            gathered: Vec::with_capacity(2 * WRITE_AT),
            gathered_frames: 0,
            start,
            statistics: PcapStatistics::default(),
            failure: None,
        })
    }

    /// The port inside.
    pub const fn port(&self) -> &P {
        &self.port
    }

    /// The port inside, to be changed. What it does by itself is not written down.
    pub const fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// What became of the records.
    pub fn statistics(&self) -> PcapStatistics {
        self.statistics
    }

    /// Why nothing more is written, when a write has failed.
    pub const fn failure(&self) -> Option<io::ErrorKind> {
        self.failure
    }

    /// Gives everything gathered to the writer, and has it write. Dropping does it too.
    pub fn flush(&mut self) {
        let frames = core::mem::take(&mut self.gathered_frames);
        if self.failure.is_none() {
            let writer = &mut self.writer;
            let written = writer
                .write_all(&self.gathered)
                .and_then(|()| writer.flush());
            self.failure = written.err().map(|error| error.kind());
        }
        self.gathered.clear();
        match self.failure {
            None => self.statistics.written += frames,
            Some(_) => self.statistics.lost += frames,
        }
    }

    /// Keeps the first `frames` of the records that begin at `from` and end at `ends`.
    fn keep(&mut self, from: usize, ends: &[usize], frames: usize) {
        let end = frames.checked_sub(1).map_or(from, |last| ends[last]);
        self.gathered.truncate(end);
        self.gathered_frames += frames as u64;
        self.statistics.frames += frames as u64;
        if self.gathered.len() >= WRITE_AT {
            self.flush();
        }
    }

    /// Adds a record for each frame and returns where each ends.
    fn gather(&mut self, frames: &[Frame], now: Instant) -> ArrayVec<usize, BURST> {
        let time = self.start + Duration::from_nanos(now.as_nanos());
        // Readers take 32 bits of seconds; those end in 2106.
        let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let mut ends = ArrayVec::new();
        for frame in frames {
            let len = u32::try_from(frame.len()).unwrap_or(SNAP_LEN);
            for word in [seconds, time.subsec_nanos(), len, len] {
                self.gathered.extend(word.to_le_bytes());
            }
            let begin = self.gathered.len();
            self.gathered.extend_from_slice(frame.bytes());
            finish_checksum(&mut self.gathered[begin..], frame.tx_checksum());
            ends.push(self.gathered.len());
        }
        ends
    }
}

/// Finishes the sum that a frame leaves to its port, in the copy.
fn finish_checksum(bytes: &mut [u8], checksum: Option<TxChecksum>) {
    let Some(TxChecksum { start, offset }) = checksum else {
        return;
    };
    let Some(summed) = bytes.get_mut(usize::from(start)..) else {
        return;
    };
    let sum = Sum::new().add(summed).finish();
    if let Some(field) = summed.get_mut(usize::from(offset)..usize::from(offset) + 2) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

impl<P: Port, W: Write> Port for Pcap<P, W> {
    fn facts(&self) -> &Facts {
        self.port.facts()
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        let before = burst.len();
        self.port.rx_burst(burst, now);
        let from = self.gathered.len();
        let ends = self.gather(&burst[before..], now);
        self.keep(from, &ends, ends.len());
    }

    fn tx_burst(&mut self, burst: &mut Burst, now: Instant) {
        // The frames are gone when it is known how many were taken: all are written down first,
        // and those that were not taken are struck out.
        let before = burst.len();
        let from = self.gathered.len();
        let ends = self.gather(burst, now);
        self.port.tx_burst(burst, now);
        self.keep(from, &ends, before - burst.len());
    }

    fn take_frame(&mut self) -> Option<Frame> {
        self.port.take_frame()
    }

    fn give_frame(&mut self, frame: Frame) {
        self.port.give_frame(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        self.port.frame_counts()
    }

    fn counters(&self) -> PortCounters {
        self.port.counters()
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        self.port.wait_fds(fds);
    }

    fn next_event(&self) -> Option<Instant> {
        self.port.next_event()
    }
}

impl<P, W: Write> Drop for Pcap<P, W> {
    fn drop(&mut self) {
        if self.failure.is_none() {
            // There is nobody left to tell when it fails.
            let _ = self.writer.write_all(&self.gathered);
            let _ = self.writer.flush();
        }
    }
}

impl<P: fmt::Debug, W: Write> fmt::Debug for Pcap<P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pcap")
            .field("port", &self.port)
            .field("statistics", &self.statistics)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

const _: () = assert!(
    RECORD_HEADER_LEN == 4 * size_of::<u32>(),
    "four words a record"
);

#[cfg(test)]
mod tests;
