//! Addresses: ours are nobody else's, and the next hops are beyond the line.

use std::net::IpAddr;

use tidegate_config::{Config, Port};

use super::machine::{KernelAddress, Machine};
use super::report::Report;

/// An address that Tidegate owns is not one of the kernel's: both would answer, or the kernel would
/// lose what is its own.
pub(super) fn check_owned(config: &Config, machine: &Machine, report: &mut Report) {
    for port in &config.ports {
        let mut all_free = true;
        for owned in &port.addresses {
            let mut kernels = machine.addresses.iter();
            let Some(taken) = kernels.find(|kernels| kernels.address == owned.addr) else {
                continue;
            };
            all_free = false;
            let KernelAddress {
                interface,
                address,
                prefix,
            } = taken;
            let sentence = format!(
                "{}: the kernel has {address} on {interface}",
                port.interface
            );
            // The machine itself may be reached by this address, so another one comes first.
            let delete = format!("sudo ip addr del {address}/{prefix} dev {interface}");
            report.missing(sentence, format!("choose a free address, or: {delete}"));
        }
        if all_free {
            let list: Vec<String> = port.addresses.iter().map(ToString::to_string).collect();
            report.ok(format!("{}: {}", port.interface, list.join(", ")));
        }
    }
}

/// A router or a backend that is this machine's own, on the very interface of the port, cannot be
/// reached: what a port sends goes out on the line and does not come back to the kernel beside it.
pub(super) fn check_next_hops(config: &Config, machine: &Machine, report: &mut Report) {
    let mut all_beyond = true;
    let gateways = config
        .ports
        .iter()
        .flat_map(|port| port.gateways.iter().map(|gateway| ("router", *gateway)));
    let backends = config.pools.iter().flat_map(|pool| &pool.backends);
    let backends = backends.map(|backend| ("backend", backend.address.ip()));
    for (what, address) in gateways.chain(backends) {
        if let Some(port) = port_with_kernel_address(config, machine, address) {
            all_beyond = false;
            let name = &port.interface;
            let sentence = format!(
                "{name}: the {what} {address} is this machine's kernel itself, which the port \
                 cannot reach"
            );
            report.missing(
                sentence,
                format!("put the {what} on another machine or namespace"),
            );
        }
    }
    if all_beyond {
        let routers: Vec<String> = config
            .ports
            .iter()
            .flat_map(|port| {
                port.gateways
                    .iter()
                    .map(|at| format!("{at} by {}", port.interface))
            })
            .collect();
        match routers.as_slice() {
            [] => report.ok("only connected networks are reached"),
            routers => report.ok(format!(
                "other networks are reached through {}",
                routers.join(", ")
            )),
        }
    }
}

/// The port on whose interface the kernel has `address`.
fn port_with_kernel_address<'a>(
    config: &'a Config,
    machine: &Machine,
    address: IpAddr,
) -> Option<&'a Port> {
    let mut kernels = machine
        .addresses
        .iter()
        .filter(|kernels| kernels.address == address);
    kernels.find_map(|kernels| {
        config
            .ports
            .iter()
            .find(|port| port.interface == kernels.interface)
    })
}
