//! What a cookie keeps, how long it is good, and for whom.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use tidegate_wire::{Tcp, Timestamps};

use super::*;
use crate::memory::{Memory, MemoryConfig};
use crate::settings::Settings;
use crate::{State, TxChecksumMode};

const MTU: u32 = 9_000;
const NOW: Instant = Instant::from_secs(100_000);

fn secrets(fill: u8) -> Secrets {
    Secrets::from_bytes([fill; 32])
}

fn tuple(is_ipv4: bool) -> FourTuple {
    let (local, remote): (IpAddr, IpAddr) = if is_ipv4 {
        (
            Ipv4Addr::new(192, 0, 2, 1).into(),
            Ipv4Addr::new(198, 51, 100, 7).into(),
        )
    } else {
        (
            Ipv6Addr::LOCALHOST.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into(),
        )
    };
    FourTuple {
        local,
        local_port: 80,
        remote,
        remote_port: 40_000,
    }
}

fn segment(flags: TcpFlags, seq: u32, ack: u32, options: TcpOptions) -> Segment<'static> {
    Segment {
        tuple: tuple(true),
        seq: SeqNum::new(seq),
        ack: SeqNum::new(ack),
        flags,
        wnd: 1_000,
        urgent: 0,
        options,
        text: &[],
        traffic_class: 0,
    }
}

/// A listener that bakes at one time and checks at another.
struct Oven {
    settings: Settings,
    memory: Memory,
    secrets: Secrets,
    now: Instant,
}

impl Oven {
    fn new() -> Self {
        Self {
            settings: Settings::default(),
            memory: Memory::new(MemoryConfig {
                blocks: 1,
                range_sets: 0,
                send_logs: 0,
                bbr_records: 0,
            }),
            secrets: secrets(7),
            now: NOW,
        }
    }

    /// The SYN-ACK to a SYN.
    fn answer(&mut self, syn: &Segment<'_>) -> Tcp {
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let mut tcb = Tcb::accept_by_cookie(syn, &self.secrets, MTU, &mut cx).unwrap();
        let mut out = [0; 60];
        let len = tcb.poll_transmit(&mut out, TxChecksumMode::Full, &mut cx);
        Tcp::parse(&out[..len.unwrap()]).unwrap().0
    }

    fn check(&mut self, seg: &Segment<'_>) -> Result<Tcb, Discard> {
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let mut tcb = Tcb::from_cookie(seg, &self.secrets, MTU, &mut cx)?;
        tcb.assert_invariants(cx.memory);
        tcb.on_segment(*seg, &mut cx)?;
        assert_eq!(tcb.state(), State::Established);
        tcb.assert_invariants(cx.memory);
        Ok(tcb)
    }

    /// A handshake with these options; the TCB at its end.
    fn shake_hands(&mut self, is_ipv4: bool, options: TcpOptions) -> Tcb {
        self.shake_hands_by(TcpFlags::SYN, is_ipv4, options)
    }

    /// The same, with a SYN that has these flags.
    fn shake_hands_by(&mut self, flags: TcpFlags, is_ipv4: bool, options: TcpOptions) -> Tcb {
        let mut syn = segment(flags, 5_000, 0, options);
        syn.tuple = tuple(is_ipv4);
        let answer = self.answer(&syn);
        assert!(answer.flags.contains(TcpFlags::SYN | TcpFlags::ACK));
        assert_eq!(answer.ack, 5_001);
        let timestamps = answer.options.timestamps.map(|ours| Timestamps {
            value: options.timestamps.unwrap().value + 1,
            echo: ours.value,
        });
        let options = TcpOptions {
            timestamps,
            ..TcpOptions::default()
        };
        let mut ack = segment(TcpFlags::ACK, 5_001, answer.seq.wrapping_add(1), options);
        ack.tuple = syn.tuple;
        self.check(&ack).unwrap()
    }
}

fn mss(mss: u16) -> TcpOptions {
    TcpOptions {
        mss: Some(mss),
        ..TcpOptions::default()
    }
}

#[test]
fn the_segment_size_comes_back_rounded_down() {
    for is_ipv4 in [true, false] {
        let table = if is_ipv4 { SIZES_IPV4 } else { SIZES_IPV6 };
        for announced in [0, 48, 100, 535, 536, 1_219, 1_220, 1_459, 1_460, 65_535] {
            let tcb = Oven::new().shake_hands(is_ipv4, mss(announced));
            let largest = table.into_iter().rfind(|size| *size <= announced);
            let wanted = u32::from(largest.unwrap_or(48));
            assert_eq!(tcb.smss(), wanted, "{announced}");
        }
    }
    // RFC 9293 3.7.1, MUST-15.
    let options = TcpOptions::default();
    assert_eq!(Oven::new().shake_hands(true, options).smss(), 536);
    assert_eq!(Oven::new().shake_hands(false, options).smss(), 1_220);
}

#[test]
fn with_timestamps_scale_and_sack_come_back() {
    let peer = Some(Timestamps { value: 77, echo: 0 });
    for wnd_shift in [None, Some(0), Some(7), Some(14), Some(200)] {
        for sack_permitted in [true, false] {
            let options = TcpOptions {
                wnd_shift,
                sack_permitted,
                timestamps: peer,
                ..mss(1_460)
            };
            // Lower bits of the clock below and above those that replace them.
            for ms in 0..64 {
                let mut oven = Oven::new();
                oven.now += Duration::from_millis(ms);
                let tcb = oven.shake_hands(true, options);
                assert!(tcb.has(Flags::TIMESTAMPS));
                assert_eq!(tcb.has(Flags::SACK), sack_permitted);
                let shift = wnd_shift.map(|shift| shift.min(14));
                assert_eq!(tcb.has(Flags::WND_SCALING), shift.is_some());
                assert_eq!(tcb.snd.wnd_shift, shift.unwrap_or(0));
                assert_eq!(tcb.snd.wnd, 1_000 << shift.unwrap_or(0));
                assert_eq!(tcb.rcv.ts_recent, 78);
            }
        }
    }
}

#[test]
fn without_timestamps_nothing_is_agreed_that_could_not_be_kept() {
    let options = TcpOptions {
        wnd_shift: Some(7),
        sack_permitted: true,
        ..mss(1_460)
    };
    let mut oven = Oven::new();
    let answer = oven.answer(&segment(TcpFlags::SYN, 1, 0, options));
    assert_eq!(
        (answer.options.wnd_shift, answer.options.sack_permitted),
        (None, false)
    );
    let tcb = oven.shake_hands(true, options);
    assert!(!tcb.has(Flags::SACK) && !tcb.has(Flags::WND_SCALING) && !tcb.has(Flags::TIMESTAMPS));
}

#[test]
fn ecn_comes_back_with_timestamps_and_is_not_agreed_on_without() {
    for timestamps in [None, Some(Timestamps::default())] {
        for asked in [TcpFlags::empty(), ECN_ASKED] {
            let options = TcpOptions {
                timestamps,
                ..mss(1_460)
            };
            let mut oven = Oven::new();
            let syn = segment(TcpFlags::SYN | asked, 1, 0, options);
            let is_agreed = timestamps.is_some() && asked == ECN_ASKED;
            assert_eq!(oven.answer(&syn).flags.contains(TcpFlags::ECE), is_agreed);
            let tcb = oven.shake_hands_by(syn.flags, true, options);
            assert_eq!(tcb.has(Flags::ECN), is_agreed);
        }
    }
}

#[test]
fn timestamps_that_follow_are_never_older_than_the_cookies() {
    for clock in (0..200).chain(u32::MAX - 200..=u32::MAX) {
        for bits in 0..=AGREED_MASK {
            let value = baked(clock, bits);
            assert_eq!(value & AGREED_MASK, bits);
            assert!(clock.wrapping_sub(value) <= AGREED_MASK, "{clock} {bits}");
        }
    }
}

#[test]
fn a_cookie_is_good_for_its_slot_and_the_next() {
    let mut oven = Oven::new();
    let start = Instant::from_secs(NOW.as_millis() / 1_000 / SLOT_S * SLOT_S);
    for baked_after in [0, 63] {
        oven.now = start + Duration::from_secs(baked_after);
        let answer = oven.answer(&segment(TcpFlags::SYN, 9, 0, mss(536)));
        let ack = segment(
            TcpFlags::ACK,
            10,
            answer.seq.wrapping_add(1),
            TcpOptions::default(),
        );
        for (checked_after, is_good) in [(baked_after, true), (127, true), (128, false)] {
            oven.now = start + Duration::from_secs(checked_after);
            assert_eq!(
                oven.check(&ack).is_ok(),
                is_good,
                "{baked_after} {checked_after}"
            );
        }
        // 256 slots later the slot's number is the same again.
        oven.now = start + Duration::from_secs(baked_after + 256 * SLOT_S);
        assert_eq!(oven.check(&ack).err(), Some(Discard::TcpCookieWrong));
    }
}

#[test]
fn a_cookie_is_for_one_peer_one_syn_and_one_secret() {
    let mut oven = Oven::new();
    let answer = oven.answer(&segment(TcpFlags::SYN, 9, 0, mss(1_460)));
    let good = segment(
        TcpFlags::ACK,
        10,
        answer.seq.wrapping_add(1),
        TcpOptions::default(),
    );
    assert!(oven.check(&good).is_ok());
    let mut others = [good; 5];
    others[0].tuple.remote_port += 1;
    others[1].tuple.remote = Ipv4Addr::new(198, 51, 100, 8).into();
    others[2].tuple.local_port += 1;
    others[3].seq = good.seq + 1;
    others[4].ack = good.ack + (1 << 12);
    for other in others {
        assert_eq!(oven.check(&other).err(), Some(Discard::TcpCookieWrong));
    }
    oven.secrets = secrets(8);
    assert_eq!(oven.check(&good).err(), Some(Discard::TcpCookieWrong));
}

#[test]
fn a_guess_hits_once_in_2_to_the_28() {
    let secrets = secrets(3);
    let guesses = (0..1_u32 << 20).map(|n| SeqNum::new(n.wrapping_mul(0x9e37_79b1)));
    let hits = guesses
        .filter(|guess| {
            let irs = SeqNum::new(1);
            secrets
                .check_cookie(&tuple(true), irs, *guess, NOW)
                .is_some()
        })
        .count();
    assert!(hits <= 1, "{hits} of 2^20, where 2^-8 are expected");
}

#[test]
fn text_may_bring_it_back_and_a_rst_or_syn_does_not() {
    let mut oven = Oven::new();
    let answer = oven.answer(&segment(TcpFlags::SYN, 9, 0, mss(1_460)));
    let mut ack = segment(
        TcpFlags::ACK,
        10,
        answer.seq.wrapping_add(1),
        TcpOptions::default(),
    );
    ack.text = b"the ACK was lost";
    let tcb = oven.check(&ack).unwrap();
    assert_eq!(tcb.rcv.nxt, ack.seq + 16);
    for flag in [TcpFlags::RST, TcpFlags::SYN] {
        ack.flags = TcpFlags::ACK | flag;
        assert_eq!(oven.check(&ack).err(), Some(Discard::TcpAckInListen));
    }
}
