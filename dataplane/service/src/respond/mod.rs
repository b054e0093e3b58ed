//! A fixed HTTP/1.1 answer to every request: enough for curl, wrk and health checks.
//!
//! Requests may be pipelined and may be split anywhere; connections are kept open as RFC 9112
//! section 9.3 says. A body announced by `Content-Length` is read and forgotten. What this service
//! does not do: it looks at no path, asks for no `Host`, speaks no TLS and no HTTP/2, answers a
//! chunked request body with 411, and does not end connections that are silent between two
//! requests.
//!
//! A head that arrives whole in one segment, as nearly all do, is parsed where it lies in the
//! frame. A split head is gathered in one of a fixed number of buffers, so that a slow client costs
//! a bounded amount of memory and never an allocation.

mod head;
mod response;

use core::time::Duration;

use tidegate_worker::{FlowId, Stack};

pub use response::Response;

use crate::PerFlow;
use head::{Head, Heads, Parsed};
use response::{Answer, Answers};

/// How long a client may go on sending after our last answer. Shorter: a RST for what it still sends
/// may overtake the answer. Longer: a client that never closes holds its slot of the flow table for
/// longer.
const LINGER: Duration = Duration::from_secs(10);
/// How long a client may take to send the rest of a head, of which it has sent the first part.
/// Shorter cuts off slow clients, longer lets them hold the buffers that others need. nginx allows
/// as much.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What is going on between one client and us.
#[derive(Debug, Default)]
struct Conversation {
    /// The answer that the send queue did not take whole, and how much of it went.
    unsent: Option<(Answer, usize)>,
    /// Bytes of the current request's body that are still to be skipped.
    body_left: u64,
    /// The buffer with the first part of a split head.
    partial: Option<u32>,
    /// The last answer has been given: nothing more is read.
    is_last: bool,
}

/// The service with its answers and its clients.
#[derive(Debug)]
pub struct Respond {
    answers: Answers,
    conversations: PerFlow<Conversation>,
    heads: Heads,
    /// Requests answered since the start.
    requests: u64,
}

impl Respond {
    /// A service that gives `response` to every request, for flows with slots below `flows_max`.
    #[must_use]
    pub fn new(response: &Response, flows_max: u32) -> Self {
        Self {
            answers: Answers::new(response),
            conversations: PerFlow::new(flows_max),
            heads: Heads::new(),
            requests: 0,
        }
    }

    /// Requests answered since the start.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// A new client.
    pub(crate) fn on_accept(&mut self, flow: FlowId) {
        self.conversations.insert(flow, Conversation::default());
    }

    /// Answers each whole request in `text`; returns how much of it is dealt with.
    pub(crate) fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        let mut taken = 0;
        loop {
            let Some(talk) = self.conversations.of_mut(flow) else {
                return text.len();
            };
            if talk.is_last {
                return text.len();
            }
            if talk.unsent.is_some() {
                return taken;
            }
            taken += skip_body(talk, &text[taken..]);
            if taken == text.len() {
                return taken;
            }
            let was_partial = talk.partial.is_some();
            let (used, parsed) = self.heads.parse(&mut talk.partial, &text[taken..]);
            taken += used;
            if was_partial != talk.partial.is_some() {
                let timeout_at = stack.now() + HEAD_TIMEOUT;
                stack.set_timer(flow, talk.partial.map(|_| timeout_at));
            }
            match parsed {
                Parsed::Incomplete => return taken,
                Parsed::Whole(head) => self.answer(stack, flow, &head),
                Parsed::Refused(answer) => self.give(stack, flow, answer),
            }
        }
    }

    /// There is room again: the rest of the answer goes out, then the next request is looked at.
    pub(crate) fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        if self.push(stack, flow) {
            stack.resume(flow);
        }
    }

    /// The client has sent its last; what was asked before is still answered.
    pub(crate) fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some(talk) = self.conversations.of_mut(flow) else {
            return;
        };
        talk.is_last = true;
        if talk.unsent.is_none() {
            stack.close(flow);
        }
    }

    /// The client has had its time: to send the rest of a head, or to close after our FIN.
    pub(crate) fn on_timer(&self, stack: &mut Stack, flow: FlowId) {
        let Some(talk) = self.conversations.of(flow) else {
            return;
        };
        if talk.is_last {
            // What is queued still goes out: a slow client may be reading for long.
            stack.close(flow);
        } else {
            stack.abort(flow);
        }
    }

    /// The flow is gone.
    pub(crate) fn on_end(&mut self, flow: FlowId) {
        if let Some(Conversation {
            partial: Some(buffer),
            ..
        }) = self.conversations.take(flow)
        {
            self.heads.give(buffer);
        }
    }

    /// Answers one request.
    fn answer(&mut self, stack: &mut Stack, flow: FlowId, head: &Head) {
        let Some(talk) = self.conversations.of_mut(flow) else {
            return;
        };
        talk.body_left = head.content_length;
        self.requests += 1;
        self.give(stack, flow, Answer::for_head(head));
    }

    /// Queues `answer`; after the last one of a connection comes our FIN.
    fn give(&mut self, stack: &mut Stack, flow: FlowId, answer: Answer) {
        let Some(talk) = self.conversations.of_mut(flow) else {
            return;
        };
        talk.is_last |= answer.closes();
        talk.unsent = Some((answer, 0));
        self.push(stack, flow);
    }

    /// Sends what is left of the current answer; true when it has gone whole.
    fn push(&mut self, stack: &mut Stack, flow: FlowId) -> bool {
        let Some(talk) = self.conversations.of_mut(flow) else {
            return false;
        };
        if let Some((answer, sent)) = talk.unsent {
            let bytes = self.answers.bytes(answer);
            let Ok(taken) = stack.send(flow, &bytes[sent..]) else {
                // The flow has ended. What it asked further is given up, and on_end clears all.
                stack.abort(flow);
                return false;
            };
            if sent + taken < bytes.len() {
                talk.unsent = Some((answer, sent + taken));
                return false;
            }
            talk.unsent = None;
        }
        if talk.is_last {
            // Half-closing, not closing: bytes of the client that are still under way must not turn
            // the end into a reset that overtakes the answer (RFC 9112 section 9.6). Where that is
            // refused, it was done before, or the flow has ended.
            if stack.shutdown(flow).is_ok() {
                stack.set_timer(flow, Some(stack.now() + LINGER));
            }
        }
        true
    }
}

/// Takes what belongs to the body of the request before.
fn skip_body(talk: &mut Conversation, text: &[u8]) -> usize {
    let here = usize::try_from(talk.body_left)
        .unwrap_or(usize::MAX)
        .min(text.len());
    talk.body_left -= here as u64;
    here
}
