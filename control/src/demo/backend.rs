//! A backend of the demo: an HTTP server on the kernel's TCP, a thread a connection.
//!
//! It is a process of its own (the hidden verb `demo-backend`), so that `--keep` can leave it
//! running and `ss -tnp` shows it under a pid. It answers every request with its own name.

use std::io::{self, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::http;

/// A client that says nothing for this long is gone. Longer than any idle timeout of the demo's
/// configuration, so that it is Tidegate's timeout that shows.
const SILENCE_MAX: Duration = Duration::from_secs(600);

/// Serves on these addresses for as long as the process lives.
///
/// # Errors
///
/// An address cannot be bound.
pub fn serve(name: &str, addresses: &[SocketAddr]) -> Result<()> {
    let listeners = addresses
        .iter()
        .map(|address| {
            TcpListener::bind(address)
                .with_context(|| format!("backend {name} cannot bind {address}"))
        })
        .collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| accept(name, listener));
        }
    });
    Ok(())
}

fn accept(name: &str, listener: &TcpListener) {
    for stream in listener.incoming() {
        let name = name.to_owned();
        let served = stream.and_then(|stream| {
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || answer_all(&name, &stream))
        });
        if let Err(error) = served {
            // Most likely the limit of open files: what is open goes on, and makes room.
            eprintln!("demo backend: a connection was not served: {error}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Answers requests until the client closes, wants us to close, or breaks off.
fn answer_all(name: &str, stream: &TcpStream) {
    let conversation = || -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = http::read_request(&mut reader)? {
            http::write_answer(stream, &http::body(name, &request.target), request.close)?;
            if request.close {
                break;
            }
        }
        Ok(())
    };
    // A client that breaks off is the client's affair: the side that counts wrong answers is there.
    let _ = conversation();
}
