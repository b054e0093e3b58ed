//! The agent connects to the kernel.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use serde_json::json;

use crate::lab::{Lab, kernel_addresses, patient};

#[test]
fn text_goes_both_ways_over_both_families() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    for (address, lport) in kernel_addresses().into_iter().zip([40_000, 40_001]) {
        let (kernel, at) = lab.listen_at(address);
        let request = json!({"op": "connect", "ip": at.ip(), "port": at.port(), "lport": lport});
        let h = control.ok(&request)["h"].as_u64().unwrap();
        control.ok(&json!({"op": "wait_connected", "h": h, "timeout": 30}));
        let (stream, from) = kernel.accept().unwrap();
        let mut stream = patient(stream);
        assert_eq!(from.port(), lport);
        assert_eq!(control.error(&request), "EADDRINUSE");
        control.send_all(h, b"question");
        let mut question = [0; 8];
        stream.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"question");
        stream.write_all(b"answer").unwrap();
        drop(stream);
        assert_eq!(control.recv_to_end(h), b"answer");
        control.wait_for_state(h, Some("CLOSE-WAIT"));
        let info = &control.ok(&json!({"op": "info", "h": h}))["value"];
        assert_eq!(info["state"], "CLOSE_WAIT", "{info}");
        assert_eq!(info["bytes_received"], 6, "{info}");
        assert_eq!(info["congestion"], "cubic", "{info}");
        assert!(info["rtt_us"].as_u64() > Some(0), "{info}");
        control.act("close", h);
    }
}

#[test]
fn nobody_there_is_refused_and_said_again_to_who_asks_again() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    for address in kernel_addresses() {
        let to = SocketAddr::new(address, 9);
        let request = json!({"op": "connect", "ip": to.ip(), "port": to.port()});
        let h = control.ok(&request)["h"].as_u64().unwrap();
        let wait = json!({"op": "wait_connected", "h": h, "timeout": 30});
        assert_eq!(control.error(&wait), "ECONNREFUSED");
        assert_eq!(control.error(&wait), "ECONNREFUSED");
        assert_eq!(control.value("state", h), None);
        assert_eq!(control.value("error", h), None, "it was told");
        assert_eq!(
            control.error(&json!({"op": "send", "h": h, "data": ""})),
            "EPIPE"
        );
        control.act("close", h);

        // The other way to learn of it, as with a socket that does not block.
        let h = control.ok(&request)["h"].as_u64().unwrap();
        control.wait_for_state(h, None);
        assert_eq!(control.value("error", h).as_deref(), Some("ECONNREFUSED"));
        assert_eq!(control.value("error", h), None, "asking clears it");
    }
}

#[test]
fn an_open_that_nobody_answers_is_pending() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let h = control.ok(&json!({"op": "connect", "ip": "192.0.2.77", "port": 80}))["h"].clone();
    let answer = control.ask(&json!({"op": "wait_connected", "h": h, "timeout": 0.05}));
    assert_eq!(
        answer,
        json!({"ok": false, "error": "ETIMEDOUT", "pending": true})
    );
    let h = h.as_u64().unwrap();
    assert_eq!(control.value("state", h).as_deref(), Some("SYN-SENT"));
    control.act("abort", h);
    assert_eq!(control.error(&json!({"op": "abort", "h": h})), "EBADF");
}

#[test]
fn a_reset_is_told_once_and_then_comes_the_end() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let (kernel, at) = lab.listen_at(kernel_addresses()[0]);
    for is_waiting in [false, true] {
        let h = control.connect_to(at, &json!({}));
        let (stream, _) = kernel.accept().unwrap();
        let recv = json!({"op": "recv", "h": h, "n": 10, "timeout": 30});
        if is_waiting {
            control.post(&recv);
        }
        reset(&stream);
        drop(stream);
        let error = if is_waiting {
            control.read().unwrap()["error"]
                .as_str()
                .unwrap()
                .to_owned()
        } else {
            control.error(&recv)
        };
        assert_eq!(error, "ECONNRESET");
        assert_eq!(control.recv(h, 10), (Vec::new(), true));
        assert_eq!(control.value("error", h), None);
        assert_eq!(control.value("state", h), None);
        assert_eq!(
            control.error(&json!({"op": "send", "h": h, "data": "eA=="})),
            "EPIPE"
        );
        assert_eq!(
            control.error(&json!({"op": "shutdown", "h": h})),
            "ENOTCONN"
        );
        control.act("close", h);
    }
}

/// Lets the kernel end a connection by RST when it is closed.
fn reset(stream: &std::net::TcpStream) {
    use nix::sys::socket::{setsockopt, sockopt::Linger};

    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(stream, Linger, &at_once).unwrap();
}
