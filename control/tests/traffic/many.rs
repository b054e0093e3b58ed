//! A thousand connections at once, mostly idle.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use tidegate::testbed::Bed;

use crate::kernel::{connect, echo};
use crate::setting::{
    ask, assert_books_balance, assert_nothing_remains, back, flows, front, listener, proxy, stats,
};
use crate::web::{Asking, read_answer, serve};
use crate::{TIDEGATE, wait_until};

/// Of each service over each family.
const EACH: usize = 250;

const BODY: &str = "one of a thousand";

/// The value of a row of `tidegate ss -s`, 0 where there is none.
fn summary(bed: &Bed, row: &str) -> u64 {
    let text = ask(bed, &["ss", "-s"]);
    let mut rows = text.lines().map(|line| line.split_whitespace());
    let cell = rows.find_map(|mut cells| (cells.next() == Some(row)).then(|| cells.next()));
    cell.flatten().map_or(0, |count| count.parse().unwrap())
}

/// Both ends of each established connection, as `tidegate ss --json` has them: ours first.
fn established(bed: &Bed) -> BTreeSet<(SocketAddr, SocketAddr)> {
    let flows = flows(bed).into_iter();
    flows
        .filter(|flow| flow.state == "ESTABLISHED")
        .map(|flow| (flow.local, flow.remote))
        .collect()
}

fn open(bed: &Bed, port: u16) -> Vec<TcpStream> {
    let both = front(port).map(|to| (0..EACH).map(|_| connect(bed, to)).collect::<Vec<_>>());
    both.into_iter().flatten().collect()
}

#[test]
fn thousand_connections_are_counted_answered_and_gone() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let web = listener("web", 80, "respond") + &format!("[listener.respond]\nbody = \"{BODY}\"\n");
    let _tidegate = bed.run(&(listener("echo", 7, "echo") + &web));
    let (mut echoes, mut webs) = (open(&bed, 7), open(&bed, 80));

    let all = 4 * EACH as u64;
    wait_until("all are established", || summary(&bed, "ESTAB") == all);
    assert_eq!(summary(&bed, "Total"), all);
    let ends = |stream: &TcpStream| (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
    let expected: BTreeSet<_> = echoes.iter().chain(&webs).map(ends).collect();
    assert_eq!(established(&bed), expected);

    for stream in &mut webs {
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
    }
    for (number, stream) in echoes.iter_mut().enumerate() {
        echo(stream, format!("number {number}").as_bytes());
    }
    for stream in &mut webs {
        read_answer(stream, BODY);
    }
    let stats = stats(&bed);
    assert_eq!(stats.counters["accepted"], all);
    assert_books_balance(&stats);

    drop((echoes, webs));
    assert_nothing_remains(&bed);
    assert_eq!(summary(&bed, "Total"), 0);
}

#[test]
fn thousand_clients_share_two_backends() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let (at_a, at_b) = (back(0, 8000), back(1, 8000));
    let (_a, _b) = (serve(&bed, "a", &at_a), serve(&bed, "b", &at_b));
    let pool = [("a4", at_a[0]), ("b6", at_b[1])];
    let _tidegate = bed.run(&proxy("web", 80, "", &pool));
    let clients = front(80).into_iter().cycle().take(1000);
    let mut clients: Vec<Asking> = clients.map(|to| Asking::open(&bed, to)).collect();
    wait_until("both connections of each are established", || {
        summary(&bed, "ESTAB") == 2000
    });
    let names: Vec<String> = clients
        .iter_mut()
        .map(|asking| asking.ask().unwrap())
        .collect();
    let of_a = names.iter().filter(|name| *name == "a").count();
    assert_eq!((names.len(), of_a), (1000, 500));

    drop(clients);
    assert_nothing_remains(&bed);
    let stats = stats(&bed);
    for name in ["web/web/a4", "web/web/b6"] {
        let backend = &stats.backends[name];
        assert_eq!(
            (backend.opened, backend.failed, backend.active),
            (500, 0, 0),
            "{name}"
        );
    }
}
