//! The kernel connects to the agent.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};

use serde_json::json;

use crate::lab::{ECHO, Lab, agent_addresses};

#[test]
fn the_echo_answers_over_both_families() {
    let Some(lab) = Lab::new(&[]) else { return };
    for address in agent_addresses() {
        let mut stream = lab.dial_at(SocketAddr::new(address, ECHO));
        stream.write_all(b"high tide").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back, b"high tide");
    }
}

#[test]
fn a_connection_is_accepted_spoken_over_and_closed_from_both_sides() {
    let Some(lab) = Lab::new(&["--tcp", "time_wait=1s"]) else {
        return;
    };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    assert_eq!(control.value("state", listener).as_deref(), Some("LISTEN"));
    for address in agent_addresses() {
        let mut stream = lab.dial_at(SocketAddr::new(address, 80));
        let h = control.accept(listener);
        assert_ne!(h, listener);
        assert_eq!(control.value("state", h).as_deref(), Some("ESTABLISHED"));
        stream.write_all(b"low tide").unwrap();
        let (mut text, eof) = control.recv(h, 3);
        assert_eq!((text.as_slice(), eof), (&b"low"[..], false));
        text = control.recv(h, 100).0;
        assert_eq!(text, b" tide");
        control.send_all(h, b"ebb");
        control.act("shutdown", h);
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back, b"ebb");
        control.wait_for_state(h, Some("FIN-WAIT-2"));
        // Reading goes on after our FIN.
        stream.write_all(b"last").unwrap();
        drop(stream);
        assert_eq!(control.recv(h, 100), (b"last".to_vec(), false));
        assert_eq!(control.recv(h, 100), (Vec::new(), true));
        assert_eq!(control.recv(h, 100), (Vec::new(), true), "it stays so");
        assert_eq!(control.value("error", h), None);
        assert_eq!(control.value("state", h).as_deref(), Some("TIME-WAIT"));
        control.wait_for_state(h, None);
        control.act("close", h);
        assert_eq!(control.error(&json!({"op": "state", "h": h})), "EBADF");
    }
    control.act("close", listener);
    let refused = lab.bed.client().run(|| {
        std::net::TcpStream::connect_timeout(
            &SocketAddr::new(agent_addresses()[0], 80),
            crate::PATIENCE,
        )
    });
    let refused = refused.unwrap_err().kind();
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn nothing_to_accept_and_nothing_to_read_is_timed_out() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    for timeout in [0.0, 0.05] {
        let accept = json!({"op": "accept", "h": listener, "timeout": timeout});
        assert_eq!(control.error(&accept), "ETIMEDOUT");
    }
    let mut stream = lab.dial(80);
    let h = control.accept(listener);
    for timeout in [0.0, 0.05] {
        let answer = control.ask(&json!({"op": "recv", "h": h, "n": 1, "timeout": timeout}));
        // That is no end of the connection.
        assert_eq!(
            answer,
            json!({"ok": false, "error": "ETIMEDOUT", "pending": true})
        );
    }
    stream.write_all(b"x").unwrap();
    assert_eq!(control.recv(h, 10).0, b"x");
}

#[test]
fn connections_wait_in_the_backlog_until_they_are_accepted() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let mut streams: Vec<_> = (0..5).map(|_| lab.dial(80)).collect();
    for (number, stream) in (0u8..).zip(&mut streams) {
        stream.write_all(&[number]).unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..5 {
        // Those who wait are there at once.
        let h = control.ok(&json!({"op": "accept", "h": listener, "timeout": 0}))["h"].clone();
        numbers.extend(control.recv(h.as_u64().unwrap(), 10).0);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    // What nobody accepts is reset when the listener is closed.
    let mut waiting = lab.dial(80);
    control.act("close", listener);
    let error = waiting.read(&mut [0]).unwrap_err().kind();
    assert_eq!(error, std::io::ErrorKind::ConnectionReset);
}

#[test]
fn text_that_nobody_reads_closes_the_window() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({"rcvbuf": 20_000}));
    let mut stream = lab.dial(80);
    let h = control.accept(listener);
    let text: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            stream.write_all(&text).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        // The window is closed when less than a segment more would fit, and nothing comes then, so
        // the first read says what was offered.
        let shown = || {
            lab.bed
                .client()
                .command("ss")
                .args(["-tino"])
                .output()
                .unwrap()
        };
        let end = std::time::Instant::now() + crate::PATIENCE;
        while !String::from_utf8_lossy(&shown().stdout).contains("persist") {
            assert!(
                std::time::Instant::now() < end,
                "the kernel never met a closed window"
            );
        }
        let (first, _) = control.recv(h, 1 << 20);
        let offered = 20_000 - 1448..=20_000;
        assert!(offered.contains(&first.len()), "{}", first.len());
        [first, control.recv_to_end(h)].concat()
    });
    assert!(
        received == text,
        "{} bytes of {}",
        received.len(),
        text.len()
    );
}
