//! A segment that is sent at once, by no flow: header and no text, at most 60 bytes.
//!
//! SYN-ACKs of half-open connections and under cookies, and what else a TCB wants to say that is no
//! flow yet (RFC 9293 3.10.7.4). It goes back where the frame came from that brought it about.

use arrayvec::ArrayVec;
use tidegate_port::Port;
use tidegate_tcp::{Context, Tcb, TxChecksumMode};
use tidegate_wire::{
    Discard, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, FastOpen, Instant, Ip, PROTOCOL_TCP,
};

use crate::half_open::Origin;
use crate::port_tx::PortTx;

/// The longest TCP header.
const LEN_MAX: usize = 60;

/// A segment to be sent; see the module.
#[derive(Debug)]
pub(crate) struct Reply {
    ip: Ip,
    segment: ArrayVec<u8, LEN_MAX>,
}

impl Reply {
    /// The next segment that a TCB without text wants to transmit.
    pub(crate) fn poll(tcb: &mut Tcb, cx: &mut Context<'_>) -> Option<Self> {
        let mut bytes = [0; LEN_MAX];
        let len = tcb.poll_transmit(&mut bytes, TxChecksumMode::Full, cx)?;
        Some(Self::new(bytes, len, tcb, cx))
    }

    /// A first SYN-ACK, with a Fast Open cookie for the peer where it shall have one.
    pub(crate) fn poll_syn(
        tcb: &mut Tcb,
        fast_open: Option<FastOpen>,
        cx: &mut Context<'_>,
    ) -> Option<Self> {
        let mut bytes = [0; LEN_MAX];
        let len = tcb.poll_syn(fast_open, &mut bytes, TxChecksumMode::Full, cx)?;
        Some(Self::new(bytes, len, tcb, cx))
    }

    fn new(bytes: [u8; LEN_MAX], len: usize, tcb: &Tcb, cx: &Context<'_>) -> Self {
        let mut segment = ArrayVec::from(bytes);
        segment.truncate(len);
        let tuple = tcb.tuple();
        let ip = Ip {
            src: tuple.local,
            dst: tuple.remote,
            hop_limit: cx.settings.hop_limit,
            traffic_class: tcb.traffic_class(cx.settings),
        };
        Self { ip, segment }
    }

    /// Sends it to `origin`.
    pub(crate) fn send<P: Port>(
        &self,
        port: &mut PortTx<P>,
        origin: &Origin,
        now: Instant,
    ) -> Result<(), Discard> {
        let ether_type = if self.ip.dst.is_ipv4() {
            ETHER_TYPE_IPV4
        } else {
            ETHER_TYPE_IPV6
        };
        let ethernet = origin.ethernet(port.port.facts().mac, ether_type);
        let payload = (PROTOCOL_TCP, self.segment.len());
        port.send_datagram((&ethernet, &self.ip), payload, now, |bytes| {
            bytes[..self.segment.len()].copy_from_slice(&self.segment);
        })
    }
}
