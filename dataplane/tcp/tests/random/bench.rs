//! A TCB at which steps are played, and what a peer can hold against it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tidegate_tcp::{
    Context, FourTuple, IcmpError, IcmpKind, Memory, MemoryConfig, Segment, SeqNum, Settings,
    State, Tcb, TxChecksumMode,
};
use tidegate_wire::{Instant, SackBlocks, Tcp, TcpFlags, TcpOptions, Timestamps};

use super::step::Step;

const MTU: u32 = 1_500;
const PEER_ISS: u32 = 0xffff_f000;
const OUR_ISS: u32 = 0xffff_ff00;
/// More segments than a full send queue makes, of the smallest segments there are.
const TRANSMITS_MAX: u32 = 20_000;

/// A TCB and what the peer has seen of it.
pub(crate) struct Bench {
    pub(crate) tcb: Tcb,
    settings: Settings,
    pub(crate) memory: Memory,
    now: Instant,
    is_reading: bool,
    /// The next number that the TCB sends and expects, as the peer knows them.
    their_ack: SeqNum,
    our_ack: SeqNum,
    /// Right edge of the TCB's window and whether there has been one.
    edge: Option<SeqNum>,
}

impl Bench {
    pub(crate) fn new(is_ipv4: bool, is_active: bool, settings: Settings) -> Self {
        let (local, remote) = if is_ipv4 {
            (
                Ipv4Addr::new(192, 0, 2, 1).into(),
                Ipv4Addr::new(192, 0, 2, 2).into(),
            )
        } else {
            (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into())
        };
        let tuple = FourTuple {
            local,
            local_port: 1,
            remote,
            remote_port: 2,
        };
        let now = Instant::from_secs(1);
        let mut memory = Memory::new(MemoryConfig {
            blocks: 24,
            range_sets: 1,
            send_logs: 4,
            bbr_records: 1,
        });
        let mut cx = Context {
            now,
            settings: &settings,
            memory: &mut memory,
        };
        let iss = SeqNum::new(OUR_ISS);
        let tcb = if is_active {
            Tcb::open(tuple, iss, MTU, &mut cx)
        } else {
            let syn = syn(tuple);
            Tcb::accept(&syn, iss, MTU, &mut cx).expect("a SYN opens")
        };
        Self {
            tcb,
            settings,
            memory,
            now,
            is_reading: true,
            their_ack: SeqNum::new(PEER_ISS) + 1,
            our_ack: iss + 1,
            edge: None,
        }
    }

    pub(crate) fn with<T>(&mut self, step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> T) -> T {
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let result = step(&mut self.tcb, &mut cx);
        self.tcb.assert_invariants(&self.memory);
        result
    }

    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Segment { .. } => self.segment(step),
            Step::Send(len) => {
                let text = vec![7; usize::from(*len)];
                let _ = self.with(|tcb, cx| tcb.send(&text, cx));
            }
            Step::Read(chunks) => self.read(*chunks),
            Step::Pause(is_paused) => self.is_reading = !is_paused,
            Step::SendUrgent(len) => {
                let text = vec![7; usize::from(*len)];
                let _ = self.with(|tcb, cx| tcb.send_urgent(&text, cx));
            }
            Step::ShutdownRead => self.with(Tcb::shutdown_read),
            Step::Shutdown => {
                let _ = self.with(Tcb::shutdown);
            }
            Step::Close => self.with(Tcb::close),
            Step::Abort => self.with(Tcb::abort),
            Step::Icmp { kind, seq } => {
                let kind = match kind {
                    0 => IcmpKind::Soft,
                    1 => IcmpKind::Hard,
                    _ => IcmpKind::TooBig {
                        mtu: seq.unsigned_abs() % 2_000,
                    },
                };
                let error = IcmpError {
                    kind,
                    seq: self.our_ack + seq.cast_unsigned(),
                };
                let _ = self.with(|tcb, cx| tcb.on_icmp(error, cx));
            }
            Step::Wait(micros) => self.wait(Duration::from_micros(u64::from(*micros))),
            Step::Transmit => self.transmit(),
        }
    }

    fn segment(&mut self, step: &Step) {
        let Step::Segment {
            flags,
            seq,
            ack,
            wnd,
            len,
            urgent,
            options,
        } = step
        else {
            return;
        };
        let text = vec![3; usize::from(*len)];
        let mut sack = SackBlocks::default();
        for (left, len) in &options.sack {
            let left = self.our_ack + i32::from(*left).cast_unsigned();
            sack.push(left.value(), (left + u32::from(*len)).value());
        }
        let ms = u32::try_from(self.now.as_millis()).expect("early");
        let value = ms.wrapping_add_signed(i32::from(options.ts_value));
        let flags = TcpFlags::from_bits_retain(*flags);
        let is_syn = flags.contains(TcpFlags::SYN);
        let offers = TcpOptions {
            sack_permitted: is_syn,
            wnd_shift: is_syn.then_some(2),
            ..TcpOptions::default()
        };
        let seg = Segment {
            tuple: self.tcb.tuple(),
            seq: self.their_ack + seq.cast_unsigned(),
            ack: self.our_ack + ack.cast_unsigned(),
            flags,
            wnd: *wnd,
            urgent: *urgent,
            options: TcpOptions {
                timestamps: options
                    .has_timestamps
                    .then_some(Timestamps { value, echo: ms }),
                sack,
                mss: Some(*urgent).filter(|mss| mss % 2 == 0),
                ..offers
            },
            text: &text,
            // The ECN field, and so congestion that was marked.
            traffic_class: urgent.to_be_bytes()[1] & 3,
        };
        if self.tcb.state() == State::Closed {
            return;
        }
        let Ok(arrival) = self.with(|tcb, cx| tcb.on_segment(seg, cx)) else {
            return;
        };
        let taken = if self.is_reading {
            arrival.text.len() / 2
        } else {
            0
        };
        self.with(|tcb, cx| tcb.keep_text(&arrival.text[taken..], cx));
    }

    fn read(&mut self, chunks: u8) {
        for _ in 0..chunks {
            let Some(chunk) = self.with(Tcb::detach_text) else {
                return;
            };
            let len = chunk.as_slice().len() / 2 + 1;
            self.with(|tcb, cx| tcb.attach_text(chunk, len, cx));
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.tcb.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.with(Tcb::on_timeout);
            assert!(
                self.tcb.next_timeout().is_none_or(|next| next > self.now),
                "due for ever"
            );
        }
        self.now = until;
    }

    pub(crate) fn transmit(&mut self) {
        let mut out = [0; 2_000];
        for count in 0.. {
            assert!(count < TRANSMITS_MAX, "it never stops transmitting");
            let (wants, len) = self.with(|tcb, cx| {
                (
                    tcb.wants_transmit(cx),
                    tcb.poll_transmit(&mut out, TxChecksumMode::Partial, cx),
                )
            });
            assert_eq!(
                wants,
                len.is_some(),
                "it wants and does not, or the other way round"
            );
            let Some(len) = len else { return };
            self.check(&out[..len]);
        }
    }

    /// What the peer can hold against a segment.
    fn check(&mut self, segment: &[u8]) {
        let (tcp, text) = Tcp::parse(segment).expect("our own segments are well-formed");
        let header = if self.tcb.tuple().local.is_ipv4() {
            20
        } else {
            40
        };
        assert!(
            segment.len() + header <= MTU as usize,
            "longer than the path takes"
        );
        let end = SeqNum::new(tcp.seq) + u32::try_from(text.len()).expect("short");
        if tcp.flags.contains(TcpFlags::RST) {
            return;
        }
        self.our_ack = self.our_ack.latest(end);
        if !tcp.flags.contains(TcpFlags::ACK) {
            return;
        }
        let ack = SeqNum::new(tcp.ack);
        if tcp.flags.contains(TcpFlags::SYN) {
            // The window of a SYN is not scaled and cannot say all that was said meanwhile.
            self.their_ack = ack;
            return;
        }
        let shift = self.with(|tcb, cx| tcb.snapshot(cx).wnd_shifts.map_or(0, |shifts| shifts.1));
        let edge = ack + (u32::from(tcp.wnd) << shift);
        if let Some(before) = self.edge {
            assert!(ack.after_or_eq(self.their_ack), "an ACK was taken back");
            assert!(edge.after_or_eq(before), "the right edge moved left");
        }
        self.their_ack = ack;
        self.edge = Some(edge);
    }
}

/// The SYN that a passive TCB comes from.
fn syn(tuple: FourTuple) -> Segment<'static> {
    let options = TcpOptions {
        timestamps: Some(Timestamps {
            value: 1_000,
            echo: 0,
        }),
        sack_permitted: true,
        wnd_shift: Some(2),
        ..TcpOptions::default()
    };
    Segment {
        tuple,
        seq: SeqNum::new(PEER_ISS),
        ack: SeqNum::new(0),
        flags: TcpFlags::SYN,
        wnd: 65_535,
        urgent: 0,
        options,
        text: &[],
        traffic_class: 0,
    }
}
