//! The one error type of set-up: what was tried on what, what the kernel said, and what to do.
//!
//! The data path has no errors: a ring that is full takes fewer frames, and a wake-up that the
//! kernel refused is a value to look at.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// Set-up failed: names the interface, the queue, the call, the error number and a way out.
#[derive(Debug)]
pub struct Error {
    call: &'static str,
    errno: i32,
    advice: Cow<'static, str>,
    interface: Option<Box<str>>,
    queue: Option<u32>,
}

impl Error {
    /// An error that `call` reported as `errno`.
    pub(crate) fn new(
        call: &'static str,
        errno: i32,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            call,
            errno,
            advice: advice.into(),
            interface: None,
            queue: None,
        }
    }

    /// A request that is refused before the kernel is asked, as `EINVAL`.
    pub(crate) fn invalid(what: &'static str, advice: impl Into<Cow<'static, str>>) -> Self {
        Self::new(what, libc::EINVAL, advice)
    }

    /// The same error, saying on which interface.
    pub(crate) fn of_interface(mut self, interface: &str) -> Self {
        self.interface = Some(interface.into());
        self
    }

    /// The same error, saying on which queue.
    pub(crate) fn of_queue(mut self, queue: u32) -> Self {
        self.queue = Some(queue);
        self
    }

    /// The same error with better advice, for a caller that knows what it was about.
    pub(crate) fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = advice.into();
        self
    }

    /// The system call that failed, with its command or option where it has many, such as
    /// `bpf(BPF_LINK_CREATE)`; or the argument that was refused.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The error number, such as 16 for `EBUSY`.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// The interface, where one was involved.
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// The queue of the interface, where one was involved.
    pub fn queue(&self) -> Option<u32> {
        self.queue
    }

    /// What to do about it: a sentence without a full stop.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(interface) = &self.interface {
            write!(f, "{interface}: ")?;
        }
        if let Some(queue) = self.queue {
            write!(f, "queue {queue}: ")?;
        }
        let system = io::Error::from_raw_os_error(self.errno);
        write!(f, "{}: {system}: {}", self.call, self.advice)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_everything_and_ends_with_the_advice() {
        let error = Error::new("bind", libc::EBUSY, "close the other socket")
            .of_interface("veth7")
            .of_queue(3);
        assert_eq!(
            error.to_string(),
            "veth7: queue 3: bind: Device or resource busy (os error 16): close the other socket"
        );
        assert_eq!((error.errno(), error.queue()), (libc::EBUSY, Some(3)));
    }
}
