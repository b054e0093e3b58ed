//! One line for a packet, as `tcpdump -n` prints it.
//!
//! What differs: sequence numbers are always the absolute ones, as with `-S`; a VLAN tag is shown;
//! options stand in the order in which they would be sent, because their order on the wire is not
//! kept, and neighbour discovery options that are not kept do not count in the length; extension
//! headers are not shown; what an ICMP error quotes is shown where it is TCP.

use core::fmt::{self, Display, Formatter};
use core::net::IpAddr;

use crate::{
    Arp, ArpOp, Body, Icmpv4, Icmpv6, Ip, MacAddr, Packet, Quoted, Tcp, TcpFlags, TcpOptions,
};

impl Display for Packet<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(vlan) = self.ethernet.vlan {
            write!(f, "vlan {vlan}, ")?;
        }
        match &self.body {
            Body::Arp(arp) => write!(f, "{arp}"),
            Body::Icmpv4(ip, message) => {
                write!(
                    f,
                    "IP {} > {}: {message}, length {}",
                    ip.src,
                    ip.dst,
                    message.len()
                )
            }
            Body::Icmpv6(ip, message) => {
                write!(
                    f,
                    "IP6 {} > {}: {message}, length {}",
                    ip.src,
                    ip.dst,
                    message.len()
                )
            }
            Body::Tcp(ip, tcp, text) => write_segment(f, ip, tcp, text.len()),
        }
    }
}

impl Display for Arp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            op,
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        } = self;
        match op {
            ArpOp::Request if *target_mac == MacAddr::ZERO => {
                write!(f, "ARP, Request who-has {target_ip} tell {sender_ip}")?;
            }
            ArpOp::Request => {
                write!(
                    f,
                    "ARP, Request who-has {target_ip} ({target_mac}) tell {sender_ip}"
                )?;
            }
            ArpOp::Reply => write!(f, "ARP, Reply {sender_ip} is-at {sender_mac}")?,
        }
        write!(f, ", length {}", Self::LEN)
    }
}

impl Display for Icmpv4<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EchoRequest { id, seq, .. } => {
                write!(f, "ICMP echo request, id {id}, seq {seq}")
            }
            Self::EchoReply { id, seq, .. } => write!(f, "ICMP echo reply, id {id}, seq {seq}"),
            Self::Unreachable {
                code,
                next_hop_mtu,
                quoted,
            } => {
                f.write_str("ICMP ")?;
                write_unreachable(f, code, next_hop_mtu, quoted)
            }
            Self::TimeExceeded { code: 0, .. } => f.write_str("ICMP time exceeded in-transit"),
            Self::TimeExceeded { code: 1, .. } => f.write_str("ICMP ip reassembly time exceeded"),
            Self::TimeExceeded { code, .. } => write!(f, "ICMP time exceeded-#{code}"),
            Self::ParameterProblem {
                code: 0, pointer, ..
            } => {
                write!(f, "ICMP parameter problem - octet {pointer}")
            }
            Self::ParameterProblem { code, .. } => {
                write!(f, "ICMP parameter problem - code {code}")
            }
            Self::Other { kind, code, .. } => write!(f, "ICMP type-#{kind}, code {code}"),
        }
    }
}

impl Display for Icmpv6<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ICMP6, ")?;
        match *self {
            Self::EchoRequest { id, seq, .. } => write!(f, "echo request, id {id}, seq {seq}"),
            Self::EchoReply { id, seq, .. } => write!(f, "echo reply, id {id}, seq {seq}"),
            Self::PacketTooBig { mtu, .. } => write!(f, "packet too big, mtu {mtu}"),
            Self::Unreachable { code, quoted } => {
                f.write_str("destination unreachable, ")?;
                write_unreachable_v6(f, code, quoted)
            }
            Self::TimeExceeded { code: 0, quoted } => {
                f.write_str("time exceeded in-transit")?;
                write_about(f, " for ", quoted)
            }
            Self::TimeExceeded { code: 1, .. } => {
                f.write_str("time exceeded in-transit (reassembly)")
            }
            Self::TimeExceeded { code, .. } => write!(f, "time exceeded, unknown code ({code})"),
            Self::ParameterProblem {
                code: 0, pointer, ..
            } => {
                write!(f, "parameter problem, erroneous - octet {pointer}")
            }
            Self::ParameterProblem {
                code: 1, pointer, ..
            } => {
                write!(f, "parameter problem, next header - octet {pointer}")
            }
            Self::ParameterProblem {
                code: 2, pointer, ..
            } => {
                write!(f, "parameter problem, option - octet {pointer}")
            }
            Self::ParameterProblem { code, .. } => {
                write!(f, "parameter problem, code-#{code}")
            }
            Self::NeighbourSolicitation { target, .. } => {
                write!(f, "neighbor solicitation, who has {target}")
            }
            Self::NeighbourAdvertisement { target, .. } => {
                write!(f, "neighbor advertisement, tgt is {target}")
            }
            Self::Other { kind, code, .. } => write!(f, "type-#{kind}, code {code}"),
        }
    }
}

/// What an ICMP unreachable message says.
fn write_unreachable(f: &mut Formatter<'_>, code: u8, mtu: u16, quoted: &[u8]) -> fmt::Result {
    let about = Quoted::parse(quoted).ok();
    match (code, about) {
        (3, Some(about)) => write!(f, "{} tcp port {} unreachable", about.dst, about.dst_port),
        (4, Some(about)) => {
            write!(f, "{} unreachable - need to frag (mtu {mtu})", about.dst)
        }
        (4, None) => write!(f, "unreachable - need to frag (mtu {mtu})"),
        (0, Some(about)) => write!(f, "net {} unreachable", about.dst),
        (1, Some(about)) => write!(f, "host {} unreachable", about.dst),
        (10, Some(about)) => write!(f, "host {} unreachable - admin prohibited", about.dst),
        (13, Some(about)) => {
            write!(
                f,
                "host {} unreachable - admin prohibited filter",
                about.dst
            )
        }
        (code, _) => write!(f, "unreachable - #{code}"),
    }
}

/// What an ICMPv6 unreachable message says.
fn write_unreachable_v6(f: &mut Formatter<'_>, code: u8, quoted: &[u8]) -> fmt::Result {
    match code {
        0 => f.write_str("unreachable route")?,
        1 => f.write_str("unreachable prohibited")?,
        2 => f.write_str("beyond scope")?,
        3 => f.write_str("unreachable address")?,
        4 => {
            f.write_str("unreachable port")?;
            if let Ok(about) = Quoted::parse(quoted) {
                write!(f, ", {} tcp port {}", about.dst, about.dst_port)?;
            }
            return Ok(());
        }
        code => return write!(f, "unreachable code-#{code}"),
    }
    write_about(f, " ", quoted)
}

/// The destination of a quoted segment, after `before`; nothing where something else is quoted.
fn write_about(f: &mut Formatter<'_>, before: &str, quoted: &[u8]) -> fmt::Result {
    match Quoted::parse(quoted) {
        Ok(about) => write!(f, "{before}{}", about.dst),
        Err(_) => Ok(()),
    }
}

/// A TCP segment with `text_len` bytes of text.
fn write_segment(f: &mut Formatter<'_>, ip: &Ip, tcp: &Tcp, text_len: usize) -> fmt::Result {
    let version = match ip.dst {
        IpAddr::V4(_) => "IP",
        IpAddr::V6(_) => "IP6",
    };
    write!(
        f,
        "{version} {}.{} > {}.{}: ",
        ip.src, tcp.src_port, ip.dst, tcp.dst_port
    )?;
    write!(f, "Flags [{}]", tcp.flags)?;
    // A sequence number that counts nothing is left out.
    let counts = TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST;
    if text_len != 0 {
        let len = u32::try_from(text_len).unwrap_or(u32::MAX);
        write!(f, ", seq {}:{}", tcp.seq, tcp.seq.wrapping_add(len))?;
    } else if tcp.flags.intersects(counts) {
        write!(f, ", seq {}", tcp.seq)?;
    }
    if tcp.flags.contains(TcpFlags::ACK) {
        write!(f, ", ack {}", tcp.ack)?;
    }
    write!(f, ", win {}", tcp.wnd)?;
    if tcp.flags.contains(TcpFlags::URG) {
        write!(f, ", urg {}", tcp.urgent)?;
    }
    if !tcp.options.is_empty() {
        write!(f, ", options [{}]", tcp.options)?;
    }
    write!(f, ", length {text_len}")
}

/// The options in the order and with the padding of [`TcpOptions::emit`].
impl Display for TcpOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if let Some(mss) = self.mss {
            write!(f, "mss {mss}")?;
            comma = ",";
        }
        match (self.sack_permitted, self.timestamps.is_some()) {
            (true, true) => write!(f, "{comma}sackOK")?,
            (true, false) => write!(f, "{comma}nop,nop,sackOK")?,
            (false, true) => write!(f, "{comma}nop,nop")?,
            (false, false) => {}
        }
        if let Some(timestamps) = self.timestamps {
            write!(f, ",TS val {} ecr {}", timestamps.value, timestamps.echo)?;
        }
        if self.sack_permitted || self.timestamps.is_some() {
            comma = ",";
        }
        if let Some(shift) = self.wnd_shift {
            write!(f, "{comma}nop,wscale {shift}")?;
            comma = ",";
        }
        if let Some(fast_open) = self.fast_open {
            // The two blanks are tcpdump's.
            write!(f, "{comma}tfo  cookie")?;
            match fast_open.is_request() {
                true => write!(f, "req")?,
                false => f.write_str(" ")?,
            }
            let mut bytes = fast_open.cookie().iter();
            bytes.try_for_each(|byte| write!(f, "{byte:02x}"))?;
            comma = ",";
        }
        if !self.sack.is_empty() {
            write!(f, "{comma}nop,nop,sack {} ", self.sack.len())?;
            self.sack
                .as_slice()
                .iter()
                .try_for_each(|(left, right)| write!(f, "{{{left}:{right}}}"))?;
        }
        Ok(())
    }
}
