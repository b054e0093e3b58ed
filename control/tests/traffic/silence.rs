//! Peers that say nothing: dead ones are noticed, and so is a silence that lasts too long.

use std::net::{SocketAddr, TcpListener, TcpStream};

use nix::sys::socket::Backlog;
use tidegate::testbed::Bed;

use crate::kernel::{assert_reset, connect, echo, join, listen};
use crate::setting::{assert_nothing_remains, back, front, listener, proxy, stats};
use crate::web::{Asking, serve};
use crate::{TIDEGATE, wait_until};

#[test]
fn keepalive_notices_a_client_that_has_vanished() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let keepalive = "keepalive = true\nkeepalive_time = \"1s\"\nkeepalive_intvl = \"1s\"\n";
    let tcp = format!("[listener.tcp]\n{keepalive}keepalive_probes = 2\n");
    let _tidegate = bed.run(&(listener("echo", 7, "echo") + &tcp));
    let mut streams = front(7).map(|to| connect(&bed, to));
    // While the client is there it answers the probes, however many.
    wait_until("some probes have been sent", || {
        stats(&bed).counters["timers_fired"] >= 8
    });
    streams
        .iter_mut()
        .for_each(|stream| echo(stream, b"still here"));

    bed.client()
        .ip(&["link", "set", "dev", "eth0", "down"])
        .unwrap();
    assert_nothing_remains(&bed);
    assert_eq!(stats(&bed).counters["ended_timed_out"], 2);
}

#[test]
fn silent_pair_is_ended_on_both_sides() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let (at, server) = (back(0, 8000)[0], listen(&bed, back(0, 8000)[0]));
    let _tidegate = bed.run(&proxy("web", 80, "timeout_idle = \"1s\"\n", &[("one", at)]));
    for to in front(80) {
        let (client, server) = join(&bed, to, &server);
        assert_reset(client);
        assert_reset(server);
    }
    assert_nothing_remains(&bed);
}

#[test]
fn backends_that_do_not_answer_are_passed_over() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _b = serve(&bed, "b", &back(1, 8000));
    // One address that nobody has, and one where the queue is full and SYNs are dropped.
    let (absent, full) = ("198.51.100.99:8000".parse().unwrap(), back(0, 8000)[0]);
    let _full = listen_without_room(&bed, full);
    let pool = [("absent", absent), ("full", full), ("b", back(1, 8000)[1])];
    // As often as it takes: a machine in a hurry may be too slow for `b`, too.
    let keys = "timeout_connect = \"200ms\"\nretries = 100\n";
    let _tidegate = bed.run(&proxy("web", 80, keys, &pool));
    let mut clients: Vec<Asking> = front(80)
        .into_iter()
        .cycle()
        .take(12)
        .map(|to| Asking::open(&bed, to))
        .collect();
    for asking in &mut clients {
        assert_eq!(asking.ask().unwrap(), "b");
    }
    let backends = stats(&bed).backends;
    for name in ["absent", "full"] {
        let backend = &backends[&format!("web/web/{name}")];
        assert!(
            backend.failed > 0 && backend.active == 0,
            "{name}: {backend:?}"
        );
    }
}

/// A listening socket that never accepts, and the one connection that its queue has room for.
fn listen_without_room(bed: &Bed, at: SocketAddr) -> (TcpListener, TcpStream) {
    let listener = listen(bed, at);
    // Listening again makes the queue shorter: of length 0, it takes one.
    nix::sys::socket::listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let first = bed.backends().run(|| TcpStream::connect(at)).unwrap();
    (listener, first)
}
