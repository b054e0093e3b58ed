//! Little memory: what has no room waits or is refused, and what is there goes on.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use tidegate::testbed::{Bed, Ports};

use crate::digest::Text;
use crate::kernel::{connect, echo, exchange};
use crate::setting::{assert_nothing_remains, front, listener, stats};
use crate::{TIDEGATE, wait_until};

/// Each client sends a text of this length and reads it again.
const LENGTH: u64 = 1_000_000;

/// Clients at the same time, half of them over each family.
const CLIENTS: usize = 40;

fn all_exchange(bed: &Bed, to: [SocketAddr; 2]) {
    thread::scope(|scope| {
        for to in to.into_iter().cycle().take(CLIENTS) {
            scope.spawn(move || {
                let (sent, received) = exchange(&connect(bed, to), Text::new(1, LENGTH));
                assert_eq!(received, sent, "{to}");
            });
        }
    });
    assert_nothing_remains(bed);
}

#[test]
fn all_clients_get_through_with_little_text_memory() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    // A fortieth of what the windows of all clients together promise.
    let workers = "[workers]\ntext_memory = \"1m\"\n";
    let _tidegate = bed.run(&(workers.to_owned() + &listener("echo", 7, "echo")));
    all_exchange(&bed, front(7));
}

#[test]
fn all_clients_get_through_with_few_frames() {
    for driver in ["af_xdp", "af_packet"] {
        let Some(bed) = Bed::new(TIDEGATE) else {
            return;
        };
        let few = "frames = 512\n".to_owned();
        let ports = Ports {
            driver,
            front: few.clone(),
            back: few,
        };
        let _tidegate = bed.run_on(&ports, &listener("echo", 7, "echo"));
        all_exchange(&bed, front(7));
    }
}

#[test]
fn full_flow_table_refuses_new_connections_and_keeps_the_old() {
    const FLOWS: usize = 16;
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let workers = format!("[workers]\nflows_max = {FLOWS}\n");
    let _tidegate = bed.run(&(workers + &listener("echo", 7, "echo")));
    let mut old: Vec<TcpStream> = front(7)
        .into_iter()
        .cycle()
        .take(FLOWS)
        .map(|to| connect(&bed, to))
        .collect();
    // A SYN that finds no room is dropped; the kernel would repeat it for minutes.
    let soon = Duration::from_millis(100);
    for to in front(7) {
        let refused = bed.client().run(|| TcpStream::connect_timeout(&to, soon));
        assert!(refused.is_err(), "{to}");
    }
    wait_until("they are counted", || {
        stats(&bed).discards["flow_table_full"].count >= 2
    });
    old.iter_mut()
        .for_each(|stream| echo(stream, b"still here"));

    drop(old);
    assert_nothing_remains(&bed);
    for to in front(7) {
        echo(&mut connect(&bed, to), b"room again");
    }
}

#[test]
fn clients_that_do_not_read_leave_memory_to_the_others() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    // The send queues of so many would take ten times that.
    let workers = "[workers]\ntext_memory = \"4m\"\n".to_owned();
    let greedy = listener("chargen", 19, "chargen") + "[listener.tcp]\nwmem = \"1m\"\n";
    let _tidegate = bed.run(&(workers + &greedy + &listener("echo", 7, "echo")));
    let to = front(19).into_iter().cycle().take(CLIENTS);
    let silent: Vec<TcpStream> = to.map(|to| connect(&bed, to)).collect();
    let mut seen = 0;
    wait_until("they have what they can get", || {
        let free = stats(&bed).counters["text_blocks_free"];
        thread::sleep(Duration::from_millis(200));
        std::mem::replace(&mut seen, free) == free
    });
    for to in front(7).into_iter().cycle().take(20) {
        echo(&mut connect(&bed, to), b"is there room?");
    }
    for to in front(7) {
        let (sent, received) = exchange(&connect(&bed, to), Text::new(1, LENGTH));
        assert_eq!(received, sent, "{to}");
    }
    let stats = stats(&bed);
    assert_eq!(
        stats.counters["memory_pressed"], 1,
        "{seen} blocks are free"
    );
    assert!(stats.counters["memory_pressures"] > 0);
    drop(silent);
    assert_nothing_remains(&bed);
}
