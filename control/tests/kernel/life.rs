//! How a run ends: SIGTERM drains, a second one does not wait, and kill -9 leaves nothing behind.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tidegate::admin::Phase;
use tidegate::testbed::{Bed, skip};
use tidegate::topology::{Process, Service};

use crate::client::{connect, front, try_connect};
use crate::{PATIENCE, TIDEGATE, listener};

/// Longer than any test may take: a drain that a test waits for ends by its connections.
const LONG_DRAIN: &str = "[workers]\nshutdown_timeout = \"1h\"\n";

/// Sends a line and expects it back.
fn is_alive(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok()
}

fn wait_for_drain(tidegate: &mut Service) {
    let end = Instant::now() + PATIENCE;
    while tidegate.admin().status().unwrap().phase != Phase::Draining {
        assert!(Instant::now() < end, "it does not drain");
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_lets_connections_end_and_takes_no_new_ones() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let mut tidegate = bed.run(&(LONG_DRAIN.to_owned() + &listener("echo", 7, "echo")));
    let mut streams = front(7).map(|address| connect(&bed, address));
    assert!(streams.iter_mut().all(is_alive));

    tidegate.process().signal(Signal::SIGTERM).unwrap();
    wait_for_drain(&mut tidegate);
    for address in front(7) {
        let refused = try_connect(&bed, address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    assert!(streams.iter_mut().all(is_alive));
    assert!(tidegate.process().ended().unwrap().is_none());
    drop(streams);
    let status = tidegate.process().wait(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

#[test]
fn drain_ends_at_the_shutdown_timeout() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let short = "[workers]\nshutdown_timeout = \"300ms\"\n";
    let mut tidegate = bed.run(&(short.to_owned() + &listener("echo", 7, "echo")));
    let mut stream = connect(&bed, front(7)[0]);
    assert!(is_alive(&mut stream));
    tidegate.process().signal(Signal::SIGTERM).unwrap();
    let status = tidegate.process().wait(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert!(!is_alive(&mut stream), "the connection was reset");
}

#[test]
fn second_sigterm_and_sigint_do_not_wait() {
    for signals in [
        [Signal::SIGTERM, Signal::SIGTERM],
        [Signal::SIGTERM, Signal::SIGINT],
    ] {
        let Some(bed) = Bed::new(TIDEGATE) else {
            return;
        };
        let mut tidegate = bed.run(&(LONG_DRAIN.to_owned() + &listener("echo", 7, "echo")));
        let mut stream = connect(&bed, front(7)[0]);
        assert!(is_alive(&mut stream));
        tidegate.process().signal(signals[0]).unwrap();
        wait_for_drain(&mut tidegate);
        tidegate.process().signal(signals[1]).unwrap();
        let status = tidegate.process().wait(PATIENCE).unwrap();
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
        assert!(
            !bed.folder().socket().exists(),
            "the admin socket is still there"
        );
    }
}

#[test]
fn killed_process_leaves_no_xdp_program_behind() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let mut tidegate = bed.run(&listener("echo", 7, "echo"));
    if tidegate
        .status()
        .ports
        .iter()
        .any(|port| port.driver != "af_xdp")
    {
        return skip("AF_XDP does not work here");
    }
    let programs = |bed: &Bed| {
        let links = bed.tidegate().ip_output(&["-d", "link", "show"]).unwrap();
        links.matches("prog/xdp").count()
    };
    assert_eq!(programs(&bed), 2, "one on each port while it runs");
    assert!(is_alive(&mut connect(&bed, front(7)[0])));
    tidegate.process().kill().unwrap();
    // The kernel releases sockets and links in the background.
    let end = Instant::now() + PATIENCE;
    while programs(&bed) > 0 {
        assert!(
            Instant::now() < end,
            "an XDP program has outlived its process"
        );
        sleep(Duration::from_millis(10));
    }
    // The ports can be opened again at once, over the stale admin socket.
    let _again = bed.run(&listener("echo", 7, "echo"));
    assert!(is_alive(&mut connect(&bed, front(7)[0])));
}

#[test]
fn what_cannot_be_opened_is_said_and_the_exit_code_is_not_zero() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let socket = bed.folder().socket();
    let text = format!(
        "[admin]\nsocket = \"{}\"\n[[port]]\ninterface = \"nowhere0\"\n\
         driver = \"af_packet\"\naddresses = [\"192.0.2.1/24\"]\n{}",
        socket.display(),
        listener("echo", 7, "echo")
    );
    let file = bed.folder().write("wrong.toml", &text).unwrap();
    let mut command = bed.tidegate().command(TIDEGATE);
    bed.folder()
        .collect_output("wrong", command.arg("run").arg(file))
        .unwrap();
    let mut process = Process::start("wrong", &mut command).unwrap();
    let status = process.wait(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| !status.success()), "{status:?}");
    let said = bed.folder().output("wrong");
    assert!(said.contains("nowhere0"), "{said}");
    assert!(!socket.exists(), "the admin socket is still there");
}

#[test]
fn each_line_of_a_json_log_is_an_object() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let json = "[log]\nformat = \"json\"\n".to_owned();
    let tidegate = bed.run(&(json + &listener("echo", 7, "echo")));
    tidegate.terminate(PATIENCE, bed.folder()).unwrap();
    let log = bed.folder().output("tidegate");
    let messages: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let opened = messages
        .iter()
        .filter(|message| message["message"] == "queue opened");
    let ports: Vec<&Value> = opened.map(|message| &message["port"]).collect();
    assert_eq!(ports, ["front", "back"], "{log}");
}
