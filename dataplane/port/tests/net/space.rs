//! Network namespaces for one test: `port`, where the test runs, and `peer`, where a Linux kernel
//! answers. They disappear with the value, also when the test panics.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Output, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The interface of the test's side.
pub(crate) const PORT_IF: &str = "tg0";
/// The interface of the kernel's side.
pub(crate) const PEER_IF: &str = "peer0";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Two namespaces.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) port: String,
    pub(crate) peer: String,
}

impl Space {
    /// Two namespaces with nothing between them.
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let space = Self {
            port: format!("tgport-{}-{number}", id()),
            peer: format!("tgpeer-{}-{number}", id()),
        };
        for name in [&space.port, &space.peer] {
            ip(&["netns", "add", name]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        space
    }

    /// Adds a veth pair between them: `tg0` at the port, with `queues` queues at both ends, and
    /// `peer0` with the addresses 10.77.0.1 and fd77::1. Neither end sends anything by itself.
    pub(crate) fn add_veth(&self, queues: u32) {
        let queues = queues.to_string();
        let queues = ["numrxqueues", &queues, "numtxqueues", &queues];
        let mut add = vec!["-n", &self.port, "link", "add", PORT_IF];
        add.extend(queues);
        add.extend(["type", "veth", "peer", "name", PEER_IF, "netns", &self.peer]);
        add.extend(queues);
        ip(&add);
        self.configure_peer(PEER_IF, &self.peer);
        self.quiet(&self.port, PORT_IF);
        ip(&["-n", &self.port, "link", "set", PORT_IF, "up"]);
    }

    /// Gives the kernel's end of a cable its addresses and sets it up.
    pub(crate) fn configure_peer(&self, interface: &str, namespace: &str) {
        self.quiet(namespace, interface);
        ip(&[
            "-n",
            namespace,
            "address",
            "add",
            "10.77.0.1/24",
            "dev",
            interface,
        ]);
        ip(&["-n", namespace, "link", "set", interface, "up"]);
        ip(&[
            "-n",
            namespace,
            "address",
            "add",
            "fd77::1/64",
            "dev",
            interface,
            "nodad",
        ]);
    }

    /// Runs `task` in a thread inside the peer's namespace.
    pub(crate) fn at_peer<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let run = || {
            enter(&self.peer);
            task()
        };
        let result = thread::scope(|scope| scope.spawn(run).join());
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// No router solicitations and no link-local address: what is seen is what the test sent.
    fn quiet(&self, namespace: &str, interface: &str) {
        ip(&[
            "-n",
            namespace,
            "link",
            "set",
            interface,
            "addrgenmode",
            "none",
        ]);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        for name in [&self.port, &self.peer] {
            // Deleting a namespace deletes the virtual interfaces in it.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

/// Runs `test` in a thread inside the port's namespace of a new space, or says why it cannot.
pub(crate) fn in_space(test: impl FnOnce(&Space) + Send) {
    if !may_make_namespaces() {
        return;
    }
    let space = Space::new();
    let result = thread::scope(|scope| {
        let run = || {
            enter(&space.port);
            test(&space);
        };
        scope.spawn(run).join()
    });
    drop(space);
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Moves the calling thread into a namespace.
pub(crate) fn enter(namespace: &str) {
    let file = File::open(format!("/run/netns/{namespace}")).expect("the namespace has a name");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("root may enter a namespace");
}

/// Runs `ip` and fails loudly.
pub(crate) fn ip(arguments: &[&str]) {
    let Output { status, stderr, .. } = Command::new("ip")
        .args(arguments)
        .output()
        .expect("iproute2 is installed");
    assert!(
        status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&stderr)
    );
}

#[expect(
    clippy::disallowed_macros,
    reason = "a test that is skipped must say so"
)]
fn may_make_namespaces() -> bool {
    let probe = format!("tgprobe-{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let made = Command::new("ip").args(["netns", "add", &probe]).output();
    if made.as_ref().is_ok_and(|output| output.status.success()) {
        ip(&["netns", "delete", &probe]);
        return true;
    }
    assert!(
        std::env::var_os("TIDEGATE_REQUIRE_NET").is_none(),
        "TIDEGATE_REQUIRE_NET is set, but no network namespace can be made: {made:?}"
    );
    eprintln!("SKIPPED: no network namespace can be made here; needs root and iproute2");
    false
}
