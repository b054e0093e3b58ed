//! The worker and its turn.

use core::time::Duration;

use tidegate_port::{Burst, Port};
use tidegate_wire::Instant;

use crate::app::App;
use crate::clock;
use crate::config::{SetupError, WorkerConfig};
use crate::counters::{Counter, Counters, SharedCounters};
use crate::expire::expire;
use crate::idle::{Waiter, sleep};
use crate::mailbox::{Inbox, Mailbox, mailbox};
use crate::obey::obey;
use crate::port_tx::PortTx;
use crate::receive::receive;
use crate::stack::Stack;
use crate::tell::tell_all;
use crate::transmit::transmit;

/// How often figures of ports and memory are published. What the worker counts itself is always up
/// to date.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);
/// How soon a port is asked again that took less than it was given: a descriptor has no way of
/// telling that a ring has room again.
const RETRY_TX: Duration = Duration::from_micros(50);

/// One worker: its ports, its stack, its application. It belongs to one thread.
///
/// [`run`](Self::run) is the whole of it on a real machine. A simulation calls
/// [`turn`](Self::turn) and moves time to [`next_deadline`](Self::next_deadline) itself.
pub struct Worker<P: Port, A: App> {
    ports: Vec<PortTx<P>>,
    stack: Stack,
    app: A,
    mailbox: Mailbox<A::Command>,
    inbox: Inbox<A::Command>,
    /// Received frames; empty between two turns.
    rx: Burst,
    waiter: Waiter,
    core: Option<usize>,
    published_at: Instant,
    is_stopping: bool,
}

impl<P: Port, A: App> core::fmt::Debug for Worker<P, A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Worker")
            .field("ports", &self.ports)
            .field("flows", &self.stack.flows())
            .finish_non_exhaustive()
    }
}

impl<P: Port, A: App> Worker<P, A> {
    /// A worker on `ports`, one for each of the configuration's interfaces. All its memory is
    /// allocated here.
    ///
    /// # Errors
    /// A size does not work, or no descriptor is left.
    pub fn new(config: WorkerConfig, ports: Vec<P>, app: A) -> Result<Self, SetupError> {
        config.check(ports.len())?;
        let mut ports: Vec<_> = ports.into_iter().map(PortTx::new).collect();
        for (port, interface) in ports.iter_mut().zip(&config.interfaces) {
            port.check_mtu(interface)?;
        }
        let (mailbox, inbox) = mailbox(config.commands_max).map_err(SetupError::EventFd)?;
        let names = config
            .interfaces
            .iter()
            .map(|interface| interface.name.clone());
        let counters = Counters::new(names);
        Ok(Self {
            ports,
            waiter: Waiter::new(config.idle, Instant::ZERO),
            core: config.core,
            stack: Stack::new(config, counters),
            app,
            mailbox,
            inbox,
            rx: Burst::new(),
            published_at: Instant::ZERO,
            is_stopping: false,
        })
    }

    /// Where control posts its commands.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox<A::Command> {
        self.mailbox.clone()
    }

    /// The page of this worker's counters, to be read from any thread.
    #[must_use]
    pub fn counters(&self) -> SharedCounters {
        self.stack.counters.clone()
    }

    /// One turn: everything that has arrived, everything that is due, everything that can be sent,
    /// and a few commands. Answers whether there was anything to do.
    pub fn turn(&mut self, now: Instant) -> bool {
        let Self {
            ports,
            stack,
            app,
            rx,
            ..
        } = self;
        stack.now = stack.now.max(now);
        ports.iter_mut().for_each(PortTx::begin_turn);

        // ---- Receive -----------------------------------------------------------------------
        let received = receive(ports, stack, app, rx);
        let mut has_told = tell_all(app, stack);

        // ---- Expire ------------------------------------------------------------------------
        let expired = expire(stack, app);
        has_told |= tell_all(app, stack);

        // ---- Transmit ----------------------------------------------------------------------
        let sent = transmit(ports, stack, app);

        // ---- Obey --------------------------------------------------------------------------
        let publish = |stack: &Stack| publish(ports, stack);
        let (obeyed, is_stopping) = obey(stack, app, &self.inbox, publish);
        has_told |= tell_all(app, stack);

        self.is_stopping |= is_stopping;
        let is_busy = received + expired + sent + obeyed > 0 || has_told;
        self.count_turn(is_busy);
        is_busy
    }

    /// When there is something to do next: `None` while only a frame or a command can bring it, a
    /// time in the past where there is something now.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let sending = self.sending_deadline();
        let command = (!self.inbox.is_empty()).then_some(Instant::ZERO);
        let arrivals = self.ports.iter().filter_map(|port| port.port.next_event());
        let first = self.stack.next_deadline().into_iter();
        first.chain(sending).chain(command).chain(arrivals).min()
    }

    /// Runs until [`Command::Stop`](crate::Command::Stop), or until the last flow has ended after
    /// [`Command::Drain`](crate::Command::Drain). This is where the clock is read, once a turn.
    ///
    /// # Errors
    /// The core that was asked for cannot be had, or poll(2) fails.
    pub fn run(&mut self) -> Result<(), SetupError> {
        if let Some(core) = self.core {
            let is_pinned = core_affinity::set_for_current(core_affinity::CoreId { id: core });
            is_pinned.then_some(()).ok_or(SetupError::Core(core))?;
        }
        self.waiter.on_work(clock::now());
        while !self.has_stopped() {
            let now = clock::now();
            if self.turn(now) {
                self.waiter.on_work(now);
            } else if self.waiter.is_sleepy(now) {
                self.stack.count(Counter::Sleeps);
                self.publish_if_due(now);
                sleep(&self.ports, &self.inbox, now, self.next_deadline())?;
            }
        }
        publish(&self.ports, &self.stack);
        Ok(())
    }

    /// Whether [`run`](Self::run) would return now.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.is_stopping || self.stack.is_drained()
    }

    /// The stack, as the application sees it.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, to act on between two turns.
    pub const fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// The application.
    #[must_use]
    pub const fn app(&self) -> &A {
        &self.app
    }

    /// The application, between two turns.
    pub const fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// The application and the stack, to let the one act on the other.
    pub const fn app_and_stack(&mut self) -> (&mut A, &mut Stack) {
        (&mut self.app, &mut self.stack)
    }

    /// A port.
    ///
    /// # Panics
    /// There is no port of this number.
    #[must_use]
    pub fn port(&self, number: usize) -> &P {
        &self.ports[number].port
    }

    /// Brings the figures of ports and memory on the counters' page up to date.
    pub fn publish(&self) {
        publish(&self.ports, &self.stack);
    }

    fn count_turn(&mut self, is_busy: bool) {
        self.stack.count(Counter::Turns);
        if is_busy {
            self.publish_if_due(self.stack.now);
        } else {
            self.stack.count(Counter::TurnsIdle);
        }
    }

    fn publish_if_due(&mut self, now: Instant) {
        if now.saturating_since(self.published_at) >= PUBLISH_EVERY {
            self.published_at = now;
            publish(&self.ports, &self.stack);
        }
    }

    /// When the ports are to be asked again, where something waits to be sent.
    fn sending_deadline(&self) -> Option<Instant> {
        let is_stuck = self.ports.iter().any(PortTx::is_waiting);
        let is_sending = !self.stack.sending.is_empty();
        match (is_stuck, is_sending) {
            (true, _) => Some(self.stack.now + RETRY_TX),
            (false, true) if self.ports.iter().all(PortTx::is_exhausted) => {
                Some(self.stack.now + RETRY_TX)
            }
            (false, true) => Some(Instant::ZERO),
            (false, false) => None,
        }
    }
}

fn publish<P: Port>(ports: &[PortTx<P>], stack: &Stack) {
    stack.publish();
    for (number, port) in ports.iter().enumerate() {
        let (counts, frames) = (port.port.counters(), port.port.frame_counts());
        stack.counters.set_port(number, &counts, frames);
    }
}
