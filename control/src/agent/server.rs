//! The control socket: a thread for each client.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context as _, Result};
use tidegate_worker::Mailbox;
use tracing::warn;

use super::application::AgentCommand;
use super::errno::Errno;
use super::protocol::{Refusal, render};
use super::session;
use super::socket::SessionId;
use crate::socket_file::SocketFile;

/// Control connections at the same time: a thread each, and a tester has a few. More are told so
/// and closed.
pub(super) const SESSIONS_MAX: u32 = 256;

/// Only the user of the agent, who has to be privileged, may drive it.
const MODE: u32 = 0o600;

/// The bound control socket. Dropping it removes its file.
#[derive(Debug)]
pub(super) struct Server {
    file: SocketFile,
}

impl Server {
    /// Binds the socket; the file of an agent that has ended is replaced.
    pub(super) fn bind(path: &Path) -> Result<Self> {
        let file = SocketFile::bind(path, MODE, "control", "agent")?;
        Ok(Self { file })
    }

    /// Starts serving on a thread of its own, until the process ends.
    pub(super) fn serve(&self, mailbox: Mailbox<AgentCommand>) -> Result<()> {
        let listener = self
            .file
            .listener()
            .try_clone()
            .context("a second handle of the control socket")?;
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || accept(&listener, &mailbox))
            .context("the control thread could not be started")?;
        Ok(())
    }
}

fn accept(listener: &UnixListener, mailbox: &Mailbox<AgentCommand>) {
    let sessions = Arc::new(AtomicU32::new(0));
    for (stream, number) in listener.incoming().zip(1u64..) {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                warn!(%error, "a control connection could not be accepted");
                // Out of descriptors, most likely: others have to close theirs first.
                thread::sleep(std::time::Duration::from_millis(10));
                continue;
            }
        };
        if sessions.load(Ordering::Relaxed) >= SESSIONS_MAX {
            refuse(&stream);
            continue;
        }
        sessions.fetch_add(1, Ordering::Relaxed);
        let (mailbox, counted) = (mailbox.clone(), Counted(Arc::clone(&sessions)));
        let started = thread::Builder::new()
            .name(format!("control-{number}"))
            .spawn(move || {
                let _counted = counted;
                session::serve(&stream, SessionId(number), &mailbox);
            });
        if let Err(error) = started {
            warn!(%error, "no thread for a control connection");
        }
    }
}

/// Tells a client that there is no room for it. One that is gone before it hears that has lost
/// nothing.
fn refuse(mut stream: &UnixStream) {
    let message = format!("{SESSIONS_MAX} control connections are open already");
    let line = render(&Err(Refusal::new(Errno::TooMany, message)));
    let _ = writeln!(stream, "{line}");
}

/// One session less when this is dropped, also by a panic.
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
