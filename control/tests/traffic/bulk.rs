//! 100 MB in one connection, each way, compared by hash.

use std::net::TcpListener;
use std::thread;

use tidegate::testbed::Bed;

use crate::TIDEGATE;
use crate::digest::{Text, receive};
use crate::kernel::{connect, exchange, join, listen, send};
use crate::setting::{assert_nothing_remains, back, front, listener, proxies, ways};

const LENGTH: u64 = 100_000_000;

#[test]
fn echo_gives_back_a_long_text_while_it_comes() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    for to in front(7) {
        let text = Text::new(7, LENGTH / 2);
        let (sent, received) = exchange(&connect(&bed, to), text);
        assert_eq!(received, sent, "{to}");
    }
    assert_nothing_remains(&bed);
}

#[test]
fn upload_through_a_proxy_is_exact() {
    let Some((bed, servers)) = bed_with_servers() else {
        return;
    };
    let _tidegate = bed.run(&proxies(back(0, 8000)));
    // Half of it over each family.
    for (to, number) in &ways()[..2] {
        let (client, server) = join(&bed, *to, &servers[*number]);
        let sending = thread::spawn(move || send(&client, Text::new(8, LENGTH / 2)));
        let received = receive(&server).expect("the client ends with FIN");
        drop(server);
        assert_eq!(received, sending.join().unwrap(), "{to}");
    }
    assert_nothing_remains(&bed);
}

#[test]
fn download_through_a_proxy_is_exact() {
    let Some((bed, servers)) = bed_with_servers() else {
        return;
    };
    let _tidegate = bed.run(&proxies(back(0, 8000)));
    for (to, number) in &ways()[..2] {
        let (client, server) = join(&bed, *to, &servers[*number]);
        let sending = thread::spawn(move || send(&server, Text::new(9, LENGTH / 2)));
        let received = receive(&client).expect("the server ends with FIN");
        drop(client);
        assert_eq!(received, sending.join().unwrap(), "{to}");
    }
    assert_nothing_remains(&bed);
}

/// A bed, and a server of each family on port 8000 of the first backend.
fn bed_with_servers() -> Option<(Bed, [TcpListener; 2])> {
    let bed = Bed::new(TIDEGATE)?;
    let servers = back(0, 8000).map(|at| listen(&bed, at));
    Some((bed, servers))
}
