//! What this process may do: capabilities and the limit on locked memory.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::Error;

/// Capabilities that some driver needs, with their numbers in linux/capability.h (6.18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Change interfaces, attach XDP programs, make TAP devices.
    NetAdmin = 12,
    /// Open AF_PACKET and AF_XDP sockets.
    NetRaw = 13,
    /// Lock more memory than the limit allows.
    IpcLock = 14,
    /// The old power over everything, which includes BPF.
    SysAdmin = 21,
    /// Load XDP programs with variable packet offsets.
    Perfmon = 38,
    /// Load BPF programs and make maps.
    Bpf = 39,
}

/// The effective capabilities of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    bits: u64,
    /// Whether they count in the first user namespace. In another one they cover its own network
    /// namespaces but not BPF and not the limit on locked memory.
    pub initial_namespace: bool,
}

impl Capabilities {
    /// Whether the process has `capability`.
    #[must_use]
    pub const fn has(&self, capability: Capability) -> bool {
        self.bits & (1 << capability as u32) != 0
    }
}

/// The effective capabilities of this process (`CapEff` of `/proc/self/status`).
///
/// # Errors
///
/// When `/proc` is not there.
pub fn capabilities() -> Result<Capabilities, Error> {
    let status = read("/proc/thread-self/status")?;
    let bits = effective(&status)
        .ok_or_else(|| Error::config("/proc/thread-self/status", "has no line CapEff"))?;
    let uid_map = read("/proc/self/uid_map")?;
    Ok(Capabilities {
        bits,
        initial_namespace: maps_every_user_to_itself(&uid_map),
    })
}

/// How many bytes this process may lock in memory (`RLIMIT_MEMLOCK`); `None`: no limit.
#[must_use]
pub fn memlock_limit() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

fn read(path: &'static str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::call(path, "read", error, "mount /proc"))
}

fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Only the first user namespace has the identity map of all 2^32 - 1 users.
fn maps_every_user_to_itself(uid_map: &str) -> bool {
    let mut fields = uid_map.split_whitespace();
    [fields.next(), fields.next(), fields.next()] == [Some("0"), Some("0"), Some("4294967295")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_proc_are_understood() {
        let status = "Name:\tx\nCapPrm:\t0000000000000000\nCapEff:\t000000c000003000\n";
        let capabilities = Capabilities {
            bits: effective(status).expect("the line is there"),
            initial_namespace: true,
        };
        for (capability, has) in [
            (Capability::NetAdmin, true),
            (Capability::NetRaw, true),
            (Capability::IpcLock, false),
            (Capability::Perfmon, true),
            (Capability::Bpf, true),
        ] {
            assert_eq!(capabilities.has(capability), has, "{capability:?}");
        }
        assert_eq!(effective("Name:\tx\n"), None);
        assert!(maps_every_user_to_itself(
            "         0          0 4294967295\n"
        ));
        assert!(!maps_every_user_to_itself(
            "         0       1000          1\n"
        ));
    }

    #[test]
    fn this_process_can_be_asked() {
        capabilities().expect("/proc is mounted");
        assert_ne!(memlock_limit(), Some(0));
    }
}
