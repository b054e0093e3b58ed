//! Tests: what is said of machines that are not there, and of a namespace that is.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::id;

use tidegate_config::Config;
use tidegate_port::XdpMode;
use tidegate_port::host::{AttachedXdp, Interface};

use super::machine::{Folder, KernelAddress, Link, Machine, Privileges, SocketPath};
use super::*;
use crate::testbed::skip;
use crate::topology::Namespace;

/// A configuration with these lines in its port, and these below it.
fn config(port: &str, rest: &str) -> Config {
    let text = format!(
        "[[port]]\ninterface = \"eth1\"\naddresses = [\"10.0.0.2/24\", \"fd00::2/64\"]\n{port}\n\
         [[listener]]\nname = \"web\"\naddresses = [\"*:80\"]\nservice = \"echo\"\n{rest}\n"
    );
    Config::from_str("test.toml", &text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A machine on which everything is in order.
fn machine() -> Machine {
    let interface = Interface {
        name: "eth1".to_owned(),
        mtu: 1500,
        is_up: true,
        is_running: true,
        is_ethernet: true,
        ..Interface::default()
    };
    let link = Link {
        interface,
        rx_queues: 4,
        gro: false,
    };
    Machine {
        kernel: ("6.18.0".to_owned(), Some((6, 18))),
        privileges: Privileges {
            net_raw: true,
            net_admin: true,
            bpf: true,
            ipc_lock: true,
            initial_namespace: true,
        },
        memlock: Some(8 << 20),
        memory_available: Some(4 << 30),
        cores: vec![0, 1, 2, 3],
        names: vec!["lo".to_owned(), "eth1".to_owned()],
        links: [("eth1".to_owned(), link)].into(),
        addresses: Vec::new(),
        forwards: (false, false),
        tun: None,
        socket: SocketPath::Free,
        folders: [(PathBuf::from("/run/tidegate"), Folder::CanBeMade)].into(),
        program: PathBuf::from("/usr/bin/tidegate"),
    }
}

/// What is not in order: stage, verdict, sentence and mend.
fn faults(config: &Config, machine: &Machine) -> Vec<String> {
    let report = examine(config, machine);
    let lines = report
        .lines()
        .iter()
        .filter(|line| line.verdict != Verdict::Ok);
    lines
        .map(|line| {
            let mend = line.mend.as_deref().unwrap_or_default();
            format!(
                "{} {}: {} | {mend}",
                line.verdict.name(),
                line.stage,
                line.sentence
            )
        })
        .collect()
}

/// Says what is wrong after `change` on a machine that was in order.
fn after(port: &str, change: impl FnOnce(&mut Machine, &mut Link)) -> Vec<String> {
    let config = config(port, "");
    let mut machine = machine();
    let mut link = machine.links.remove("eth1").expect("it was put there");
    change(&mut machine, &mut link);
    machine.links.insert("eth1".to_owned(), link);
    faults(&config, &machine)
}

#[test]
fn a_machine_in_order_is_ready() {
    let report = examine(&config("", ""), &machine());
    assert!(report.is_ready(), "{report}");
    let stages: Vec<&str> = report.lines().iter().map(|line| line.stage).collect();
    let all: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
    assert_eq!(stages, all, "each stage says one line");
    assert!(report.to_string().ends_with("\nready"), "{report}");
}

#[test]
fn a_missing_interface_says_which_there_are() {
    let mut machine = machine();
    machine.links.clear();
    let said = faults(&config("", ""), &machine);
    let expected = "missing interface: eth1: there is no such interface; there are lo, eth1 | \
                    write `interface` as `ip -brief link` shows it";
    assert_eq!(said, [expected]);
    assert!(faults(&config("driver = \"tap\"", ""), &machine).is_empty());
}

#[test]
fn an_interface_that_is_down_is_set_up() {
    let said = after("", |_, link| link.interface.is_up = false);
    assert_eq!(
        said,
        ["missing interface: eth1: is down | sudo ip link set dev eth1 up"]
    );
    let said = after("", |_, link| link.interface.is_running = false);
    assert!(
        said[0].starts_with("differs interface: eth1: is up, and nothing"),
        "{said:?}"
    );
    let said = after("", |_, link| link.interface.is_ethernet = false);
    assert!(
        said[0].starts_with("missing interface: eth1: is no Ethernet"),
        "{said:?}"
    );
}

#[test]
fn capabilities_that_lack_are_named_with_the_command() {
    let without_bpf = |machine: &mut Machine, _: &mut Link| machine.privileges.bpf = false;
    let said = after("driver = \"af_xdp\"", without_bpf);
    let command = "sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock=ep \
                   /usr/bin/tidegate";
    let why = "af_xdp needs CAP_BPF, which this process has not";
    assert_eq!(said, [format!("missing driver: eth1: {why} | {command}")]);
    let said = after("", without_bpf);
    let instead = "eth1: af_packet will be used in place of af_xdp";
    assert_eq!(
        said,
        [format!("differs driver: {instead}: {why} | {command}")]
    );
    let said = after("", |machine, _| machine.privileges = Privileges::default());
    let all = "CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF";
    assert!(
        said[0].starts_with(&format!("missing driver: eth1: af_xdp needs {all}")),
        "{said:?}"
    );
}

#[test]
fn what_keeps_af_xdp_away_is_said() {
    let of = |change: &dyn Fn(&mut Machine, &mut Link)| {
        let said = after("driver = \"af_xdp\"\nxdp_mode = \"native\"", change);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("missing driver: eth1: "), "{said:?}");
        said.concat()
    };
    let said = of(&|machine, _| machine.kernel = ("5.4.0".to_owned(), Some((5, 4))));
    assert!(
        said.contains("the kernel is 5.4.0, and af_xdp needs 5.10"),
        "{said}"
    );
    let said = of(&|machine, _| machine.privileges.initial_namespace = false);
    assert!(said.contains("in a user namespace"), "{said}");
    let said = of(&|_, link| {
        link.interface.xdp = Some(AttachedXdp {
            mode: XdpMode::Native,
            program_id: 41,
        });
    });
    assert!(
        said.contains("number 41") && said.ends_with("dev eth1 xdp off"),
        "{said}"
    );
    let said = of(&|_, link| link.interface.mtu = 3600);
    assert!(
        said.ends_with("| sudo ip link set dev eth1 mtu 3506"),
        "{said}"
    );
    let said = of(&|machine, _| {
        machine.privileges.ipc_lock = false;
        machine.memlock = Some(64 << 10);
    });
    assert!(said.ends_with("| ulimit -l 8192"), "{said}");
}

#[test]
fn a_tap_device_needs_its_device_file() {
    let said = after("driver = \"tap\"", |machine, link| {
        link.interface.kind = Some("tun".to_owned());
        machine.tun = Some(io::ErrorKind::NotFound);
    });
    assert_eq!(
        said,
        ["missing driver: eth1: there is no /dev/net/tun | sudo modprobe tun"]
    );
    let said = after("driver = \"tap\"", |_, _| {});
    assert!(
        said[0].contains("the interface is no TAP device"),
        "{said:?}"
    );
}

#[test]
fn queues_and_frames_are_enough_for_each_other() {
    let said = after("queues = 8", |_, _| {});
    let expected = "missing queues: eth1: 8 are asked for, and 4 are in use | \
                    sudo ethtool -L eth1 combined 8";
    assert_eq!(said, [expected]);
    let said = after("queues = 2", |_, _| {});
    assert!(
        said[0].starts_with("differs queues: eth1: 2 of 4 are used"),
        "{said:?}"
    );
    let said = after("frames = 512", |_, _| {});
    let expected = "missing queues: eth1: 512 frames are too few for 4 queues | \
                    frames = 1024 in the [[port]] of eth1";
    assert_eq!(said, [expected]);
}

#[test]
fn the_mtu_fits_frames_and_mode() {
    let said = after("", |_, link| link.interface.mtu = 9000);
    assert!(
        said.iter()
            .any(|line| line.starts_with("missing mtu: eth1: 9000 bytes")),
        "{said:?}"
    );
    let said = after("", |_, link| link.interface.mtu = 3600);
    assert!(
        said[0].starts_with("differs mtu: eth1: 3600 bytes are above 3506"),
        "{said:?}"
    );
    let said = after("mtu = 2000", |_, _| {});
    let expected = "differs mtu: eth1: 2000 bytes are asked for, and 1500 will be sent | \
                    sudo ip link set dev eth1 mtu 2000";
    assert_eq!(said, [expected]);
}

#[test]
fn a_linux_peer_over_veth_sends_unfinished_checksums() {
    let veth = |_: &mut Machine, link: &mut Link| link.interface.kind = Some("veth".to_owned());
    let said = after("", veth);
    assert!(
        said[0].contains("rx_checksum = \"partial\" in the [[port]] of eth1"),
        "{said:?}"
    );
    assert!(after("rx_checksum = \"partial\"", veth).is_empty());
    assert!(
        after("driver = \"af_packet\"", veth).is_empty(),
        "its driver finishes them"
    );
    let said = after("rx_checksum = \"trust\"", |_, _| {});
    assert!(
        said[0].starts_with("differs checksums: eth1: damaged"),
        "{said:?}"
    );
}

#[test]
fn merged_segments_and_forwarding_are_named_where_they_hurt() {
    let said = after("xdp_mode = \"generic\"", |_, link| link.gro = true);
    assert!(
        said[0].ends_with("| sudo ethtool -K eth1 gro off"),
        "{said:?}"
    );
    assert!(after("", |_, link| link.gro = true).is_empty());
    let said = after("driver = \"af_packet\"", |machine, _| {
        machine.forwards = (true, false)
    });
    assert!(
        said[0].ends_with("| sudo sysctl -w net.ipv4.ip_forward=0"),
        "{said:?}"
    );
    assert!(after("", |machine, _| machine.forwards = (true, true)).is_empty());
}

#[test]
fn addresses_are_not_the_kernels_as_well() {
    let kernel = |interface: &str, address: &str, prefix| KernelAddress {
        interface: interface.to_owned(),
        address: address.parse::<IpAddr>().expect("an address"),
        prefix,
    };
    let said = after("", |machine, _| {
        machine.addresses = vec![kernel("br0", "10.0.0.2", 16)]
    });
    let expected = "missing addresses: eth1: the kernel has 10.0.0.2 on br0 | \
                    choose a free address, or: sudo ip addr del 10.0.0.2/16 dev br0";
    assert_eq!(said, [expected]);

    let gateway = "gateways = [\"10.0.0.1\"]";
    let here = |machine: &mut Machine, _: &mut Link| {
        machine.addresses = vec![kernel("eth1", "10.0.0.1", 24)];
    };
    let said = after(gateway, here);
    assert!(
        said[0].starts_with("missing routes: eth1: the router 10.0.0.1 is this"),
        "{said:?}"
    );
    // At the other end of a veth pair, or on another line, it can be reached.
    let elsewhere = |machine: &mut Machine, _: &mut Link| {
        machine.addresses = vec![kernel("eth2", "10.0.0.1", 24)];
    };
    assert!(after(gateway, elsewhere).is_empty());
}

#[test]
fn memory_cores_and_files_are_looked_at() {
    let said = after("", |machine, _| machine.memory_available = Some(64 << 20));
    assert!(
        said[0].starts_with("missing memory: 304 MiB are needed"),
        "{said:?}"
    );

    let pinned = config("", "[workers]\ncores = [9]\n");
    assert!(faults(&pinned, &machine())[0].starts_with("missing cores: core 9 is not there"));
    let spinning = config("", "[workers]\nidle = \"spin\"\n");
    assert!(faults(&spinning, &machine())[0].starts_with("differs cores: a spinning worker"));
    let one_core = Machine {
        cores: vec![0],
        ..machine()
    };
    assert!(faults(&spinning, &one_core)[0].contains("takes the only core"));

    let said = after("", |machine, _| machine.socket = SocketPath::Answering);
    assert!(said[0].contains("another Tidegate runs"), "{said:?}");
    let said = after("pcap = \"/nowhere/a.pcap\"", |machine, _| {
        machine
            .folders
            .insert(PathBuf::from("/nowhere"), Folder::CanBeMade);
    });
    assert!(said[0].ends_with("| mkdir -p /nowhere"), "{said:?}");
    let said = after("", |machine, _| {
        let folder = Folder::Forbidden(PathBuf::from("/run"));
        machine
            .folders
            .insert(PathBuf::from("/run/tidegate"), folder);
    });
    assert!(said[0].contains("may make nothing in /run"), "{said:?}");
}

#[test]
fn every_line_that_is_not_ok_says_how_it_is_mended() {
    let broken = Machine {
        memory_available: Some(0),
        ..Machine::default()
    };
    let report = examine(
        &config("mtu = 2000\ngateways = [\"10.0.0.1\"]", ""),
        &broken,
    );
    assert!(!report.is_ready());
    for line in report.lines() {
        assert_eq!(line.mend.is_none(), line.verdict == Verdict::Ok, "{line}");
        assert!(!line.to_string().contains("  \n"), "{line}");
    }
}

/// A folder for the files of one test, removed afterwards.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-check-{}-{name}", id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the folder was just made");
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What is printed for the file, and whether it is ready.
fn printed(path: &Path) -> (String, bool) {
    let mut out = Vec::new();
    let ready = print(path, &mut out).expect("memory takes everything");
    (String::from_utf8(out).expect("it is text"), ready)
}

#[test]
fn faults_of_the_file_come_before_the_machine() {
    let files = Files::new("faults");
    let path = files.write("wrong.toml", "[workers]\ncount = 2\nidel = \"spin\"\n");
    let (said, ready) = printed(&path);
    assert!(!ready);
    assert!(
        said.contains("error[workers.count]") && said.contains("error[workers.idel]"),
        "{said}"
    );
    assert!(
        said.trim_end().ends_with("4 faults") && !said.contains("interface "),
        "{said}"
    );
}

#[test]
fn this_machine_can_be_looked_at_without_privilege() {
    let machine = Machine::of(&config("", ""));
    assert!(machine.kernel.1.is_some(), "{:?}", machine.kernel);
    assert!(!machine.cores.is_empty());
    assert!(machine.memory_available.is_some());
    assert!(
        machine.names.iter().any(|name| name == "lo"),
        "{:?}",
        machine.names
    );
}

#[test]
fn a_namespace_is_looked_at_as_it_is() {
    if !crate::demo::is_privileged() {
        skip("making a network namespace needs root");
        return;
    }
    let name = format!("tidegate-test-{}-check", id());
    let namespace = Namespace::create(&name).expect("root may make a namespace");
    let ip = |arguments: &[&str]| namespace.ip(arguments).expect("ip works in a namespace");
    ip(&[
        "link", "add", "eth1", "type", "veth", "peer", "name", "eth2",
    ]);
    let files = Files::new("namespace");
    let socket = files.0.join("admin.sock");
    let text = format!(
        "[[port]]\ninterface = \"eth1\"\naddresses = [\"10.0.0.2/24\"]\nrx_checksum = \"partial\"\n\
         [[listener]]\nname = \"web\"\naddresses = [\"*:80\"]\nservice = \"echo\"\n\
         [admin]\nsocket = {socket:?}\n[workers]\ntext_memory = \"1m\"\n"
    );
    let path = files.write("echo.toml", &text);

    let (said, ready) = namespace.run(|| printed(&path));
    assert!(
        !ready && said.contains("missing  interface      eth1: is down"),
        "{said}"
    );
    assert!(
        said.contains("mend: sudo ip link set dev eth1 up"),
        "{said}"
    );

    ip(&["link", "set", "eth1", "up"]);
    ip(&["link", "set", "eth2", "up"]);
    ip(&["addr", "add", "10.0.0.2/25", "dev", "eth2"]);
    let (said, ready) = namespace.run(|| printed(&path));
    assert!(
        !ready && said.contains("the kernel has 10.0.0.2 on eth2"),
        "{said}"
    );
    // The command that is given is the one that helps.
    assert!(
        said.contains("or: sudo ip addr del 10.0.0.2/25 dev eth2"),
        "{said}"
    );
    ip(&["addr", "del", "10.0.0.2/25", "dev", "eth2"]);

    let (said, ready) = namespace.run(|| printed(&path));
    assert!(ready, "{said}");
    assert!(
        said.contains("ok       interface      eth1: is up, veth, "),
        "{said}"
    );
    assert!(
        said.starts_with(&format!(
            "ok       configuration  {}: 1 port, ",
            path.display()
        )),
        "{said}"
    );
}
