//! Segments as packetdrill and tcpdump write them: `S. 0:0(0) ack 1 win 65535 <mss 1460>`.

use std::fmt;
use std::str::FromStr;

use tidegate_wire::{SackBlocks, Tcp, TcpFlags, TcpOptions, Timestamps};

/// A sequence number as it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    /// Counted from an initial sequence number.
    Relative(u32),
    /// The number itself.
    Absolute(u32),
}

/// A segment as it is written. What is not given is not compared.
#[derive(Clone)]
pub(crate) struct Notation {
    pub(crate) flags: TcpFlags,
    pub(crate) seq: Number,
    pub(crate) len: u32,
    pub(crate) ack: Option<Number>,
    pub(crate) wnd: Option<u16>,
    pub(crate) urgent: Option<u16>,
    /// The ECN field of the datagram.
    pub(crate) ecn: Option<u8>,
    pub(crate) options: Option<TcpOptions>,
}

/// From where the numbers of a segment count.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// ISS of its sender.
    pub(crate) seq: u32,
    /// ISS of its receiver.
    pub(crate) ack: u32,
    /// Offset of the sender's timestamps.
    pub(crate) ts_value: u32,
    /// Offset of the receiver's timestamps.
    pub(crate) ts_echo: u32,
}

impl Number {
    fn from(self, origin: u32) -> u32 {
        match self {
            Self::Relative(number) => origin.wrapping_add(number),
            Self::Absolute(number) => number,
        }
    }
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = |_| format!("{text} is no number");
        match text.strip_prefix('=') {
            Some(number) => number.parse().map(Self::Absolute).map_err(fault),
            None => text.parse().map(Self::Relative).map_err(fault),
        }
    }
}

impl Notation {
    /// The header that is written, with ports. What is not given is zero.
    pub(crate) fn header(&self, origin: Origin, ports: (u16, u16)) -> Tcp {
        let mut options = self.options.unwrap_or_default();
        if let Some(timestamps) = &mut options.timestamps {
            timestamps.value = timestamps.value.wrapping_add(origin.ts_value);
            timestamps.echo = timestamps.echo.wrapping_add(origin.ts_echo);
        }
        let mut sack = SackBlocks::default();
        for (left, right) in options.sack.as_slice() {
            sack.push(
                origin.ack.wrapping_add(*left),
                origin.ack.wrapping_add(*right),
            );
        }
        options.sack = sack;
        Tcp {
            src_port: ports.0,
            dst_port: ports.1,
            seq: self.seq.from(origin.seq),
            ack: self.ack.map_or(0, |ack| ack.from(origin.ack)),
            flags: self.flags,
            wnd: self.wnd.unwrap_or(0),
            urgent: self.urgent.unwrap_or(0),
            options,
        }
    }

    /// Whether what went out is what is written.
    pub(crate) fn matches(&self, seen: &Seen<'_>) -> bool {
        let Seen {
            tcp: seen,
            len,
            ecn,
            origin,
        } = *seen;
        let written = self.header(origin, (seen.src_port, seen.dst_port));
        written.flags == seen.flags
            && written.seq == seen.seq
            && self.len as usize == len
            && (self.ack.is_none() || written.ack == seen.ack)
            && (self.wnd.is_none() || written.wnd == seen.wnd)
            && (self.urgent.is_none() || written.urgent == seen.urgent)
            && self.ecn.is_none_or(|wanted| wanted == ecn)
            && (self.options.is_none() || written.options == seen.options)
    }
}

impl FromStr for Notation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, options) = match text.split_once('<') {
            Some((head, rest)) => {
                let options = rest.strip_suffix('>').ok_or("options end with >")?;
                (head, Some(parse_options(options)?))
            }
            None => (text, None),
        };
        let mut words = head.split_whitespace();
        let flags = parse_flags(words.next().ok_or("no flags")?)?;
        let (seq, len) = parse_range(words.next().ok_or("no sequence numbers")?)?;
        let mut notation = Self {
            flags,
            seq,
            len,
            ack: None,
            wnd: None,
            urgent: None,
            ecn: None,
            options,
        };
        while let Some(key) = words.next() {
            let value = words.next().ok_or_else(|| format!("{key} of what?"))?;
            let small = || {
                value
                    .parse::<u16>()
                    .map_err(|_| format!("{value} is no number"))
            };
            match key {
                "ack" => notation.ack = Some(value.parse()?),
                "win" => notation.wnd = Some(small()?),
                "urg" => notation.urgent = Some(small()?),
                "ecn" => notation.ecn = Some(parse_ecn(value)?),
                _ => return Err(format!("{key} is nothing that a segment has")),
            }
        }
        Ok(notation)
    }
}

fn parse_flags(text: &str) -> Result<TcpFlags, String> {
    text.chars().try_fold(TcpFlags::empty(), |flags, letter| {
        let flag = match letter {
            'F' => TcpFlags::FIN,
            'S' => TcpFlags::SYN,
            'R' => TcpFlags::RST,
            'P' => TcpFlags::PSH,
            '.' => TcpFlags::ACK,
            'U' => TcpFlags::URG,
            'E' => TcpFlags::ECE,
            'W' => TcpFlags::CWR,
            '-' => TcpFlags::empty(),
            _ => return Err(format!("{letter} is no flag")),
        };
        Ok(flags | flag)
    })
}

/// The names of the four values of the ECN field (RFC 3168 5).
const ECN_NAMES: [&str; 4] = ["none", "ect1", "ect0", "ce"];

fn parse_ecn(name: &str) -> Result<u8, String> {
    (0..)
        .zip(ECN_NAMES)
        .find_map(|(value, known)| (known == name).then_some(value))
        .ok_or_else(|| format!("{name} is nothing that the ECN field says"))
}

/// `FROM:TO(LEN)`.
fn parse_range(text: &str) -> Result<(Number, u32), String> {
    let fault = || format!("{text} is not FROM:TO(LEN)");
    let (from, rest) = text.split_once(':').ok_or_else(fault)?;
    let (to, len) = rest
        .strip_suffix(')')
        .and_then(|rest| rest.split_once('('))
        .ok_or_else(fault)?;
    let len = len.parse().map_err(|_| fault())?;
    let (from, to) = (from.parse::<Number>()?, to.parse::<Number>()?);
    if from.from(0).wrapping_add(len) != to.from(0) {
        return Err(format!("{text}: the length does not fit"));
    }
    Ok((from, len))
}

fn parse_options(text: &str) -> Result<TcpOptions, String> {
    let mut options = TcpOptions::default();
    for option in text
        .split(',')
        .map(str::trim)
        .filter(|option| !option.is_empty())
    {
        let words: Vec<&str> = option.split_whitespace().collect();
        let number = |word: &str| {
            word.parse::<u32>()
                .map_err(|_| format!("{word} is no number"))
        };
        match words[..] {
            ["mss", mss] => options.mss = Some(mss.parse().map_err(|_| "no segment size")?),
            ["wscale", shift] => options.wnd_shift = Some(shift.parse().map_err(|_| "no shift")?),
            ["sackOK"] => options.sack_permitted = true,
            ["TS", "val", value, "ecr", echo] => {
                let timestamps = Timestamps {
                    value: number(value)?,
                    echo: number(echo)?,
                };
                options.timestamps = Some(timestamps);
            }
            ["sack", ref blocks @ ..] => {
                for block in blocks {
                    let (left, right) = block.split_once(':').ok_or("a block is LEFT:RIGHT")?;
                    options.sack.push(number(left)?, number(right)?);
                }
            }
            _ => return Err(format!("{option} is no option")),
        }
    }
    Ok(options)
}

/// A segment that went out, as the notation has it.
pub(crate) struct Seen<'a> {
    pub(crate) tcp: &'a Tcp,
    pub(crate) len: usize,
    pub(crate) ecn: u8,
    pub(crate) origin: Origin,
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tcp,
            len,
            ecn,
            origin,
        } = self;
        let seq = tcp.seq.wrapping_sub(origin.seq);
        let end = seq.wrapping_add(u32::try_from(*len).unwrap_or(0));
        write!(f, "{} {seq}:{end}({len})", tcp.flags)?;
        if tcp.flags.contains(TcpFlags::ACK) {
            write!(f, " ack {}", tcp.ack.wrapping_sub(origin.ack))?;
        }
        write!(f, " win {}", tcp.wnd)?;
        if *ecn != 0 {
            write!(f, " ecn {}", ECN_NAMES[usize::from(*ecn)])?;
        }
        let options = tcp.options;
        let mut list = Vec::new();
        list.extend(options.mss.map(|mss| format!("mss {mss}")));
        list.extend(options.sack_permitted.then(|| "sackOK".to_owned()));
        list.extend(options.timestamps.map(|timestamps| {
            let value = timestamps.value.wrapping_sub(origin.ts_value);
            format!(
                "TS val {value} ecr {}",
                timestamps.echo.wrapping_sub(origin.ts_echo)
            )
        }));
        list.extend(options.wnd_shift.map(|shift| format!("wscale {shift}")));
        for (left, right) in options.sack.as_slice() {
            let (left, right) = (
                left.wrapping_sub(origin.ack),
                right.wrapping_sub(origin.ack),
            );
            list.push(format!("sack {left}:{right}"));
        }
        if list.is_empty() {
            Ok(())
        } else {
            write!(f, " <{}>", list.join(","))
        }
    }
}
