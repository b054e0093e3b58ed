//! Ends of connections through a proxy: half-close and RST go across, in both directions.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::thread;

use tidegate::testbed::Bed;

use crate::digest::{Text, receive};
use crate::kernel::{assert_reset, exchange, join, listen, reset, send};
use crate::setting::{assert_nothing_remains, back, proxies, stats, ways};
use crate::{TIDEGATE, wait_until};

/// Lengths of the texts that both ends send. The longest is more than all windows and queues of the
/// way hold, so that text still waits when the FIN is sent.
const LENGTHS: [(u64, u64); 5] = [(0, 0), (0, 1), (1, 0), (1000, 6_000_000), (6_000_000, 1000)];

/// Two proxies with a server of each family behind them.
fn bed_with_servers() -> Option<(Bed, [TcpListener; 2])> {
    let bed = Bed::new(TIDEGATE)?;
    let servers = back(0, 8000).map(|at| listen(&bed, at));
    Some((bed, servers))
}

/// One end sends its text and FIN; only when the other has read to the end does it answer.
fn one_after_the_other(first: &TcpStream, second: &TcpStream, lengths: (u64, u64)) {
    for (from, to, length) in [(first, second, lengths.0), (second, first, lengths.1)] {
        thread::scope(|scope| {
            let sending = scope.spawn(|| send(from, Text::new(length, length)));
            let received = receive(to).expect("the other end sends FIN");
            assert_eq!(received, sending.join().unwrap());
        });
    }
}

#[test]
fn half_close_goes_through_in_both_directions() {
    let Some((bed, servers)) = bed_with_servers() else {
        return;
    };
    let _tidegate = bed.run(&proxies(back(0, 8000)));
    for (to, number) in ways() {
        for lengths in LENGTHS {
            let (client, server) = join(&bed, to, &servers[number]);
            one_after_the_other(&client, &server, lengths);
            let (client, server) = join(&bed, to, &servers[number]);
            one_after_the_other(&server, &client, lengths);
        }
    }
    assert_nothing_remains(&bed);
}

#[test]
fn both_ends_may_send_and_close_at_once() {
    let Some((bed, servers)) = bed_with_servers() else {
        return;
    };
    let _tidegate = bed.run(&proxies(back(0, 8000)));
    for (to, number) in ways() {
        let (client, server) = join(&bed, to, &servers[number]);
        thread::scope(|scope| {
            let other = scope.spawn(|| exchange(&server, Text::new(1, 2_000_000)));
            let (up_sent, down_received) = exchange(&client, Text::new(2, 2_000_000));
            let (down_sent, up_received) = other.join().unwrap();
            assert_eq!(up_received, up_sent, "{to}");
            assert_eq!(down_received, down_sent, "{to}");
        });
    }
    assert_nothing_remains(&bed);
}

#[test]
fn rst_goes_through_in_both_directions() {
    let Some((bed, servers)) = bed_with_servers() else {
        return;
    };
    let _tidegate = bed.run(&proxies(back(0, 8000)));
    for (to, number) in ways() {
        let (client, server) = join(&bed, to, &servers[number]);
        reset(client);
        assert_reset(server);
        let (client, server) = join(&bed, to, &servers[number]);
        reset(server);
        assert_reset(client);
    }
    assert_nothing_remains(&bed);
    assert_eq!(
        stats(&bed).flows["TIME_WAIT"],
        0,
        "nobody waits after a RST"
    );
    let counters = stats(&bed).counters;
    assert_eq!((counters["ended_reset"], counters["ended_aborted"]), (8, 8));
}

#[test]
fn rst_overtakes_text_that_waits() {
    let Some((bed, servers)) = bed_with_servers() else {
        return;
    };
    let _tidegate = bed.run(&proxies(back(0, 8000)));
    for (to, number) in ways() {
        // The client never reads, so the server's text fills every queue of the way.
        let (client, server) = join(&bed, to, &servers[number]);
        let sending = thread::spawn(move || Text::new(3, u64::MAX).send(server));
        wait_until("text waits", || {
            stats(&bed).counters["text_blocks_free"] < stats(&bed).counters["text_blocks"]
        });
        reset(client);
        let error = sending.join().unwrap().expect_err("nobody reads all this");
        let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    assert_nothing_remains(&bed);
}
