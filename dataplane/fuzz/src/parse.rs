//! A frame: it is parsed, and what is let through can be printed, and written and read again.

#[expect(dead_code, reason = "the tests of the crate use the rest")]
#[path = "../../wire/tests/wire/mend.rs"]
mod mend;

use tidegate_wire::{Body, Icmpv4, Icmpv6, Ip, Packet, Quoted, RxChecksum, Tcp, parse};

/// Parses the bytes as a frame, as they are and with their checksums made right, and then tagged.
pub fn run(bytes: &[u8]) {
    touch(bytes);
    if bytes.len() > mend::ETHERNET {
        let mended = mend::mend(bytes);
        touch(&mended);
        touch(&mend::tag(&mended, 7));
    }
}

fn touch(frame: &[u8]) {
    for checksum in [
        RxChecksum::Verify,
        RxChecksum::TrustPartial,
        RxChecksum::Trust,
    ] {
        let Ok(packet) = parse(frame, checksum) else {
            continue;
        };
        assert!(!packet.to_string().is_empty());
        match packet.body {
            Body::Arp(arp) => {
                let mut out = [0; tidegate_wire::Arp::LEN];
                arp.emit(&mut out);
                assert_eq!(tidegate_wire::Arp::parse(&out), Ok(arp));
            }
            Body::Tcp(ip, tcp, text) => touch_segment(frame, &ip, &tcp, text),
            Body::Icmpv4(..) | Body::Icmpv6(..) => touch_quote(&packet),
        }
    }
}

/// The header is written and read again, and the text lies in the frame.
fn touch_segment(frame: &[u8], ip: &Ip, tcp: &Tcp, text: &[u8]) {
    assert_eq!(ip.src.is_ipv4(), ip.dst.is_ipv4());
    assert!(frame.as_ptr_range().start <= text.as_ptr_range().start);
    assert!(text.as_ptr_range().end <= frame.as_ptr_range().end);
    let mut out = [0; 60];
    let len = tcp.emit(&mut out);
    let (again, _) = Tcp::parse(&out[..len]).expect("our own headers are well-formed");
    let mut wanted = *tcp;
    // SACK blocks for which there is no room beside the other options are left out.
    wanted.options.sack = again.options.sack;
    assert_eq!(again, wanted);
}

/// Reads what an ICMP error quotes; any answer will do.
fn touch_quote(packet: &Packet<'_>) {
    let quoted = match packet.body {
        Body::Icmpv4(
            _,
            Icmpv4::Unreachable { quoted, .. }
            | Icmpv4::TimeExceeded { quoted, .. }
            | Icmpv4::ParameterProblem { quoted, .. },
        )
        | Body::Icmpv6(
            _,
            Icmpv6::Unreachable { quoted, .. }
            | Icmpv6::PacketTooBig { quoted, .. }
            | Icmpv6::TimeExceeded { quoted, .. }
            | Icmpv6::ParameterProblem { quoted, .. },
        ) => quoted,
        Body::Icmpv4(..) | Body::Icmpv6(..) | Body::Arp(_) | Body::Tcp(..) => return,
    };
    let _ = Quoted::parse(quoted);
}
