//! The mailbox: how control speaks to a worker.
//!
//! Commands go through a bounded queue that the worker empties, a few at a time, at the end of its
//! turn; an eventfd (eventfd(2)) wakes it if it sleeps. Answers come back over the channel that the
//! command carries: an answer that nobody waits for is dropped, and a full reply channel is the
//! asker's loss, never the worker's.

use core::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use rustix::event::{EventfdFlags, eventfd};

use crate::counters::Snapshot;
use crate::listener::{Listen, ListenError, ListenerId, ListenerRow};
use crate::snapshot::FlowPage;

/// What control can ask of a worker. `C` is the application's own command.
#[derive(Debug)]
pub enum Command<C> {
    /// Open a listener.
    Listen {
        /// How.
        listen: Listen,
        /// Where the answer goes.
        reply: Sender<Result<ListenerId, ListenError>>,
    },
    /// Close a listener. Its half-open flows and those in its accept queue go with it; established
    /// flows go on.
    Unlisten {
        /// Which.
        listener: ListenerId,
    },
    /// Tell what listeners there are.
    Listeners {
        /// Where the answer goes.
        reply: Sender<Vec<ListenerRow>>,
    },
    /// Tell what flows there are, a page at a time: the table can be larger than a turn can read.
    Flows {
        /// The slot to begin at: 0, then [`FlowPage::next_slot`].
        from_slot: u32,
        /// Rows wanted. No more than 1024 are given.
        max: u32,
        /// Where the answer goes.
        reply: Sender<FlowPage>,
    },
    /// Tell all counters as they are between two turns.
    Counts {
        /// Where the answer goes.
        reply: Sender<Snapshot>,
    },
    /// For the application.
    App(C),
    /// Close all listeners and let the flows end; when the last has, the worker stops.
    Drain,
    /// Stop after this turn. Flows are left as they are.
    Stop,
}

/// A command could not be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// So many commands wait already that the worker must be overloaded, or stuck.
    Full,
    /// The worker has stopped.
    Stopped,
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the worker's mailbox is full",
            Self::Stopped => "the worker has stopped",
        })
    }
}

impl core::error::Error for PostError {}

#[expect(
    clippy::disallowed_types,
    reason = "an immutable descriptor; the kernel orders what is written to it"
)]
type SharedFd = std::sync::Arc<OwnedFd>;

/// The side of control: as many clones as there are askers.
pub struct Mailbox<C> {
    commands: Sender<Command<C>>,
    wake: SharedFd,
}

impl<C> Clone for Mailbox<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            wake: self.wake.clone(),
        }
    }
}

impl<C> fmt::Debug for Mailbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("waiting", &self.commands.len())
            .finish_non_exhaustive()
    }
}

impl<C> Mailbox<C> {
    /// Posts a command and wakes the worker. It does not wait.
    ///
    /// # Errors
    /// The mailbox is full, or the worker is gone.
    pub fn post(&self, command: Command<C>) -> Result<(), PostError> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                TrySendError::Full(_) => PostError::Full,
                TrySendError::Disconnected(_) => PostError::Stopped,
            })?;
        // An eventfd refuses only when its count is at its top, and then it wakes all the same.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
        Ok(())
    }
}

/// The side of the worker.
pub struct Inbox<C> {
    commands: Receiver<Command<C>>,
    wake: SharedFd,
}

impl<C> fmt::Debug for Inbox<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("waiting", &self.commands.len())
            .finish_non_exhaustive()
    }
}

impl<C> Inbox<C> {
    /// The next command, if there is one.
    pub(crate) fn take(&self) -> Option<Command<C>> {
        self.commands.try_recv().ok()
    }

    /// Whether no command waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The descriptor that becomes readable when a command has come.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes the descriptor wait for the next command.
    pub(crate) fn clear_wake(&self) {
        // It does not block, and says EAGAIN where it is clear already.
        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
    }
}

/// A mailbox in which at most `capacity` commands wait, and its two sides.
///
/// # Errors
/// No descriptor is left for the eventfd.
pub fn mailbox<C>(capacity: u32) -> io::Result<(Mailbox<C>, Inbox<C>)> {
    let wake = SharedFd::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = bounded(capacity as usize);
    let mailbox = Mailbox {
        commands: sender,
        wake: wake.clone(),
    };
    let inbox = Inbox {
        commands: receiver,
        wake,
    };
    Ok((mailbox, inbox))
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    /// Whether a sleeping worker would wake.
    fn wakes<C>(inbox: &Inbox<C>) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(inbox.wake_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn a_command_wakes_until_it_is_seen() {
        let (mailbox, inbox) = mailbox::<u32>(2).unwrap();
        assert!(!wakes(&inbox) && inbox.is_empty());
        mailbox.post(Command::App(1)).unwrap();
        mailbox.clone().post(Command::App(2)).unwrap();
        assert_eq!(mailbox.post(Command::Stop), Err(PostError::Full));
        assert!(wakes(&inbox));
        inbox.clear_wake();
        assert!(!wakes(&inbox) && !inbox.is_empty());
        assert!(matches!(inbox.take(), Some(Command::App(1))));
        assert!(matches!(inbox.take(), Some(Command::App(2))));
        assert!(inbox.take().is_none());
        drop(inbox);
        assert_eq!(mailbox.post(Command::Stop), Err(PostError::Stopped));
    }
}
