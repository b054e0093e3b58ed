//! What the kernel tests of this package and of others share: the three namespaces of
//! [`crate::topology::Three`] with a Tidegate of the test's choice in the middle.
//!
//! ```no_run
//! use tidegate::testbed::Bed;
//!
//! let Some(bed) = Bed::new("target/debug/tidegate") else { return };
//! let mut tidegate = bed.run(
//!     "[[listener]]\nname = \"echo\"\naddresses = [\"*:7\"]\nservice = \"echo\"\n",
//! );
//! let stream = bed.client().run(|| std::net::TcpStream::connect("192.0.2.1:7"));
//! println!("{:?} {:?}", stream, tidegate.admin().flows(false));
//! ```
//!
//! Everything panics on failure: this is for tests only.

use std::io::Write as _;
use std::process::id;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::demo::is_privileged;
use crate::topology::{Folder, Namespace, Plan, Service, Side, Three, remove_leftovers};

/// First part of the names of everything a test makes.
const PREFIX: &str = "tidegate-test";

/// Beds of this process so far, so that their names differ.
static BEDS: AtomicU32 = AtomicU32::new(0);

/// Whether a test that lacks something must fail instead of being skipped.
#[must_use]
pub fn is_required() -> bool {
    std::env::var_os("TIDEGATE_REQUIRE_NET").is_some_and(|value| value == "1")
}

/// Says loudly why a test is skipped.
///
/// # Panics
///
/// If `TIDEGATE_REQUIRE_NET=1` is set, which makes a skip a failure.
pub fn skip(why: &str) {
    assert!(!is_required(), "TIDEGATE_REQUIRE_NET=1, and yet: {why}");
    // Not by eprintln!, which the test harness keeps to itself when a test passes.
    let line = format!("SKIPPED: {why}\n");
    // Nobody listens: then nobody can be told.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What the two `[[port]]` tables say beside interface and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The driver of both.
    pub driver: &'static str,
    /// Further keys and tables of the port towards the client.
    pub front: String,
    /// Further keys and tables of the port towards the backends.
    pub back: String,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            driver: "auto",
            front: String::new(),
            back: String::new(),
        }
    }
}

/// Three namespaces and a folder, removed when this is dropped, also by a failing test, which then
/// prints what Tidegate has printed.
#[derive(Debug)]
pub struct Bed {
    program: String,
    folder: Folder,
    three: Three,
}

impl Bed {
    /// A fresh bed for this binary; `None` where the test is skipped for want of privilege.
    #[must_use]
    pub fn new(program: &str) -> Option<Self> {
        Self::with_plan(program, Plan::new(PREFIX))
    }

    /// A fresh bed with queues, MTU or large segments of the test's choice.
    ///
    /// # Panics
    ///
    /// If privilege is lacking and [`is_required`], or if the network cannot be made.
    #[must_use]
    pub fn with_plan(program: &str, plan: Plan) -> Option<Self> {
        if !is_privileged() {
            skip("network namespaces need root");
            return None;
        }
        let number = BEDS.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            remove_leftovers(PREFIX).expect("what killed tests left over can be removed");
        }
        let plan = Plan {
            prefix: PREFIX.to_owned(),
            number: Some(number),
            ..plan
        };
        let three = Three::create(&plan).expect("root can make namespaces");
        let folder = Folder::create(&format!("{PREFIX}-{}-{number}", id())).expect("a folder");
        Some(Self {
            program: program.to_owned(),
            folder,
            three,
        })
    }

    /// Where the clients are.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.three.client
    }

    /// Where Tidegate is.
    #[must_use]
    pub fn tidegate(&self) -> &Namespace {
        &self.three.tidegate
    }

    /// Where the backends are.
    #[must_use]
    pub fn backends(&self) -> &Namespace {
        &self.three.backends
    }

    /// Where files, sockets and outputs are.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Runs Tidegate on both ports with these listeners, pools and other tables.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn run(&self, tables: &str) -> Service {
        self.run_on(&Ports::default(), tables)
    }

    /// Runs Tidegate with ports of the test's choice.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn run_on(&self, ports: &Ports, tables: &str) -> Service {
        let socket = self.folder.socket();
        let text = format!(
            "[admin]\nsocket = \"{}\"\n\n{}{}\n{}{}\n{tables}",
            socket.display(),
            Side::FRONT.port(ports.driver),
            ports.front,
            Side::BACK.port(ports.driver),
            ports.back,
        );
        let started = Service::start(&self.program, self.tidegate(), &self.folder, &text);
        started.unwrap_or_else(|error| panic!("{error:#}\n\nwith this configuration:\n{text}"))
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("Tidegate has printed:\n{}", self.folder.output("tidegate"));
        }
    }
}
