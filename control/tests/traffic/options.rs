//! Kernels and Tidegates that do without one TCP option or another, over a path that loses.

use std::fs;
use std::thread;

use tidegate::testbed::{Bed, Ports};

use crate::digest::Text;
use crate::kernel::{connect, exchange};
use crate::setting::{assert_nothing_remains, front, listener};
use crate::{TIDEGATE, seed};

const LENGTH: u64 = 500_000;

/// What the client's kernel is told, as files of `/proc/sys/net/ipv4`.
const KERNELS: [&[(&str, &str)]; 6] = [
    &[("tcp_timestamps", "0")],
    &[("tcp_sack", "0")],
    &[("tcp_window_scaling", "0")],
    &[
        ("tcp_timestamps", "0"),
        ("tcp_sack", "0"),
        ("tcp_window_scaling", "0"),
    ],
    // Asks for explicit congestion notification.
    &[("tcp_ecn", "1")],
    // Buffers of a few segments: their windows are closed most of the time.
    &[
        ("tcp_rmem", "4096 8192 8192"),
        ("tcp_wmem", "4096 8192 8192"),
    ],
];

/// Keys of `[listener.tcp]`.
const LISTENERS: [&str; 10] = [
    "",
    "timestamps = false",
    "sack = false",
    "ecn = \"off\"",
    "window_scaling = false",
    "timestamps = false\nsack = false\nwindow_scaling = false",
    "congestion_control = \"newreno\"\nnodelay = true",
    "mss_max = 536\ninitial_window = 1",
    "mtu_probing = \"always\"",
    "rmem = \"8k\"\nwmem = \"8k\"",
];

/// An echo for each kind of listener, on ports from here on.
const PORT: u16 = 1000;

fn tables() -> String {
    let each = LISTENERS.iter().zip(PORT..);
    let tables = each.map(|(keys, port)| {
        listener(&format!("echo-{port}"), port, "echo") + &format!("[listener.tcp]\n{keys}\n")
    });
    tables.collect()
}

/// Changes the TCP of the client's namespace. Each network namespace has its own settings, and a
/// thread sees those of the one it is in.
fn tell_kernel(bed: &Bed, settings: &[(&str, &str)]) {
    bed.client().run(|| {
        for (name, value) in settings {
            let path = format!("/proc/sys/net/ipv4/{name}");
            fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    });
}

fn assert_each_kind_talks(settings: &[(&str, &str)], seed: u64) {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    tell_kernel(&bed, settings);
    let fault = format!("[port.fault]\nloss = 0.01\nreorder = 0.01\nseed = {seed}\n");
    let ports = Ports {
        front: fault,
        ..Ports::default()
    };
    let _tidegate = bed.run_on(&ports, &tables());
    thread::scope(|scope| {
        for (port, keys) in (PORT..).zip(LISTENERS) {
            let (bed, to) = (&bed, front(port)[usize::from(port % 2)]);
            scope.spawn(move || {
                let (sent, received) = exchange(&connect(bed, to), Text::new(1, LENGTH));
                assert_eq!(received, sent, "{settings:?} with {keys:?}");
            });
        }
    });
    assert_nothing_remains(&bed);
}

#[test]
fn any_set_of_options_carries_text() {
    let seed = seed(6);
    for settings in KERNELS {
        assert_each_kind_talks(settings, seed);
    }
}
