//! One `[[port]]`.

use crate::{
    fault::Findings,
    model::{Driver, Port, PortFault, XdpMode, ZeroCopy},
    schema::{RawPort, RawPortFault},
    section::{Read, chosen},
};

/// RFC 8200 5: every link of IPv6 carries datagrams of this many bytes.
const MTU_MIN_V6: u32 = 1280;

/// Frames that a queue needs so that neither direction starves: as many as the port insists on.
const FRAMES_MIN: u32 = 256;

pub(super) fn port(raw: RawPort, findings: &Findings<'_>) -> Option<Port> {
    check_addresses(&raw, findings);
    check_mtu(&raw, findings);
    check_frames(&raw, findings);
    check_xdp(&raw, findings);
    let fault = fault(&raw.fault);
    Some(Port {
        interface: raw.interface?.value,
        driver: raw.driver?.value,
        addresses: raw.addresses?.value.complete()?,
        gateways: raw.gateways?.value.complete()?,
        mtu: raw.mtu?.value,
        queues: raw.queues?.value,
        frames: raw.frames?.value,
        rx_checksum: raw.rx_checksum?.value,
        tx_checksum_offload: raw.tx_checksum_offload?.value,
        xdp_mode: raw.xdp_mode?.value,
        zero_copy: raw.zero_copy?.value,
        pcap: raw.pcap?.value,
        fault: fault?,
    })
}

/// The damage of a port; `Some(None)` where it does none.
fn fault(raw: &RawPortFault) -> Option<Option<PortFault>> {
    let share = |read: &Read<f64>| read.as_ref().map(|share| share.value);
    let fault = PortFault {
        loss: share(&raw.loss)?,
        duplicate: share(&raw.duplicate)?,
        corrupt: share(&raw.corrupt)?,
        reorder: share(&raw.reorder)?,
        delay: raw.delay.as_ref()?.value,
        seed: raw.seed.as_ref()?.value,
    };
    let shares = [fault.loss, fault.duplicate, fault.corrupt, fault.reorder];
    let harmless = shares.iter().all(|share| *share <= 0.0) && fault.delay.is_zero();
    Some((!harmless).then_some(fault))
}

fn check_addresses(raw: &RawPort, findings: &Findings<'_>) {
    let Some(addresses) = &raw.addresses else {
        return;
    };
    if addresses.value.is_empty() {
        let help = "expected at least one address with its prefix, like [\"10.0.0.2/24\"]";
        findings.add(
            addresses.span,
            "port.addresses",
            "the port owns no address",
            help,
        );
    }
}

fn check_mtu(raw: &RawPort, findings: &Findings<'_>) {
    let (Some((mtu, span)), Some(addresses)) = (chosen(&raw.mtu), &raw.addresses) else {
        return;
    };
    let mut owned = addresses.value.known.iter().map(|owned| owned.value.addr);
    let v6 = owned.find(|address| address.is_ipv6());
    if let Some(v6) = v6.filter(|_| *mtu < MTU_MIN_V6) {
        let what = format!("{mtu} is too small for IPv6, and the port owns {v6}");
        findings.add(
            span,
            "port.mtu",
            what,
            format!("expected {MTU_MIN_V6} or more"),
        );
    }
}

fn check_frames(raw: &RawPort, findings: &Findings<'_>) {
    let (Some(frames), Some((queues, _))) = (&raw.frames, chosen(&raw.queues)) else {
        return;
    };
    let needed = FRAMES_MIN.saturating_mul(*queues).next_power_of_two();
    if frames.value < needed {
        let what = format!("{} frames are too few for {queues} queues", frames.value);
        let help = format!("expected {needed} or more: {FRAMES_MIN} for each queue");
        findings.add(frames.span, "port.frames", what, help);
    }
}

/// Settings of AF_XDP make sense with AF_XDP, and together.
fn check_xdp(raw: &RawPort, findings: &Findings<'_>) {
    let (Some(driver), Some(mode), Some(zero_copy)) = (&raw.driver, &raw.xdp_mode, &raw.zero_copy)
    else {
        return;
    };
    let without_xdp = match driver.value {
        Driver::AfPacket => Some("af_packet"),
        Driver::Tap => Some("tap"),
        Driver::Auto | Driver::AfXdp => None,
    };
    if let Some(name) = without_xdp {
        let what = format!("driver = {name:?} has no XDP program");
        let help = "leave it out, or write driver = \"af_xdp\"";
        if mode.value != XdpMode::Auto {
            findings.add(mode.span, "port.xdp_mode", what.clone(), help);
        }
        if zero_copy.value == ZeroCopy::On {
            findings.add(zero_copy.span, "port.zero_copy", what, help);
        }
    } else if mode.value == XdpMode::Generic && zero_copy.value == ZeroCopy::On {
        let help = "write zero_copy = \"auto\", or xdp_mode = \"native\"";
        let what = "in generic mode the kernel always copies";
        findings.add(zero_copy.span, "port.zero_copy", what, help);
    }
}
