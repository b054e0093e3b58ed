//! Plays a script against a TCB, in simulated time, and compares.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tidegate_tcp::{
    Arrival, Context, End, Events, FourTuple, IcmpError, IcmpKind, Memory, MemoryConfig, Secrets,
    Segment, SeqNum, Settings, Tcb, TimeWait, TxChecksumMode,
};
use tidegate_wire::{Discard, Instant, Ip, PROTOCOL_TCP, Sum, Tcp, TcpFlags};

use super::notation::{Notation, Origin, Seen};
use super::{Happening, Host, Line, Script};

mod oven;
mod stray;
mod user;

/// Where a play begins: numbers near the wrap find what does not wrap.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    pub is_ipv4: bool,
    pub(crate) our_iss: u32,
    pub(crate) peer_iss: u32,
    pub(crate) ts_offset: u32,
}

/// What a script talks to.
pub(crate) struct Play {
    stage: Stage,
    tuple: FourTuple,
    settings: Settings,
    memory: Memory,
    mtu: u32,
    now: Instant,
    tcb: Option<Tcb>,
    /// What is left of the TCB in TIME_WAIT, and until when, as in the worker.
    time_wait: Option<(TimeWait, Instant)>,
    is_listening: bool,
    /// Where it listens by cookies: who bakes them.
    oven: Option<Secrets>,
    end: Option<End>,
    events: Events,
    /// What went out and was not mentioned yet.
    sent: VecDeque<Sent>,
    is_reading: bool,
    /// How often the TCB was folded.
    folded: u32,
    delivered: u32,
    written: u32,
}

/// A segment that went out.
struct Sent {
    at: Instant,
    /// The ECN field of its datagram.
    ecn: u8,
    bytes: Vec<u8>,
}

/// When a play begins; timestamps count from there.
const START: Instant = Instant::from_secs(1_000);

/// Plays `script` and says at which line it went wrong, and how.
pub(crate) fn play(script: &Script, stage: Stage) -> Result<(), String> {
    let mut play = Play::new(script.settings, script.host, stage);
    for line in &script.lines {
        play.step(line)
            .map_err(|fault| format!("line {}: {fault}", line.number))?;
    }
    play.nothing_unmentioned()
        .map_err(|fault| format!("at the end: {fault}"))?;
    play.leave()
}

impl Play {
    fn new(settings: Settings, host: Host, stage: Stage) -> Self {
        let (local, remote): (IpAddr, IpAddr) = if stage.is_ipv4 {
            (
                Ipv4Addr::new(192, 0, 2, 1).into(),
                Ipv4Addr::new(198, 51, 100, 7).into(),
            )
        } else {
            (
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
                Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 7).into(),
            )
        };
        Self {
            stage,
            tuple: FourTuple {
                local,
                local_port: 80,
                remote,
                remote_port: 40_000,
            },
            settings,
            memory: Memory::new(MemoryConfig {
                blocks: host.blocks,
                range_sets: host.range_sets,
                send_logs: host.send_logs,
                bbr_records: host.bbr_records,
            }),
            mtu: host.mss + if stage.is_ipv4 { 40 } else { 60 },
            now: START,
            tcb: None,
            time_wait: None,
            is_listening: false,
            oven: host.cookies.then(|| Secrets::from_bytes([7; 32])),
            end: None,
            events: Events::empty(),
            sent: VecDeque::new(),
            is_reading: true,
            folded: 0,
            delivered: 0,
            written: 0,
        }
    }

    fn step(&mut self, line: &Line) -> Result<(), String> {
        self.pass(line.after);
        if !matches!(line.event, Happening::GoesOut(_)) {
            self.nothing_unmentioned()?;
        }
        match &line.event {
            Happening::Arrives {
                segment,
                is_last_of_burst,
                discard,
            } => {
                self.arrives(segment, discard.as_deref())?;
                if *is_last_of_burst {
                    self.transmit();
                }
            }
            Happening::GoesOut(segment) => self.goes_out(segment)?,
            Happening::NothingGoesOut => {}
            Happening::Call(words) => {
                self.call(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
                self.transmit();
            }
            Happening::Icmp { words, discard } => {
                self.icmp(
                    &words.iter().map(String::as_str).collect::<Vec<_>>(),
                    discard.as_deref(),
                )?;
                self.transmit();
            }
            Happening::Expect(words) => {
                self.expect(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// Time passes, and timers go off when they are due.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self
            .tcb
            .as_ref()
            .and_then(Tcb::next_timeout)
            .filter(|at| *at <= until)
        {
            self.now = self.now.max(at);
            let events = self.with_tcb(|tcb, cx| tcb.on_timeout(cx));
            self.events |= events.unwrap_or_default();
            self.transmit();
        }
        self.now = until;
        self.time_wait.take_if(|(_, at)| *at <= until);
    }

    /// Calls a TCB with its surroundings, if there is one, and checks it afterwards.
    fn with_tcb<T>(&mut self, step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> T) -> Option<T> {
        let tcb = self.tcb.as_mut()?;
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let result = step(tcb, &mut cx);
        tcb.assert_invariants(&self.memory);
        Some(result)
    }

    fn arrives(&mut self, notation: &Notation, discard: Option<&str>) -> Result<(), String> {
        let origin = self.peer_origin();
        let header = notation.header(origin, (self.tuple.remote_port, self.tuple.local_port));
        let mut text = vec![0; notation.len as usize];
        // Text begins after the SYN, on a SYN as well as later.
        let is_syn = header.flags.contains(TcpFlags::SYN);
        let start = if is_syn {
            origin.seq
        } else {
            origin.seq.wrapping_add(1)
        };
        let first = header.seq.wrapping_sub(start);
        fill(&mut text, PEER_PATTERN, first);
        let ip = Ip {
            src: self.tuple.remote,
            dst: self.tuple.local,
            hop_limit: 64,
            traffic_class: notation.ecn.unwrap_or(0),
        };
        let outcome = self.give(Segment::new(&ip, &header, &text));
        let name = outcome.err().map(Discard::name);
        match (discard, name) {
            (None, None) => Ok(()),
            (Some(wanted), Some(name)) if wanted == name => Ok(()),
            (wanted, name) => Err(format!("discarded as {name:?}, expected {wanted:?}")),
        }
    }

    /// A segment arrives at the TCB, or at what stands for it while there is none.
    fn give(&mut self, seg: Segment<'_>) -> Result<(), Discard> {
        let Some(outcome) = self.with_tcb(|tcb, cx| tcb.on_segment(seg, cx)) else {
            return match self.time_wait {
                Some(_) => self.give_to_time_wait(&seg),
                None => self.give_without_tcb(&seg),
            };
        };
        let arrival = outcome?;
        self.take_arrival(&arrival);
        if arrival.events.contains(Events::SUPERSEDED) {
            // As the worker does it: the old TCB goes, and the listener gets the segment.
            let mut old = self.tcb.take().expect("it has just been asked");
            let iss = old.iss_after(SeqNum::new(self.stage.our_iss));
            old.release(&mut self.memory);
            self.stage.our_iss = iss.value();
            (self.delivered, self.written, self.end) = (0, 0, None);
            return self.give_without_tcb(&seg);
        }
        arrival.discard.map_or(Ok(()), Err)
    }

    /// The user takes the text that is offered in the frame, or all of it is kept.
    fn take_arrival(&mut self, arrival: &Arrival<'_>) {
        self.events |= arrival.events;
        if self.is_reading {
            self.deliver(arrival.text);
            self.with_tcb(|tcb, cx| tcb.keep_text(&[], cx));
            self.read(u32::MAX);
        } else {
            let lost = self.with_tcb(|tcb, cx| tcb.keep_text(arrival.text, cx));
            assert_eq!(lost, Some(0), "memory for what was taken");
        }
    }

    fn deliver(&mut self, text: &[u8]) {
        let mut wanted = vec![0; text.len()];
        fill(&mut wanted, PEER_PATTERN, self.delivered);
        assert_eq!(
            text, wanted,
            "text after octet {} is not what was sent",
            self.delivered
        );
        self.delivered += u32::try_from(text.len()).expect("a script is short");
    }

    /// The end of the turn: everything that wants to go out does.
    fn transmit(&mut self) {
        let mut out = vec![0; 65_535];
        while let Some(Some((len, ecn))) = self.with_tcb(|tcb, cx| {
            let wants = tcb.wants_transmit(cx);
            let len = tcb.poll_transmit(&mut out, TxChecksumMode::Full, cx);
            assert_eq!(
                wants,
                len.is_some(),
                "wants_transmit and poll_transmit disagree"
            );
            len.map(|len| (len, tcb.traffic_class(cx.settings) & 3))
        }) {
            self.sent.push_back(Sent {
                at: self.now,
                ecn,
                bytes: out[..len].to_vec(),
            });
        }
        self.fold();
        if let Some(Some(record)) = self.with_tcb(|tcb, cx| tcb.time_wait(cx)) {
            let mut tcb = self.tcb.take().expect("it has just been asked");
            self.end = tcb.end();
            tcb.release(&mut self.memory);
            self.time_wait = Some(record);
        }
        if self.tcb.as_ref().is_some_and(Tcb::is_finished) {
            let mut tcb = self.tcb.take().expect("it has just been asked");
            self.end = tcb.end();
            tcb.release(&mut self.memory);
        }
    }

    fn goes_out(&mut self, wanted: &Notation) -> Result<(), String> {
        let Some(Sent { at, ecn, bytes }) = self.sent.pop_front() else {
            return Err("nothing goes out".into());
        };
        let (tcp, text) = Tcp::parse(&bytes).expect("our own segments are well-formed");
        let origin = self.our_origin();
        let seen = Seen {
            tcp: &tcp,
            len: text.len(),
            ecn,
            origin,
        };
        if at != self.now {
            let early = self.now.saturating_since(at);
            return Err(format!("{seen} went out {early:?} before"));
        }
        if !wanted.matches(&seen) {
            return Err(format!("goes out: {seen}"));
        }
        self.check_bytes(&bytes, &tcp, text)
    }

    /// Checksum and text of a segment that went out.
    fn check_bytes(&self, segment: &[u8], tcp: &Tcp, text: &[u8]) -> Result<(), String> {
        let len = u32::try_from(segment.len()).expect("a segment is short");
        let (local, remote) = (self.tuple.local, self.tuple.remote);
        let sum = Sum::new()
            .add(segment)
            .add_pseudo_header(local, remote, PROTOCOL_TCP, len);
        if sum.finish() != 0 {
            return Err("the checksum is wrong".into());
        }
        if segment.len() > self.mtu as usize - if self.stage.is_ipv4 { 20 } else { 40 } {
            return Err("the segment is longer than the path takes".into());
        }
        let mut wanted = vec![0; text.len()];
        fill(
            &mut wanted,
            OUR_PATTERN,
            tcp.seq.wrapping_sub(self.stage.our_iss.wrapping_add(1)),
        );
        if text == wanted {
            Ok(())
        } else {
            Err("the text is not what was written".into())
        }
    }

    fn nothing_unmentioned(&self) -> Result<(), String> {
        let Some(&Sent { at, ecn, ref bytes }) = self.sent.front() else {
            return Ok(());
        };
        let (tcp, text) = Tcp::parse(bytes).expect("our own segments are well-formed");
        let seen = Seen {
            tcp: &tcp,
            len: text.len(),
            ecn,
            origin: self.our_origin(),
        };
        let before = self.now.saturating_since(at);
        Err(format!(
            "{seen} went out {before:?} before and is not mentioned"
        ))
    }

    /// The play is over: all memory comes home.
    fn leave(mut self) -> Result<(), String> {
        if let Some(mut tcb) = self.tcb.take() {
            tcb.release(&mut self.memory);
        }
        let counts = self.memory.counts();
        let is_home = counts.blocks_free == counts.blocks_total
            && counts.range_sets_free == counts.range_sets_total
            && counts.send_logs_free == counts.send_logs_total
            && counts.bbr_free == counts.bbr_total
            && counts.rate_logs_free == counts.bbr_total;
        if is_home {
            Ok(())
        } else {
            Err(format!("memory is missing: {counts:?}"))
        }
    }

    fn icmp(&mut self, words: &[&str], discard: Option<&str>) -> Result<(), String> {
        let (kind, seq) = match *words {
            ["soft", "seq", seq] => (IcmpKind::Soft, seq),
            ["hard", "seq", seq] => (IcmpKind::Hard, seq),
            ["too_big", mtu, "seq", seq] => {
                // The script says it for IPv4; the same segment size for IPv6 is 20 more.
                let mtu: u32 = mtu.parse().map_err(|_| "no MTU")?;
                (
                    IcmpKind::TooBig {
                        mtu: mtu + if self.stage.is_ipv4 { 0 } else { 20 },
                    },
                    seq,
                )
            }
            _ => return Err("no such ICMP error".into()),
        };
        let seq: u32 = seq.parse().map_err(|_| "no sequence number")?;
        let seq = SeqNum::new(self.stage.our_iss) + seq;
        let outcome = self.with_tcb(|tcb, cx| tcb.on_icmp(IcmpError { kind, seq }, cx));
        let name = match outcome.ok_or("there is no TCB")? {
            Ok(events) => {
                self.events |= events;
                None
            }
            Err(discard) => Some(discard.name()),
        };
        if name == discard {
            Ok(())
        } else {
            Err(format!("discarded as {name:?}"))
        }
    }

    fn ts_offset(&self) -> u32 {
        // So that timestamps in a script count milliseconds from its beginning.
        let start = u32::try_from(START.as_millis()).expect("early");
        self.stage.ts_offset.wrapping_sub(start)
    }

    const fn our_origin(&self) -> Origin {
        let Stage {
            our_iss,
            peer_iss,
            ts_offset,
            ..
        } = self.stage;
        Origin {
            seq: our_iss,
            ack: peer_iss,
            ts_value: ts_offset,
            ts_echo: 0,
        }
    }

    const fn peer_origin(&self) -> Origin {
        let Stage {
            our_iss,
            peer_iss,
            ts_offset,
            ..
        } = self.stage;
        Origin {
            seq: peer_iss,
            ack: our_iss,
            ts_value: 0,
            ts_echo: ts_offset,
        }
    }
}

/// What the two streams of text consist of.
const OUR_PATTERN: u32 = 0x9e37_79b1;
/// See [`OUR_PATTERN`].
const PEER_PATTERN: u32 = 0x85eb_ca6b;

/// Text of a stream from `first` on.
fn fill(text: &mut [u8], pattern: u32, first: u32) {
    for (octet, at) in text.iter_mut().zip(0_u32..) {
        *octet = first.wrapping_add(at).wrapping_mul(pattern).to_be_bytes()[0];
    }
}
