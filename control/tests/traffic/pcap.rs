//! `pcap = FILE` writes what went through a port, and tcpdump can read it.

use std::process::Command;

use tidegate::testbed::{Bed, Ports, skip};

use crate::digest::Text;
use crate::kernel::{connect, exchange};
use crate::setting::{assert_nothing_remains, front, listener, stats};
use crate::{PATIENCE, TIDEGATE};

#[test]
fn tcpdump_reads_what_a_port_has_written() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    if Command::new("tcpdump").arg("--version").output().is_err() {
        return skip("tcpdump is not installed");
    }
    let file = bed.folder().path().join("front.pcap");
    let file = file.to_str().unwrap();
    let ports = Ports {
        front: format!("pcap = \"{file}\"\n"),
        ..Ports::default()
    };
    let tidegate = bed.run_on(&ports, &listener("echo", 7, "echo"));
    for to in front(7) {
        let (sent, received) = exchange(&connect(&bed, to), Text::new(1, 100_000));
        assert_eq!(received, sent, "{to}");
    }
    assert_nothing_remains(&bed);
    let counts = stats(&bed).ports["front"].counts.clone();
    tidegate.terminate(PATIENCE, bed.folder()).unwrap();

    let output = Command::new("tcpdump")
        .args(["-nr", file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    // The client's kernel may have asked for a neighbour since.
    let frames = text.lines().count() as u64;
    assert!(
        frames >= counts["rx_frames"] + counts["tx_frames"],
        "{counts:?}:\n{text}"
    );
    for address in front(7) {
        let ip = address.ip();
        let has = |ends: &str, flag: char| {
            text.lines().any(|line| {
                let flags = line
                    .split_once("Flags [")
                    .and_then(|(_, rest)| rest.split_once(']'));
                line.contains(ends) && flags.is_some_and(|(flags, _)| flags.contains(flag))
            })
        };
        for flag in ['S', 'F'] {
            assert!(has(&format!(" {ip}.7 > "), flag), "{flag} of {ip}:\n{text}");
            assert!(
                has(&format!(" > {ip}.7: "), flag),
                "{flag} to {ip}:\n{text}"
            );
        }
    }
}
