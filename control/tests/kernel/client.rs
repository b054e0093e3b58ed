//! Clients on the kernel's TCP, by `std::net`, inside a namespace.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::thread;

use tidegate::testbed::Bed;
use tidegate::topology::Side;

use crate::PATIENCE;

/// Tidegate's addresses towards the client with this port, IPv4 first.
pub(crate) fn front(port: u16) -> [SocketAddr; 2] {
    Side::FRONT
        .owned()
        .map(|address: IpAddr| SocketAddr::new(address, port))
}

/// A connection from the client's namespace, with timeouts that turn a hang into a failure.
pub(crate) fn connect(bed: &Bed, to: SocketAddr) -> TcpStream {
    try_connect(bed, to).unwrap_or_else(|error| panic!("connecting to {to}: {error}"))
}

/// As [`connect`], for connections that may be refused.
pub(crate) fn try_connect(bed: &Bed, to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = bed
        .client()
        .run(|| TcpStream::connect_timeout(&to, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Bytes that differ from place to place, so that a lost, doubled or displaced one shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    // Marsaglia's xorshift with a fixed seed.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Sends all of it and then FIN, while reading until the peer's FIN; returns what was read.
pub(crate) fn exchange(stream: &TcpStream, sent: &[u8]) -> Vec<u8> {
    let (mut half, mut stream) = (stream, stream);
    thread::scope(|scope| {
        scope.spawn(move || {
            half.write_all(sent).expect("the peer takes what we send");
            half.shutdown(Shutdown::Write)
                .expect("half a connection can be closed");
        });
        let mut received = Vec::new();
        stream
            .read_to_end(&mut received)
            .expect("the peer ends with FIN");
        received
    })
}

/// Compares without printing megabytes.
#[track_caller]
pub(crate) fn assert_same(received: &[u8], sent: &[u8]) {
    assert_eq!(received.len(), sent.len(), "bytes received and sent");
    let differs = received
        .iter()
        .zip(sent)
        .position(|(received, sent)| received != sent);
    assert_eq!(differs, None, "first byte that differs");
}
