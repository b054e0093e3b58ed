//! What a listener keeps of a SYN, as the worker has it: a folded TCB, or nothing but a cookie (RFC
//! 4987 3.2 and 3.6).

use tidegate_tcp::{Context, HalfOpen, Secrets, Segment, Tcb, TxChecksumMode, arrive};
use tidegate_wire::{Discard, Tcp};

use super::{Play, Sent};

impl Play {
    /// Between two turns a passive connection is folded as long as it can be, so that every passive
    /// conversation shows that nothing is lost by it.
    pub(super) fn fold(&mut self) {
        let Some(half_open) = self.tcb.as_ref().and_then(HalfOpen::fold) else {
            return;
        };
        let ts_offset = self.ts_offset();
        let cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let tcb = half_open.unfold(ts_offset, &cx);
        tcb.assert_invariants(cx.memory);
        assert_eq!(HalfOpen::fold(&tcb), Some(half_open));
        self.tcb = Some(tcb);
        self.folded += 1;
    }

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
