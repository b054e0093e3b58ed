//! The control socket itself: refusals, independence of its connections, garbage, the ends.

use std::io::Read as _;
use std::net::Shutdown;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lab::{Lab, kernel_addresses};

/// Requests, a line each, with the error each is answered with before it. LISTENER and FLOW stand
/// for handles.
const REFUSED: &str = r#"
EINVAL         []
EINVAL         {}
EINVAL         {"op": 7}
EUNSUPPORTED   {"op": "dance"}
EINVAL         {"op": "listen"}
EINVAL         {"op": "listen", "port": 0}
EINVAL         {"op": "listen", "port": 65536}
EADDRINUSE     {"op": "listen", "port": 80}
EADDRINUSE     {"op": "listen", "port": 7}
EUNSUPPORTED   {"op": "listen", "port": 81, "opts": {"mood": 1}}
EINVAL         {"op": "connect", "ip": "localhost", "port": 1}
EINVAL         {"op": "connect", "ip": "192.0.2.2"}
EADDRNOTAVAIL  {"op": "connect", "ip": "192.0.2.255", "port": 1}
EADDRNOTAVAIL  {"op": "connect", "ip": "224.0.0.1", "port": 1}
EADDRNOTAVAIL  {"op": "connect", "ip": "ff02::1", "port": 1}
ENETUNREACH    {"op": "connect", "ip": "203.0.113.9", "port": 1}
EINVAL         {"op": "accept", "h": FLOW, "timeout": 0}
EBADF          {"op": "accept", "h": 4000, "timeout": 0}
EBADF          {"op": "state", "h": -1}
EINVAL         {"op": "state", "h": "one"}
EINVAL         {"op": "state"}
EINVAL         {"op": "info"}
EBADF          {"op": "info", "h": 4000}
ENOTCONN       {"op": "info", "h": LISTENER}
EINVAL         {"op": "send", "h": FLOW, "data": "?"}
ENOTCONN       {"op": "send", "h": LISTENER, "data": ""}
ENOTCONN       {"op": "recv", "h": LISTENER, "n": 1, "timeout": 0}
EINVAL         {"op": "recv", "h": FLOW, "n": 1, "timeout": -1}
EINVAL         {"op": "recv", "h": FLOW, "timeout": 0}
ENOTCONN       {"op": "shutdown", "h": LISTENER}
ENOTCONN       {"op": "wait_connected", "h": LISTENER}
EINVAL         {"op": "setopt", "h": FLOW}
EUNSUPPORTED   {"op": "setopt", "h": FLOW, "opts": {"mood": 1}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"ttl": 256}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"ttl": 0}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"dscp": 64}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"rcvbuf": 0}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"nodelay": "yes"}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"keepalive": {"idle": 0}}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"keepalive": {"count": 0}}}
EINVAL         {"op": "setopt", "h": FLOW, "opts": {"keepalive": {"mood": 1}}}
"#;

#[test]
fn what_makes_no_sense_is_refused_by_a_fitting_name() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let _stream = lab.dial(80);
    let h = control.accept(listener);
    for line in REFUSED.lines().filter(|line| !line.is_empty()) {
        let (error, request) = line.split_once(' ').unwrap();
        let request = request.replace("LISTENER", &listener.to_string());
        let request = request.replace("FLOW", &h.to_string());
        let request: Value = serde_json::from_str(&request).unwrap();
        assert_eq!(control.error(&request), error, "{request}");
    }
    // None of it has disturbed anything.
    assert_eq!(control.value("state", h).as_deref(), Some("ESTABLISHED"));
}

#[test]
fn lines_that_are_no_requests_are_answered_and_the_connection_goes_on() {
    let Some(mut lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let deep = "[".repeat(100_000);
    let lines: [&[u8]; 6] = [
        b"what?",
        b"{\"op\": \"state\", \"h\": 1",
        b"\xff\xfe\x00{}",
        b"{\"op\": \"listen\", \"port\": 1e999}",
        deep.as_bytes(),
        b"{\"op\":\"send\",\"h\":1,\"data\":\"\\ud800\"}",
    ];
    for line in lines {
        control.write(line);
        control.write(b"\n\n  \n");
        assert_eq!(control.read().unwrap()["error"], json!("EINVAL"));
    }
    // Longer than anything that is read: skipped, not stored.
    for _ in 0..80 {
        control.write(&[b'x'; 64 << 10]);
    }
    control.write(b"\n");
    assert_eq!(control.read().unwrap()["error"], json!("EMSGSIZE"));
    control.listen(80, &json!({}));
    lab.assert_alive();
}

#[test]
fn one_control_connection_neither_waits_for_nor_touches_what_another_has() {
    let Some(lab) = Lab::new(&[]) else { return };
    let (mut one, mut other) = (lab.control(), lab.control());
    let listener = one.listen(80, &json!({}));
    one.post(&json!({"op": "accept", "h": listener}));
    // Requests behind one that waits are answered after it.
    one.post(&json!({"op": "state", "h": listener}));
    assert_eq!(other.error(&json!({"op": "state", "h": listener})), "EBADF");
    assert_eq!(other.error(&json!({"op": "close", "h": listener})), "EBADF");
    let theirs = other.listen(81, &json!({}));
    let mut stream = lab.dial(80);
    let h = one.read().unwrap()["h"].as_u64().unwrap();
    assert_eq!(one.read().unwrap()["value"], json!("LISTEN"));
    let _waiting = lab.dial(81);

    // One goes: what it opened goes as well, what the other has stays.
    let (kernel, at) = lab.listen_at(kernel_addresses()[0]);
    let opened = one.connect_to(at, &json!({}));
    assert_ne!(opened, h);
    let (mut accepted, _) = kernel.accept().unwrap();
    drop(one);
    for stream in [&mut stream, &mut accepted] {
        let error = stream.read(&mut [0]).unwrap_err().kind();
        assert_eq!(error, std::io::ErrorKind::ConnectionReset);
    }
    other.accept(theirs);
    other.listen(80, &json!({}));
}

#[test]
fn a_client_that_hangs_up_while_it_waits_is_noticed() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    control.post(&json!({"op": "accept", "h": listener, "timeout": 1e9}));
    drop(control);
    let mut next = lab.control();
    let end = std::time::Instant::now() + crate::PATIENCE;
    while next.ask(&json!({"op": "listen", "port": 80}))["ok"] != json!(true) {
        assert!(std::time::Instant::now() < end, "the port stays taken");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_says_no_more_is_still_answered() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    control.post(&json!({"op": "accept", "h": listener, "timeout": 30}));
    let socket = control.stream.get_ref();
    socket.shutdown(Shutdown::Write).unwrap();
    let stream = lab.dial(80);
    assert_eq!(control.read().unwrap()["ok"], json!(true));
    assert!(
        control.read().is_none(),
        "and then the agent is done with it"
    );
    drop(stream);
}

#[test]
fn signals_end_it_in_order() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let Some(lab) = Lab::new(&[]) else { return };
        let (socket, ready) = (lab.socket(), &lab.ready);
        assert!(ready.contains(" address=192.0.2.1/24,"), "{ready}");
        let mut control = lab.control();
        let listener = control.listen(80, &json!({}));
        let mut streams = [lab.dial(80), lab.dial(7)];
        control.accept(listener);
        let (is_well, rest) = lab.end(signal);
        assert!(is_well && rest.is_empty(), "one line and no more: {rest:?}");
        assert!(!socket.exists(), "the socket's file goes with it");
        for stream in &mut streams {
            let error = stream.read(&mut [0]).unwrap_err().kind();
            assert_eq!(error, std::io::ErrorKind::ConnectionReset);
        }
    }
}
