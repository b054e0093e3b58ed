//! `[[port]]` and `[port.fault]`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::{
    model::{Cidr, Driver, RxChecksum, XdpMode, ZeroCopy},
    section::{Read, Section},
    value::{
        Choice, Flag, Items, List, OrWord,
        address::{HOST, OWNED},
        number::{Period, PowerOfTwo, Share, Whole},
        text::{FILE, INTERFACE},
    },
};

/// Largest datagram in bytes. A program that reads frames of one piece can be attached in the
/// driver up to this size: what a page of 4096 bytes leaves beside the head and tail room of a
/// frame.
pub(crate) const MTU_MAX: u32 = 3506;

/// Smallest datagram that every IPv4 host must take (RFC 9293 3.7.1, by way of RFC 791).
const MTU_MIN: u32 = 576;

/// One `[[port]]` as it was read.
#[derive(Debug)]
pub(crate) struct RawPort {
    pub(crate) interface: Read<String>,
    pub(crate) driver: Read<Driver>,
    pub(crate) addresses: Read<Items<Cidr>>,
    pub(crate) gateways: Read<Items<IpAddr>>,
    pub(crate) mtu: Read<Option<u32>>,
    pub(crate) queues: Read<Option<u32>>,
    pub(crate) frames: Read<u32>,
    pub(crate) rx_checksum: Read<RxChecksum>,
    pub(crate) tx_checksum_offload: Read<bool>,
    pub(crate) xdp_mode: Read<XdpMode>,
    pub(crate) zero_copy: Read<ZeroCopy>,
    pub(crate) pcap: Read<Option<PathBuf>>,
    pub(crate) fault: RawPortFault,
}

/// One `[port.fault]` as it was read.
#[derive(Debug)]
pub(crate) struct RawPortFault {
    pub(crate) loss: Read<f64>,
    pub(crate) duplicate: Read<f64>,
    pub(crate) corrupt: Read<f64>,
    pub(crate) reorder: Read<f64>,
    pub(crate) delay: Read<Duration>,
    pub(crate) seed: Read<u64>,
}

impl RawPort {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let addresses = List {
            of: OWNED,
            expects: "a list of addresses with prefix, like [\"10.0.0.2/24\", \"fd00::2/64\"]",
        };
        let gateways = List {
            of: HOST,
            expects: "a list of addresses, like [\"10.0.0.1\", \"fd00::1\"]",
        };
        let mtu = Whole {
            range: MTU_MIN..=MTU_MAX,
            of: " of bytes",
        };
        let raw = Self {
            interface: section.required("interface", &INTERFACE),
            driver: section.value("driver", &DRIVER),
            addresses: section.required("addresses", &addresses),
            gateways: section.value("gateways", &gateways),
            mtu: section.value("mtu", &OrWord("auto", mtu)),
            queues: section.value("queues", &OrWord("all", Whole::new(1..=256))),
            frames: section.value(
                "frames",
                &PowerOfTwo {
                    range: 512..=1 << 20,
                },
            ),
            rx_checksum: section.value("rx_checksum", &RX_CHECKSUM),
            tx_checksum_offload: section.value("tx_checksum_offload", &Flag),
            xdp_mode: section.value("xdp_mode", &XDP_MODE),
            zero_copy: section.value("zero_copy", &ZERO_COPY),
            pcap: section.value("pcap", &OrWord("off", FILE)),
            fault: RawPortFault::read(&section.child("fault")),
        };
        section.finish();
        raw
    }
}

impl RawPortFault {
    fn read(section: &Section<'_>) -> Self {
        let raw = Self {
            loss: section.value("loss", &Share),
            duplicate: section.value("duplicate", &Share),
            corrupt: section.value("corrupt", &Share),
            reorder: section.value("reorder", &Share),
            delay: section.value("delay", &Period(Duration::ZERO..=Duration::from_secs(10))),
            // The largest whole number that TOML has.
            seed: section.value("seed", &Whole::new(0..=i64::MAX.unsigned_abs())),
        };
        section.finish();
        raw
    }
}

const DRIVER: Choice<Driver> = Choice(&[
    ("auto", Driver::Auto),
    ("af_xdp", Driver::AfXdp),
    ("af_packet", Driver::AfPacket),
    ("tap", Driver::Tap),
]);

const RX_CHECKSUM: Choice<RxChecksum> = Choice(&[
    ("verify", RxChecksum::Verify),
    ("partial", RxChecksum::Partial),
    ("trust", RxChecksum::Trust),
]);

const XDP_MODE: Choice<XdpMode> = Choice(&[
    ("auto", XdpMode::Auto),
    ("native", XdpMode::Native),
    ("generic", XdpMode::Generic),
]);

const ZERO_COPY: Choice<ZeroCopy> = Choice(&[
    ("auto", ZeroCopy::Auto),
    ("on", ZeroCopy::On),
    ("off", ZeroCopy::Off),
]);
