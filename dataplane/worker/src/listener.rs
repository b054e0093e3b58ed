//! Listeners: who may open flows to us, and how many may wait.
//!
//! A SYN is for the listener of its exact address and port, else for the one of its port on all
//! addresses. Two queues are bounded for each (Linux has the same two, with the same names):
//!
//! - the **SYN queue** holds half-open connections, `syn_backlog` at most. A SYN beyond that takes
//!   the place of the oldest, if that was sent its SYN-ACK again in vain; or it is answered by a
//!   cookie ([`SynCookies`]), or discarded as `syn_queue_full`.
//! - the **accept queue** holds flows whose handshake is done and that the application does not
//!   take yet ([`App::is_ready`](crate::App::is_ready)), `backlog` at most. Beyond that the ACK that
//!   would finish a handshake is discarded as `accept_queue_full`, or answered with a RST where
//!   `abort_on_overflow` is set.
//!
//! A listener that is closed takes its half-open and queued flows along; established ones go on.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU32;
use std::collections::VecDeque;

use tidegate_wire::Instant;

use crate::cookie::SynCookies;
use crate::flow::{FlowId, SettingsId};
use crate::half_open::SynQueue;

/// A listener of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(NonZeroU32);

/// How a listener is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address to listen on; none: all addresses of the worker, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// Port to listen on.
    pub port: u16,
    /// Flows that may wait in the accept queue. With 0, the application takes each at once or
    /// not at all.
    pub backlog: u32,
    /// Flows that may be half-open at a time.
    pub syn_backlog: u32,
    /// Reset a flow that finishes its handshake while the accept queue is full. Otherwise its ACK
    /// is dropped, and the SYN-ACK sent again.
    pub abort_on_overflow: bool,
    /// When SYNs are answered by cookies.
    pub syn_cookies: SynCookies,
    /// Take text on SYNs that bring a Fast Open cookie (RFC 7413).
    pub fast_open: bool,
    /// Flows that may have come so and not have finished their handshake; beyond that text on a SYN
    /// waits for the handshake like any other.
    pub fast_open_max: u32,
    /// Settings of the flows.
    pub settings: SettingsId,
    /// The application's number, which each flow inherits.
    pub tag: u32,
}

impl Listen {
    /// A listener on `port` of all addresses, with an accept queue of 128, a SYN queue of 1024,
    /// cookies when that is full, the first settings, and tag 0.
    #[must_use]
    pub const fn on(port: u16) -> Self {
        Self {
            address: None,
            port,
            backlog: 128,
            syn_backlog: 1_024,
            abort_on_overflow: false,
            syn_cookies: SynCookies::Full,
            fast_open: false,
            fast_open_max: 256,
            settings: SettingsId(0),
            tag: 0,
        }
    }
}

/// Why a listener was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// Another listener has this address and port.
    InUse,
    /// The address is not one of the worker's.
    NotOurAddress,
    /// Port 0 is nobody's.
    InvalidPort,
    /// There are no such settings.
    NoSuchSettings,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "another listener has this address and port",
            Self::NotOurAddress => "the address is not one of ours",
            Self::InvalidPort => "port 0 cannot be listened on",
            Self::NoSuchSettings => "there are no settings of that number",
        })
    }
}

impl core::error::Error for ListenError {}

/// What is known of a listener, for control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerRow {
    /// Its id.
    pub id: ListenerId,
    /// How it was opened.
    pub listen: Listen,
    /// Flows that are half-open.
    pub half_open: u32,
    /// Flows that wait for the application.
    pub queued: u32,
}

/// An open listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) id: ListenerId,
    pub(crate) listen: Listen,
    /// Its half-open connections.
    pub(crate) syn_queue: SynQueue,
    pub(crate) queue: VecDeque<FlowId>,
    /// Flows that came by Fast Open and have not finished their handshake.
    pub(crate) fast_open_pending: u32,
    /// When a SYN was last answered by a cookie.
    pub(crate) cookie_sent_at: Option<Instant>,
}

impl Listener {
    /// Whether the SYN queue takes no more.
    pub(crate) const fn is_syn_queue_full(&self) -> bool {
        self.syn_queue.len >= self.listen.syn_backlog
    }

    /// Whether the accept queue takes no more.
    pub(crate) fn is_queue_full(&self) -> bool {
        self.queue.len() >= self.listen.backlog as usize
    }
}

/// All listeners of a worker, few enough to be found by looking at each.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    open: Vec<Listener>,
    /// How many have been opened so far: the number of the last. Numbers are not used twice.
    opened: u32,
}

impl Listeners {
    /// Opens a listener whose address and settings are known to be good.
    pub(crate) fn open(&mut self, listen: Listen) -> Result<ListenerId, ListenError> {
        if listen.port == 0 {
            return Err(ListenError::InvalidPort);
        }
        let is_taken = |other: &Listener| {
            other.listen.port == listen.port && other.listen.address == listen.address
        };
        if self.open.iter().any(is_taken) {
            return Err(ListenError::InUse);
        }
        self.opened = self.opened.wrapping_add(1);
        let id = ListenerId(NonZeroU32::new(self.opened).unwrap_or(NonZeroU32::MIN));
        self.open.push(Listener {
            id,
            listen,
            syn_queue: SynQueue::EMPTY,
            queue: VecDeque::with_capacity(listen.backlog as usize),
            fast_open_pending: 0,
            cookie_sent_at: None,
        });
        // Those for one address come first, so the first that fits is the right one.
        self.open
            .sort_by_key(|listener| listener.listen.address.is_none());
        Ok(id)
    }

    /// Closes a listener and answers what it was.
    pub(crate) fn close(&mut self, id: ListenerId) -> Option<Listener> {
        let at = self.open.iter().position(|listener| listener.id == id)?;
        Some(self.open.remove(at))
    }

    /// The listener for a SYN to `address` and `port`.
    pub(crate) fn find(&self, address: IpAddr, port: u16) -> Option<&Listener> {
        self.open.iter().find(|Listener { listen, .. }| {
            listen.port == port && listen.address.is_none_or(|own| own == address)
        })
    }

    /// The listener with this id, while it is open.
    pub(crate) fn of(&self, id: ListenerId) -> Option<&Listener> {
        self.open.iter().find(|listener| listener.id == id)
    }

    /// The listener with this id, while it is open.
    pub(crate) fn of_mut(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.open.iter_mut().find(|listener| listener.id == id)
    }

    /// Half-open connections that all of them together may have.
    pub(crate) fn syn_backlogs(&self) -> u32 {
        let backlogs = self.open.iter().map(|open| open.listen.syn_backlog);
        backlogs.fold(0, u32::saturating_add)
    }

    /// All that are open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.open.iter()
    }

    /// A row each, for control.
    pub(crate) fn rows(&self) -> Vec<ListenerRow> {
        self.open
            .iter()
            .map(|listener| ListenerRow {
                id: listener.id,
                listen: listener.listen,
                half_open: listener.syn_queue.len,
                queued: u32::try_from(listener.queue.len()).unwrap_or(u32::MAX),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    #[test]
    fn an_exact_address_goes_before_all_addresses() {
        let mut listeners = Listeners::default();
        let all = listeners.open(Listen::on(80)).unwrap();
        let listen = Listen {
            address: Some(address(1)),
            ..Listen::on(80)
        };
        let exact = listeners.open(listen).unwrap();
        let found = |listeners: &Listeners, address, port| {
            listeners.find(address, port).map(|listener| listener.id)
        };
        assert_eq!(found(&listeners, address(1), 80), Some(exact));
        assert_eq!(found(&listeners, address(2), 80), Some(all));
        assert_eq!(found(&listeners, address(1), 81), None);
        assert_eq!(listeners.open(listen), Err(ListenError::InUse));
        assert!(listeners.close(exact).is_some());
        assert!(listeners.close(exact).is_none());
        assert_eq!(found(&listeners, address(1), 80), Some(all));
        let again = listeners.open(listen).unwrap();
        assert_ne!(again, exact, "an id is not used twice");
    }

    #[test]
    fn port_zero_is_refused() {
        let refused = Listeners::default().open(Listen::on(0));
        assert_eq!(refused, Err(ListenError::InvalidPort));
    }
}
