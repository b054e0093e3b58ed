//! Sockets as the worker knows them: listeners and connections, who owns each, and who waits.

use std::collections::VecDeque;

use crossbeam::channel::Sender;
use tidegate_tcp::{End, FourTuple, Settings, State};
use tidegate_worker::{FlowId, ListenerId, Stack};

use super::errno::Errno;
use super::protocol::{Answer, Handle, Refusal, Reply};

/// A control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId(pub(super) u64);

/// A listener or a connection of one session.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) owner: SessionId,
    /// What the connection follows, or all connections that the listener will accept.
    pub(super) settings: Settings,
    /// The one request that waits for something to happen here. A session waits for one answer at
    /// a time, so there is never a second.
    pub(super) waiter: Option<Waiter>,
    pub(super) kind: Kind,
}

/// What a socket is.
#[derive(Debug)]
pub(super) enum Kind {
    Listener {
        id: ListenerId,
        /// Connections that came while nobody waited: more than one handshake can end in a burst.
        accepted: VecDeque<Handle>,
    },
    Connection(Connection),
}

/// A connection, from its SYN until its handle is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) flow: FlowId,
    pub(super) is_connected: bool,
    /// All text of the peer was read.
    pub(super) is_at_eof: bool,
    /// The stack has told its end.
    pub(super) has_ended: bool,
    /// Its sockets, once it has ended: TIME_WAIT goes by them when the flow is gone.
    pub(super) sockets: Option<FourTuple>,
    /// Why it ended, as long as it was not told.
    pub(super) error: Option<Errno>,
    /// Trouble that ended nothing, as long as it was not asked for.
    pub(super) soft_error: Option<Errno>,
    /// Why it never came about.
    pub(super) failure: Option<Errno>,
}

impl Connection {
    /// A connection of this flow, being opened or accepted.
    pub(super) const fn new(flow: FlowId, is_connected: bool) -> Self {
        Self {
            flow,
            is_connected,
            is_at_eof: false,
            has_ended: false,
            sockets: None,
            error: None,
            soft_error: None,
            failure: None,
        }
    }

    /// The stack has told how it ended.
    pub(super) fn note_end(&mut self, end: End, sockets: Option<FourTuple>) {
        self.has_ended = true;
        self.sockets = sockets;
        let mut error = Errno::of_end(end);
        if error == Some(Errno::TimedOut) {
            // As in Linux: where a router has said why there is no answer, that is the reason.
            error = self.soft_error.take().or(error);
        }
        if self.is_connected {
            self.error = error;
        } else {
            self.failure = error.or(Some(Errno::ConnectionAborted));
            self.error = self.failure;
        }
    }

    /// The state of its flow, or of what is left of it.
    pub(super) fn state(&self, stack: &Stack) -> Option<State> {
        let is_waiting = || {
            self.sockets
                .filter(|own| stack.is_waiting(own))
                .map(|_| State::TimeWait)
        };
        stack.state(self.flow).or_else(is_waiting)
    }

    /// What `recv` says after the end when all text was read: the error, once, and then the end of
    /// the text.
    pub(super) fn text_at_end(&mut self) -> Reply {
        // Who was told the end of the text already learns of an error only by asking for it.
        match self.error.take_if(|_| !self.is_at_eof) {
            Some(error) => Err(error.into()),
            None => Ok(Answer::Text {
                text: Vec::new(),
                eof: true,
            }),
        }
    }

    /// What `wait_connected` says once it is settled.
    pub(super) fn outcome_at_end(&mut self) -> Reply {
        match self.failure {
            Some(failure) => {
                self.error = None;
                Err(failure.into())
            }
            None => Ok(Answer::Done),
        }
    }
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) what: Waiting,
    pub(super) reply: Sender<Reply>,
}

/// What a request waits for.
#[derive(Debug)]
pub(super) enum Waiting {
    Accept,
    Connected,
    /// Text, up to `n` bytes; `text` is what has come of it in this turn.
    Text {
        n: usize,
        text: Vec<u8>,
    },
}

impl Waiter {
    /// Answers. A session that has gone meanwhile is told nothing.
    pub(super) fn answer(self, reply: Reply) {
        let _ = self.reply.try_send(reply);
    }

    /// Answers with the text that has come.
    pub(super) fn answer_text(self) {
        let Waiting::Text { text, .. } = self.what else {
            return;
        };
        let _ = self.reply.try_send(Ok(Answer::Text { text, eof: false }));
    }

    /// The time is up: answers with what there is.
    pub(super) fn give_up(self) {
        match &self.what {
            Waiting::Text { text, .. } if !text.is_empty() => self.answer_text(),
            Waiting::Text { .. } | Waiting::Accept | Waiting::Connected => {
                self.answer(Err(Refusal::pending()));
            }
        }
    }
}

impl Socket {
    /// The connection, if it is one.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, Refusal> {
        match &mut self.kind {
            Kind::Connection(connection) => Ok(connection),
            Kind::Listener { .. } => Err(Errno::NotConnected.into()),
        }
    }

    /// Whether what can be waited for here is there already: then the stack hands it over in this
    /// very turn.
    pub(super) fn is_answer_coming(&self, stack: &Stack) -> bool {
        match &self.kind {
            Kind::Listener { id, .. } => stack.queued(*id) > 0,
            Kind::Connection(connection) => stack.readable(connection.flow) > 0,
        }
    }

    /// Whether somebody waits for a connection to accept.
    pub(super) fn is_accepting(&self) -> bool {
        matches!(
            self.waiter,
            Some(Waiter {
                what: Waiting::Accept,
                ..
            })
        )
    }
}
