//! Bytes to headers, with the checksum verified: what every received frame costs first.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate_wire::{
    ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Ip, MacAddr, PROTOCOL_TCP, RxChecksum, Sum, Tcp,
    TcpFlags, TcpOptions, Timestamps, parse,
};

/// Text lengths: an ACK, a request, a full segment.
const TEXT_LENS: [usize; 3] = [0, 64, 1_448];

fn parse_and_checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse and checksum");
    for (version, src, dst) in [
        ("IPv4", "10.0.0.1", "10.0.0.2"),
        ("IPv6", "fd00::1", "fd00::2"),
    ] {
        for text_len in TEXT_LENS {
            let frame = frame(address(src), address(dst), text_len);
            assert!(
                parse(&frame, RxChecksum::Verify).is_ok(),
                "the frame is as it should be"
            );
            group.throughput(Throughput::Bytes(frame.len() as u64));
            group.bench_with_input(BenchmarkId::new(version, text_len), &frame, |b, frame| {
                b.iter(|| parse(black_box(frame), RxChecksum::Verify));
            });
        }
    }
    group.finish();
}

/// A whole frame with a TCP segment as Linux sends it, timestamps included.
fn frame(src: IpAddr, dst: IpAddr, text_len: usize) -> Vec<u8> {
    let header = Tcp {
        src_port: 40_000,
        dst_port: 80,
        seq: 1,
        ack: 1,
        flags: TcpFlags::ACK | TcpFlags::PSH,
        wnd: 502,
        urgent: 0,
        options: TcpOptions {
            timestamps: Some(Timestamps { value: 1, echo: 2 }),
            ..TcpOptions::default()
        },
    };
    let ip = Ip {
        src,
        dst,
        hop_limit: 64,
        traffic_class: 0,
    };
    let segment_len = header.header_len() + text_len;
    let mut frame = vec![0; 14 + ip.header_len() + segment_len];
    let ether_type = if src.is_ipv4() {
        ETHER_TYPE_IPV4
    } else {
        ETHER_TYPE_IPV6
    };
    let (dst_mac, src_mac) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
    let ethernet = Ethernet {
        dst: dst_mac,
        src: src_mac,
        vlan: None,
        ether_type,
    };
    ethernet.emit(&mut frame);
    ip.emit(PROTOCOL_TCP, segment_len, &mut frame[14..]);
    let segment = &mut frame[14 + ip.header_len()..];
    header.emit(segment);
    let len = u32::try_from(segment_len).expect("a segment is short");
    let sum = Sum::new()
        .add_pseudo_header(src, dst, PROTOCOL_TCP, len)
        .add(segment)
        .finish();
    segment[Tcp::CHECKSUM_AT..Tcp::CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address of the bench")
}

criterion_group!(benches, parse_and_checksum);
criterion_main!(benches);
