//! The interface of each port: that it is there, its queues, its MTU, and what it does to segments.

use tidegate_config::{Config, Driver, Port, RxChecksum, XdpMode};

use super::driver::{MTU_NATIVE_MAX, uses_af_xdp};
use super::machine::{Link, Machine};
use super::report::Report;

/// Frames that a queue needs so that neither direction starves.
const FRAMES_MIN: u32 = tidegate_port::FRAMES_MIN;

/// Largest MTU of an interface whose frames fit the largest frame of packet memory: 4096 bytes,
/// less 256 of head room and 18 of Ethernet header.
const MTU_MAX: u32 = 3822;

/// Each port with its interface, where that is there.
fn links<'a>(
    config: &'a Config,
    machine: &'a Machine,
) -> impl Iterator<Item = (&'a Port, &'a Link)> {
    config
        .ports
        .iter()
        .filter_map(|port| Some((port, machine.links.get(&port.interface)?)))
}

/// The interface exists, is an Ethernet, and is up.
pub(super) fn check_presence(config: &Config, machine: &Machine, report: &mut Report) {
    for port in &config.ports {
        let name = &port.interface;
        let Some(Link { interface, .. }) = machine.links.get(name) else {
            if port.driver == Driver::Tap {
                report.ok(format!(
                    "{name}: is not there, and will be made as a TAP device"
                ));
                continue;
            }
            let there = machine.names.join(", ");
            let sentence = format!("{name}: there is no such interface; there are {there}");
            report.missing(sentence, "write `interface` as `ip -brief link` shows it");
            continue;
        };
        let up = format!("sudo ip link set dev {name} up");
        if !interface.is_ethernet {
            let sentence = format!("{name}: is no Ethernet interface");
            report.missing(sentence, "choose one that `ip link` calls link/ether");
        } else if !interface.is_up {
            report.missing(format!("{name}: is down"), up);
        } else if !interface.is_running {
            let sentence = format!("{name}: is up, and nothing is at the other end of the line");
            report.differs(sentence, format!("ip link show dev {name}"));
        } else {
            let kind = interface.kind.as_deref().unwrap_or("hardware");
            report.ok(format!("{name}: is up, {kind}, {}", interface.mac));
        }
    }
}

/// There are as many receive queues as are asked for, and enough frames for them.
pub(super) fn check_queues(config: &Config, machine: &Machine, report: &mut Report) {
    for (port, link) in links(config, machine) {
        let name = &port.interface;
        let available = link.rx_queues;
        let wanted = port.queues.unwrap_or(available);
        let needed = FRAMES_MIN.saturating_mul(wanted).next_power_of_two();
        if !uses_af_xdp(port, link, machine) {
            report.ok(format!(
                "{name}: {available} in use; the driver does without them"
            ));
        } else if wanted > available {
            let sentence = format!("{name}: {wanted} are asked for, and {available} are in use");
            report.missing(
                sentence,
                format!("sudo ethtool -L {name} combined {wanted}"),
            );
        } else if port.frames < needed {
            let frames = port.frames;
            let sentence = format!("{name}: {frames} frames are too few for {wanted} queues");
            report.missing(
                sentence,
                format!("frames = {needed} in the [[port]] of {name}"),
            );
        } else if wanted < available {
            let sentence = format!(
                "{name}: {wanted} of {available} are used; what the NIC puts into the others is \
                 refused by the kernel"
            );
            report.differs(
                sentence,
                format!("sudo ethtool -L {name} combined {wanted}"),
            );
        } else {
            report.ok(format!("{name}: {wanted}, with {} frames", port.frames));
        }
    }
}

/// Frames of the interface fit packet memory and the mode of the XDP program.
pub(super) fn check_mtu(config: &Config, machine: &Machine, report: &mut Report) {
    for (port, link) in links(config, machine) {
        let (name, mtu) = (&port.interface, link.interface.mtu);
        let set = |mtu: u32| format!("sudo ip link set dev {name} mtu {mtu}");
        let is_xdp = uses_af_xdp(port, link, machine);
        if mtu > MTU_MAX {
            let sentence = format!("{name}: {mtu} bytes do not fit a frame, {MTU_MAX} do");
            report.missing(sentence, set(MTU_MAX.min(MTU_NATIVE_MAX)));
        } else if let Some(wanted) = port.mtu.filter(|wanted| *wanted > mtu) {
            let sentence = format!("{name}: {wanted} bytes are asked for, and {mtu} will be sent");
            report.differs(sentence, set(wanted));
        } else if is_xdp && port.xdp_mode == XdpMode::Auto && mtu > MTU_NATIVE_MAX {
            let sentence = format!(
                "{name}: {mtu} bytes are above {MTU_NATIVE_MAX}: generic mode, which is slower"
            );
            report.differs(sentence, set(MTU_NATIVE_MAX));
        } else {
            report.ok(format!("{name}: {} bytes", port.mtu.unwrap_or(mtu)));
        }
    }
}

/// A kernel at the other end of a veth pair leaves checksums to hardware that is not there, and
/// AF_XDP cannot tell such a frame from a damaged one.
pub(super) fn check_checksums(config: &Config, machine: &Machine, report: &mut Report) {
    for (port, link) in links(config, machine) {
        let name = &port.interface;
        let is_veth = link.interface.kind.as_deref() == Some("veth");
        let is_xdp = uses_af_xdp(port, link, machine);
        if is_veth && is_xdp && port.rx_checksum == RxChecksum::Verify {
            let sentence = format!(
                "{name}: a Linux peer of a veth pair leaves checksums unfinished, and its segments \
                 would be discarded"
            );
            let mend = format!("rx_checksum = \"partial\" in the [[port]] of {name}");
            report.differs(
                sentence,
                format!("{mend}, or on the peer: ethtool -K PEER tx off"),
            );
        } else if !is_veth && port.rx_checksum == RxChecksum::Trust {
            let sentence = format!("{name}: damaged segments are taken for good ones");
            report.differs(
                sentence,
                format!("rx_checksum = \"verify\" in the [[port]] of {name}"),
            );
        } else {
            let how = match port.rx_checksum {
                RxChecksum::Verify => "verified",
                RxChecksum::Partial => "verified, unfinished ones taken",
                RxChecksum::Trust => "trusted",
            };
            report.ok(format!("{name}: of received segments are {how}"));
        }
    }
}

/// Outside of native mode the kernel hands over segments that it has merged, and those longer than
/// a frame are lost.
pub(super) fn check_segments(config: &Config, machine: &Machine, report: &mut Report) {
    for (port, link) in links(config, machine) {
        let name = &port.interface;
        let is_native = uses_af_xdp(port, link, machine) && port.xdp_mode != XdpMode::Generic;
        if link.gro && !is_native && port.driver != Driver::Tap {
            let sentence = format!(
                "{name}: the kernel merges received segments (gro); those longer than a frame \
                 are lost"
            );
            report.differs(sentence, format!("sudo ethtool -K {name} gro off"));
        } else {
            report.ok(format!("{name}: are received as they were sent"));
        }
    }
}
