//! Conversations with a TCB in the manner of packetdrill: their grammar, and reading it.
//!
//! A file has one behaviour. Its first line is a comment that cites the RFC. Then come settings,
//! then what happens, one event a line, each with the seconds since the event before:
//!
//! ```text
//! # RFC 9293 3.5, figure 6: the three-way handshake.
//! set rmem=65535 wscale=off
//! +0    call listen
//! +0    < S 0:0(0) win 65535 <mss 1460>
//! +0    > S. 0:0(0) ack 1 win 65535 <mss 1460>
//! +0.1  < . 1:1(0) ack 1 win 65535
//! +0    expect state ESTABLISHED
//! ```
//!
//! | event | meaning |
//! |---|---|
//! | `< SEGMENT [! NAME]` | it arrives and the turn ends; the TCB discards it under this name |
//! | `<< SEGMENT [! NAME]` | the same, but the burst goes on: nothing is sent yet |
//! | `> SEGMENT` | it goes out, exactly now, before all others that are not yet mentioned |
//! | `> nothing` | nothing has gone out that was not mentioned |
//! | `call listen`, `open`, `send N [takes M]`, `send_urgent N`, `shutdown`, `shutdown_read`, `close`, `abort` | a user call |
//! | `call pause`, `read N`, `resume` | the user stops reading, reads so much, reads all again |
//! | `call nodelay on`, `keepalive on`, `user_timeout S` | as in the settings, on one connection |
//! | `icmp soft`, `hard`, `too_big MTU`, each with `seq N` `[! NAME]` | an ICMP error |
//! | `expect state S`, `end E`, `no end`, `events A\|B`, `readable N`, `delivered N`, `folded` | what the user sees |
//! | `expect timer NAME S`, `no timer`, `rto S`, `srtt S`, `cwnd N`, `ssthresh N`, `urgent N` | what `ss` sees |
//! | `expect info NAME VALUE` | a figure of STATUS by the name of its field |
//!
//! `SEGMENT` is `FLAGS FROM:TO(LEN) [ack N] [win N] [urg N] [ecn E] [<OPTIONS>]` with the flags of
//! tcpdump; `ecn` is `none`, `ect0`, `ect1` or `ce`, and a segment that arrives without it has none.
//! Numbers count from the sender's initial sequence number; `=N` is the number itself. Options are
//! `mss N`, `wscale N`, `sackOK`, `TS val N ecr N`, `sack L:R ..`; those of a segment that goes out
//! are compared where they are given, and so are `ack`, `win`, `urg` and `ecn`. Text is not written down:
//! each stream has its own pattern, which is generated and compared. Time passes between events and
//! timers go off in it, so a segment that nobody mentions is a failure.

use std::time::Duration;

use tidegate_tcp::Settings;

pub(crate) mod notation;
pub(crate) mod play;
mod settings;

pub(crate) use notation::Notation;

/// A file, read.
pub(crate) struct Script {
    pub(crate) settings: Settings,
    pub(crate) host: Host,
    pub(crate) lines: Vec<Line>,
}

/// What is around the TCB.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    /// The segment size that the MTU allows, the same for both versions of IP.
    pub(crate) mss: u32,
    /// Blocks of the text pool.
    pub(crate) blocks: u32,
    /// Range sets of the pool.
    pub(crate) range_sets: u32,
    /// Send logs of the pool; without one losses are found by RFC 6675.
    pub(crate) send_logs: u32,
    /// Records of BBR in the pool; without one CUBIC is used.
    pub(crate) bbr_records: u32,
    /// The listener answers SYNs by cookies and keeps nothing.
    pub(crate) cookies: bool,
    /// Only this version of IP.
    pub(crate) ip_version: Option<u8>,
}

/// An event of the conversation.
pub(crate) struct Line {
    /// Its number in the file.
    pub(crate) number: usize,
    /// Time since the event before.
    pub(crate) after: Duration,
    pub(crate) event: Happening,
}

pub(crate) enum Happening {
    Arrives {
        segment: Notation,
        is_last_of_burst: bool,
        discard: Option<String>,
    },
    GoesOut(Notation),
    NothingGoesOut,
    Call(Vec<String>),
    Icmp {
        words: Vec<String>,
        discard: Option<String>,
    },
    Expect(Vec<String>),
}

impl Script {
    /// Reads a file; what is wrong is said with the number of its line.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self {
            settings: Settings {
                quick_acks: 0,
                ..Settings::default().with_rmem(65_535)
            },
            host: Host {
                mss: 1_460,
                blocks: 2_048,
                range_sets: 8,
                send_logs: 1,
                bbr_records: 1,
                cookies: false,
                ip_version: None,
            },
            lines: Vec::new(),
        };
        if !text
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("# RFC"))
        {
            return Err("line 1: a comment that cites the RFC is missing".into());
        }
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            script
                .parse_line(number, line)
                .map_err(|fault| format!("line {number}: {fault}"))?;
        }
        Ok(script)
    }

    fn parse_line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            return Ok(());
        }
        if let Some(pairs) = line.strip_prefix("set ") {
            return pairs
                .split_whitespace()
                .try_for_each(|pair| settings::set(&mut self.settings, &mut self.host, pair));
        }
        let (time, rest) = line.split_once(' ').ok_or("an event is missing")?;
        let seconds = time.strip_prefix('+').ok_or("a time begins with +")?;
        let after = seconds
            .parse()
            .map(Duration::from_secs_f64)
            .map_err(|_| "not a time")?;
        let event = Happening::parse(rest.trim())?;
        self.lines.push(Line {
            number,
            after,
            event,
        });
        Ok(())
    }
}

impl Happening {
    fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(' ').ok_or("an event needs words")?;
        let (body, discard) = match rest.split_once('!') {
            Some((body, name)) => (body.trim(), Some(name.trim().to_owned())),
            None => (rest.trim(), None),
        };
        let words = || body.split_whitespace().map(str::to_owned).collect();
        Ok(match kind {
            "<" | "<<" => Self::Arrives {
                segment: body.parse()?,
                is_last_of_burst: kind == "<",
                discard,
            },
            ">" if body == "nothing" => Self::NothingGoesOut,
            ">" => Self::GoesOut(body.parse()?),
            "call" => Self::Call(words()),
            "icmp" => Self::Icmp {
                words: words(),
                discard,
            },
            "expect" => Self::Expect(words()),
            _ => return Err(format!("{kind:?} is no event")),
        })
    }
}
