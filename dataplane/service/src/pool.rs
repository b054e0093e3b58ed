//! A pool of backends and the choice among them.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use tidegate_worker::SettingsId;

/// A pool as it is configured.
#[derive(Clone, Debug)]
pub struct PoolSpec {
    /// Name, as the operator knows it.
    pub name: String,
    /// The backends with their names, in the order of the configuration.
    pub backends: Vec<Backend>,
    /// How long one backend may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long a joined pair may be silent in both directions before it is reset.
    pub idle_timeout: Duration,
    /// How many further backends are tried when one does not accept.
    pub retries: u32,
    /// Source address towards the backends; none: the address of the interface that leads there.
    pub source: Option<IpAddr>,
    /// TCP settings towards the backends.
    pub settings: SettingsId,
}

/// One server of a pool.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Name, as the operator knows it.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What one backend has been given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendCounts {
    /// Connections opened to it, those still being opened included.
    pub opened: u64,
    /// Connections that it did not accept in time, or refused.
    pub failed: u64,
    /// Connections that are open or being opened.
    pub active: u64,
    /// Bytes of text sent to it.
    pub text_to: u64,
    /// Bytes of text received from it.
    pub text_from: u64,
}

/// The pool at work.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) spec: PoolSpec,
    pub(crate) counts: Vec<BackendCounts>,
    /// The backend that is next in turn.
    next: usize,
}

impl Pool {
    /// # Panics
    /// Where the pool has no backend; the configuration refuses such a pool.
    pub(crate) fn new(spec: PoolSpec) -> Self {
        assert!(
            !spec.backends.is_empty(),
            "pool {} has no backend",
            spec.name
        );
        let counts = vec![BackendCounts::default(); spec.backends.len()];
        Self {
            spec,
            counts,
            next: 0,
        }
    }

    /// The backend whose turn it is (round robin).
    pub(crate) const fn take_turn(&mut self) -> usize {
        let turn = self.next;
        self.next = (turn + 1) % self.counts.len();
        turn
    }
}
