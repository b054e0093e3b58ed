//! The one error type of set-up: which interface and queue, which call, what the kernel said, and
//! what to do about it. The data path has no errors, only drops with a name.

use std::borrow::Cow;
use std::{fmt, io};

use crate::DriverKind;

/// A port could not be opened, or a question about the host could not be answered.
#[derive(Debug)]
pub enum Error {
    /// A system call failed.
    Call {
        /// The interface it was about, or what else it was about.
        interface: String,
        /// The queue it was about, where one was.
        queue: Option<u32>,
        /// The call, with its command or option where it has many: `ioctl(SIOCGIFMTU)`.
        call: &'static str,
        /// What the kernel said; carries the error number.
        source: io::Error,
        /// What to do about it: a sentence without a full stop.
        advice: Cow<'static, str>,
    },
    /// AF_XDP could not be set up; carries the same facts.
    Xdp(af_xdp::Error),
    /// What was asked for cannot be.
    Config {
        /// The interface it was asked for.
        interface: String,
        /// What is wrong and what would be right: a sentence without a full stop.
        what: String,
    },
    /// With the driver left open, none could be used.
    NoDriver {
        /// The interface.
        interface: String,
        /// Each driver that was tried, with what it said.
        attempts: Vec<(DriverKind, Self)>,
    },
}

impl Error {
    /// The last error of the system, for a call on an interface.
    pub(crate) fn call(
        interface: &str,
        call: &'static str,
        source: impl Into<io::Error>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Call {
            interface: interface.to_owned(),
            queue: None,
            call,
            source: source.into(),
            advice: advice.into(),
        }
    }

    /// A request that cannot be fulfilled.
    pub(crate) fn config(interface: &str, what: impl Into<String>) -> Self {
        Self::Config {
            interface: interface.to_owned(),
            what: what.into(),
        }
    }

    /// The error number of the system call, where one failed.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } => source.raw_os_error(),
            Self::Xdp(error) => Some(error.errno()),
            Self::Config { .. } | Self::NoDriver { .. } => None,
        }
    }
}

impl From<af_xdp::Error> for Error {
    fn from(error: af_xdp::Error) -> Self {
        Self::Xdp(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call {
                interface,
                queue,
                call,
                source,
                advice,
            } => {
                write!(f, "{interface}: ")?;
                if let Some(queue) = queue {
                    write!(f, "queue {queue}: ")?;
                }
                write!(f, "{call}: {source}: {advice}")
            }
            Self::Xdp(error) => error.fmt(f),
            Self::Config { interface, what } => write!(f, "{interface}: {what}"),
            Self::NoDriver {
                interface,
                attempts,
            } => {
                write!(f, "{interface}: no driver works here")?;
                for (driver, error) in attempts {
                    write!(f, "; {driver}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Call { source, .. } => Some(source),
            Self::Xdp(error) => Some(error),
            Self::Config { .. } | Self::NoDriver { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_failed_names_everything_and_ends_with_the_advice() {
        let mut error = Error::call(
            "veth3",
            "bind",
            io::Error::from_raw_os_error(libc::EBUSY),
            "close the other socket",
        );
        if let Error::Call { queue, .. } = &mut error {
            *queue = Some(2);
        }
        assert_eq!(
            error.to_string(),
            "veth3: queue 2: bind: Device or resource busy (os error 16): close the other socket"
        );
        assert_eq!(error.errno(), Some(libc::EBUSY));
    }

    #[test]
    fn where_no_driver_works_each_says_why() {
        let error = Error::NoDriver {
            interface: "eth9".into(),
            attempts: vec![
                (DriverKind::AfXdp, Error::config("eth9", "is not there")),
                (DriverKind::Tap, Error::config("eth9", "is no TAP device")),
            ],
        };
        assert_eq!(
            error.to_string(),
            "eth9: no driver works here; af_xdp: eth9: is not there; tap: eth9: is no TAP device"
        );
    }
}
