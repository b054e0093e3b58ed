//! An attacker who is not on the path: it knows all addresses and ports and can send whatever it
//! likes in anybody's name, but it has not seen one sequence number. None of it may break or
//! change a flow (RFC 5961, RFC 5927).
//!
//! The test does know the numbers and sees to it that a guess misses, which it does in reality but
//! for one time in some millions; many guesses miss by little.

use core::net::IpAddr;

use tidegate_wire::{MacAddr, Tcp, TcpFlags};

use crate::air::Air;
use crate::dice::Dice;
use crate::forge::{Complaint, STRANGER, header, icmp, segment};
use crate::tracks::{Track, Way, back, is_before};

/// A guess that is not meant to be near is at least so far off: beyond every window here.
const FAR: u32 = 64 << 20;

/// What forged segments carry.
const TEXT: [u8; 600] = [0xee; 600];

/// A frame of the attacker and the station it is for, if there is a flow to attack.
pub(crate) fn forgery(
    air: &mut Air,
    mac_of: impl Fn(IpAddr) -> Option<MacAddr>,
) -> Option<(MacAddr, Vec<u8>)> {
    let Air { dice, tracks, .. } = air;
    if tracks.ways.is_empty() {
        return None;
    }
    // The segment says that it comes from `way.0` and goes to `way.2`.
    let way = dice.pick(&tracks.ways);
    let stations = (mac_of(way.0)?, mac_of(way.2)?);
    let to = stations.1;
    let (sender, target) = (
        tracks.tracks.get(&way).copied(),
        tracks.tracks.get(&back(way)).copied(),
    );
    let frame = match dice.below(8) {
        0 => icmp_error(dice, to, way, target),
        1 => flood(dice, to, way),
        _ => {
            let tcp = blind_segment(dice, way, sender, target)?;
            let has_text = tcp.flags.contains(TcpFlags::PSH);
            let text = if has_text { &TEXT[..] } else { &[] };
            segment(stations, (way.0, way.2), &tcp, text)
        }
    };
    Some((to, frame))
}

/// A number that is not near `truth`.
fn far(dice: &mut Dice, truth: u32) -> u32 {
    let span = u64::from(u32::MAX - 2 * FAR);
    let off = u32::try_from(dice.below(span)).expect("below 2^32");
    truth.wrapping_add(FAR).wrapping_add(off)
}

/// A segment from `way.0` with what is known of the numbers of both directions.
fn blind_segment(
    dice: &mut Dice,
    way: Way,
    sender: Option<Track>,
    target: Option<Track>,
) -> Option<Tcp> {
    let (truth_seq, truth_ack) = (
        sender.map_or(0, |track| track.end),
        target.map_or(0, |track| track.end),
    );
    let flags = dice.pick(&[
        TcpFlags::RST,
        TcpFlags::RST | TcpFlags::ACK,
        TcpFlags::SYN,
        TcpFlags::SYN | TcpFlags::ACK,
        TcpFlags::ACK,
        TcpFlags::ACK | TcpFlags::PSH,
        TcpFlags::ACK | TcpFlags::FIN,
        TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN,
    ]);
    let (mut seq, mut ack) = (far(dice, truth_seq), far(dice, truth_ack));
    let is_near = dice.per_mille(500);
    let is_synchronized = |track: Option<Track>| track.is_some_and(|track| track.is_synchronized);
    if flags.contains(TcpFlags::RST) {
        if is_near {
            seq = in_window(dice, sender?, target?)?;
            ack = truth_ack;
        }
    } else if flags.contains(TcpFlags::SYN) {
        // Before it knows its peer's numbers a stack has to believe a SYN: that is a simultaneous
        // open (RFC 9293 3.5, MUST-10).
        let is_opening = target.is_some() && !is_synchronized(target);
        if is_opening && !flags.contains(TcpFlags::ACK) {
            return None;
        }
        if is_near && is_synchronized(target) && is_synchronized(sender) {
            seq = truth_seq.wrapping_add(u32::from(dice.word().to_le_bytes()[0]));
        }
    } else if is_near {
        // One of the two numbers may be right; both never are. Where the target holds no state yet
        // it answers with a RST at the number that is acknowledged, which so has to be wrong.
        if dice.per_mille(500) || !is_synchronized(target) {
            seq = truth_seq;
        } else {
            ack = truth_ack;
        }
    }
    let wnd = dice.pick(&[0, 1_000, u16::MAX]);
    Some(header((way.1, way.3), (seq, ack), flags, wnd))
}

/// A number in the window of the target, but beyond all that its peer has sent: so it cannot be
/// the next one expected, whatever is under way.
fn in_window(dice: &mut Dice, sender: Track, target: Track) -> Option<u32> {
    let wnd = u32::from(target.wnd);
    let right = target.ack.wrapping_add(wnd);
    let first = sender.end.wrapping_add(1);
    let is_known = target.is_synchronized && sender.is_synchronized;
    if !is_known || !is_before(first, right) {
        return None;
    }
    let room = right.wrapping_sub(first);
    let off = u32::try_from(dice.below(room.into())).expect("below 2^32");
    Some(first.wrapping_add(off))
}

/// An ICMP error that quotes a segment which `way.2` has never sent, or not now.
fn icmp_error(dice: &mut Dice, to: MacAddr, way: Way, target: Option<Track>) -> Vec<u8> {
    let complaint = dice.pick(&[
        Complaint::PortUnreachable,
        Complaint::HostUnreachable,
        Complaint::TooBig(68),
        Complaint::TooBig(600),
    ]);
    let truth = target.map_or(0, |track| track.end);
    let seq = match dice.below(2) {
        // What would be sent next is not in flight.
        0 => truth.wrapping_add(1 + u32::from(dice.word().to_le_bytes()[0])),
        _ => far(dice, truth),
    };
    let quoted = header((way.3, way.1), (seq, dice.word()), TcpFlags::ACK, 1_000);
    let quoted = segment((to, STRANGER), (way.2, way.0), &quoted, &TEXT);
    icmp(to, (way.0, way.2), complaint, &quoted[14..])
}

/// A SYN from a neighbour who is not there, to a service.
fn flood(dice: &mut Dice, to: MacAddr, way: Way) -> Vec<u8> {
    let last = 100 + dice.word().to_le_bytes()[0] % 100;
    let src = if way.2.is_ipv4() {
        IpAddr::from([192, 0, 2, last])
    } else {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 1, last.into()])
    };
    let port = 1_024 + u16::from(dice.word().to_le_bytes()[0]);
    let numbers = (dice.word(), 0);
    let tcp = header((port, dice.pick(&[7, 8])), numbers, TcpFlags::SYN, 1_000);
    segment((STRANGER, to), (src, way.2), &tcp, &[])
}
