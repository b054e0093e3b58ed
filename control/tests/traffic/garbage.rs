//! Frames that nobody should send: random bytes, and real frames with something changed.

use std::net::{IpAddr, TcpStream};

use tidegate::admin::Counters;
use tidegate::testbed::{Bed, Ports};
use tidegate_wire::{PROTOCOL_TCP, Sum};

use crate::digest::Text;
use crate::kernel::{connect, echo, exchange};
use crate::raw::{FRAME_MAX, Raw};
use crate::setting::{assert_books_balance, front, listener, stats};
use crate::{TIDEGATE, seed, wait_until};

/// Bad frames a test.
const FRAMES: usize = 6000;

/// After so many of them a request must be answered.
const REQUEST_EVERY: usize = 200;

const ETHERNET: usize = 14;

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this one.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[5]
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }
}

/// A frame of random bytes; mostly for Tidegate's MAC address, and of a type that it knows.
fn noise(random: &mut Random, tidegate: &[u8]) -> Vec<u8> {
    let length = ETHERNET + random.below(FRAME_MAX - ETHERNET + 1);
    let mut frame = random.bytes(length);
    match random.below(4) {
        0 => return frame,
        1 => frame[..6].fill(0xff),
        _ => frame[..6].copy_from_slice(tidegate),
    }
    frame[6] &= 0xfe;
    let types = [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06], [0x81, 0x00]];
    frame[12..14].copy_from_slice(&types[random.below(types.len())]);
    // Behind a random start of the header, an owned address is hardly ever met by chance.
    let [v4, v6] = front(0).map(|owned| owned.ip());
    if let (IpAddr::V4(v4), [0x08, 0x00], 34..) = (v4, &frame[12..14], length) {
        frame[14] = 0x45;
        frame[30..34].copy_from_slice(&v4.octets());
    }
    if let (IpAddr::V6(v6), [0x86, 0xdd], 54..) = (v6, &frame[12..14], length) {
        frame[14] = 0x60;
        frame[38..54].copy_from_slice(&v6.octets());
    }
    frame
}

/// A real frame with a few bytes changed, cut off, or added; in one of two with checksums that
/// are right again, or it would get no further than the first of them.
fn mutation(random: &mut Random, real: &[u8]) -> Vec<u8> {
    let mut frame = real.to_vec();
    match random.below(4) {
        0 => frame.truncate(ETHERNET + random.below(frame.len() - ETHERNET + 1)),
        1 => {
            let room = FRAME_MAX - frame.len();
            let more = random.below(room + 1);
            frame.extend(random.bytes(more));
        }
        _ => {}
    }
    for _ in 0..1 + random.below(4) {
        let headers = frame.len().min(ETHERNET + 80);
        let at = random.below(headers);
        // The address of the frame stays, most of the time.
        if at >= 12 || random.below(8) == 0 {
            frame[at] = random.byte();
        }
    }
    if random.below(2) == 0 {
        mend(&mut frame);
    }
    frame
}

/// A real segment with one field of its TCP header changed a little or much, and right checksums:
/// it gets as far as its flow, and is mostly within its window.
fn forgery(random: &mut Random, real: &[u8]) -> Vec<u8> {
    let mut frame = real.to_vec();
    let is_ipv4 = frame[12..14] == [0x08, 0x00];
    let tcp = if is_ipv4 { 34 } else { 54 };
    let low = usize::from(random.below(2) == 0);
    match random.below(6) {
        // Sequence number and acknowledgement: the last byte, or the last two.
        0 => frame[tcp + 7 - low] = random.byte(),
        1 => frame[tcp + 11 - low] = random.byte(),
        2 => frame[tcp + 13] = random.byte(),
        3 => frame[tcp + 14] = random.byte(),
        4 => frame[tcp + 12] = random.byte(),
        _ => {
            let options = frame.len().min(tcp + 60) - (tcp + 18);
            frame[tcp + 18 + random.below(options)] = random.byte();
        }
    }
    mend(&mut frame);
    frame
}

/// Makes the checksums of a TCP segment right, where it is clear where they are.
fn mend(frame: &mut [u8]) {
    let (start, addresses) = match ([frame[12], frame[13]], frame.len()) {
        ([0x08, 0x00], 54..) if frame[14] == 0x45 => {
            frame[24..26].fill(0);
            let sum = Sum::new().add(&frame[14..34]).finish();
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            let v4 = |at: usize| -> [u8; 4] { frame[at..at + 4].try_into().unwrap() };
            (34, [v4(26), v4(30)].map(IpAddr::from))
        }
        ([0x86, 0xdd], 74..) => {
            let v6 = |at: usize| -> [u8; 16] { frame[at..at + 16].try_into().unwrap() };
            (54, [v6(22), v6(38)].map(IpAddr::from))
        }
        _ => return,
    };
    let length = u32::try_from(frame.len() - start).expect("the length of a frame");
    let [src, dst] = addresses;
    frame[start + 16..start + 18].fill(0);
    let sum = Sum::new().add_pseudo_header(src, dst, PROTOCOL_TCP, length);
    let sum = sum.add(&frame[start..]).finish();
    frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
}

/// What the client's kernel sends in some conversations, while their connections stay open: the
/// changed frames are about flows that exist.
fn record(bed: &Bed, raw: &Raw) -> (Vec<Vec<u8>>, Vec<TcpStream>) {
    let mut open = Vec::new();
    for to in front(7) {
        let mut stream = connect(bed, to);
        echo(&mut stream, &Text::new(1, 3000).bytes());
        open.push(stream);
        let (sent, received) = exchange(&connect(bed, to), Text::new(2, 5000));
        assert_eq!(received, sent);
    }
    let mac = raw.mac();
    let mut frames = raw.take();
    // Neighbours stay out of it: with a wrong MAC address for the client nobody could be answered,
    // and believing neighbours is what ARP is.
    let is_segment = |frame: &[u8]| match &frame[12..14] {
        [0x08, 0x00] => frame[23] == PROTOCOL_TCP,
        [0x86, 0xdd] => frame[20] == PROTOCOL_TCP,
        _ => false,
    };
    frames.retain(|frame| frame[6..12] == mac && frame.len() > ETHERNET && is_segment(frame));
    assert!(frames.len() > 20, "{} frames", frames.len());
    (frames, open)
}

/// Sends bad frames, with requests in between; each of these goes over a connection of its own,
/// because a changed frame may well end one that it is about.
fn assert_survived(driver: &'static str, seed: u64) {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let ports = Ports {
        driver,
        ..Ports::default()
    };
    let mut tidegate = bed.run_on(&ports, &listener("echo", 7, "echo"));
    let raw = Raw::open(bed.client());
    let (real, open) = record(&bed, &raw);
    let before = stats(&bed);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for number in 0..FRAMES {
        let choice = random.below(real.len());
        let frame = match random.below(4) {
            0 => noise(&mut random, &real[0][..6]),
            1 => forgery(&mut random, &real[choice]),
            _ => mutation(&mut random, &real[choice]),
        };
        raw.send(&frame);
        if number % REQUEST_EVERY == 0 {
            let to = front(7)[number / REQUEST_EVERY % 2];
            echo(
                &mut connect(&bed, to),
                format!("after {number} frames").as_bytes(),
            );
        }
    }
    drop(open);
    tidegate.check_alive(bed.folder()).unwrap();
    let after = stats(&bed);
    assert_books_balance(&after);
    let discarded = |stats: &Counters| {
        let counts = stats.discards.values().map(|discard| discard.count);
        counts.sum::<u64>()
    };
    let discarded = discarded(&after) - discarded(&before);
    assert!(discarded > FRAMES as u64 / 4, "{discarded} discards only");
    let reasons = after.discards.values().filter(|discard| discard.count > 0);
    assert!(reasons.count() > 10, "{:#?}", after.discards);
    wait_until("all frames of the ports are at home", || {
        stats(&bed)
            .ports
            .values()
            .all(|port| port.counts["frames_held"] == 0)
    });
}

#[test]
fn bad_frames_do_not_stop_af_xdp() {
    assert_survived("af_xdp", seed(1));
}

#[test]
fn bad_frames_do_not_stop_af_packet() {
    assert_survived("af_packet", seed(2));
}
