//! SYN cookies of listeners (RFC 4987 3.6): when they are used, sent and believed.
//!
//! What a cookie is stands in `tidegate-tcp`. A SYN that is answered by one costs no memory here; a
//! flow is made only when the cookie comes back. Cookies are believed only by a listener that has
//! sent some not long ago, so at other times nobody can guess his way in.

use core::time::Duration;

use tidegate_tcp::{Context, Segment, Tcb};
use tidegate_wire::{Discard, Instant};

use crate::counters::Counter;
use crate::listener::{Listener, ListenerId};
use crate::reply::Reply;
use crate::stack::Stack;

/// When a listener answers SYNs by cookies. Linux: `tcp_syncookies`, 0 to 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SynCookies {
    /// Never. A SYN that finds the SYN queue full is dropped.
    Off,
    /// When the SYN queue is full.
    #[default]
    Full,
    /// Always: no SYN is ever kept. Segment sizes are rounded down, lost SYN-ACKs are not sent
    /// again, and without timestamps there is neither window scaling nor SACK.
    Always,
}

/// For how long a cookie may come back after the last one was sent: both of its slots.
const EXPECTED: Duration = Duration::from_secs(128);

impl Listener {
    /// Whether a cookie may come back now.
    pub(crate) fn expects_cookie(&self, now: Instant) -> bool {
        self.cookie_sent_at
            .is_some_and(|sent| now.saturating_since(sent) <= EXPECTED)
    }
}

impl Stack {
    /// The answer to a SYN by a cookie; nothing is kept.
    pub(crate) fn bake(
        &mut self,
        seg: &Segment<'_>,
        mtu: u32,
        id: ListenerId,
    ) -> Result<Reply, Discard> {
        let settings = self.settings_of_listener(id);
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[settings],
            memory: &mut self.memory,
        };
        let mut tcb = Tcb::accept_by_cookie(seg, &self.secrets, mtu, &mut cx)?;
        let reply = Reply::poll(&mut tcb, &mut cx).ok_or(Discard::SynQueueFull)?;
        if let Some(listener) = self.listeners.of_mut(id) {
            listener.cookie_sent_at = Some(self.now);
        }
        self.count(Counter::SyncookiesSent);
        Ok(reply)
    }

    /// The TCB that a segment's cookie makes; the segment is then for it.
    pub(crate) fn take_cookie(
        &mut self,
        seg: &Segment<'_>,
        id: ListenerId,
    ) -> Result<Tcb, Discard> {
        let mtu = self.mtu_towards(seg)?;
        let settings = self.settings_of_listener(id);
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[settings],
            memory: &mut self.memory,
        };
        let tcb = Tcb::from_cookie(seg, &self.secrets, mtu, &mut cx);
        match &tcb {
            Ok(_) => self.count(Counter::SyncookiesReceived),
            Err(Discard::TcpCookieWrong) => self.count(Counter::SyncookiesFailed),
            Err(_) => {}
        }
        tcb
    }
}
