//! Whether the driver of each port can be used, and which one `auto` would end at.

use tidegate_config::{Config, Driver, Port, XdpMode};

use super::machine::{Link, Machine};
use super::report::{Report, Verdict};

/// First kernel with everything the AF_XDP driver uses: attaching by a link that goes away with the
/// process is of 5.9, one packet memory for the queues of an interface of 5.10.
const KERNEL_MIN: (u32, u32) = (5, 10);

/// Largest MTU of an interface whose driver can run a program on frames of one piece: a page, less
/// head and tail room.
pub(super) const MTU_NATIVE_MAX: u32 = 3506;

/// Bytes of a frame up to an MTU of 1774, and above.
const FRAME_SIZES: (u64, u64) = (2048, 4096);

/// Something that keeps a driver from being used.
#[derive(Debug, PartialEq, Eq)]
struct Obstacle {
    sentence: String,
    mend: String,
}

/// Looks at the driver of every port whose interface is there.
pub(super) fn check(config: &Config, machine: &Machine, report: &mut Report) {
    for port in &config.ports {
        if port.driver == Driver::Tap {
            check_only("tap", tap(port, machine), port, report);
        } else if let Some(link) = machine.links.get(&port.interface) {
            match port.driver {
                Driver::AfXdp => check_only("af_xdp", af_xdp(port, link, machine), port, report),
                Driver::AfPacket => check_only("af_packet", af_packet(port, machine), port, report),
                Driver::Auto | Driver::Tap => check_auto(port, link, machine, report),
            }
            check_forwarding(port, link, machine, report);
        }
    }
}

/// Whether the port will be opened by AF_XDP, as far as that can be seen.
pub(super) fn uses_af_xdp(port: &Port, link: &Link, machine: &Machine) -> bool {
    match port.driver {
        Driver::AfXdp => true,
        Driver::AfPacket | Driver::Tap => false,
        Driver::Auto => af_xdp(port, link, machine).is_empty(),
    }
}

/// The driver that is asked for can be used, or the port cannot be opened.
fn check_only(name: &str, obstacles: Vec<Obstacle>, port: &Port, report: &mut Report) {
    if obstacles.is_empty() {
        report.ok(format!("{}: {name} can be used", port.interface));
    }
    say_all(obstacles, Verdict::Missing, port, report);
}

/// The first driver that works is taken.
fn check_auto(port: &Port, link: &Link, machine: &Machine, report: &mut Report) {
    let interface = &port.interface;
    let obstacles = af_xdp(port, link, machine);
    if link.interface.kind.as_deref() == Some("tun") && tap(port, machine).is_empty() {
        report.ok(format!("{interface}: tap will be used: it is a TAP device"));
    } else if obstacles.is_empty() {
        report.ok(format!("{interface}: af_xdp will be used"));
    } else if af_packet(port, machine).is_empty() {
        let first = obstacles
            .iter()
            .map(|obstacle| obstacle.sentence.as_str())
            .next();
        let why = first.unwrap_or_default();
        report.say(
            Verdict::Differs,
            format!("{interface}: af_packet will be used in place of af_xdp: {why}"),
            obstacles.first().map(|obstacle| obstacle.mend.clone()),
        );
        say_all(
            obstacles.into_iter().skip(1),
            Verdict::Differs,
            port,
            report,
        );
    } else {
        say_all(obstacles, Verdict::Missing, port, report);
    }
}

fn say_all(
    obstacles: impl IntoIterator<Item = Obstacle>,
    verdict: Verdict,
    port: &Port,
    report: &mut Report,
) {
    for Obstacle { sentence, mend } in obstacles {
        report.say(
            verdict,
            format!("{}: {sentence}", port.interface),
            Some(mend),
        );
    }
}

/// What keeps AF_XDP from being used on a port.
fn af_xdp(port: &Port, link: &Link, machine: &Machine) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let mut add = |sentence: String, mend: String| obstacles.push(Obstacle { sentence, mend });
    let own = machine.privileges;
    if !machine.has_kernel(KERNEL_MIN) {
        let (major, minor) = KERNEL_MIN;
        let release = &machine.kernel.0;
        let sentence =
            format!("the kernel is {release}, and af_xdp needs {major}.{minor} or later");
        add(
            sentence,
            "install a later kernel, or driver = \"af_packet\"".to_owned(),
        );
    }
    let needed = [
        (own.net_raw, "CAP_NET_RAW"),
        (own.net_admin, "CAP_NET_ADMIN"),
        (own.bpf, "CAP_BPF"),
    ];
    let lacking: Vec<&str> = needed
        .into_iter()
        .filter(|(has, _)| !has)
        .map(|(_, name)| name)
        .collect();
    if !lacking.is_empty() {
        let sentence = format!(
            "af_xdp needs {}, which this process has not",
            lacking.join(", ")
        );
        add(sentence, set_capabilities(machine));
    } else if !own.initial_namespace {
        let sentence = "in a user namespace the kernel loads no XDP program".to_owned();
        add(
            sentence,
            "start it outside of the user namespace, with sudo".to_owned(),
        );
    }
    if let Some(attached) = link.interface.xdp {
        let name = &port.interface;
        let id = attached.program_id;
        let sentence = format!("another XDP program (number {id}) is on the interface already");
        // Where a process holds it, as Tidegate does its own, only ending that process removes it.
        add(
            sentence,
            format!("end the program that put it there, or: sudo ip link set dev {name} xdp off"),
        );
    }
    let mtu = link.interface.mtu;
    if port.xdp_mode == XdpMode::Native && mtu > MTU_NATIVE_MAX {
        let sentence = format!("the MTU is {mtu}, and native mode takes at most {MTU_NATIVE_MAX}");
        add(
            sentence,
            format!(
                "sudo ip link set dev {} mtu {MTU_NATIVE_MAX}",
                port.interface
            ),
        );
    }
    let needed = locked_bytes(port, link);
    if let Some(limit) = machine
        .memlock
        .filter(|limit| !own.ipc_lock && *limit < needed)
    {
        let sentence = format!(
            "af_xdp locks {} KiB of memory, and the limit is {} KiB",
            needed / 1024,
            limit / 1024
        );
        add(sentence, format!("ulimit -l {}", needed.div_ceil(1024)));
    }
    obstacles
}

/// Bytes that the frames of a port take. The rings are the kernel's and not counted.
fn locked_bytes(port: &Port, link: &Link) -> u64 {
    let size = if link.interface.mtu <= 1774 {
        FRAME_SIZES.0
    } else {
        FRAME_SIZES.1
    };
    u64::from(port.frames) * size
}

/// What keeps AF_PACKET from being used.
fn af_packet(_port: &Port, machine: &Machine) -> Vec<Obstacle> {
    if machine.privileges.net_raw {
        return Vec::new();
    }
    let sentence = "af_packet needs CAP_NET_RAW, which this process has not".to_owned();
    vec![Obstacle {
        sentence,
        mend: set_capabilities(machine),
    }]
}

/// What keeps a TAP device from being used, or made.
fn tap(port: &Port, machine: &Machine) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let mut add = |sentence: String, mend: &str| {
        obstacles.push(Obstacle {
            sentence,
            mend: mend.to_owned(),
        });
    };
    match machine.tun {
        None => {}
        Some(std::io::ErrorKind::NotFound) => {
            add("there is no /dev/net/tun".to_owned(), "sudo modprobe tun");
        }
        Some(kind) => {
            add(
                format!("/dev/net/tun cannot be opened: {kind}"),
                "sudo chmod 666 /dev/net/tun",
            );
        }
    }
    let name = &port.interface;
    match machine
        .links
        .get(name)
        .map(|link| link.interface.kind.as_deref())
    {
        Some(Some("tun")) => {}
        Some(_) => {
            let mend = "choose another `interface`, or driver = \"auto\"";
            add("the interface is no TAP device".to_owned(), mend);
        }
        None if machine.privileges.net_admin => {}
        None => {
            let sentence = "making a TAP device needs CAP_NET_ADMIN, which this process has not";
            let mend = format!("sudo ip tuntap add mode tap user $USER name {name}");
            add(sentence.to_owned(), &mend);
        }
    }
    obstacles
}

/// With a packet socket the kernel sees the frames as well, and a kernel that forwards sends them
/// on.
fn check_forwarding(port: &Port, link: &Link, machine: &Machine, report: &mut Report) {
    if uses_af_xdp(port, link, machine) {
        return;
    }
    let owns = |v4: bool| {
        port.addresses
            .iter()
            .any(|owned| owned.addr.is_ipv4() == v4)
    };
    let families = [
        (machine.forwards.0 && owns(true), "net.ipv4.ip_forward"),
        (
            machine.forwards.1 && owns(false),
            "net.ipv6.conf.all.forwarding",
        ),
    ];
    for (_, key) in families.into_iter().filter(|(forwards, _)| *forwards) {
        let name = &port.interface;
        let sentence = format!("{name}: the kernel forwards, and so sends on what is for Tidegate");
        report.differs(sentence, format!("sudo sysctl -w {key}=0"));
    }
}

/// The command that gives this program what every driver needs.
fn set_capabilities(machine: &Machine) -> String {
    let program = machine.program.display();
    format!("sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock=ep {program}")
}
