//! The application of the agent's worker: the echo service, and sockets that sessions drive.
//!
//! Text that nobody asks for stays in the receive queue, so the window shrinks as it should. What
//! happens to a flow is noted in its [`Socket`], and answers the request that waits for it. Flows
//! with tag 0 belong to the echo service; the tag of others is the handle of their socket, or of
//! their listener until they are accepted.

use std::collections::{HashMap, HashSet};

use crossbeam::channel::Sender;
use tidegate_service::{Echo, Service, Services};
use tidegate_tcp::End;
use tidegate_worker::{App, FlowId, ListenerId, Notice, Stack};

use super::errno::Errno;
use super::protocol::{Answer, Handle, Patience, Reply, Request};
use super::socket::{Connection, Kind, SessionId, Socket, Waiting};

/// The tag of the echo service and its flows.
pub(super) const ECHO_TAG: u32 = 0;

/// What sessions and the verb itself ask of the application.
#[derive(Debug)]
pub(super) enum AgentCommand {
    /// A client wants something.
    Request {
        session: SessionId,
        request: Request,
        patience: Patience,
        reply: Sender<Reply>,
    },
    /// The request of this session that waits is to be answered now. It has been already, where
    /// the answer and this crossed.
    Cancel { session: SessionId },
    /// The client has gone: what it opened is aborted.
    Leave { session: SessionId },
    /// Everything is aborted.
    Reset,
}

/// The echo service and the sockets.
#[derive(Debug)]
pub(super) struct Application {
    echo: Services,
    /// Flows of the echo service.
    pub(super) echoing: HashSet<FlowId>,
    pub(super) sockets: HashMap<Handle, Socket>,
    /// Which socket the one request of a session waits at.
    pub(super) waiting: HashMap<SessionId, Handle>,
    /// The handle given last.
    last_handle: Handle,
}

impl Application {
    /// Without any socket.
    pub(super) fn new() -> Self {
        Self {
            echo: Services::new(vec![Service::Echo(Echo)]),
            echoing: HashSet::new(),
            sockets: HashMap::new(),
            waiting: HashMap::new(),
            last_handle: 0,
        }
    }

    /// A handle that no socket has.
    pub(super) fn new_handle(&mut self) -> Handle {
        loop {
            self.last_handle = self.last_handle.wrapping_add(1);
            let handle = self.last_handle;
            if handle != ECHO_TAG && !self.sockets.contains_key(&handle) {
                return handle;
            }
        }
    }

    /// The connection of a flow, and its socket; none for one whose handle was closed.
    fn of_flow(&mut self, stack: &Stack, flow: FlowId) -> Option<(Handle, &mut Socket)> {
        let handle = stack.tag(flow);
        let socket = self.sockets.get_mut(&handle)?;
        let is_it = matches!(&socket.kind, Kind::Connection(known) if known.flow == flow);
        is_it.then_some((handle, socket))
    }

    /// Answers the request that waits at a socket, if it waits for this.
    fn answer_if(&mut self, handle: Handle, reply: Reply, is_meant: impl FnOnce(&Waiting) -> bool) {
        let Some(socket) = self.sockets.get_mut(&handle) else {
            return;
        };
        if let Some(waiter) = socket.waiter.take_if(|waiter| is_meant(&waiter.what)) {
            self.waiting.remove(&socket.owner);
            waiter.answer(reply);
        }
    }

    /// A request that waits is answered now, or has been.
    fn cancel(&mut self, stack: &Stack, session: SessionId) {
        let Some(handle) = self.waiting.get(&session) else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(handle) else {
            return;
        };
        if socket.is_answer_coming(stack) {
            return;
        }
        self.waiting.remove(&session);
        if let Some(waiter) = socket.waiter.take() {
            waiter.give_up();
        }
    }

    /// Aborts what a session has opened.
    fn leave(&mut self, stack: &mut Stack, session: SessionId) {
        let is_its =
            |(handle, socket): (&Handle, &Socket)| (socket.owner == session).then_some(*handle);
        let handles: Vec<Handle> = self.sockets.iter().filter_map(is_its).collect();
        for handle in handles {
            self.abort(stack, handle);
        }
        self.waiting.remove(&session);
    }

    /// Aborts a socket, and with a listener what it has and nobody has accepted.
    pub(super) fn abort(&mut self, stack: &mut Stack, handle: Handle) {
        let Some(socket) = self.sockets.remove(&handle) else {
            return;
        };
        match socket.kind {
            Kind::Connection(connection) => stack.abort(connection.flow),
            Kind::Listener { id, accepted } => {
                stack.unlisten(id);
                for handle in accepted {
                    self.abort(stack, handle);
                }
            }
        }
    }
}

impl App for Application {
    type Command = AgentCommand;

    /// A listener of ours takes a flow when somebody waits for it. Others wait in the accept queue,
    /// whose length is the backlog.
    fn is_ready(&self, listener: ListenerId) -> bool {
        let is_it =
            |socket: &&Socket| matches!(&socket.kind, Kind::Listener { id, .. } if *id == listener);
        let socket = self.sockets.values().find(is_it);
        socket.is_none_or(Socket::is_accepting)
    }

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, listener: ListenerId) {
        let tag = stack.tag(flow);
        if tag == ECHO_TAG {
            self.echoing.insert(flow);
            return self.echo.on_accept(stack, flow, listener);
        }
        let handle = self.new_handle();
        let Some(socket) = self.sockets.get_mut(&tag) else {
            return stack.abort(flow);
        };
        stack.set_tag(flow, handle);
        let (owner, settings) = (socket.owner, socket.settings);
        if !socket.is_accepting()
            && let Kind::Listener { accepted, .. } = &mut socket.kind
        {
            accepted.push_back(handle);
        }
        let connection = Socket {
            owner,
            settings,
            waiter: None,
            kind: Kind::Connection(Connection::new(flow, true)),
        };
        self.sockets.insert(handle, connection);
        let answer = self.accepted(stack, handle);
        self.answer_if(tag, Ok(answer), |waiting| {
            matches!(waiting, Waiting::Accept)
        });
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        let Some((handle, socket)) = self.of_flow(stack, flow) else {
            return;
        };
        if let Kind::Connection(connection) = &mut socket.kind {
            connection.is_connected = true;
        }
        self.answer_if(handle, Ok(Answer::Done), |waiting| {
            matches!(waiting, Waiting::Connected)
        });
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        if stack.tag(flow) == ECHO_TAG {
            return self.echo.on_text(stack, flow, text);
        }
        let is_last = stack.readable(flow) as usize <= text.len();
        let Some((_, socket)) = self.of_flow(stack, flow) else {
            return 0;
        };
        let owner = socket.owner;
        let Some(Waiting::Text { n, text: taken }) =
            socket.waiter.as_mut().map(|waiter| &mut waiter.what)
        else {
            return 0;
        };
        let fitting = text.len().min(*n - taken.len());
        taken.extend_from_slice(&text[..fitting]);
        let is_full = taken.len() == *n;
        if (is_full || is_last)
            && let Some(waiter) = socket.waiter.take()
        {
            self.waiting.remove(&owner);
            waiter.answer_text();
        }
        fitting
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        if stack.tag(flow) == ECHO_TAG {
            self.echo.on_writable(stack, flow);
        }
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        if stack.tag(flow) == ECHO_TAG {
            return self.echo.on_peer_closed(stack, flow);
        }
        let Some((handle, socket)) = self.of_flow(stack, flow) else {
            return;
        };
        if let Kind::Connection(connection) = &mut socket.kind {
            connection.is_at_eof = true;
        }
        let eof = Answer::Text {
            text: Vec::new(),
            eof: true,
        };
        self.answer_if(handle, Ok(eof), |waiting| {
            matches!(waiting, Waiting::Text { .. })
        });
    }

    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        if self.echoing.remove(&flow) {
            return self.echo.on_end(stack, flow, end);
        }
        let Some((_, socket)) = self.of_flow(stack, flow) else {
            return;
        };
        let waiter = socket.waiter.take();
        let owner = socket.owner;
        let Kind::Connection(connection) = &mut socket.kind else {
            return;
        };
        connection.note_end(end, stack.tuple(flow));
        if let Some(waiter) = waiter {
            let reply = match waiter.what {
                Waiting::Text { .. } => connection.text_at_end(),
                Waiting::Connected | Waiting::Accept => connection.outcome_at_end(),
            };
            self.waiting.remove(&owner);
            waiter.answer(reply);
        }
    }

    fn on_notice(&mut self, stack: &mut Stack, flow: FlowId, notice: Notice) {
        if notice == Notice::SoftError
            && let Some((_, socket)) = self.of_flow(stack, flow)
            && let Kind::Connection(connection) = &mut socket.kind
        {
            connection.soft_error = Some(Errno::HostUnreachable);
        }
    }

    fn on_command(&mut self, stack: &mut Stack, command: AgentCommand) {
        match command {
            AgentCommand::Request {
                session,
                request,
                patience,
                reply,
            } => self.obey(stack, session, (request, patience), reply),
            AgentCommand::Cancel { session } => self.cancel(stack, session),
            AgentCommand::Leave { session } => self.leave(stack, session),
            AgentCommand::Reset => {
                let handles: Vec<Handle> = self.sockets.keys().copied().collect();
                for handle in handles {
                    self.abort(stack, handle);
                }
                for flow in self.echoing.clone() {
                    stack.abort(flow);
                }
            }
        }
    }
}
