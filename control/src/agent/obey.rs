//! What each request does. Everything here is at once: a request that has to wait leaves a
//! [`Waiter`] at its socket, and is answered by what happens there, or by its cancellation.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crossbeam::channel::Sender;
use tidegate_tcp::{SendError, Settings, ShutdownError, State};
use tidegate_worker::{Listen, Open, SettingsId, Stack};

use super::application::Application;
use super::errno::Errno;
use super::opts::Opts;
use super::protocol::{Answer, Handle, Patience, Refusal, Reply, Request};
use super::socket::{Connection, Kind, SessionId, Socket, Waiter, Waiting};
use crate::admin::TcpInfo;

/// The longest accept queue, as Linux's `net.core.somaxconn` has it.
const BACKLOG_MAX: u32 = 4096;

/// What becomes of a request.
enum Outcome {
    /// It is answered.
    Settled(Reply),
    /// It waits for something to happen at this socket.
    Waits(Handle, Waiting),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Settled(reply)
    }
}

impl Application {
    /// Carries out a request of a session, and answers it now or later.
    pub(super) fn obey(
        &mut self,
        stack: &mut Stack,
        session: SessionId,
        (request, patience): (Request, Patience),
        reply: Sender<Reply>,
    ) {
        let outcome = self
            .carry_out(stack, session, request)
            .unwrap_or_else(|refusal| Err(refusal).into());
        match outcome {
            Outcome::Settled(answer) => {
                // A client that has gone meanwhile is told nothing.
                let _ = reply.try_send(answer);
            }
            Outcome::Waits(handle, what) => {
                let waiter = Waiter { what, reply };
                let Some(socket) = self.sockets.get_mut(&handle) else {
                    return;
                };
                if patience == Patience::None && !socket.is_answer_coming(stack) {
                    return waiter.give_up();
                }
                if let Kind::Connection(connection) = &socket.kind {
                    stack.resume(connection.flow);
                }
                socket.waiter = Some(waiter);
                self.waiting.insert(session, handle);
            }
        }
    }

    fn carry_out(
        &mut self,
        stack: &mut Stack,
        session: SessionId,
        request: Request,
    ) -> Result<Outcome, Refusal> {
        Ok(match request {
            Request::Listen {
                port,
                backlog,
                opts,
            } => self.listen(stack, session, (port, backlog), &opts).into(),
            Request::Connect { to, lport, opts } => {
                self.connect(stack, session, (to, lport), &opts).into()
            }
            Request::Accept { h } => self.accept(stack, session, h)?,
            Request::WaitConnected { h } => self.wait_connected(session, h)?,
            Request::Recv { h, n } => self.recv(stack, session, (h, n))?,
            Request::Send { h, text } => self.send(stack, session, h, &text).into(),
            Request::Shutdown { h } => self.shutdown(stack, session, h).into(),
            Request::Close { h } => self.close(stack, session, h).into(),
            Request::Abort { h } => {
                self.socket(session, h)?;
                self.abort(stack, h);
                Ok(Answer::Done).into()
            }
            Request::SetOpt { h, opts } => self.set_opt(stack, session, h, &opts).into(),
            Request::Error { h } => {
                let error = match &mut self.socket(session, h)?.kind {
                    Kind::Listener { .. } => None,
                    Kind::Connection(own) => own.error.take().or_else(|| own.soft_error.take()),
                };
                Ok(Answer::Value(error.map(Errno::name))).into()
            }
            Request::State { h } => {
                let state = match &self.socket(session, h)?.kind {
                    Kind::Listener { .. } => Some(State::Listen),
                    Kind::Connection(own) => own.state(stack),
                };
                let state = state.filter(|state| *state != State::Closed);
                Ok(Answer::Value(state.map(State::rfc_name))).into()
            }
            Request::Info { h } => {
                let flow = self.socket(session, h)?.connection()?.flow;
                let status = stack.status(flow);
                let info = status.map(|status| Box::new(TcpInfo::from(&status)));
                Ok(Answer::Info(info)).into()
            }
        })
    }

    /// The socket of that number, if it is this session's.
    fn socket(&mut self, session: SessionId, handle: Handle) -> Result<&mut Socket, Refusal> {
        let socket = self.sockets.get_mut(&handle);
        socket
            .filter(|socket| socket.owner == session)
            .ok_or_else(|| Errno::BadHandle.into())
    }

    /// A new socket.
    fn enter(&mut self, handle: Handle, owner: SessionId, settings: Settings, kind: Kind) {
        let socket = Socket {
            owner,
            settings,
            waiter: None,
            kind,
        };
        self.sockets.insert(handle, socket);
    }

    fn listen(
        &mut self,
        stack: &mut Stack,
        session: SessionId,
        (port, backlog): (u16, u32),
        opts: &Opts,
    ) -> Reply {
        let (settings, number) = new_settings(stack, opts, None)?;
        let handle = self.new_handle();
        let listen = Listen {
            // As in Linux, one more may wait than the number says.
            backlog: backlog.min(BACKLOG_MAX) + 1,
            settings: number,
            tag: handle,
            ..Listen::on(port)
        };
        let id = stack
            .listen(listen)
            .map_err(|error| Refusal::new(error.into(), error.to_string()))?;
        let accepted = VecDeque::new();
        self.enter(handle, session, settings, Kind::Listener { id, accepted });
        Ok(Answer::Listening(handle))
    }

    fn connect(
        &mut self,
        stack: &mut Stack,
        session: SessionId,
        ((ip, port), lport): ((IpAddr, u16), Option<u16>),
        opts: &Opts,
    ) -> Reply {
        let (settings, number) = new_settings(stack, opts, None)?;
        let handle = self.new_handle();
        let open = Open {
            local_port: lport,
            settings: number,
            tag: handle,
            ..Open::to(SocketAddr::new(ip, port))
        };
        let flow = stack
            .open(open)
            .map_err(|error| Refusal::new(error.into(), error.to_string()))?;
        let connection = Connection::new(flow, false);
        self.enter(handle, session, settings, Kind::Connection(connection));
        let lport = stack.tuple(flow).map_or(0, |tuple| tuple.local_port);
        Ok(Answer::Opening(handle, lport))
    }

    fn accept(&mut self, stack: &Stack, session: SessionId, h: Handle) -> Result<Outcome, Refusal> {
        let Kind::Listener { accepted, .. } = &mut self.socket(session, h)?.kind else {
            return Err(Refusal::new(Errno::Invalid, "it is no listener"));
        };
        let Some(handle) = accepted.pop_front() else {
            return Ok(Outcome::Waits(h, Waiting::Accept));
        };
        Ok(Ok(self.accepted(stack, handle)).into())
    }

    /// The answer that hands over a connection.
    pub(super) fn accepted(&self, stack: &Stack, handle: Handle) -> Answer {
        let flow = self
            .sockets
            .get(&handle)
            .and_then(|socket| match &socket.kind {
                Kind::Connection(connection) => Some(connection.flow),
                Kind::Listener { .. } => None,
            });
        // Of one that has gone since, nobody knows any more where it came from.
        let tuple = flow.and_then(|flow| stack.tuple(flow));
        let (ip, port) = tuple.map_or((Ipv4Addr::UNSPECIFIED.into(), 0), |tuple| {
            (tuple.remote, tuple.remote_port)
        });
        Answer::Accepted(handle, ip, port)
    }

    fn wait_connected(&mut self, session: SessionId, h: Handle) -> Result<Outcome, Refusal> {
        let connection = self.socket(session, h)?.connection()?;
        if connection.is_connected || connection.has_ended {
            return Ok(connection.outcome_at_end().into());
        }
        Ok(Outcome::Waits(h, Waiting::Connected))
    }

    fn recv(
        &mut self,
        stack: &Stack,
        session: SessionId,
        (h, n): (Handle, usize),
    ) -> Result<Outcome, Refusal> {
        let connection = self.socket(session, h)?.connection()?;
        let is_readable = stack.readable(connection.flow) > 0;
        if n == 0 {
            let (text, eof) = (Vec::new(), connection.is_at_eof);
            return Ok(Ok(Answer::Text { text, eof }).into());
        }
        if !is_readable && (connection.has_ended || connection.is_at_eof) {
            return Ok(connection.text_at_end().into());
        }
        let text = Vec::new();
        Ok(Outcome::Waits(h, Waiting::Text { n, text }))
    }

    fn send(&mut self, stack: &mut Stack, session: SessionId, h: Handle, text: &[u8]) -> Reply {
        let connection = self.socket(session, h)?.connection()?;
        match stack.send(connection.flow, text) {
            Ok(taken) => Ok(Answer::Taken(taken)),
            Err(SendError::Closing | SendError::NoConnection | SendError::NoMemory) => {
                Err(connection.error.take().unwrap_or(Errno::Pipe).into())
            }
        }
    }

    fn shutdown(&mut self, stack: &mut Stack, session: SessionId, h: Handle) -> Reply {
        let connection = self.socket(session, h)?.connection()?;
        match stack.shutdown(connection.flow) {
            // Once more does no harm.
            Ok(()) | Err(ShutdownError::Closing) => Ok(Answer::Done),
            Err(ShutdownError::NoConnection) => Err(Errno::NotConnected.into()),
        }
    }

    fn close(&mut self, stack: &mut Stack, session: SessionId, h: Handle) -> Reply {
        match self.socket(session, h)?.kind {
            Kind::Listener { .. } => self.abort(stack, h),
            Kind::Connection(connection) => {
                stack.close(connection.flow);
                self.sockets.remove(&h);
            }
        }
        Ok(Answer::Done)
    }

    fn set_opt(&mut self, stack: &mut Stack, session: SessionId, h: Handle, opts: &Opts) -> Reply {
        let socket = self.socket(session, h)?;
        let (settings, number) = new_settings(stack, opts, Some(&socket.settings))?;
        socket.settings = settings;
        match &socket.kind {
            Kind::Listener { id, .. } => stack.set_listener_settings(*id, number),
            Kind::Connection(connection) => {
                stack.set_settings(connection.flow, number);
                opts.tell(stack, connection.flow, &settings);
            }
        }
        Ok(Answer::Done)
    }
}

/// What a socket follows with these options: the settings it had or those of the command line, and
/// their number.
fn new_settings(
    stack: &mut Stack,
    opts: &Opts,
    old: Option<&Settings>,
) -> Result<(Settings, SettingsId), Refusal> {
    let first = SettingsId::default();
    let base = old.copied().or_else(|| stack.settings_of(first).copied());
    let settings = opts.applied_to(&base.unwrap_or_default());
    let number = stack.add_settings(settings);
    let number = number
        .ok_or_else(|| Refusal::new(Errno::NoBuffers, "too many different options are in use"))?;
    Ok((settings, number))
}
