//! One end: a TCB, its user, who writes, reads and pauses, and what stands for the listener.

use std::time::Duration;

use tidegate_tcp::{
    Context, End, Events, FourTuple, Memory, MemoryConfig, ResetReply, Segment, SeqNum, Settings,
    State, Tcb, TcbSnapshot, TxChecksumMode, arrive,
};
use tidegate_wire::{Discards, Instant, Ip, PROTOCOL_TCP, Sum, Tcp, TcpFlags};

use crate::world::Dice;

/// Blocks of text that a host has, plenty for two windows.
const BLOCKS: u32 = 2_048;

/// A segment and the ECN field of the datagram that carries it.
#[derive(Clone)]
pub(crate) struct Datagram {
    pub(crate) ecn: u8,
    pub(crate) segment: Vec<u8>,
}

pub(crate) struct Host {
    tuple: FourTuple,
    settings: Settings,
    mtu: u32,
    iss: SeqNum,
    ts_offset: u32,
    memory: Memory,
    pub(crate) tcb: Option<Tcb>,
    pub(crate) end: Option<End>,
    pub(crate) events: Events,
    pub(crate) discards: Discards,
    /// Bytes the user wants to write in all, and has written.
    pub(crate) to_write: u64,
    written: u64,
    /// Bytes the user has read.
    pub(crate) delivered: u64,
    /// The user does nothing until then.
    busy_until: Instant,
    /// How often in a thousand turns the user pauses.
    pub(crate) pauses_per_mille: u64,
    /// The user writes as much as is taken, and reads all.
    pub(crate) writes_at_once: bool,
    is_shut_down: bool,
    replies: Vec<Datagram>,
    /// Where the text ends that has been sent so far.
    sent: Option<SeqNum>,
    /// Marks that arrived on text.
    pub(crate) marks: u64,
    stream: u64,
}

impl Host {
    pub(crate) fn new(tuple: FourTuple, settings: Settings, mtu: u32, dice: &mut Dice) -> Self {
        Self {
            tuple,
            settings,
            mtu,
            iss: SeqNum::new(dice.word()),
            ts_offset: dice.word(),
            memory: Memory::new(MemoryConfig {
                blocks: BLOCKS,
                range_sets: 4,
                send_logs: 4,
                bbr_records: 1,
            }),
            tcb: None,
            end: None,
            events: Events::empty(),
            discards: Discards::new(),
            to_write: 0,
            written: 0,
            delivered: 0,
            busy_until: Instant::ZERO,
            pauses_per_mille: 0,
            writes_at_once: false,
            is_shut_down: false,
            replies: Vec::new(),
            sent: None,
            marks: 0,
            stream: u64::from(tuple.local_port),
        }
    }

    /// The user opens the connection.
    pub(crate) fn open(&mut self, now: Instant) {
        let mut cx = Context {
            now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let tcb = Tcb::open(self.tuple, self.iss, self.mtu, &mut cx);
        self.tcb = Some(tcb.with_ts_offset(self.ts_offset));
    }

    /// The user gives up.
    pub(crate) fn abort(&mut self, now: Instant) {
        self.with_tcb(now, Tcb::abort);
    }

    pub(crate) fn state(&self) -> State {
        self.tcb.as_ref().map_or(State::Closed, Tcb::state)
    }

    /// What `ss` would see.
    pub(crate) fn snapshot(&mut self, now: Instant) -> Option<TcbSnapshot> {
        self.with_tcb(now, |tcb, cx| tcb.snapshot(cx))
    }

    fn with_tcb<T>(
        &mut self,
        now: Instant,
        step: impl FnOnce(&mut Tcb, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let tcb = self.tcb.as_mut()?;
        let mut cx = Context {
            now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let result = step(tcb, &mut cx);
        tcb.assert_invariants(&self.memory);
        Some(result)
    }

    pub(crate) fn next_event(&self) -> Option<Instant> {
        let tcb = self.tcb.as_ref()?;
        let user = Some(self.busy_until).filter(|_| self.has_plans());
        [tcb.next_timeout(), user].into_iter().flatten().min()
    }

    /// Whether the user will do something when no longer busy.
    fn has_plans(&self) -> bool {
        self.busy_until != Instant::ZERO
    }

    /// A segment arrives.
    pub(crate) fn receive(&mut self, datagram: &Datagram, now: Instant) {
        self.check_bytes(&datagram.segment);
        self.marks += u64::from(datagram.ecn == 0b11);
        let (tcp, text) = Tcp::parse(&datagram.segment).expect("our own segments are well-formed");
        let ip = Ip {
            src: self.tuple.remote,
            dst: self.tuple.local,
            hop_limit: 64,
            traffic_class: datagram.ecn,
        };
        let seg = Segment::new(&ip, &tcp, text);
        if self.tcb.is_none() {
            self.receive_without_tcb(&seg, now);
            return;
        }
        let is_reading = self.busy_until <= now;
        let arrival = match self.with_tcb(now, |tcb, cx| tcb.on_segment(seg, cx)) {
            Some(Ok(arrival)) => arrival,
            Some(Err(discard)) => {
                self.discards.count(discard);
                return;
            }
            None => return,
        };
        assert!(
            !arrival.events.contains(Events::SUPERSEDED),
            "there is one incarnation"
        );
        self.events |= arrival.events;
        let taken = if is_reading {
            arrival.text.len() / 2 + 1
        } else {
            0
        };
        let taken = taken.min(arrival.text.len());
        self.deliver(&arrival.text[..taken]);
        let lost = self.with_tcb(now, |tcb, cx| tcb.keep_text(&arrival.text[taken..], cx));
        assert_eq!(lost, Some(0), "there are plenty of blocks");
    }

    fn receive_without_tcb(&mut self, seg: &Segment<'_>, now: Instant) {
        let mut cx = Context {
            now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        if self.end.is_none()
            && let Ok(tcb) = Tcb::accept(seg, self.iss, self.mtu, &mut cx)
        {
            self.tcb = Some(tcb.with_ts_offset(self.ts_offset));
            return;
        }
        if let Some(reply) = arrive::closed(seg) {
            let mut out = vec![0; ResetReply::LEN];
            reply.emit(&mut out);
            self.replies.push(Datagram {
                ecn: 0,
                segment: out,
            });
        }
    }

    /// Timers that are due.
    pub(crate) fn expire(&mut self, now: Instant) {
        let is_due = |tcb: &Tcb| tcb.next_timeout().is_some_and(|at| at <= now);
        if self.tcb.as_ref().is_some_and(is_due) {
            let events = self.with_tcb(now, |tcb, cx| tcb.on_timeout(cx));
            self.events |= events.unwrap_or_default();
            assert!(
                !self.tcb.as_ref().is_some_and(is_due),
                "a timer that went off is still due"
            );
        }
    }

    /// The user reads and writes, or pauses.
    pub(crate) fn act(&mut self, now: Instant, dice: &mut Dice) {
        if self.tcb.is_none() || self.busy_until > now {
            return;
        }
        self.busy_until = Instant::ZERO;
        self.read(now, dice);
        self.write(now, dice);
        if dice.per_mille(self.pauses_per_mille) {
            self.busy_until = now + Duration::from_millis(1 + dice.below(2_000));
        }
    }

    fn read(&mut self, now: Instant, dice: &mut Dice) {
        while let Some(Some(chunk)) = self.with_tcb(now, Tcb::detach_text) {
            let len = chunk.as_slice().len();
            let is_partial = dice.per_mille(200);
            let taken = if is_partial { len / 2 } else { len };
            self.deliver(&chunk.as_slice()[..taken]);
            self.with_tcb(now, |tcb, cx| tcb.attach_text(chunk, taken, cx));
        }
    }

    fn write(&mut self, now: Instant, dice: &mut Dice) {
        while self.written < self.to_write {
            let wanted = (1 + dice.below(5_000)).min(self.to_write - self.written);
            let mut text = vec![0; usize::try_from(wanted).expect("small")];
            fill(&mut text, self.stream, self.written);
            let Some(Ok(taken)) = self.with_tcb(now, |tcb, cx| tcb.send(&text, cx)) else {
                return;
            };
            self.written += taken as u64;
            if taken < text.len() {
                return;
            }
            if !self.writes_at_once && dice.per_mille(300) {
                // Small writes now and then, with time between them.
                self.busy_until = now + Duration::from_micros(100 * (1 + dice.below(50)));
                return;
            }
        }
        if !self.is_shut_down {
            self.is_shut_down = true;
            let _ = self.with_tcb(now, Tcb::shutdown);
        }
    }

    fn deliver(&mut self, text: &[u8]) {
        let mut wanted = vec![0; text.len()];
        fill(
            &mut wanted,
            u64::from(self.tuple.remote_port),
            self.delivered,
        );
        assert!(
            text == wanted,
            "text after byte {} is not what was written",
            self.delivered
        );
        self.delivered += text.len() as u64;
    }

    /// The end of the turn.
    pub(crate) fn transmit(&mut self, now: Instant) -> Vec<Datagram> {
        let mut segments = std::mem::take(&mut self.replies);
        let mut out = vec![0; 65_535];
        while let Some(Some((len, ecn))) = self.with_tcb(now, |tcb, cx| {
            let len = tcb.poll_transmit(&mut out, TxChecksumMode::Full, cx)?;
            Some((len, tcb.traffic_class(cx.settings)))
        }) {
            let segment = out[..len].to_vec();
            self.check_ect(&segment, ecn);
            segments.push(Datagram { ecn, segment });
            assert!(segments.len() < 10_000, "it never stops transmitting");
        }
        if self.tcb.as_ref().is_some_and(Tcb::is_finished) {
            let mut tcb = self.tcb.take().expect("it has just been asked");
            self.end = tcb.end();
            tcb.release(&mut self.memory);
        }
        segments
    }

    /// RFC 3168 6.1: ECT only on text that goes out for the first time, and CWR only there.
    fn check_ect(&mut self, segment: &[u8], ecn: u8) {
        let (tcp, text) = Tcp::parse(segment).expect("our own segments are well-formed");
        let seq = SeqNum::new(tcp.seq);
        let is_new = !text.is_empty() && self.sent.is_none_or(|sent| seq.after_or_eq(sent));
        assert!(is_new || ecn == 0, "ECT on what is no new text: {tcp:?}");
        let is_syn = tcp.flags.contains(TcpFlags::SYN);
        let says_cwr = tcp.flags.contains(TcpFlags::CWR) && !is_syn;
        assert!(ecn != 0 || !says_cwr, "CWR on what is no new text: {tcp:?}");
        if !text.is_empty() {
            let end = seq + u32::try_from(text.len()).expect("short");
            self.sent = Some(self.sent.map_or(end, |sent| sent.latest(end)));
        }
    }

    fn check_bytes(&self, segment: &[u8]) {
        let len = u32::try_from(segment.len()).expect("short");
        let ip_header = if self.tuple.local.is_ipv4() { 20 } else { 40 };
        assert!(
            len + ip_header <= self.mtu,
            "{len} octets are more than the path takes"
        );
        let (local, remote) = (self.tuple.local, self.tuple.remote);
        let sum = Sum::new()
            .add(segment)
            .add_pseudo_header(remote, local, PROTOCOL_TCP, len);
        assert_eq!(sum.finish(), 0, "the checksum is wrong");
    }

    /// Whether all memory is home.
    pub(crate) fn assert_memory_is_home(&mut self) {
        if let Some(mut tcb) = self.tcb.take() {
            tcb.release(&mut self.memory);
        }
        let counts = self.memory.counts();
        assert_eq!(
            counts.blocks_free, counts.blocks_total,
            "text blocks are missing"
        );
        assert_eq!(
            counts.range_sets_free, counts.range_sets_total,
            "range sets are missing"
        );
        assert_eq!(
            counts.send_logs_free, counts.send_logs_total,
            "send logs are missing"
        );
        assert_eq!(
            (counts.bbr_free, counts.rate_logs_free),
            (counts.bbr_total, counts.bbr_total),
            "records of BBR are missing"
        );
    }
}

/// The bytes of a stream from `first` on.
fn fill(text: &mut [u8], stream: u64, first: u64) {
    for (octet, at) in text.iter_mut().zip(first..) {
        *octet = (at ^ (at >> 8) ^ (at >> 16))
            .wrapping_add(stream)
            .to_le_bytes()[0];
    }
}
