//! curl and wrk through the load balancer of `config/examples`, letter by letter as it stands there.

use std::collections::BTreeSet;
use std::process::Command;

use tidegate::testbed::{Bed, skip};
use tidegate::topology::{Process, Service};

use crate::TIDEGATE;
use crate::setting::{assert_nothing_remains, stats};
use crate::web::serve;

const EXAMPLE: &str = include_str!("../../../config/examples/load-balancer.toml");

/// Where the example listens.
const URLS: [&str; 2] = ["http://10.0.1.2/", "http://[fd00:1::2]/"];

/// The bed with the addresses of the example added to its own, the example's two servers, and
/// Tidegate with the example as its configuration.
fn example() -> Option<(Bed, [Process; 2], Service)> {
    let bed = Bed::new(TIDEGATE)?;
    let add = |namespace: &tidegate::topology::Namespace, address: &str| {
        let nodad = address.contains(':').then_some("nodad");
        let mut arguments = vec!["address", "add", address, "dev", "eth0"];
        arguments.extend(nodad);
        namespace.ip(&arguments).unwrap();
    };
    add(bed.client(), "10.0.1.1/24");
    add(bed.client(), "fd00:1::1/64");
    add(bed.backends(), "10.0.2.10/24");
    add(bed.backends(), "10.0.2.11/24");
    let servers = [("one", "10.0.2.10:8000"), ("two", "10.0.2.11:8000")]
        .map(|(name, address)| serve(&bed, name, &[address.parse().unwrap()]));
    let admin = format!(
        "[admin]\nsocket = \"{}\"\n",
        bed.folder().socket().display()
    );
    let text = format!("{EXAMPLE}\n{admin}");
    let tidegate = Service::start(TIDEGATE, bed.tidegate(), bed.folder(), &text).unwrap();
    Some((bed, servers, tidegate))
}

#[test]
fn curl_is_answered_by_each_backend_over_each_family() {
    let Some((bed, _servers, _tidegate)) = example() else {
        return;
    };
    if Command::new("curl").arg("-V").output().is_err() {
        return skip("curl is not installed");
    }
    for url in URLS {
        let mut names = BTreeSet::new();
        for _ in 0..4 {
            let mut curl = bed.client().command("curl");
            let output = curl
                .args(["-gsS", "--max-time", "120", url])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{url}: {said}");
            names.insert(String::from_utf8(output.stdout).unwrap());
        }
        assert_eq!(names, ["one /\n", "two /\n"].map(str::to_owned).into());
    }
    assert_nothing_remains(&bed);
}

#[test]
fn wrk_meets_no_error() {
    let Some((bed, _servers, _tidegate)) = example() else {
        return;
    };
    if Command::new("wrk").arg("-v").output().is_err() {
        return skip("wrk is not installed");
    }
    for url in URLS {
        let mut wrk = bed.client().command("wrk");
        // Slow is not an error here: the timeout only ends a hang.
        wrk.args(["-t", "2", "-c", "64", "-d", "3s", "--timeout", "120s", url]);
        let output = wrk.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{url}: {output:?}");
        assert!(!text.contains("Socket errors"), "{url}: {text}");
        assert!(!text.contains("Non-2xx"), "{url}: {text}");
        let requests = text.lines().find_map(|line| {
            let (count, _) = line.trim().split_once(" requests in ")?;
            count.parse::<u64>().ok()
        });
        assert!(requests > Some(64), "{url}: {text}");
    }
    assert_nothing_remains(&bed);
    let stats = stats(&bed);
    for name in ["web/servers/one", "web/servers/two"] {
        let backend = &stats.backends[name];
        assert!(
            backend.opened >= 64 && backend.failed == 0,
            "{name}: {backend:?}"
        );
    }
}
