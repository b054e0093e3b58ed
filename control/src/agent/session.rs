//! A control connection: its requests one after the other, each answered before the next is read.
//!
//! The thread of a session asks the worker and waits. How long that may take is decided here: when
//! the time is up the worker is told to answer with what there is, and the answer that it gives
//! then is the only one, so that nothing is answered twice or lost. While it waits the session
//! looks now and then whether its client is still there.

use std::io::{self, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tidegate_worker::{Command, Mailbox, PostError};

use super::application::AgentCommand;
use super::errno::Errno;
use super::lines::{self, LINE_MAX, Line};
use super::protocol::{self, Patience, Refusal, Reply};
use super::socket::SessionId;

/// How often a session that waits looks after its client: how long what a client has left behind
/// may live on.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How soon a command is posted again that the mailbox had no room for.
const POST_AGAIN: Duration = Duration::from_millis(1);

/// Answers a client until it goes, and then aborts what it has opened.
pub(super) fn serve(stream: &UnixStream, session: SessionId, mailbox: &Mailbox<AgentCommand>) {
    let talk = Session {
        stream,
        id: session,
        mailbox,
    };
    // A connection that cannot be read from or written to any more is one that has ended.
    let _ = talk.converse();
    insist(mailbox, || AgentCommand::Leave { session });
}

/// A session at work.
struct Session<'a> {
    stream: &'a UnixStream,
    id: SessionId,
    mailbox: &'a Mailbox<AgentCommand>,
}

impl Session<'_> {
    fn converse(&self) -> io::Result<()> {
        let mut reader = BufReader::new(self.stream);
        let mut writer = self.stream;
        loop {
            let reply = match lines::read(&mut reader)? {
                Line::End => return Ok(()),
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => self.answer(&line)?,
                Line::TooLong => {
                    let message = format!("a line has at most {LINE_MAX} bytes");
                    Err(Refusal::new(Errno::MessageSize, message))
                }
            };
            let mut line = protocol::render(&reply);
            line.push('\n');
            writer.write_all(line.as_bytes())?;
        }
    }

    /// The answer to a line; an error where the client has gone before there was one.
    fn answer(&self, line: &[u8]) -> io::Result<Reply> {
        let (request, patience) = match protocol::parse(line) {
            Ok(parsed) => parsed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (reply, answer) = bounded(1);
        let asked = self.mailbox.post(Command::App(AgentCommand::Request {
            session: self.id,
            request,
            patience,
            reply,
        }));
        match asked {
            Ok(()) => self.wait(&answer, patience),
            Err(PostError::Full) => Ok(Err(Errno::NoBuffers.into())),
            Err(PostError::Stopped) => Ok(Err(Errno::Shutdown.into())),
        }
    }

    /// Waits for the answer as long as the client wants, and for the last word of the worker then.
    fn wait(&self, answer: &Receiver<Reply>, patience: Patience) -> io::Result<Reply> {
        let mut deadline = match patience {
            Patience::Until(duration) => Instant::now().checked_add(duration),
            Patience::None | Patience::Endless => None,
        };
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let slice = left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
            match answer.recv_timeout(slice) {
                Ok(reply) => return Ok(reply),
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(Errno::Shutdown.into())),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.has_hung_up() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if deadline.is_some_and(|at| Instant::now() >= at) {
                deadline = None;
                // A worker that has ended has let go of the answer, which ends the waiting.
                let session = self.id;
                insist(self.mailbox, || AgentCommand::Cancel { session });
            }
        }
    }

    /// Whether the client has closed both directions. One that has only sent its last request
    /// still waits for the answer.
    fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::empty())];
        // A call that was interrupted is made again at the next look.
        let _ = poll(&mut fds, PollTimeout::ZERO);
        let seen = fds[0].revents().unwrap_or(PollFlags::empty());
        seen.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
    }
}

/// Posts a command that must not be lost, and waits for room in the mailbox; one to a worker that
/// has ended is of no use any more.
pub(super) fn insist(mailbox: &Mailbox<AgentCommand>, command: impl Fn() -> AgentCommand) {
    while mailbox.post(Command::App(command())) == Err(PostError::Full) {
        sleep(POST_AGAIN);
    }
}
