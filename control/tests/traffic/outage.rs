//! Outages in the middle of a transfer: a link that goes down and comes back, a process that is
//! stopped for a while. What was lost is sent again, and nothing is lost in the end.

use std::io::{Read, Result};
use std::net::SocketAddr;
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::Signal;
use tidegate::testbed::{Bed, Ports};
use tidegate::topology::{Namespace, Service};

use crate::TIDEGATE;
use crate::digest::{Text, receive};
use crate::kernel::{connect, send};
use crate::setting::{assert_nothing_remains, front, listener};

const LENGTH: u64 = 20_000_000;

/// Bytes that come back before the outage.
const BEFORE: usize = 3_000_000;

/// How long the outage lasts: longer than what is in the queues does.
const OUTAGE: Duration = Duration::from_millis(400);

/// A reader that does something after some bytes.
struct Until<R, F: FnOnce()> {
    reader: R,
    left: usize,
    then: Option<F>,
}

impl<R: Read, F: FnOnce()> Read for Until<R, F> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let length = self.reader.read(bytes)?;
        self.left = self.left.saturating_sub(length);
        if self.left == 0
            && let Some(then) = self.then.take()
        {
            then();
        }
        Ok(length)
    }
}

/// Echoes a long text with an outage in the middle.
fn assert_survived(bed: &Bed, to: SocketAddr, outage: impl FnOnce()) {
    let stream = connect(bed, to);
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(&stream, Text::new(1, LENGTH)));
        let reader = Until {
            reader: &stream,
            left: BEFORE,
            then: Some(outage),
        };
        let received = receive(reader).expect("the peer ends with FIN");
        assert_eq!(received, sending.join().unwrap(), "{to}");
    });
    assert_nothing_remains(bed);
}

fn flap(namespace: &Namespace, interface: &str) {
    for state in ["down", "up"] {
        namespace
            .ip(&["link", "set", "dev", interface, state])
            .unwrap();
        sleep(OUTAGE);
    }
}

fn on_driver(driver: &'static str) -> Option<(Bed, Service)> {
    let bed = Bed::new(TIDEGATE)?;
    let ports = Ports {
        driver,
        ..Ports::default()
    };
    let tidegate = bed.run_on(&ports, &listener("echo", 7, "echo"));
    Some((bed, tidegate))
}

#[test]
fn link_may_go_down_and_come_back() {
    for driver in ["af_xdp", "af_packet"] {
        let Some((bed, _tidegate)) = on_driver(driver) else {
            return;
        };
        for to in front(7) {
            assert_survived(&bed, to, || flap(bed.tidegate(), "front"));
        }
        // Only IPv4: a kernel forgets its IPv6 addresses when its interface goes down.
        assert_survived(&bed, front(7)[0], || flap(bed.client(), "eth0"));
    }
}

#[test]
fn stopped_process_goes_on_where_it_was() {
    for driver in ["af_xdp", "af_packet"] {
        let Some((bed, mut tidegate)) = on_driver(driver) else {
            return;
        };
        for to in front(7) {
            assert_survived(&bed, to, || {
                tidegate.process().signal(Signal::SIGSTOP).unwrap();
                sleep(OUTAGE);
                tidegate.process().signal(Signal::SIGCONT).unwrap();
            });
        }
    }
}

#[test]
fn client_may_come_back_with_another_mac_address() {
    let Some((bed, _tidegate)) = on_driver("auto") else {
        return;
    };
    for (to, mac) in front(7)
        .into_iter()
        .zip(["02:00:00:00:00:04", "02:00:00:00:00:06"])
    {
        assert_survived(&bed, to, || {
            let change = ["link", "set", "dev", "eth0", "address", mac];
            bed.client().ip(&change).unwrap();
        });
    }
}
