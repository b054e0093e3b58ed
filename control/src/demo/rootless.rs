//! The demo without root: the same in a user namespace, where we may make networks but not load BPF.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};

/// `CAP_NET_ADMIN` of linux/capability.h: interfaces, addresses.
const CAP_NET_ADMIN: u64 = 1 << 12;

/// `CAP_SYS_ADMIN` of linux/capability.h: namespaces, mounts.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// What starts a program in fresh user, network and mount namespaces, as their root.
const UNSHARE: [&str; 5] = ["unshare", "--user", "--map-root-user", "--net", "--mount"];

/// Whether we may make network namespaces here. Root in a container often may not.
#[must_use]
pub fn is_privileged() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0);
    let needed = CAP_NET_ADMIN | CAP_SYS_ADMIN;
    effective & needed == needed
}

/// Becomes the same demo inside a user namespace. Returns only where that is not possible.
pub(super) fn enter() -> Result<ExitCode> {
    const NEEDED: &str = "the demo needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN; in a container, --privileged) or \
         user namespaces";
    let unshare = |program: &str| {
        let mut command = Command::new(UNSHARE[0]);
        command.args(&UNSHARE[1..]).arg("--").arg(program);
        command
    };
    match unshare("true").stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{NEEDED}, and the command `unshare` (util-linux) is missing: try sudo")
        }
        Err(error) => bail!("{NEEDED}, and `unshare` could not be started ({error}): try sudo"),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{NEEDED}, which this system forbids ({}): try sudo",
                said.trim()
            )
        }
        Ok(_) => {}
    }
    say!(
        "Not root: the demo runs in a user namespace, where BPF may not be loaded, so with the \
         driver af_packet instead of AF_XDP."
    );
    let program = std::env::current_exe().context("the path of this program")?;
    let program = program
        .to_str()
        .context("the path of this program is not UTF-8")?;
    let mut command = unshare(program);
    command.args(std::env::args_os().skip(1)).arg("--inside");
    Err(command.exec()).context("the demo could not be started again inside a user namespace")
}

/// Covers /run with an empty file system of our own, which only this mount namespace sees: `ip
/// netns` keeps the names of namespaces there, and the machine's own belong to the real root.
pub(super) fn hide_run() -> Result<()> {
    let nothing = None::<&str>;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )
    .context("making the mounts private")?;
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=0755"),
    )
    .context("a private /run")
}
