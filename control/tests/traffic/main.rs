//! Traffic through the real binary, on veth pairs in network namespaces, against the kernel's TCP.
//!
//! What `tests/kernel` shows of single connections is asked here of many, of long ones, of bad
//! paths, of peers that break off, and of frames that nobody should send. Needs root and the `ip`
//! command; without, each test says so and is skipped, or fails if `TIDEGATE_REQUIRE_NET=1` is set.
//! Nothing here depends on the speed of the machine: waits end by an event, and the limits on them
//! only turn a hang into a failure.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod backends;
mod bulk;
mod close;
mod counting;
mod damage;
mod digest;
mod drivers;
mod garbage;
mod kernel;
mod limits;
mod loss;
mod many;
mod middle;
mod mistakes;
mod options;
mod outage;
mod pcap;
mod pressure;
mod raw;
mod setting;
mod silence;
mod tools;
mod web;

/// The binary under test.
const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// How long anything may take before it counts as hanging.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// Where the random numbers of a test begin: the same in every run, or `TIDEGATE_SEED` to look
/// further. It is printed, and so shown with a failure.
fn seed(usual: u64) -> u64 {
    let given = std::env::var("TIDEGATE_SEED").ok();
    let seed = given.map_or(usual, |text| {
        text.parse().expect("TIDEGATE_SEED is a number")
    });
    println!("seed {seed}");
    seed
}

/// Waits until something is the case, which some other thread or process brings about.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Waits until two figures agree that are on their way to it; fails with both of them.
#[track_caller]
fn wait_until_equal<T: PartialEq + std::fmt::Debug>(mut figures: impl FnMut() -> (T, T)) {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let (left, right) = figures();
        if left == right {
            return;
        }
        assert!(std::time::Instant::now() < end, "{left:?} stays {right:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
