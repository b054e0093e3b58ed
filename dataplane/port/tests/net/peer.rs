//! The kernel's side: sockets and ping in the peer's namespace.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tidegate_port::Port;

use super::responder::{Seen, respond};
use super::space::enter;

/// Runs `peer` in a thread inside `namespace` while `port` responds to it.
pub(crate) fn with_peer<P: Port>(
    port: &mut P,
    namespace: &str,
    peer: impl FnOnce() + Send,
) -> Seen {
    with_peer_of_all(slice::from_mut(port), namespace, peer)
}

/// Runs `peer` in a thread inside `namespace` while all `ports` respond to it.
pub(crate) fn with_peer_of_all<P: Port>(
    ports: &mut [P],
    namespace: &str,
    peer: impl FnOnce() + Send,
) -> Seen {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let run = || {
            let _over = SetOnDrop(&is_over);
            enter(namespace);
            peer();
        };
        let peer = scope.spawn(run);
        let seen = respond(ports, || is_over.load(Ordering::Acquire));
        peer.join().expect("the peer saw what it should");
        seen
    })
}

/// Ends the responder also when the peer panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Sends `count` datagrams of different lengths to `to` and expects each back, unchanged. Each is
/// sent again until it has come, because UDP may lose it.
pub(crate) fn udp_echo(to: SocketAddr, count: u16) {
    let any: SocketAddr = if to.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0_u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).expect("a port is free");
    socket.connect(to).expect("there is a route");
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("an option of any socket");
    for number in 0..count {
        let len = 2 + usize::from(number) * 7 % 1_400;
        let mut text = vec![0x5a; len];
        text[..2].copy_from_slice(&number.to_be_bytes());
        exchange(&socket, &text);
    }
}

fn exchange(socket: &UdpSocket, text: &[u8]) {
    let mut received = [0; 2_000];
    for _ in 0..40 {
        // An error may be an ICMP message about an earlier one.
        let _ = socket.send(text);
        while let Ok(len) = socket.recv(&mut received) {
            if &received[..len] == text {
                return;
            }
        }
    }
    panic!("a datagram of {} bytes never came back", text.len());
}

/// Exchanges datagrams from `flows` sockets, each with a port number of its own.
pub(crate) fn udp_flows(to: SocketAddr, flows: u16) {
    for _ in 0..flows {
        udp_echo(to, 2);
    }
}

/// Sends `count` datagrams of `len` bytes and expects nothing back.
pub(crate) fn udp_send(to: SocketAddr, len: usize, count: u16) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
    for _ in 0..count {
        socket
            .send_to(&vec![1; len], to)
            .expect("the neighbour is known and the MTU allows it");
    }
}

/// Pings `to` from the calling thread's namespace and expects every answer.
pub(crate) fn ping(to: &str, count: u32) {
    let output = Command::new("ping")
        .args([
            "-n",
            "-q",
            "-i",
            "0.01",
            "-W",
            "5",
            "-c",
            &count.to_string(),
            to,
        ])
        .output()
        .expect("ping is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!(" {count} received")), "{text}");
}
