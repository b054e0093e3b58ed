//! Whatever bytes come in, `parse` answers: it never panics, and what it lets through can be
//! printed and its quotes read.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tidegate_wire::{Body, Icmpv4, Icmpv6, Packet, Quoted, RxChecksum, TcpOptions, parse};

use crate::frames;
use crate::mend::{mend, tag};

/// Parses in all three ways, and touches all that comes out.
fn touch(frame: &[u8]) {
    for checksum in [
        RxChecksum::Verify,
        RxChecksum::TrustPartial,
        RxChecksum::Trust,
    ] {
        if let Ok(packet) = parse(frame, checksum) {
            assert!(!packet.to_string().is_empty());
            touch_quote(&packet);
        }
    }
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

/// A real frame with some bytes changed, cut or lengthened.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<Index>(), any::<u8>()), 0..6);
    (select(frames::ALL), edits, any::<Index>(), 0..4_u8).prop_map(
        |((_, frame), edits, end, how)| {
            let mut frame = frame.to_vec();
            for (at, byte) in edits {
                let at = at.index(frame.len());
                frame[at] = byte;
            }
            match how {
                0 => frame.truncate(end.index(frame.len())),
                1 => frame.resize(frame.len() + end.index(60), 0),
                _ => {}
            }
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16_384))]

    #[test]
    fn random_bytes(frame in vec(any::<u8>(), 0..200)) {
        touch(&frame);
    }

    #[test]
    fn random_bytes_behind_a_known_type(
        ether_type in select(&[[0x08, 0x00], [0x08, 0x06], [0x86, 0xdd], [0x81, 0x00]][..]),
        version in select(&[0x45_u8, 0x46, 0x4f, 0x60][..]),
        mut frame in vec(any::<u8>(), 15..200),
    ) {
        frame[12..14].copy_from_slice(&ether_type);
        frame[14] = version;
        touch(&frame);
        touch(&mend(&frame));
    }

    #[test]
    fn real_frames_mutated(frame in mutated(), vlan in any::<u16>()) {
        touch(&frame);
        if frame.len() >= 12 {
            touch(&tag(&frame, vlan));
        }
        // With its sums right again a frame gets deeper in.
        touch(&mend(&frame));
    }

    #[test]
    fn random_options(bytes in vec(any::<u8>(), 0..=40)) {
        let options = TcpOptions::parse(&bytes);
        let mut out = [0; 40];
        let len = options.emit(&mut out);
        // Nothing that was read is lost in writing but SACK blocks for which there is no room.
        let again = TcpOptions::parse(&out[..len]);
        prop_assert_eq!(TcpOptions { sack: options.sack, ..again }, options);
        prop_assert!(options.sack.as_slice().starts_with(again.sack.as_slice()));
    }

    #[test]
    fn random_quotes(version in select(&[0x45_u8, 0x46, 0x60][..]), mut quoted in vec(any::<u8>(), 1..100)) {
        quoted[0] = version;
        let _ = Quoted::parse(&quoted);
    }
}
