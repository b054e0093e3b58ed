//! The facts of a machine that the stages look at, gathered once.
//!
//! Interfaces and addresses are those of the calling thread's network namespace. A fact that cannot
//! be had is said to be absent, never guessed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nameindex;
use nix::sys::socket::SockaddrStorage;
use nix::unistd::{getegid, geteuid, getgroups};
use tidegate_config::Config;
use tidegate_port::host::{self, Capability, Interface, Offload};

/// What the machine has of what the configuration asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    /// Release of the kernel as `uname -r` says it, and its first two numbers.
    pub(super) kernel: (String, Option<(u32, u32)>),
    pub(super) privileges: Privileges,
    /// Bytes that may be locked; `None`: no limit.
    pub(super) memlock: Option<u64>,
    /// Bytes of memory that can still be had (`MemAvailable`).
    pub(super) memory_available: Option<u64>,
    /// Cores that this process may run on.
    pub(super) cores: Vec<usize>,
    /// Names of all interfaces.
    pub(super) names: Vec<String>,
    /// Those of the configuration that exist.
    pub(super) links: BTreeMap<String, Link>,
    /// Addresses of the kernel.
    pub(super) addresses: Vec<KernelAddress>,
    /// Families in which the kernel forwards (`net.ipv4.ip_forward` and its like of IPv6).
    pub(super) forwards: (bool, bool),
    /// Why `/dev/net/tun` cannot be opened.
    pub(super) tun: Option<io::ErrorKind>,
    pub(super) socket: SocketPath,
    /// Folders in which files are to be made, each with whether that is allowed.
    pub(super) folders: BTreeMap<PathBuf, Folder>,
    /// The program that runs, for commands that name it.
    pub(super) program: PathBuf,
}

/// What this process may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Privileges {
    pub(super) net_raw: bool,
    pub(super) net_admin: bool,
    pub(super) bpf: bool,
    pub(super) ipc_lock: bool,
    /// Whether it counts everywhere, and not only in a user namespace.
    pub(super) initial_namespace: bool,
}

/// An interface, with what only ethtool says.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    pub(super) interface: Interface,
    /// Queues in use that receive.
    pub(super) rx_queues: u32,
    /// Whether the kernel merges received segments.
    pub(super) gro: bool,
}

/// An address that the kernel has on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelAddress {
    pub(super) interface: String,
    pub(super) address: IpAddr,
    /// Leading bits of its network.
    pub(super) prefix: u32,
}

/// What stands at the path of the admin socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum SocketPath {
    /// Nothing, or a socket nobody listens on.
    #[default]
    Free,
    /// A socket that answers.
    Answering,
    /// Something that is no socket.
    Other,
}

/// Whether a file can be made in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Folder {
    /// It can.
    Writable,
    /// The folder is missing, and can be made.
    CanBeMade,
    /// It cannot, because of this folder above it or itself.
    Forbidden(PathBuf),
    /// Something that is no folder stands there.
    Occupied(PathBuf),
}

impl Machine {
    /// The facts of this machine that concern `config`.
    pub(super) fn of(config: &Config) -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let release = release.trim().to_owned();
        let ports = config.ports.iter();
        let links = ports.filter_map(|port| Some((port.interface.clone(), link(&port.interface)?)));
        let files = config.ports.iter().filter_map(|port| port.pcap.as_deref());
        let files = files.chain([config.admin.socket.as_path()]);
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        Self {
            kernel: (release.clone(), version(&release)),
            privileges: privileges(),
            memlock: host::memlock_limit(),
            memory_available: memory_available(),
            cores: cores.into_iter().map(|core| core.id).collect(),
            names: names(),
            links: links.collect(),
            addresses: addresses(),
            forwards: (
                is_one("/proc/sys/net/ipv4/ip_forward"),
                is_one("/proc/sys/net/ipv6/conf/all/forwarding"),
            ),
            tun: tun(),
            socket: socket(&config.admin.socket),
            folders: files
                .map(folder_of)
                .map(|path| (path.clone(), folder(&path)))
                .collect(),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tidegate")),
        }
    }

    /// Whether the kernel is of this version or later; in doubt it is.
    pub(super) fn has_kernel(&self, version: (u32, u32)) -> bool {
        self.kernel.1.is_none_or(|found| found >= version)
    }
}

/// The folder that a file stands in.
pub(super) fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn link(name: &str) -> Option<Link> {
    let interface = host::interface(name).ok()?;
    let channels = host::channels(name).ok().flatten();
    let in_use = channels.map_or(interface.rx_queues, |channels| channels.receiving());
    Some(Link {
        rx_queues: in_use.max(1),
        gro: host::offload(name, Offload::Gro).unwrap_or(false),
        interface,
    })
}

/// The first two numbers of a release such as `6.18.5-generic`.
pub(super) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn privileges() -> Privileges {
    let Ok(capabilities) = host::capabilities() else {
        return Privileges::default();
    };
    let has = |capability| capabilities.has(capability);
    // The old capability over everything includes the two that were taken out of it in Linux 5.8.
    let everything = has(Capability::SysAdmin);
    Privileges {
        net_raw: has(Capability::NetRaw),
        net_admin: has(Capability::NetAdmin),
        bpf: has(Capability::Bpf) || everything,
        ipc_lock: has(Capability::IpcLock),
        initial_namespace: capabilities.initial_namespace,
    }
}

fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn names() -> Vec<String> {
    let interfaces = if_nameindex().ok();
    let names = interfaces.iter().flatten();
    names
        .map(|interface| interface.name().to_string_lossy().into_owned())
        .collect()
}

fn addresses() -> Vec<KernelAddress> {
    let entries = getifaddrs().ok().into_iter().flatten();
    let address = |entry: nix::ifaddrs::InterfaceAddress| {
        Some(KernelAddress {
            address: ip(entry.address.as_ref()?)?,
            prefix: entry.netmask.as_ref().and_then(ip).map_or(0, leading_ones),
            interface: entry.interface_name,
        })
    };
    entries.filter_map(address).collect()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
}

fn leading_ones(netmask: IpAddr) -> u32 {
    match netmask {
        IpAddr::V4(v4) => v4.to_bits().leading_ones(),
        IpAddr::V6(v6) => v6.to_bits().leading_ones(),
    }
}

fn is_one(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}

/// Opening the device makes nothing; only a request on it would.
fn tun() -> Option<io::ErrorKind> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    device.err().map(|error| error.kind())
}

fn socket(path: &Path) -> SocketPath {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => SocketPath::Other,
        Ok(_) if UnixStream::connect(path).is_ok() => SocketPath::Answering,
        Ok(_) | Err(_) => SocketPath::Free,
    }
}

/// Whether a file can be made in the folder at `path`, as far as the permission bits say.
fn folder(path: &Path) -> Folder {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Folder::Occupied(path.to_owned()),
        Ok(found) if may_write(&found) => Folder::Writable,
        Ok(_) => Folder::Forbidden(path.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
            Some(above) if !above.as_os_str().is_empty() => match folder(above) {
                Folder::Writable => Folder::CanBeMade,
                above @ (Folder::CanBeMade | Folder::Forbidden(_) | Folder::Occupied(_)) => above,
            },
            _ => Folder::CanBeMade,
        },
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Folder::Occupied(path.parent().unwrap_or(path).to_owned())
        }
        Err(_) => Folder::Forbidden(path.to_owned()),
    }
}

/// Whether the permission bits of a folder let this process make files in it.
fn may_write(folder: &fs::Metadata) -> bool {
    let groups = getgroups().unwrap_or_default();
    let is_in_group = getegid().as_raw() == folder.gid()
        || groups.iter().any(|group| group.as_raw() == folder.gid());
    let bits = folder.mode();
    let needed = 0o3; // Write and search.
    match geteuid() {
        user if user.is_root() => true,
        user if user.as_raw() == folder.uid() => bits >> 6 & needed == needed,
        _ if is_in_group => bits >> 3 & needed == needed,
        _ => bits & needed == needed,
    }
}
