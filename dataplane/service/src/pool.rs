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
    /// Connections begun to it.
    pub opened: u64,
    /// Connections to it that did not come about: refused, not answered in time, or not even begun
    /// for want of a way, a port or room in the flow table.
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

    /// The backend whose turn it is (round robin), among those that are not in `tried`; it is then.
    ///
    /// Without `tried`, other clients' turns could lead one client's retries to the same dead
    /// backend again and again.
    pub(crate) fn take_turn(&mut self, tried: &mut Tried) -> usize {
        let count = self.counts.len();
        let turn = (self.next..count)
            .chain(0..self.next)
            .find(|&backend| !tried.has(backend));
        let turn = turn.unwrap_or_else(|| {
            *tried = Tried::default();
            self.next
        });
        tried.insert(turn);
        self.next = (turn + 1) % count;
        turn
    }
}

/// The backends that one client was brought to in vain. Of larger pools it knows the first 64; the
/// others may be tried twice, which costs a client one of its retries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried(u64);

impl Tried {
    const fn has(self, backend: usize) -> bool {
        backend < 64 && self.0 >> backend & 1 == 1
    }

    const fn insert(&mut self, backend: usize) {
        if backend < 64 {
            self.0 |= 1 << backend;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(backends: usize) -> Pool {
        let backend = |number| Backend {
            name: format!("b{number}"),
            address: ([192, 0, 2, 1], 80).into(),
        };
        Pool::new(PoolSpec {
            name: "p".into(),
            backends: (0..backends).map(backend).collect(),
            connect_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(1),
            retries: 0,
            source: None,
            settings: SettingsId(0),
        })
    }

    #[test]
    fn turns_go_round() {
        let mut pool = pool(3);
        let turns: Vec<usize> = (0..7)
            .map(|_| pool.take_turn(&mut Tried::default()))
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn one_client_comes_to_every_backend_before_any_again() {
        for backends in [1, 2, 5, 64] {
            let mut pool = pool(backends);
            let mut tried = Tried::default();
            let mut take_turn = || {
                let turn = pool.take_turn(&mut tried);
                // Another client takes a turn in between.
                pool.take_turn(&mut Tried::default());
                turn
            };
            for round in 0..3 {
                let mut turns: Vec<usize> = (0..backends).map(|_| take_turn()).collect();
                turns.sort_unstable();
                let all: Vec<usize> = (0..backends).collect();
                assert_eq!(turns, all, "round {round} of {backends} backends");
            }
        }
    }

    #[test]
    fn a_large_pool_goes_round_as_well() {
        let mut pool = pool(100);
        let mut tried = Tried::default();
        let turns: Vec<usize> = (0..100).map(|_| pool.take_turn(&mut tried)).collect();
        assert_eq!(turns, (0..100).collect::<Vec<_>>());
    }
}
