//! Plays one conversation against one host, and writes down what the host says.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tidegate_wire::{Tcp, TcpFlags, TcpOptions};

use crate::host::Host;
use crate::script::notation::Origin;
use crate::script::{Happening, Notation, Script};
use crate::wire::{Heard, Wire};

/// The peer's initial sequence number; that of a script wraps, this one need not.
const PEER_ISS: u32 = 0x7fff_0000;

/// Where the peer's timestamps begin.
const PEER_CLOCK: u32 = 5_000_000;

/// How long a segment is waited for beyond twice the time the script has for it. A host that has not
/// sent it then does not mean to.
const WAIT: Duration = Duration::from_millis(1_500);

/// A timer of this length or more is looked at: it must not go off early.
const TIMER_MIN: Duration = Duration::from_millis(150);

/// One conversation with one host.
pub(crate) struct Player<'w> {
    wire: &'w Wire,
    port: u16,
    host: Box<dyn Host + 'w>,
    heard: Receiver<Heard>,
    settle: Duration,
    /// The script's time so far.
    elapsed: Duration,
    /// When what the script has last was.
    last: Instant,
    /// The host's initial sequence number.
    host_iss: Option<u32>,
    /// The host's timestamp when the script began.
    host_clock: Option<u32>,
    is_reading: bool,
    said: Vec<String>,
}

impl<'w> Player<'w> {
    /// Both ends of the connection have this port.
    pub(crate) fn new(
        wire: &'w Wire,
        port: u16,
        host: Box<dyn Host + 'w>,
        settle: Duration,
    ) -> Self {
        Self {
            wire,
            port,
            host,
            heard: wire.hear(port),
            settle,
            elapsed: Duration::ZERO,
            last: Instant::now(),
            host_iss: None,
            host_clock: None,
            is_reading: true,
            said: Vec::new(),
        }
    }

    /// What the host said, one segment an entry.
    pub(crate) fn play(mut self, script: &Script) -> Vec<String> {
        for line in &script.lines {
            self.elapsed += line.after;
            match &line.event {
                Happening::GoesOut(_) => self.await_segment(line.after),
                Happening::Arrives { segment, .. } => {
                    self.pass(line.after);
                    self.send(segment);
                    self.settle();
                }
                Happening::Call(words) => {
                    self.pass(line.after);
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    self.call(&words);
                }
                Happening::NothingGoesOut | Happening::Expect(_) => self.pass(line.after),
                Happening::Icmp { .. } => unreachable!("it was not selected"),
            }
        }
        self.pass(10 * self.settle);
        self.host.abort();
        self.said
    }

    /// The host has time to answer, and its user to read.
    fn settle(&mut self) {
        std::thread::sleep(self.settle);
        self.host.accept();
        if self.is_reading {
            self.host.read(usize::MAX);
        }
    }

    /// Time passes in which the script says nothing; what the host says is written down.
    fn pass(&mut self, time: Duration) {
        let until = self.last + time;
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        while let Ok(heard) = self.heard.try_recv() {
            self.note(&heard, "unasked ");
        }
        self.last = Instant::now();
    }

    /// The script has a segment of the host.
    fn await_segment(&mut self, after: Duration) {
        let until = self.last + 2 * after + WAIT;
        let patience = until.saturating_duration_since(Instant::now());
        match self.heard.recv_timeout(patience) {
            Ok(heard) => {
                let waited = heard.at.saturating_duration_since(self.last);
                let is_early = after >= TIMER_MIN && waited < after.mul_f64(0.6);
                self.last = heard.at;
                self.note(&heard, if is_early { "early " } else { "" });
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.last = Instant::now();
                self.said.push("nothing".to_owned());
            }
        }
    }

    fn call(&mut self, words: &[&str]) {
        self.host.accept();
        match *words {
            ["listen"] => self.host.listen(),
            ["open"] => self.host.open(),
            ["send", count] => self.host.send(count.parse().unwrap()),
            ["shutdown"] => self.host.shutdown(),
            ["close"] => self.host.close(),
            ["abort"] => self.host.abort(),
            ["pause"] => self.is_reading = false,
            ["resume"] => {
                self.is_reading = true;
                self.host.read(usize::MAX);
            }
            ["read", count] => self.host.read(count.parse().unwrap()),
            ["nodelay", value] => self.host.nodelay(value == "on"),
            _ => unreachable!("it was not selected"),
        }
    }

    fn send(&mut self, segment: &Notation) {
        let origin = Origin {
            seq: PEER_ISS,
            ack: self.host_iss.unwrap_or(0),
            ts_value: PEER_CLOCK,
            ts_echo: self.host_clock.unwrap_or(0),
        };
        let header = segment.header(origin, (self.port, self.port));
        let text = vec![0; usize::try_from(segment.len).unwrap()];
        self.wire.send(&header, &text, segment.ecn.unwrap_or(0));
    }

    fn note(&mut self, heard: &Heard, remark: &str) {
        let tcp = &heard.tcp;
        if tcp.flags.contains(TcpFlags::SYN) {
            self.host_iss = Some(tcp.seq);
            if let Some(timestamps) = tcp.options.timestamps {
                let elapsed_ms = u32::try_from(self.elapsed.as_millis()).unwrap();
                self.host_clock = Some(timestamps.value.wrapping_sub(elapsed_ms));
            }
        }
        self.said
            .push(format!("{remark}{}", self.rendered(tcp, heard)));
    }

    /// A segment as the notation has it, but for what two hosts need not have in common.
    fn rendered(&self, tcp: &Tcp, heard: &Heard) -> String {
        // A RST that has no number to go by has zero itself.
        let is_itself = tcp.flags.contains(TcpFlags::RST) && tcp.seq == 0;
        let mut text = if is_itself {
            format!("{} =0:=0(0)", tcp.flags)
        } else {
            let seq = tcp.seq.wrapping_sub(self.host_iss.unwrap_or(0));
            let end = seq.wrapping_add(u32::try_from(heard.len).unwrap());
            format!("{} {seq}:{end}({})", tcp.flags, heard.len)
        };
        if tcp.flags.contains(TcpFlags::ACK) {
            text += &format!(" ack {}", tcp.ack.wrapping_sub(PEER_ISS));
        }
        if tcp.wnd == 0 && !tcp.flags.contains(TcpFlags::RST) {
            text += " win 0";
        }
        if heard.ecn != 0 {
            text += " ect";
        }
        let options = kinds(&tcp.options);
        if options.is_empty() {
            text
        } else {
            format!("{text} <{}>", options.join(","))
        }
    }
}

/// Which options there are.
fn kinds(options: &TcpOptions) -> Vec<&'static str> {
    let kinds = [
        (options.mss.is_some(), "mss"),
        (options.sack_permitted, "sackOK"),
        (options.timestamps.is_some(), "TS"),
        (options.wnd_shift.is_some(), "wscale"),
        (!options.sack.as_slice().is_empty(), "sack"),
    ];
    let there = kinds.into_iter().filter(|(is_there, _)| *is_there);
    there.map(|(_, kind)| kind).collect()
}
