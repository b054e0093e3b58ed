//! SYN cookies: a SYN of which nothing is kept, and what may come back for it, changed or not,
//! soon or late. A cookie that comes back as it was makes a connection; one that is too old never
//! does; and whatever else does makes one that agrees with itself.

use core::time::Duration;
use std::net::{Ipv4Addr, Ipv6Addr};

use tidegate_tcp::{
    Context, Ecn, FourTuple, Memory, MemoryConfig, Secrets, Segment, SeqNum, Settings, State, Tcb,
    TxChecksumMode,
};
use tidegate_wire::options::OPTIONS_LEN_MAX;
use tidegate_wire::{Instant, Tcp, TcpFlags, TcpOptions, Timestamps};

use super::bytes::Bytes;

const MTU: u32 = 1_500;

/// For how long a cookie is good at least, and from when on it no longer is.
const GOOD: Duration = Duration::from_secs(64);
const STALE: Duration = Duration::from_secs(128);

/// Somebody who opens a connection, and what is around the listener.
struct Opening {
    secrets: Secrets,
    settings: Settings,
    memory: Memory,
    now: Instant,
}

/// Plays the bytes.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut opening = Opening::new(&mut bytes);
    let syn = syn(&mut bytes);
    let Some(answer) = opening.answer(&syn) else {
        return;
    };
    let mut ack = ack(&syn, &answer);
    let is_changed = change(&mut bytes, &mut ack);
    ack.text = &[3; 100][..usize::from(bytes.u8() % 100)];
    let waited = Duration::from_millis(u64::from(bytes.u16()) * 4);
    opening.now += waited;
    let is_taken = opening.establish(&ack);
    if !is_changed {
        assert!(is_taken || waited > GOOD, "a good cookie: {syn:?} {ack:?}");
        assert!(!is_taken || waited < STALE, "a stale one: {waited:?}");
    }
}

impl Opening {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        Self {
            secrets: Secrets::from_bytes([bytes.u8(); 32]),
            settings: Settings {
                timestamps: !bytes.bool(),
                sack: !bytes.bool(),
                wnd_scaling: !bytes.bool(),
                ecn: bytes.pick(&[Ecn::Passive, Ecn::On, Ecn::Off]),
                rmem: bytes.pick(&[1 << 20, 2_000]),
                ..Settings::default()
            },
            memory: Memory::new(MemoryConfig {
                blocks: 8,
                range_sets: 1,
                send_logs: 1,
                bbr_records: 0,
            }),
            now: Instant::from_secs(1 + u64::from(bytes.u32())),
        }
    }

    fn cx(&mut self) -> (&Secrets, Context<'_>) {
        let cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        (&self.secrets, cx)
    }

    /// The SYN-ACK to a SYN, of which nothing is kept.
    fn answer(&mut self, syn: &Segment<'_>) -> Option<Tcp> {
        let (secrets, mut cx) = self.cx();
        let mut tcb = Tcb::accept_by_cookie(syn, secrets, MTU, &mut cx).ok()?;
        let mut out = [0; 100];
        let len = tcb.poll_transmit(&mut out, TxChecksumMode::Partial, &mut cx);
        let len = len.expect("a SYN-ACK is owed");
        let counts = self.memory.counts();
        assert_eq!(counts.blocks_free, counts.blocks_total, "something is kept");
        let (answer, _) = Tcp::parse(&out[..len]).expect("our own header");
        Some(answer)
    }

    /// Whether the segment makes a connection; it is then established, and comes to its end.
    fn establish(&mut self, ack: &Segment<'_>) -> bool {
        let (secrets, mut cx) = self.cx();
        let Ok(mut tcb) = Tcb::from_cookie(ack, secrets, MTU, &mut cx) else {
            return false;
        };
        assert_eq!(tcb.state(), State::SynReceived);
        tcb.assert_invariants(cx.memory);
        let arrival = tcb.on_segment(*ack, &mut cx);
        if let Ok(arrival) = arrival {
            tcb.keep_text(arrival.text, &mut cx);
        }
        tcb.assert_invariants(cx.memory);
        let is_taken = tcb.state() != State::SynReceived;
        let _ = tcb.send(&[1; 3_000], &mut cx);
        let mut out = [0; 1_600];
        while let Some(len) = tcb.poll_transmit(&mut out, TxChecksumMode::Partial, &mut cx) {
            assert!(len <= MTU as usize, "longer than the path takes");
            tcb.assert_invariants(cx.memory);
        }
        tcb.abort(&mut cx);
        tcb.release(cx.memory);
        let counts = self.memory.counts();
        assert_eq!(counts.blocks_free, counts.blocks_total);
        assert_eq!(counts.send_logs_free, counts.send_logs_total);
        is_taken
    }
}

/// A SYN with any number, options and flags beside.
fn syn(bytes: &mut Bytes<'_>) -> Segment<'static> {
    let tuple = if bytes.bool() {
        FourTuple {
            local: Ipv6Addr::LOCALHOST.into(),
            local_port: 80,
            remote: Ipv6Addr::LOCALHOST.into(),
            remote_port: bytes.u16(),
        }
    } else {
        FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 80,
            remote: Ipv4Addr::new(192, 0, 2, 2).into(),
            remote_port: bytes.u16(),
        }
    };
    let len = usize::from(bytes.u8()) % (OPTIONS_LEN_MAX + 1);
    Segment {
        tuple,
        seq: SeqNum::new(bytes.u32()),
        ack: SeqNum::new(0),
        flags: TcpFlags::SYN | bytes.pick(&[TcpFlags::empty(), TcpFlags::ECE | TcpFlags::CWR]),
        wnd: bytes.u16(),
        urgent: 0,
        options: TcpOptions::parse(bytes.take(len)),
        text: &[],
        traffic_class: 0,
    }
}

/// The last segment of the handshake, as an honest peer has it.
fn ack(syn: &Segment<'static>, answer: &Tcp) -> Segment<'static> {
    let timestamps = answer.options.timestamps.map(|timestamps| Timestamps {
        value: timestamps.echo.wrapping_add(1),
        echo: timestamps.value,
    });
    Segment {
        seq: syn.seq + 1,
        ack: SeqNum::new(answer.seq) + 1,
        flags: TcpFlags::ACK,
        wnd: 1_000,
        options: TcpOptions {
            timestamps,
            ..TcpOptions::default()
        },
        ..*syn
    }
}

/// Changes the segment, or does not.
fn change(bytes: &mut Bytes<'_>, ack: &mut Segment<'static>) -> bool {
    let what = bytes.u8();
    if what & 1 != 0 {
        ack.seq += bytes.distance().cast_unsigned();
    }
    if what & 2 != 0 {
        ack.ack += bytes.distance().cast_unsigned();
    }
    if what & 4 != 0 {
        ack.flags = TcpFlags::from_bits_retain(bytes.u8());
    }
    if what & 8 != 0
        && let Some(timestamps) = &mut ack.options.timestamps
    {
        timestamps.echo ^= bytes.u32();
        timestamps.value = bytes.u32();
    }
    if what & 16 != 0 {
        ack.options = TcpOptions::parse(bytes.take(20));
    }
    what & 31 != 0
}
