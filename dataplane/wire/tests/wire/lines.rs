//! Packets as tcpdump prints them: against lines written down, and against the
//! tcpdump of this machine where there is one.

use std::io::Write;
use std::process::{Command, Stdio};

use tidegate_wire::{RxChecksum, TcpFlags, parse};

use crate::frames;
use crate::mend::{IPV4_PAYLOAD, edit, mend, tag};

/// The line of a frame that is in order.
fn line(frame: &[u8]) -> String {
    parse(frame, RxChecksum::Verify).unwrap().to_string()
}

#[test]
fn segments() {
    assert_eq!(
        line(frames::SYN),
        "IP 10.0.0.1.42120 > 10.0.0.2.8080: Flags [S], seq 949299159, win 64240, \
         options [mss 1460,sackOK,TS val 1112581868 ecr 0,nop,wscale 10], length 0"
    );
    assert_eq!(
        line(frames::TEXT),
        "IP 10.0.0.1.42120 > 10.0.0.2.8080: Flags [P.], seq 949299160:949299178, \
         ack 1643182655, win 63, options [nop,nop,TS val 1112581868 ecr 2441023842], length 18"
    );
    assert_eq!(
        line(frames::SACK),
        "IP 10.0.0.2.8080 > 10.0.0.1.42120: Flags [.], ack 949299160, win 64, \
         options [nop,nop,TS val 2441023842 ecr 1112581868,nop,nop,\
         sack 2 {949301160:949302608}{949304056:949305504}], length 0"
    );
    assert_eq!(
        line(frames::RST),
        "IP 10.0.0.2.81 > 10.0.0.1.41930: Flags [R.], seq 0, ack 2423374516, win 0, length 0"
    );
    assert_eq!(
        line(&tag(frames::RST, 5)),
        "vlan 5, IP 10.0.0.2.81 > 10.0.0.1.41930: Flags [R.], seq 0, ack 2423374516, win 0, \
         length 0"
    );
}

#[test]
fn everything_else() {
    let lines = [
        (
            frames::ARP_REQUEST,
            "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
        ),
        (
            frames::ARP_REPLY,
            "ARP, Reply 10.0.0.2 is-at 02:00:00:00:00:02, length 28",
        ),
        (
            frames::ECHO,
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 16863, seq 1, length 16",
        ),
        (
            frames::NEED_TO_FRAG,
            "IP 10.0.0.254 > 10.0.0.1: ICMP 10.0.0.2 unreachable - need to frag (mtu 1400), \
             length 56",
        ),
        (
            frames::ADVERTISEMENT,
            "IP6 fd00::2 > fd00::1: ICMP6, neighbor advertisement, tgt is fd00::2, length 32",
        ),
        (
            frames::SOLICITATION_PROBE,
            "IP6 :: > ff02::1:ff00:2: ICMP6, neighbor solicitation, \
             who has fe80::ff:fe00:2, length 24",
        ),
        (
            frames::PACKET_TOO_BIG,
            "IP6 fd00::fe > fd00::1: ICMP6, packet too big, mtu 1280, length 68",
        ),
    ];
    for (frame, expected) in lines {
        assert_eq!(line(frame), expected);
    }
}

#[test]
fn flags_have_their_letters() {
    assert_eq!(TcpFlags::all().to_string(), "FSRP.UEW");
    assert_eq!(
        (TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR).to_string(),
        "SEW"
    );
    assert_eq!(TcpFlags::empty().to_string(), "none");
}

/// The error messages that Linux was not made to send, out of one that is there.
fn more_errors() -> Vec<Vec<u8>> {
    let v4 = |kind, code, word: [u8; 4]| {
        let [a, b, c, d] = word;
        mend(&edit(
            frames::NEED_TO_FRAG,
            IPV4_PAYLOAD,
            &[kind, code, 0, 0, a, b, c, d],
        ))
    };
    let v6 = |kind, code, pointer: u8| {
        mend(&edit(
            frames::PACKET_TOO_BIG,
            54,
            &[kind, code, 0, 0, 0, 0, 0, pointer],
        ))
    };
    vec![
        v4(3, 0, [0; 4]),
        v4(3, 1, [0; 4]),
        v4(3, 3, [0; 4]),
        v4(3, 10, [0; 4]),
        v4(3, 13, [0; 4]),
        v4(11, 0, [0; 4]),
        v4(11, 1, [0; 4]),
        v4(12, 0, [20, 0, 0, 0]),
        v6(1, 0, 0),
        v6(1, 1, 0),
        v6(1, 3, 0),
        v6(1, 4, 0),
        v6(3, 0, 0),
        v6(3, 1, 0),
        v6(4, 0, 40),
        v6(4, 1, 6),
        v6(4, 2, 48),
    ]
}

#[test]
#[expect(clippy::disallowed_macros, reason = "a test that cannot run says so")]
fn tcpdump_itself_prints_the_same() {
    // Left out is what the module under test says it prints otherwise.
    let differs = ["SYN_V6_EXTENSIONS", "UNREACHABLE_UDP", "SOLICITATION_PROBE"];
    let real = frames::ALL
        .iter()
        .filter(|(name, _)| !differs.contains(name));
    let mut packets: Vec<_> = real.map(|(_, frame)| frame.to_vec()).collect();
    packets.extend(more_errors());

    // The file header of pcap: magic, version 2.4, no time zone, snap length, Ethernet.
    let mut pcap = vec![];
    let header = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65535, 1_u32];
    pcap.extend(header.iter().flat_map(|word| word.to_le_bytes()));
    for frame in &packets {
        let len = u32::try_from(frame.len()).unwrap();
        pcap.extend([0, 0, len, len].iter().flat_map(|word| word.to_le_bytes()));
        pcap.extend(frame);
    }

    let Some(printed) = tcpdump(&pcap) else {
        eprintln!("SKIPPED: there is no tcpdump 4.99 here to compare with");
        return;
    };
    assert_eq!(printed.lines().count(), packets.len(), "{printed}");
    for (frame, printed) in packets.iter().zip(printed.lines()) {
        let ours = line(frame);
        // After the length of text, tcpdump goes on to what it believes the text to be.
        let rest = printed.strip_prefix(&ours);
        let same = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(": "));
        assert!(same, "ours: {ours}\nits:  {printed}");
    }
}

/// What tcpdump prints for a capture; `None` where it is missing or not of the version whose
/// output is ours.
fn tcpdump(pcap: &[u8]) -> Option<String> {
    let version = Command::new("tcpdump").arg("--version").output().ok()?;
    if !String::from_utf8_lossy(&version.stdout).starts_with("tcpdump version 4.99") {
        return None;
    }
    let mut child = Command::new("tcpdump")
        .args(["-n", "-S", "-t", "-r", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // A few kilobytes fit into the pipe; nothing waits for the other side.
    child.stdin.take()?.write_all(pcap).ok()?;
    let printed = String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?;
    // Some ICMPv6 lines of tcpdump have a space too many, which is not worth copying.
    Some(printed.replace("  ", " "))
}
