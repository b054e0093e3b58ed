//! A listener that answers SYNs by cookies (RFC 4987 3.6), as the worker has it.

use tidegate_tcp::{Context, Secrets, Segment, Tcb, TxChecksumMode, arrive};
use tidegate_wire::{Discard, Tcp};

use super::{Play, Sent};

impl Play {
    /// A segment arrives at a listener that keeps nothing of a SYN.
    pub(super) fn give_to_oven(
        &mut self,
        seg: &Segment<'_>,
        oven: &Secrets,
    ) -> Result<(), Discard> {
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        if let Ok(tcb) = Tcb::from_cookie(seg, oven, self.mtu, &mut cx) {
            self.tcb = Some(tcb);
            return self.give(*seg);
        }
        let mut out = vec![0; 60];
        let len = Tcb::accept_by_cookie(seg, oven, self.mtu, &mut cx)
            .map(|mut answer| answer.poll_transmit(&mut out, TxChecksumMode::Full, &mut cx));
        let len = len.inspect_err(|_| self.reply(arrive::listen(seg)))?;
        out.truncate(len.expect("a SYN-ACK"));
        // Its number is what only the oven knows.
        let (tcp, _) = Tcp::parse(&out).expect("our own segments are well-formed");
        (self.stage.our_iss, self.stage.peer_iss) = (tcp.seq, seg.seq.value());
        self.sent.push_back(Sent {
            at: self.now,
            ecn: 0,
            bytes: out,
        });
        Ok(())
    }
}
