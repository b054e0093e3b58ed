//! A backend that dies in mid-load: its own connections break, nobody else's.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tidegate::testbed::Bed;

use crate::setting::{assert_nothing_remains, back, front, proxy, stats};
use crate::web::{Asking, serve};
use crate::{TIDEGATE, wait_until};

/// Clients of each family; each keeps a connection and asks over it again and again.
const CLIENTS: usize = 8;

/// What the clients of a test share.
#[derive(Default)]
struct Load {
    /// Clients that have had an answer, by backend: `a`, then `b`.
    started: [AtomicUsize; 2],
    /// Answers since `a` was killed.
    answers_since: AtomicUsize,
    is_killed: AtomicBool,
    is_over: AtomicBool,
}

impl Load {
    /// Asks over one connection until it breaks or the load is over, then says who had answered.
    fn keep_asking(&self, bed: &Bed, to: SocketAddr) -> (String, Result<()>) {
        let mut asking = Asking::open(bed, to);
        let first = asking.ask().expect("both backends live");
        self.started[usize::from(first == "b")].fetch_add(1, Ordering::Relaxed);
        while !self.is_over.load(Ordering::Relaxed) {
            match asking.ask() {
                Ok(name) => assert_eq!(name, first, "a connection stays with its backend"),
                Err(error) => return (first, Err(error)),
            }
            if self.is_killed.load(Ordering::Relaxed) {
                self.answers_since.fetch_add(1, Ordering::Relaxed);
            }
        }
        (first, Ok(()))
    }

    fn has_started(&self, clients: usize) -> bool {
        let started = self.started.each_ref().map(|n| n.load(Ordering::Relaxed));
        started.iter().sum::<usize>() == clients
    }
}

/// Ends the load with the test, also when that fails.
struct Over<'a>(&'a Load);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

#[test]
fn death_of_a_backend_breaks_its_own_connections_only() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let (at_a, at_b) = (back(0, 8000), back(1, 8000));
    let mut a = serve(&bed, "a", &at_a);
    let _b = serve(&bed, "b", &at_b);
    let pool = [
        ("a4", at_a[0]),
        ("b6", at_b[1]),
        ("a6", at_a[1]),
        ("b4", at_b[0]),
    ];
    let _tidegate = bed.run(&proxy("web", 80, "retries = 3\n", &pool));

    let (bed, load) = (&bed, &Load::default());
    thread::scope(|scope| {
        let over = Over(load);
        let clients: Vec<_> = front(80)
            .into_iter()
            .flat_map(|to| [to; CLIENTS])
            .map(|to| scope.spawn(move || load.keep_asking(bed, to)))
            .collect();
        wait_until("every client has an answer", || {
            load.has_started(2 * CLIENTS)
        });
        a.kill().unwrap();
        load.is_killed.store(true, Ordering::Relaxed);

        // New connections are served, while the old ones of `b` go on.
        for to in front(80).into_iter().cycle().take(16) {
            assert_eq!(Asking::open(bed, to).ask().unwrap(), "b");
        }
        let enough = || load.answers_since.load(Ordering::Relaxed) > 100;
        wait_until("`b` goes on answering", enough);
        drop(over);
        let mut served = [0, 0];
        for client in clients {
            let (name, outcome) = client.join().unwrap();
            served[usize::from(name == "b")] += 1;
            assert_eq!(outcome.is_err(), name == "a", "{name}: {outcome:?}");
        }
        assert_eq!(served, [CLIENTS; 2], "round robin");
    });
    assert_nothing_remains(bed);
    let backends = stats(bed).backends;
    for (name, is_dead) in [("a4", true), ("a6", true), ("b4", false), ("b6", false)] {
        let backend = &backends[&format!("web/web/{name}")];
        assert_eq!(backend.failed > 0, is_dead, "{name}: {backend:?}");
    }
}
