//! Fast Open (RFC 7413) with the kernel as client: it asks for a cookie, and brings it back together
//! with text.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, setsockopt, socket, sockopt,
};
use tidegate::testbed::Bed;
use tidegate::topology::Namespace;

use crate::client::front;
use crate::{PATIENCE, TIDEGATE, listener};

/// Text that fits on a SYN.
const TEXT: &[u8] = b"text on the SYN";

/// `net.ipv4.tcp_fastopen` of a namespace, which is also that of IPv6.
fn set_tcp_fastopen(namespace: &Namespace, value: &str) {
    namespace
        .run(|| fs::write("/proc/sys/net/ipv4/tcp_fastopen", value))
        .unwrap();
}

/// A counter of `TcpExt` in `/proc/net/netstat` of a namespace.
fn tcp_ext(namespace: &Namespace, name: &str) -> u64 {
    // `/proc/net` is that of the process; the namespace is that of a thread.
    let text = namespace
        .run(|| fs::read_to_string("/proc/thread-self/net/netstat"))
        .unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = pairs.find(|(other, _)| *other == name).unwrap();
    value.parse().unwrap()
}

/// A connection of the client's kernel with `TCP_FASTOPEN_CONNECT`: with a cookie its SYN waits for
/// the first text.
fn connect_fast(bed: &Bed, to: SocketAddr) -> TcpStream {
    let family = if to.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let stream = bed.client().run(|| {
        let fd = socket(
            family,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Tcp,
        )
        .unwrap();
        setsockopt(&fd, sockopt::TcpFastOpenConnect, &true).unwrap();
        nix::sys::socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
        TcpStream::from(fd)
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The text there and back on a connection of its own, to its end.
fn talk(bed: &Bed, to: SocketAddr) {
    let mut stream = connect_fast(bed, to);
    stream.write_all(TEXT).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, TEXT);
}

#[test]
fn the_kernel_gets_a_cookie_and_brings_it_with_text() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    set_tcp_fastopen(bed.client(), "3");
    let _tidegate = bed.run(&(listener("fast", 7, "echo") + "fast_open = true\n"));
    let active = || tcp_ext(bed.client(), "TCPFastOpenActive");
    for address in front(7) {
        let before = active();
        talk(&bed, address);
        assert_eq!(active(), before, "the first connection only asks");
        talk(&bed, address);
        assert_eq!(active(), before + 1, "the text on the SYN was acknowledged");
        talk(&bed, address);
        assert_eq!(active(), before + 2, "the cookie is good again");
    }
    assert_eq!(tcp_ext(bed.client(), "TCPFastOpenActiveFail"), 0);
}

#[test]
fn a_listener_without_fast_open_gives_the_kernel_no_cookie() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    set_tcp_fastopen(bed.client(), "3");
    let _tidegate = bed.run(&listener("slow", 7, "echo"));
    for address in front(7) {
        for _ in 0..2 {
            talk(&bed, address);
        }
    }
    assert_eq!(tcp_ext(bed.client(), "TCPFastOpenActive"), 0);
}
