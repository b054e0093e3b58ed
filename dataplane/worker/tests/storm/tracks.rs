//! What is known of every flow from its frames alone: the test's own knowledge, so that an
//! attacker's guess can be made to miss, and an old duplicate is not let loose where TCP has no
//! means to know it.

use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;
use tidegate_wire::{Body, Instant, Ip, RxChecksum, Tcp, TcpFlags, parse};

/// One direction of a flow: address and port of the sender, then of the receiver.
pub(crate) type Way = (IpAddr, u16, IpAddr, u16);

pub(crate) const fn way(ip: &Ip, tcp: &Tcp) -> Way {
    (ip.src, tcp.src_port, ip.dst, tcp.dst_port)
}

pub(crate) const fn back(way: Way) -> Way {
    (way.2, way.3, way.0, way.1)
}

/// The latest incarnation of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Track {
    /// How many different SYNs there were.
    pub(crate) incarnation: u32,
    /// The number of the SYN, and when it was first sent.
    pub(crate) isn: u32,
    pub(crate) opened_at: Instant,
    /// The next number after all that was sent.
    pub(crate) end: u32,
    /// The last acknowledgement, and the last window, not shifted.
    pub(crate) ack: u32,
    pub(crate) wnd: u16,
    pub(crate) has_timestamps: bool,
    /// It has sent something after its SYN, so it knows its peer's numbers.
    pub(crate) is_synchronized: bool,
}

/// A frame that may come again.
#[derive(Clone, Debug)]
pub(crate) struct Old {
    pub(crate) bytes: Vec<u8>,
    pub(crate) way: Option<Way>,
    incarnation: u32,
    end: u32,
    has_timestamps: bool,
    sent_at: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Tracks {
    pub(crate) ways: Vec<Way>,
    pub(crate) tracks: HashMap<Way, Track>,
}

/// `seq` is before `other`, on the circle of sequence numbers.
pub(crate) const fn is_before(seq: u32, other: u32) -> bool {
    seq.wrapping_sub(other).cast_signed() < 0
}

impl Tracks {
    /// A frame was sent, by whom it says.
    pub(crate) fn observe(&mut self, frame: &[u8], now: Instant) -> Old {
        let mut old = Old {
            bytes: frame.to_vec(),
            way: None,
            incarnation: 0,
            end: 0,
            has_timestamps: false,
            sent_at: now,
        };
        let Ok(packet) = parse(frame, RxChecksum::Trust) else {
            return old;
        };
        let Body::Tcp(ip, tcp, text) = packet.body else {
            return old;
        };
        let way = way(&ip, &tcp);
        let flags = tcp.flags & (TcpFlags::SYN | TcpFlags::FIN);
        let len = text.len() + flags.iter().count();
        old.way = Some(way);
        old.end = tcp.seq.wrapping_add(u32::try_from(len).expect("short"));
        old.has_timestamps = tcp.options.timestamps.is_some();
        if !tcp.flags.contains(TcpFlags::RST) {
            self.update(way, &tcp, old.end, now);
        }
        old.incarnation = self.tracks.get(&way).map_or(0, |track| track.incarnation);
        old
    }

    fn update(&mut self, way: Way, tcp: &Tcp, end: u32, now: Instant) {
        let before = self.tracks.get(&way).copied();
        let is_new = |track: Track| track.isn != tcp.seq;
        if tcp.flags.contains(TcpFlags::SYN) && before.is_none_or(is_new) {
            if before.is_none() {
                self.ways.push(way);
            }
            let track = Track {
                incarnation: before.map_or(1, |track| track.incarnation + 1),
                isn: tcp.seq,
                opened_at: now,
                end,
                ack: tcp.ack,
                wnd: tcp.wnd,
                has_timestamps: tcp.options.timestamps.is_some(),
                is_synchronized: false,
            };
            self.tracks.insert(way, track);
            return;
        }
        let Some(track) = self.tracks.get_mut(&way) else {
            return;
        };
        if !is_before(end, track.end) {
            track.end = end;
        }
        track.ack = tcp.ack;
        track.wnd = tcp.wnd;
        track.is_synchronized |= !tcp.flags.contains(TcpFlags::SYN);
        track.has_timestamps &= tcp.options.timestamps.is_some();
    }

    /// Whether it is of an incarnation before the present one.
    pub(crate) fn is_earlier(&self, old: &Old) -> bool {
        let track = old.way.and_then(|way| self.tracks.get(&way));
        track.is_some_and(|track| track.incarnation != old.incarnation)
    }

    /// Whether TCP has the means to know this duplicate for what it is.
    ///
    /// One of the present incarnation it knows by its numbers. One of an earlier incarnation as
    /// well, where its numbers lie below those of the present one, which is what initial sequence
    /// numbers by the clock are for (RFC 9293 3.4.1). A fast flow outruns that clock; then only
    /// timestamps help (RFC 7323 5), if it is not a RST, which has none, and if the clock of the
    /// sender has moved on since, and has not been set anew by a new start.
    pub(crate) fn is_recognisable(&self, old: &Old, reborn_at: Option<Instant>) -> bool {
        let Some(track) = old.way.and_then(|way| self.tracks.get(&way)) else {
            return true;
        };
        if !self.is_earlier(old) || !is_before(track.isn, old.end) {
            return true;
        }
        let has_clock_moved = track.opened_at > old.sent_at + Duration::from_millis(5);
        let is_same_clock = reborn_at.is_none_or(|at| at < old.sent_at);
        old.has_timestamps && track.has_timestamps && has_clock_moved && is_same_clock
    }
}
