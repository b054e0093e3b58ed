//! The application of the worker: the services, and one command of control that is none of theirs.
//!
//! Every callback goes straight through; only commands are looked at here.

use tidegate_service::{ServiceCommand, Services};
use tidegate_tcp::End;
use tidegate_worker::{App, FlowId, ListenerId, Stack};

/// What control asks of the application.
#[derive(Debug)]
pub(super) enum AppCommand {
    /// A question to the services.
    Services(ServiceCommand),
    /// Reset these flows; those that have ended since are left aside.
    Reset(Vec<FlowId>),
}

/// The services of the worker.
#[derive(Debug)]
pub(super) struct Application(pub(super) Services);

impl App for Application {
    type Command = AppCommand;

    fn is_ready(&self, listener: ListenerId) -> bool {
        self.0.is_ready(listener)
    }

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, listener: ListenerId) {
        self.0.on_accept(stack, flow, listener);
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        self.0.on_connected(stack, flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        self.0.on_text(stack, flow, text)
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        self.0.on_writable(stack, flow);
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        self.0.on_peer_closed(stack, flow);
    }

    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        self.0.on_end(stack, flow, end);
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        self.0.on_timer(stack, flow);
    }

    fn on_command(&mut self, stack: &mut Stack, command: AppCommand) {
        match command {
            AppCommand::Services(command) => self.0.on_command(stack, command),
            AppCommand::Reset(flows) => flows.into_iter().for_each(|flow| stack.abort(flow)),
        }
    }
}
