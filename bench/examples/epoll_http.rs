//! The plain server that `respond` is measured against: HTTP/1.1 on the kernel's sockets and epoll(7),
//! one thread, non-blocking, an answer of the same length. It looks only for the end of each head, so it is
//! a faster server than most: whoever beats it beats the kernel's sockets, not somebody's parser.
//!
//! `cargo run --release -p tidegate-bench --example epoll_http -- 10.0.0.2:80`

#![expect(clippy::print_stderr, reason = "a program for the terminal")]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: tidegate\r\nContent-Type: text/plain\r\n\
    Content-Length: 9\r\n\r\nTidegate\n";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| {
        eprintln!("usage: epoll_http ADDRESS:PORT");
        std::process::exit(2);
    });
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &listener,
        data(listener.as_raw_fd()),
        EventFlags::IN,
    )?;
    let mut clients: HashMap<RawFd, Client> = HashMap::new();
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let fd = RawFd::try_from(event.data.u64()).expect("we put descriptors in");
            if fd == listener.as_raw_fd() {
                accept_all(&listener, &epoll, &mut clients)?;
            } else if clients
                .get_mut(&fd)
                .is_some_and(|client| client.serve().is_err())
            {
                // Closing the descriptor takes it out of the set.
                clients.remove(&fd);
            }
        }
    }
}

/// Takes everybody who waits at the listener.
fn accept_all(
    listener: &TcpListener,
    epoll: &OwnedFd,
    clients: &mut HashMap<RawFd, Client>,
) -> io::Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let fd = stream.as_raw_fd();
        epoll::add(epoll, &stream, data(fd), EventFlags::IN)?;
        clients.insert(fd, Client { stream, matched: 0 });
    }
    Ok(())
}

fn data(fd: RawFd) -> EventData {
    EventData::new_u64(u64::try_from(fd).expect("a descriptor is not negative"))
}

/// A connection and how much of the end of a head has been seen.
struct Client {
    stream: TcpStream,
    matched: usize,
}

impl Client {
    /// Reads what is there and answers each whole head; an error ends the connection.
    fn serve(&mut self) -> io::Result<()> {
        let mut text = [0; 16_384];
        let len = match self.stream.read(&mut text) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut answers = Vec::with_capacity(ANSWER.len());
        for &byte in &text[..len] {
            self.matched = match byte {
                byte if byte == END_OF_HEAD[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.matched == END_OF_HEAD.len() {
                answers.extend_from_slice(ANSWER);
                self.matched = 0;
            }
        }
        self.stream.write_all(&answers)
    }
}
