//! What `tidegate stats` counts is what others have seen: the client's kernel, and tcpdump.

use std::io::Write as _;
use std::net::IpAddr;
use std::process::Command;

use nix::sys::signal::Signal;
use tidegate::testbed::{Bed, skip};
use tidegate::topology::{Namespace, Process};

use crate::kernel::{assert_reset, connect};
use crate::setting::{
    ask, assert_books_balance, assert_nothing_remains, front, listener, proxy, stats,
};
use crate::web::read_answer;
use crate::{PATIENCE, TIDEGATE, wait_until, wait_until_equal};

/// What `respond` says if it is not told otherwise.
const BODY: &str = "Tidegate is here.\n";

/// TCP segments on the veth pair: towards Tidegate, and from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segments {
    to: u64,
    from: u64,
}

/// As Tidegate has counted them.
fn counted_by_tidegate(bed: &Bed) -> Segments {
    let stats = stats(bed);
    assert_books_balance(&stats);
    let tcp = stats
        .discards
        .iter()
        .filter(|(name, _)| name.starts_with("tcp_"));
    let discarded: u64 = tcp.map(|(_, discard)| discard.count).sum();
    Segments {
        to: stats.counters["rx_segments"] + discarded,
        from: stats.counters["tx_segments"] + stats.counters["resets_sent"],
    }
}

/// As the kernel of the namespace has counted them (RFC 4022), IPv4 and IPv6 together.
fn counted_by_kernel(namespace: &Namespace) -> Segments {
    let text = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let of = |name: &str| -> u64 {
        let mut pairs = names.split(' ').zip(values.split(' '));
        let (_, value) = pairs.find(|(other, _)| *other == name).unwrap();
        value.parse().unwrap()
    };
    Segments {
        to: of("OutSegs") + of("RetransSegs"),
        from: of("InSegs"),
    }
}

/// As a file of tcpdump has them.
fn counted_by_tcpdump(file: &str) -> Segments {
    let count = |filter: &str| {
        // The last frame may be half written while tcpdump still runs.
        let output = Command::new("tcpdump").args(["-nr", file, filter]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.lines().count() as u64
    };
    let owned: [IpAddr; 2] = front(80).map(|at| at.ip());
    let [v4, v6] = owned;
    Segments {
        to: count(&format!("tcp and (dst host {v4} or dst host {v6})")),
        from: count(&format!("tcp and (src host {v4} or src host {v6})")),
    }
}

/// Connections one after the other, some requests each, all closed in the end; and one to a port
/// without listener.
fn be_quiet(bed: &Bed) {
    for to in front(80).into_iter().cycle().take(20) {
        let mut stream = connect(bed, to);
        for _ in 0..5 {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            read_answer(&mut stream, BODY);
        }
    }
    let refused = bed
        .client()
        .run(|| std::net::TcpStream::connect_timeout(&front(81)[0], PATIENCE));
    assert!(refused.is_err());
    assert_nothing_remains(bed);
}

#[test]
fn segments_are_those_that_the_kernel_counts() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("web", 80, "respond"));
    be_quiet(&bed);
    // Each side may still be about to count the last one.
    wait_until_equal(|| (counted_by_tidegate(&bed), counted_by_kernel(bed.client())));
    let seen = counted_by_tidegate(&bed);
    assert!(seen.to > 200 && seen.from > 100, "{seen:?}");
}

#[test]
fn segments_are_those_that_tcpdump_sees() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return skip("tcpdump is not installed");
    }
    let _tidegate = bed.run(&listener("web", 80, "respond"));
    let file = bed.folder().path().join("seen.pcap");
    let file = file.to_str().unwrap();
    let mut command = bed.client().command("tcpdump");
    // Headers are enough, and a ring of short slots has room for more frames.
    command.args([
        "-i",
        "eth0",
        "-n",
        "-s",
        "200",
        "-B",
        "16384",
        "--immediate-mode",
    ]);
    command.args(["-U", "-Z", "root", "-w", file, "tcp"]);
    bed.folder()
        .collect_output("tcpdump", &mut command)
        .unwrap();
    let mut tcpdump = Process::start("tcpdump", &mut command).unwrap();
    wait_until("tcpdump listens", || {
        bed.folder().output("tcpdump").contains("listening on")
    });

    be_quiet(&bed);
    wait_until_equal(|| (counted_by_tidegate(&bed), counted_by_tcpdump(file)));
    tcpdump.signal(Signal::SIGINT).unwrap();
    assert!(tcpdump.wait(PATIENCE).unwrap().is_some());
    assert_eq!(counted_by_tidegate(&bed), counted_by_tcpdump(file));
}

#[test]
fn what_could_not_be_sent_is_counted_by_name() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    // Nobody has this address, so nobody answers when its MAC address is asked for.
    let absent = "198.51.100.99:80".parse().unwrap();
    let _tidegate = bed.run(&proxy("web", 80, "retries = 0\n", &[("absent", absent)]));
    let client = connect(&bed, front(80)[0]);
    assert_reset(client);
    let stats = stats(&bed);
    assert!(stats.backends["web/web/absent"].failed > 0, "{stats:#?}");
    assert!(
        stats.tx_discards["neighbour_unresolved"].count > 0,
        "{stats:#?}"
    );
    let table = ask(&bed, &["stats"]);
    let (_, to_be_sent) = table.split_once("Discards of what was to be sent").unwrap();
    assert!(to_be_sent.contains("neighbour_unresolved"), "{table}");
}
