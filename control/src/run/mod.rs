//! `tidegate run FILE`: a service from its configuration to its last connection.
//!
//! The calling thread reads the configuration, starts the worker in a thread of its own, and then
//! only waits: for signals, for the end of the worker, for the end of a drain. A second thread
//! answers on the admin socket. Control speaks to the worker by its mailbox and reads its counters;
//! it never touches a worker's memory.
//!
//! | event | what happens |
//! |---|---|
//! | SIGTERM | drain: listeners close, connections go on for at most `shutdown_timeout`; exit 0 |
//! | second SIGTERM, SIGINT | connections are reset; exit 0 |
//! | SIGHUP | logged: a configuration cannot be reloaded yet |
//! | the worker panics | reported; exit 1 |

mod answers;
mod application;
pub(crate) mod logs;
mod notify;
pub(crate) mod plan;
pub(crate) mod ports;
mod settings;
pub(crate) mod worker;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use crossbeam::channel::{Receiver, Sender, after, bounded, never, select, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidegate_config::Config;
use tidegate_worker::{Command, Mailbox, PostError};
use tracing::{info, warn};

use crate::admin::{Phase, Server};
use answers::Answers;
use application::AppCommand;
use worker::{Handle, Ready};

/// How long the worker may take to answer, and then to send what tells the peers. Microseconds are
/// usual; whoever stops at once does not want to wait longer for a worker that is stuck.
pub(crate) const RESETTING: Duration = Duration::from_millis(500);

/// Serves what the file says until a signal ends it.
///
/// # Errors
///
/// The configuration is wrong, something cannot be opened, or the worker has panicked.
pub fn run(file: &Path) -> Result<ExitCode> {
    let config = match Config::from_file(file) {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return Ok(ExitCode::FAILURE);
        }
    };
    logs::start(&config.log);
    info!(version = env!("CARGO_PKG_VERSION"), file = %file.display(), "tidegate starts");
    let signals = signals()?;
    let server = Server::bind(&config.admin.socket, config.admin.mode)?;
    let (handle, ready) = worker::start(&config)?;
    announce(&config, &ready);
    let shutdown_timeout = config.workers.shutdown_timeout;
    let mailbox = ready.mailbox.clone();
    let answers = Answers::new(config, ready);
    let phase = answers.phase();
    server.serve(move |request| answers.answer(request))?;
    notify::ready();
    let service = Service {
        handle,
        mailbox,
        phase,
        shutdown_timeout,
    };
    service.attend(&signals)?;
    info!("tidegate has ended");
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM, SIGINT and SIGHUP as they come, by a thread of their own.
pub(crate) fn signals() -> Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("signal handlers")?;
    let (sender, receiver): (Sender<i32>, Receiver<i32>) = unbounded();
    let wait = move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread
        .spawn(wait)
        .context("the signal thread could not be started")?;
    Ok(receiver)
}

/// Logs what was decided about each port, and what is served where.
fn announce(config: &Config, ready: &Ready) {
    for (facts, port) in ready.facts.iter().zip(&config.ports) {
        for queue in &facts.queues {
            info!(
                port = %facts.name, driver = %facts.driver, queue = queue.queue, mode = %queue.mode,
                "queue opened"
            );
        }
        for note in &facts.notes {
            info!(port = %facts.name, "{note}");
        }
        let addresses: Vec<String> = port.addresses.iter().map(ToString::to_string).collect();
        info!(
            port = %facts.name, mac = %facts.mac, mtu = facts.mtu, frames = port.frames,
            "owns {}", addresses.join(", ")
        );
    }
    let workers = &config.workers;
    info!(
        flows_max = workers.flows_max,
        text_memory = workers.text_memory,
        cores = ?workers.cores,
        "one worker, all its memory taken"
    );
    for listener in &config.listeners {
        let addresses: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
        let service = listener.service.name();
        info!(listener = %listener.name, service, "listens on {}", addresses.join(", "));
    }
}

/// A running worker, and how it is to end.
struct Service {
    handle: Handle,
    mailbox: Mailbox<AppCommand>,
    phase: answers::SharedPhase,
    shutdown_timeout: Duration,
}

impl Service {
    /// Waits for signals and for the end.
    fn attend(self, signals: &Receiver<i32>) -> Result<()> {
        let mut drained_at = never();
        let mut is_draining = false;
        loop {
            select! {
                recv(self.handle.ended()) -> _ => {
                    return self.handle.join(is_draining);
                }
                recv(drained_at) -> _ => {
                    warn!("connections are left at the end of shutdown_timeout: they are reset");
                    return self.reset();
                }
                recv(signals) -> signal => match signal.context("the signal thread has ended")? {
                    SIGHUP => warn!("SIGHUP: reloading the configuration is not supported yet"),
                    SIGTERM if !is_draining => {
                        is_draining = true;
                        self.phase.set(Phase::Draining);
                        let timeout = self.shutdown_timeout;
                        info!(?timeout, "SIGTERM: no new connections; the others may end");
                        drained_at = after(timeout);
                        self.post(Command::Drain)?;
                    }
                    _ => {
                        info!("stops at once: connections are reset");
                        return self.reset();
                    }
                },
            }
        }
    }

    /// Resets all connections and ends the worker.
    fn reset(self) -> Result<()> {
        self.post(Command::Drain)?;
        let mut from_slot = Some(0);
        while let Some(slot) = from_slot {
            let (sender, page) = bounded(1);
            self.post(Command::Flows {
                from_slot: slot,
                max: u32::MAX,
                reply: sender,
            })?;
            // A worker that has ended meanwhile has no flows left.
            let Ok(page) = page.recv_timeout(RESETTING) else {
                break;
            };
            let flows = page.rows.iter().filter_map(|row| row.flow).collect();
            self.post(Command::App(AppCommand::Reset(flows)))?;
            from_slot = page.next_slot;
        }
        // A worker that drains ends with its last flow; what is still there after this is left.
        if self
            .handle
            .ended()
            .recv_timeout(RESETTING)
            .is_err_and(|error| error.is_timeout())
        {
            self.post(Command::Stop)?;
        }
        self.handle.join(true)
    }

    /// Posts a command; one to a worker that has just ended is of no use and no harm.
    fn post(&self, command: Command<AppCommand>) -> Result<()> {
        match self.mailbox.post(command) {
            Ok(()) | Err(PostError::Stopped) => Ok(()),
            Err(error @ PostError::Full) => {
                bail!("the worker does not obey any more: {error}")
            }
        }
    }
}
