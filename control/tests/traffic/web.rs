//! HTTP on the kernel's TCP: backends as processes of their own, and clients that keep asking.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};

use tidegate::testbed::Bed;
use tidegate::topology::Process;

use crate::kernel::connect;
use crate::{PATIENCE, TIDEGATE, wait_until};

/// An HTTP server of its own process on these addresses, which answers with its name.
pub(crate) fn serve(bed: &Bed, name: &str, addresses: &[SocketAddr]) -> Process {
    let mut command = bed.backends().command(TIDEGATE);
    command.args(["demo-backend", name]);
    command.args(addresses.iter().map(ToString::to_string));
    bed.folder().collect_output(name, &mut command).unwrap();
    let process = Process::start(name, &mut command).unwrap();
    for address in addresses {
        let is_up = || TcpStream::connect_timeout(address, PATIENCE).is_ok();
        wait_until("the backend listens", || bed.backends().run(is_up));
    }
    process
}

/// A connection over which requests go, one after the other.
pub(crate) struct Asking(BufReader<TcpStream>);

impl Asking {
    pub(crate) fn open(bed: &Bed, to: SocketAddr) -> Self {
        Self(BufReader::new(connect(bed, to)))
    }

    /// Asks, and returns the name of the backend that answers.
    pub(crate) fn ask(&mut self) -> Result<String> {
        let request = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";
        self.0.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let body = String::from_utf8(body).expect("a line of text");
        let name = body.strip_suffix(" /x\n").expect("NAME TARGET");
        Ok(name.to_owned())
    }
}

/// Reads one whole answer of the service `respond`, which has this body.
pub(crate) fn read_answer(stream: &mut TcpStream, body: &str) {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(body.as_bytes()) {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}
