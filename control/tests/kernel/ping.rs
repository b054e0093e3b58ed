//! Owned addresses answer to ping, IPv4 and IPv6; the kernel behind them has not got them.

use std::process::Command;

use tidegate::testbed::{Bed, skip};
use tidegate::topology::Side;

use crate::{TIDEGATE, listener};

#[test]
fn owned_addresses_answer_to_ping() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    if Command::new("ping").arg("-V").output().is_err() {
        return skip("ping is not installed (iputils-ping)");
    }
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    let sides = [(bed.client(), Side::FRONT), (bed.backends(), Side::BACK)];
    for (namespace, side) in sides {
        for address in side.owned() {
            for size in ["56", "1400"] {
                let mut ping = namespace.command("ping");
                ping.args(["-n", "-c", "3", "-i", "0.2", "-W", "30", "-s", size]);
                let output = ping.arg(address.to_string()).output().unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{address}, {size} bytes:\n{text}");
                assert!(
                    text.contains("3 received"),
                    "{address}, {size} bytes:\n{text}"
                );
            }
        }
    }
}

#[test]
fn addresses_that_nobody_owns_do_not_answer() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    if Command::new("ping").arg("-V").output().is_err() {
        return skip("ping is not installed (iputils-ping)");
    }
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    for address in ["192.0.2.77", "2001:db8:1::77"] {
        let mut ping = bed.client().command("ping");
        let output = ping
            .args(["-n", "-c", "1", "-W", "1", address])
            .output()
            .unwrap();
        assert!(!output.status.success(), "{address} has answered");
    }
}
