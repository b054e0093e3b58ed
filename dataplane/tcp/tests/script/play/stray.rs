//! A segment where there is no TCB: TIME_WAIT, LISTEN and CLOSED (RFC 9293 3.10.7.1, 3.10.7.2).

use tidegate_tcp::{Context, ResetReply, Segment, SeqNum, Tcb, Waiting, arrive};
use tidegate_wire::{Discard, TcpFlags};

use super::{Play, Sent};

impl Play {
    /// A segment arrives at what is left of the TCB.
    pub(super) fn give_to_time_wait(&mut self, seg: &Segment<'_>) -> Result<(), Discard> {
        let (record, until) = self.time_wait.as_mut().expect("the caller has asked");
        let (reply, outcome) = match record.on_segment(seg, self.now, &self.settings) {
            Waiting::Taken { reply } => (reply, Ok(())),
            Waiting::Discarded {
                discard,
                reply,
                restarts,
            } => {
                if restarts {
                    *until = self.now + self.settings.time_wait;
                }
                (reply, Err(discard))
            }
            Waiting::Superseded => {
                let iss = record.iss_after(SeqNum::new(self.stage.our_iss));
                self.time_wait = None;
                self.stage.our_iss = iss.value();
                (self.delivered, self.written, self.end) = (0, 0, None);
                return self.give_without_tcb(seg);
            }
        };
        if let Some(reply) = reply {
            let mut bytes = vec![0; reply.segment_len()];
            reply.emit(&mut bytes);
            self.sent.push_back(Sent {
                at: self.now,
                ecn: 0,
                bytes,
            });
        }
        outcome
    }

    pub(super) fn give_without_tcb(&mut self, seg: &Segment<'_>) -> Result<(), Discard> {
        let mut cx = Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        if !self.is_listening {
            self.reply(arrive::closed(seg));
            let is_reset = seg.flags.contains(TcpFlags::RST);
            return Err(if is_reset {
                Discard::TcpRstInClosed
            } else {
                Discard::TcpNoListener
            });
        }
        if let Some(oven) = self.oven.clone() {
            return self.give_to_oven(seg, &oven);
        }
        let iss = SeqNum::new(self.stage.our_iss);
        match Tcb::accept(seg, iss, self.mtu, &mut cx) {
            Ok(tcb) => {
                self.stage.peer_iss = seg.seq.value();
                self.tcb = Some(tcb.with_ts_offset(self.ts_offset()));
                Ok(())
            }
            Err(discard) => {
                self.reply(arrive::listen(seg));
                Err(discard)
            }
        }
    }

    pub(super) fn reply(&mut self, reply: Option<ResetReply>) {
        if let Some(reply) = reply {
            let mut out = vec![0; ResetReply::LEN];
            reply.emit(&mut out);
            self.sent.push_back(Sent {
                at: self.now,
                ecn: 0,
                bytes: out,
            });
        }
    }
}
