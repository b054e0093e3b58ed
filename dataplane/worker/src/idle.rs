//! Waiting for something to do: spinning for a while, then sleeping in poll(2).

use core::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tidegate_port::{Port, WAIT_FDS, WaitFds};
use tidegate_wire::Instant;

use crate::config::{Idle, SetupError};
use crate::mailbox::Inbox;
use crate::port_tx::PortTx;

/// The longest sleep. Nothing needs it; it bounds what a lost wake-up can cost.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// The longest sleep where a port has no descriptor to wake us, as a simulated one whose other end
/// is on another thread.
const SLEEP_UNWATCHED_MAX: Duration = Duration::from_millis(1);
/// The most descriptors slept on: those of four ports with all their queues, and the mailbox.
const FDS_MAX: usize = 4 * WAIT_FDS + 1;

/// Decides when a worker with nothing to do goes to sleep.
#[derive(Debug)]
pub(crate) struct Waiter {
    idle: Idle,
    /// When the worker last had something to do.
    busy_at: Instant,
}

impl Waiter {
    pub(crate) const fn new(idle: Idle, now: Instant) -> Self {
        Self { idle, busy_at: now }
    }

    /// There was something to do.
    pub(crate) const fn on_work(&mut self, now: Instant) {
        self.busy_at = now;
    }

    /// There was nothing to do: whether to sleep now. If not, the core is told that this is a loop
    /// that waits.
    pub(crate) fn is_sleepy(&self, now: Instant) -> bool {
        let is_sleepy = match self.idle {
            Idle::Spin => false,
            Idle::Sleep => true,
            Idle::Adaptive { spin } => now.saturating_since(self.busy_at) >= spin,
        };
        if !is_sleepy {
            core::hint::spin_loop();
        }
        is_sleepy
    }
}

/// Sleeps until a frame comes, a command comes, or it is `deadline`.
pub(crate) fn sleep<P: Port, C>(
    ports: &[PortTx<P>],
    inbox: &Inbox<C>,
    now: Instant,
    deadline: Option<Instant>,
) -> Result<(), SetupError> {
    let mut time_max = SLEEP_MAX;
    let mut fds: ArrayVec<PollFd<'_>, FDS_MAX> = ArrayVec::new();
    fds.push(PollFd::from_borrowed_fd(inbox.wake_fd(), PollFlags::IN));
    for port in ports {
        let mut port_fds = WaitFds::new();
        port.port.wait_fds(&mut port_fds);
        if port_fds.is_empty() {
            time_max = SLEEP_UNWATCHED_MAX;
        }
        let room = fds.remaining_capacity();
        let wanted = port_fds.into_iter().take(room);
        fds.extend(wanted.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    }
    let time = deadline.map_or(time_max, |deadline| {
        deadline.saturating_since(now).min(time_max)
    });
    let timeout = Timespec::try_from(time).expect("half a second fits");
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(SetupError::Poll(error.into())),
    }
    inbox.clear_wake();
    Ok(())
}
