//! Tests of the pcap wrapper, with a reader written by hand.

use super::*;
use crate::{End, Link, LinkConfig, LinkPort};

/// A frame in the file: seconds, nanoseconds, bytes.
#[derive(Debug, PartialEq, Eq)]
struct Record(u32, u32, Vec<u8>);

/// Reads a file as its format says, and asserts that it is whole.
fn read(file: &[u8]) -> Vec<Record> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(word(0), 0xa1b2_3c4d);
    assert_eq!(&file[4..8], [2, 0, 4, 0], "version 2.4");
    assert_eq!((word(8), word(12), word(16), word(20)), (0, 0, 65_535, 1));
    let mut records = Vec::new();
    let mut at = 24;
    while at < file.len() {
        let len = usize::try_from(word(at + 8)).expect("small");
        assert_eq!(word(at + 8), word(at + 12), "nothing is cut off");
        let bytes = file[at + 16..at + 16 + len].to_vec();
        records.push(Record(word(at), word(at + 4), bytes));
        at += 16 + len;
    }
    assert_eq!(at, file.len());
    records
}

/// A port that takes at most two frames of a burst.
#[derive(Debug)]
struct Reluctant(LinkPort);

impl Port for Reluctant {
    fn facts(&self) -> &Facts {
        self.0.facts()
    }
    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.0.rx_burst(burst, now);
    }
    fn tx_burst(&mut self, burst: &mut Burst, now: Instant) {
        let taken = burst.len().min(2);
        let mut part: Burst = burst.drain(..taken).collect();
        self.0.tx_burst(&mut part, now);
    }
    fn take_frame(&mut self) -> Option<Frame> {
        self.0.take_frame()
    }
    fn give_frame(&mut self, frame: Frame) {
        self.0.give_frame(frame);
    }
    fn frame_counts(&self) -> PortFrameCounts {
        self.0.frame_counts()
    }
    fn counters(&self) -> PortCounters {
        self.0.counters()
    }
    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        self.0.wait_fds(fds);
    }
    fn next_event(&self) -> Option<Instant> {
        self.0.next_event()
    }
}

fn frame(port: &mut impl Port, bytes: &[u8]) -> Frame {
    let mut frame = port.take_frame().expect("frames are free");
    frame.resize(bytes.len());
    frame.bytes_mut().copy_from_slice(bytes);
    frame
}

fn pair() -> (LinkPort, LinkPort) {
    Link::pair(LinkConfig::default()).expect("memory is mapped")
}

#[test]
fn what_passes_both_ways_is_in_the_file_with_its_time() {
    let (a, mut b) = pair();
    let mut file = Vec::new();
    let start = Duration::new(1_700_000_000, 900_000_000);
    let mut a = Pcap::new(Reluctant(a), &mut file, start).expect("memory takes it");

    let mut burst: Burst = (1..=3).map(|n| frame(&mut a, &[n; 60])).collect();
    a.tx_burst(&mut burst, Instant::from_millis(1));
    assert_eq!(
        burst.len(),
        1,
        "the third was not taken, and is not written yet"
    );
    a.tx_burst(&mut burst, Instant::from_millis(2));

    let mut answer: Burst = [4, 5]
        .map(|n| frame(&mut b, &[n; 1_514]))
        .into_iter()
        .collect();
    b.tx_burst(&mut answer, Instant::from_millis(100));
    // The burst already has a frame in it, which has passed before.
    burst.push(frame(&mut a, &[9; 60]));
    a.rx_burst(&mut burst, Instant::from_nanos(100_000_007));
    burst.drain(..).for_each(|frame| a.give_frame(frame));
    assert!(a.frame_counts().is_exact());
    assert_eq!(a.statistics().frames, 5);
    a.flush();
    assert_eq!((a.statistics().written, a.failure()), (5, None));
    drop(a);

    let expected = [
        Record(1_700_000_000, 901_000_000, vec![1; 60]),
        Record(1_700_000_000, 901_000_000, vec![2; 60]),
        Record(1_700_000_000, 902_000_000, vec![3; 60]),
        Record(1_700_000_001, 7, vec![4; 1_514]),
        Record(1_700_000_001, 7, vec![5; 1_514]),
    ];
    assert_eq!(read(&file), expected);
}

#[test]
fn a_sum_left_to_the_port_is_finished_in_the_file_only() {
    let (a, b) = pair();
    let mut file = Vec::new();
    let mut a = Pcap::new(a, &mut file, Duration::ZERO).expect("memory takes it");
    let mut left = frame(&mut a, &[1, 2, 0, 0]);
    left.set_tx_checksum(Some(TxChecksum {
        start: 0,
        offset: 2,
    }));
    let mut behind_the_end = frame(&mut a, &[1, 2, 0, 0]);
    behind_the_end.set_tx_checksum(Some(TxChecksum {
        start: 0,
        offset: 3,
    }));
    let mut burst: Burst = [left, behind_the_end].into_iter().collect();
    a.tx_burst(&mut burst, Instant::ZERO);
    drop((a, b));
    let records = read(&file);
    assert_eq!(records[0].2, [1, 2, 0xfe, 0xfd]);
    assert_eq!(records[1].2, [1, 2, 0, 0]);
}

#[test]
fn much_is_written_as_it_comes_and_dropping_writes_the_rest() {
    let (a, b) = pair();
    let mut file = Vec::new();
    let mut a = Pcap::new(a, &mut file, Duration::ZERO).expect("memory takes it");
    for number in 0..21_u8 {
        let mut burst: Burst = (0..BURST).map(|_| frame(&mut a, &[number; 500])).collect();
        a.tx_burst(&mut burst, Instant::ZERO);
    }
    // Two bursts of 64 times 516 bytes exceed 64 KiB; the last is still gathered.
    assert_eq!(a.statistics().written, 20 * BURST as u64);
    drop((a, b));
    let records = read(&file);
    assert_eq!(records.len(), 21 * BURST);
    assert!(
        records
            .iter()
            .zip(0..)
            .all(|(record, n)| usize::from(record.2[0]) == n / BURST)
    );
}

/// A file on a disk that becomes full.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = bytes.len().min(self.room);
        self.room -= len;
        Ok(len)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn when_a_write_fails_the_port_goes_on_and_what_is_lost_is_counted() {
    assert!(Pcap::new(pair().0, Full { room: 20 }, Duration::ZERO).is_err());
    let (a, mut b) = pair();
    let link = a.link();
    let mut a = Pcap::new(a, Full { room: 100 }, Duration::ZERO).expect("24 bytes fit");
    for lost in [1, 2] {
        let mut burst: Burst = [frame(&mut a, &[lost; 80])].into_iter().collect();
        a.tx_burst(&mut burst, Instant::ZERO);
        a.flush();
        assert_eq!(a.failure(), Some(io::ErrorKind::StorageFull));
        let lost = u64::from(lost);
        let expected = PcapStatistics {
            frames: lost,
            written: 0,
            lost,
        };
        assert_eq!(a.statistics(), expected);
    }
    let mut burst = Burst::new();
    b.rx_burst(&mut burst, Instant::ZERO);
    assert_eq!(burst.len(), 2);
    assert_eq!(link.statistics(End::A).delivered, 2);
    burst.drain(..).for_each(|frame| b.give_frame(frame));
}
