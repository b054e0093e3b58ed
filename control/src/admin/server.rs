//! The answering side of the admin protocol: a Unix socket, a thread a connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use tracing::{debug, warn};

use super::message::{Answer, Request};
use crate::socket_file::SocketFile;

/// Connections served at the same time. People and scrapers need a few; a client that leaks
/// connections gets refusals instead of our memory.
const CLIENTS_MAX: usize = 32;

/// Longest request in bytes, far above any that is legal.
const REQUEST_MAX: u64 = 4096;

/// A bound admin socket. Dropping it removes the socket's file.
#[derive(Debug)]
pub struct Server {
    file: SocketFile,
}

impl Server {
    /// Binds the socket with these permission bits. The file of a process that has ended is
    /// replaced; the folder is made if it is missing.
    ///
    /// # Errors
    ///
    /// Another process listens there, something that is no socket is there, or no permission.
    pub fn bind(path: &Path, mode: u32) -> Result<Self> {
        let file = SocketFile::bind(path, mode, "admin", "run")?;
        Ok(Self { file })
    }

    /// Starts answering on a thread of its own, until the process ends.
    ///
    /// # Errors
    ///
    /// The thread could not be started.
    pub fn serve(&self, answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Result<()> {
        let listener = self
            .file
            .listener()
            .try_clone()
            .context("a second handle of the admin socket")?;
        let answer: Arc<Answering> = Arc::new(answer);
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || accept(&listener, &answer))
            .context("the admin thread could not be started")?;
        Ok(())
    }
}

/// What finds the answer to a request.
type Answering = dyn Fn(&Request) -> Answer + Send + Sync;

fn accept(listener: &UnixListener, answer: &Arc<Answering>) {
    let clients = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "an admin connection could not be accepted");
                continue;
            }
        };
        if clients.load(Ordering::Relaxed) >= CLIENTS_MAX {
            let message = format!("{CLIENTS_MAX} admin connections are open already");
            // A client that is gone before it hears the refusal has lost nothing.
            let _ = write_answer(&stream, &Answer::Error { message });
            continue;
        }
        clients.fetch_add(1, Ordering::Relaxed);
        let (answer, counted) = (Arc::clone(answer), Counted(Arc::clone(&clients)));
        let started = thread::Builder::new()
            .name("admin-client".to_owned())
            .spawn(move || {
                let _counted = counted;
                if let Err(error) = converse(&stream, &*answer) {
                    debug!(%error, "an admin connection ended");
                }
            });
        if let Err(error) = started {
            warn!(%error, "no thread for an admin connection");
        }
    }
}

/// One client less when this is dropped, also by a panic.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers line by line until the client closes.
fn converse(stream: &UnixStream, answer: &Answering) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        let length = (&mut lines).take(REQUEST_MAX).read_line(&mut line)?;
        if length == 0 {
            return Ok(());
        }
        if !line.ends_with('\n') && length as u64 == REQUEST_MAX {
            let message = format!("a request has at most {REQUEST_MAX} bytes");
            return write_answer(stream, &Answer::Error { message });
        }
        if line.trim().is_empty() {
            continue;
        }
        let answered = match serde_json::from_str::<Request>(&line) {
            Ok(request) => answer(&request),
            Err(error) => Answer::Error {
                message: format!("this is no request: {error}"),
            },
        };
        write_answer(stream, &answered)?;
    }
}

fn write_answer(mut stream: &UnixStream, answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Client;
    use super::*;

    fn echo_error(request: &Request) -> Answer {
        Answer::Error {
            message: format!("{request:?}"),
        }
    }

    #[test]
    fn garbage_is_answered_and_the_connection_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/admin.sock");
        let server = Server::bind(&path, 0o600).unwrap();
        server.serve(echo_error).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );

        let stream = UnixStream::connect(&path).unwrap();
        (&stream)
            .write_all(b"what?\n\n{\"ask\":\"status\"}\n")
            .unwrap();
        let mut lines = BufReader::new(&stream).lines();
        assert!(
            lines
                .next()
                .unwrap()
                .unwrap()
                .contains("this is no request")
        );
        assert!(lines.next().unwrap().unwrap().contains("Status"));
        let mut client = Client::connect(&path).unwrap();
        let refused = client.counters().unwrap_err().to_string();
        assert_eq!(refused, "tidegate answered: Counters");
        (&stream).write_all(&vec![b'x'; 5000]).unwrap();
        assert!(
            lines
                .next()
                .unwrap()
                .unwrap()
                .contains("at most 4096 bytes")
        );
    }

    #[test]
    fn socket_of_the_dead_is_replaced_and_that_of_the_living_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        let error = Client::connect(&path).unwrap_err().to_string();
        assert!(error.contains("has ended"), "{error}");

        let server = Server::bind(&path, 0o600).unwrap();
        server.serve(echo_error).unwrap();
        let error = Server::bind(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("running already"), "{error}");
        drop(server);
        let error = Client::connect(&path).unwrap_err().to_string();
        assert!(error.contains("is `tidegate run` running?"), "{error}");

        fs::write(&path, "a file of somebody").unwrap();
        let error = Server::bind(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file of somebody");
    }
}
