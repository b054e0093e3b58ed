//! The errors that a client of the control socket can meet, under their names from errno(3).

use tidegate_tcp::End;
use tidegate_worker::{ListenError, OpenError};

/// An error, as a program that uses sockets knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errno {
    /// The port is taken.
    AddressInUse,
    /// The address cannot be used: not ours, or nobody's.
    AddressNotAvailable,
    /// No such handle, or not this client's.
    BadHandle,
    /// We gave the connection up.
    ConnectionAborted,
    /// The peer refused.
    ConnectionRefused,
    /// The peer sent a RST.
    ConnectionReset,
    /// The peer's host cannot be reached.
    HostUnreachable,
    /// The request makes no sense.
    Invalid,
    /// Too many control connections.
    TooMany,
    /// The line is too long.
    MessageSize,
    /// No route leads there.
    NetworkUnreachable,
    /// A table is full.
    NoBuffers,
    /// It is no connection, or has never been one.
    NotConnected,
    /// The sending side is closed.
    Pipe,
    /// The agent ends.
    Shutdown,
    /// No answer from the peer, or what was waited for has not come.
    TimedOut,
    /// There is no such op or option. Not of errno(3): the protocol's own.
    Unsupported,
}

impl Errno {
    /// The name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddressInUse => "EADDRINUSE",
            Self::AddressNotAvailable => "EADDRNOTAVAIL",
            Self::BadHandle => "EBADF",
            Self::ConnectionAborted => "ECONNABORTED",
            Self::ConnectionRefused => "ECONNREFUSED",
            Self::ConnectionReset => "ECONNRESET",
            Self::HostUnreachable => "EHOSTUNREACH",
            Self::Invalid => "EINVAL",
            Self::TooMany => "EMFILE",
            Self::MessageSize => "EMSGSIZE",
            Self::NetworkUnreachable => "ENETUNREACH",
            Self::NoBuffers => "ENOBUFS",
            Self::NotConnected => "ENOTCONN",
            Self::Pipe => "EPIPE",
            Self::Shutdown => "ESHUTDOWN",
            Self::TimedOut => "ETIMEDOUT",
            Self::Unsupported => "EUNSUPPORTED",
        }
    }

    /// What the end of a connection is to its user; nothing where it ended in order.
    pub(super) const fn of_end(end: End) -> Option<Self> {
        match end {
            End::Closed => None,
            End::Reset => Some(Self::ConnectionReset),
            End::Refused => Some(Self::ConnectionRefused),
            End::Unreachable => Some(Self::HostUnreachable),
            End::TimedOut => Some(Self::TimedOut),
            End::Aborted => Some(Self::ConnectionAborted),
        }
    }
}

impl From<OpenError> for Errno {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoRoute => Self::NetworkUnreachable,
            OpenError::InvalidRemote | OpenError::InvalidLocal | OpenError::NoPortLeft => {
                Self::AddressNotAvailable
            }
            OpenError::PortInUse => Self::AddressInUse,
            OpenError::TableFull | OpenError::NoSuchSettings => Self::NoBuffers,
            OpenError::Draining => Self::Shutdown,
        }
    }
}

impl From<ListenError> for Errno {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::InUse => Self::AddressInUse,
            ListenError::NotOurAddress => Self::AddressNotAvailable,
            ListenError::InvalidPort => Self::Invalid,
            ListenError::NoSuchSettings => Self::NoBuffers,
        }
    }
}
