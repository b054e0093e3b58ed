//! Clients and servers on the kernel's TCP, by `std::net`, inside the namespaces of a bed.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use tidegate::testbed::Bed;

use crate::PATIENCE;
use crate::digest::{Digest, Text, receive};

/// A connection from the client's namespace, with timeouts that turn a hang into a failure.
#[track_caller]
pub(crate) fn connect(bed: &Bed, to: SocketAddr) -> TcpStream {
    let stream = bed
        .client()
        .run(|| TcpStream::connect_timeout(&to, PATIENCE))
        .unwrap_or_else(|error| panic!("connecting to {to}: {error}"));
    patient(stream)
}

/// A listening socket in the backends' namespace.
pub(crate) fn listen(bed: &Bed, at: SocketAddr) -> TcpListener {
    bed.backends()
        .run(|| TcpListener::bind(at))
        .unwrap_or_else(|error| panic!("listening on {at}: {error}"))
}

/// The next connection, with timeouts as [`connect`] gives them.
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().expect("a connection").0)
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A connection through a proxy: the client's end and the server's. One byte has gone across, so
/// both are established all the way.
pub(crate) fn join(bed: &Bed, to: SocketAddr, server: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = connect(bed, to);
    let mut server = accept(server);
    client.write_all(b"!").unwrap();
    let mut byte = [0];
    server.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"!");
    (client, server)
}

/// Sends a text and FIN.
pub(crate) fn send(stream: &TcpStream, text: Text) -> Digest {
    let sent = text.send(stream).expect("the peer takes what we send");
    stream
        .shutdown(Shutdown::Write)
        .expect("half a connection can be closed");
    sent
}

/// Sends a text and FIN while reading to the end; returns what was sent and what was read.
pub(crate) fn exchange(stream: &TcpStream, text: Text) -> (Digest, Digest) {
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(stream, text));
        let received = receive(stream).expect("the peer ends with FIN");
        (sending.join().unwrap(), received)
    })
}

/// Sends some bytes and reads as many back.
#[track_caller]
pub(crate) fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer == bytes, "{} bytes came back changed", bytes.len());
}

/// Breaks off: the peer gets a RST in place of a FIN.
pub(crate) fn reset(stream: TcpStream) {
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &at_once).expect("a socket can linger");
    drop(stream);
}

/// The peer, or whoever acts for it, has broken off: neither text nor FIN comes.
#[track_caller]
pub(crate) fn assert_reset(mut stream: TcpStream) {
    let error = stream.read_exact(&mut [0]).expect_err("no text");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}
