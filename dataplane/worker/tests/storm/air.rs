//! The network between the stacks: a switch that loses, doubles, damages, delays and reorders
//! frames, keeps some to let them come again much later, and may have a router behind it that
//! takes only short datagrams.

use std::collections::BTreeMap;

use core::time::Duration;

use tidegate_wire::{Body, ETHER_TYPE_ARP, Ethernet, Instant, MacAddr, RxChecksum, parse};

use crate::dice::Dice;
use crate::forge::{Complaint, icmp};
use crate::plan::Weather;
use crate::tracks::{Old, Tracks};

/// Frames that are kept to come again.
const ARCHIVE: usize = 200;

#[derive(Debug)]
pub(crate) struct Air {
    pub(crate) weather: Weather,
    pub(crate) dice: Dice,
    pub(crate) tracks: Tracks,
    pub(crate) archive: Vec<Old>,
    under_way: BTreeMap<(Instant, u64), (MacAddr, Vec<u8>)>,
    count: u64,
    /// Each frame is printed as it is sent and as it arrives.
    is_traced: bool,
    /// Nothing passes from or to this station until then.
    cut: Option<(MacAddr, Instant)>,
}

impl Air {
    pub(crate) fn new(weather: Weather, dice: Dice) -> Self {
        Self {
            weather,
            dice,
            tracks: Tracks::default(),
            archive: Vec::new(),
            under_way: BTreeMap::new(),
            count: 0,
            is_traced: std::env::var_os("TIDEGATE_LINES").is_some(),
            cut: None,
        }
    }

    /// Prints a frame, where that was asked for.
    pub(crate) fn trace(&self, what: &str, frame: &[u8], now: Instant) {
        if self.is_traced
            && let Ok(packet) = parse(frame, RxChecksum::Trust)
        {
            let micros = now.as_nanos() / 1_000;
            crate::sim::report(&format!("{micros} {what} {packet}"));
        }
    }

    /// From now on frames arrive, once, in order, and as they were sent; what is under way as well.
    pub(crate) fn clear_up(&mut self) {
        self.cut = None;
        self.archive.clear();
        self.weather = Weather {
            lost: 0,
            doubled: 0,
            damaged: 0,
            late: 0,
            archived: 0,
            marked: 0,
            ..self.weather
        };
    }

    /// Nothing passes from or to a station for a while.
    pub(crate) fn cut(&mut self, station: MacAddr, until: Instant) {
        self.cut = Some((station, until));
    }

    /// A stack sends a frame.
    pub(crate) fn send(&mut self, mut frame: Vec<u8>, now: Instant) {
        let Ok((ethernet, _)) = Ethernet::parse(&frame) else {
            return;
        };
        self.trace("sent", &frame, now);
        let old = self.tracks.observe(&frame, now);
        let is_archived = self.dice.per_mille(self.weather.archived);
        let is_cut = |station: MacAddr| station == ethernet.src || station == ethernet.dst;
        if self
            .cut
            .is_some_and(|(station, until)| until > now && is_cut(station))
        {
            return;
        }
        if is_archived {
            self.keep(old);
        }
        if self.is_too_long(&frame, now) || self.dice.per_mille(self.weather.lost) {
            return;
        }
        // What guards ARP and the Ethernet header against damage is not ours to test.
        if self.dice.per_mille(self.weather.damaged) && ethernet.ether_type != ETHER_TYPE_ARP {
            let bit = self.dice.index((frame.len() - 14) * 8);
            frame[14 + bit / 8] ^= 1 << (bit % 8);
        }
        if self.dice.per_mille(self.weather.marked) {
            mark(&mut frame);
        }
        if self.dice.per_mille(self.weather.doubled) {
            self.launch(ethernet.dst, frame.clone(), now);
        }
        self.launch(ethernet.dst, frame, now);
    }

    fn keep(&mut self, old: Old) {
        if self.archive.len() < ARCHIVE {
            self.archive.push(old);
        } else {
            let place = self.dice.index(ARCHIVE);
            self.archive[place] = old;
        }
    }

    fn launch(&mut self, to: MacAddr, frame: Vec<u8>, now: Instant) {
        let is_late = self.dice.per_mille(self.weather.late);
        let late = if is_late {
            self.dice.up_to(self.weather.lateness)
        } else {
            Duration::ZERO
        };
        self.bring(to, frame, now + self.weather.delay + late);
    }

    /// Brings a frame to a station at a time, whatever the weather.
    pub(crate) fn bring(&mut self, to: MacAddr, frame: Vec<u8>, at: Instant) {
        self.count += 1;
        self.under_way.insert((at, self.count), (to, frame));
    }

    /// Whether the router drops it, which it says (RFC 1191, RFC 8201).
    fn is_too_long(&mut self, frame: &[u8], now: Instant) -> bool {
        let Some(path_mtu) = self.weather.path_mtu else {
            return false;
        };
        if frame.len() <= 14 + path_mtu {
            return false;
        }
        if !self.weather.is_black_hole
            && let Ok(packet) = parse(frame, RxChecksum::Trust)
            && let Body::Tcp(ip, ..) = packet.body
        {
            let router = if ip.dst.is_ipv4() {
                core::net::IpAddr::from([192, 0, 2, 254])
            } else {
                core::net::IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe])
            };
            let mtu = u16::try_from(path_mtu).expect("short");
            let sender = packet.ethernet.src;
            let complaint = Complaint::TooBig(mtu);
            let answer = icmp(sender, (router, ip.src), complaint, &frame[14..]);
            self.launch(sender, answer, now);
        }
        true
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next frame that has arrived by `now`, and where.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<(MacAddr, Vec<u8>)> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// A router that is congested says so on a datagram whose sender understands it (RFC 3168 5).
fn mark(frame: &mut [u8]) {
    match frame[12..14] {
        [0x08, 0x00] if frame[15] & 3 != 0 => {
            // RFC 1624: the header's checksum changes by as much as its word does.
            let before = u16::from_be_bytes([frame[14], frame[15]]);
            frame[15] |= 3;
            let after = u16::from_be_bytes([frame[14], frame[15]]);
            let sum = u16::from_be_bytes([frame[24], frame[25]]);
            let sum = u32::from(!sum) + u32::from(!before) + u32::from(after);
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = !u16::try_from(sum).expect("folded twice");
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
        }
        // The traffic class stands across two bytes.
        [0x86, 0xdd] if frame[15] & 0x30 != 0 => frame[15] |= 0x30,
        _ => {}
    }
}
