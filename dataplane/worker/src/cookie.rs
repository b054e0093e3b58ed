//! SYN cookies of listeners (RFC 4987 3.6): when they are used, sent and believed.
//!
//! What a cookie is stands in `tidegate-tcp`. A SYN that is answered by one costs no memory here; a
//! flow is made only when the cookie comes back. Cookies are believed only by a listener that has
//! sent some not long ago, so at other times nobody can guess his way in.

use core::time::Duration;

use arrayvec::ArrayVec;
use tidegate_tcp::{Context, Segment, Tcb, TxChecksumMode};
use tidegate_wire::{Discard, Instant};

use crate::app::App;
use crate::counters::Counter;
use crate::flow::{Flow, Phase};
use crate::listener::{Listener, ListenerId};
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

/// A SYN-ACK of which nothing is kept.
#[derive(Debug)]
pub(crate) struct SynAck {
    /// The whole segment: a header, which has 60 bytes at most.
    pub(crate) bytes: ArrayVec<u8, 60>,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
}

impl Listener {
    /// Whether a SYN that comes now is answered by a cookie.
    pub(crate) const fn is_baking(&self) -> bool {
        match self.listen.syn_cookies {
            SynCookies::Off => false,
            SynCookies::Full => self.is_syn_queue_full(),
            SynCookies::Always => true,
        }
    }

    /// Whether a cookie may come back now.
    fn expects_cookie(&self, now: Instant) -> bool {
        self.cookie_sent_at
            .is_some_and(|sent| now.saturating_since(sent) <= EXPECTED)
    }
}

impl Stack {
    /// The answer to a SYN by a cookie; nothing is kept.
    pub(crate) fn bake(&mut self, seg: &Segment<'_>, id: ListenerId) -> Result<SynAck, Discard> {
        let mtu = self.mtu_towards(seg)?;
        let listener = self.listeners.of_mut(id).ok_or(Discard::TcpNoListener)?;
        listener.cookie_sent_at = Some(self.now);
        let settings = &self.settings[usize::from(listener.listen.settings.0)];
        let mut cx = Context {
            now: self.now,
            settings,
            memory: &mut self.memory,
        };
        let mut tcb = Tcb::accept_by_cookie(seg, &self.secrets, mtu, &mut cx)?;
        let mut bytes = [0; 60];
        let len = tcb.poll_transmit(&mut bytes, TxChecksumMode::Full, &mut cx);
        let mut bytes = ArrayVec::from(bytes);
        bytes.truncate(len.unwrap_or(0));
        self.count(Counter::SyncookiesSent);
        Ok(SynAck {
            bytes,
            hop_limit: settings.hop_limit,
            traffic_class: tcb.traffic_class(settings),
        })
    }

    /// A segment for a listener that may bring a cookie back: the slot of the flow that it makes.
    /// The segment is then for that flow.
    pub(crate) fn take_cookie<A: App>(
        &mut self,
        app: &A,
        (seg, vlan): (&Segment<'_>, Option<u16>),
        id: ListenerId,
    ) -> Result<u32, Discard> {
        let listener = self.listeners.of(id).ok_or(Discard::TcpNoListener)?;
        if !listener.expects_cookie(self.now) {
            return Err(Discard::TcpAckInListen);
        }
        let listen = listener.listen;
        let mtu = self.mtu_towards(seg)?;
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(listen.settings.0)],
            memory: &mut self.memory,
        };
        let tcb = Tcb::from_cookie(seg, &self.secrets, mtu, &mut cx).inspect_err(|discard| {
            if *discard == Discard::TcpCookieWrong {
                self.counters.count(Counter::SyncookiesFailed);
            }
        })?;
        self.count(Counter::SyncookiesReceived);
        if self.flows.is_full() && !self.recycle_time_wait() {
            return Err(Discard::FlowTableFull);
        }
        if !listen.abort_on_overflow {
            // It is as if the ACK was lost; the peer's text brings the cookie once more.
            self.check_room(app, id)?;
        }
        let mut flow = Flow::new(tcb, listen.settings, Phase::HalfOpen);
        flow.tag = listen.tag;
        flow.listener = Some(id);
        self.enter_hop(&mut flow, vlan);
        let flow = self.enter(flow).ok_or(Discard::FlowTableFull)?;
        if let Some(listener) = self.listeners.of_mut(id) {
            listener.half_open += 1;
        }
        Ok(flow.index())
    }
}
