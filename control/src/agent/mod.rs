//! `tidegate agent`: the stack on one interface as an endpoint that a program drives.
//!
//! For test labs: sockets of Tidegate's TCP behind a Unix socket that speaks JSON, one object a line
//! each way, and an echo service beside them. A tester at the other end of the link, a kernel or a
//! program that makes its own frames, sees real checksums and no segmentation.
//!
//! | file | what |
//! |---|---|
//! | `options` | the command line, as a configuration |
//! | `server`, `session`, `lines` | the control socket: a thread a client, one request after another |
//! | `protocol`, `opts`, `errno` | lines become typed requests, replies become lines |
//! | `application`, `obey`, `socket` | the application on the worker: what the requests do |
//!
//! What a client asks goes to the worker as a command and carries the channel for its answer. The
//! worker never waits: a request that has to is kept at its socket until something happens there, or
//! until its session takes it back.

mod application;
mod errno;
mod lines;
mod obey;
mod options;
mod opts;
mod protocol;
mod server;
mod session;
mod socket;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use crossbeam::channel::select;
use signal_hook::consts::SIGHUP;
use tidegate_config::{Config, Log};
use tidegate_port::{Facts, Port as _};
use tidegate_worker::{Command, Listen, Mailbox, Worker};
use tracing::info;

use crate::run::ports::{self, WorkerPort};
use crate::run::worker::{Handle, start_with};
use crate::run::{RESETTING, logs, plan, signals};
use application::{AgentCommand, Application, ECHO_TAG};
pub use options::Options;
use server::{SESSIONS_MAX, Server};
use session::insist;

/// Commands that may wait in the mailbox: of each session a request, one that was taken back
/// before it, and the farewell, with room to spare.
const COMMANDS_MAX: u32 = 8 * SESSIONS_MAX;

/// Is an endpoint until a signal ends it.
///
/// # Errors
///
/// An option is wrong, something cannot be opened, or the worker has panicked.
pub fn run(options: &Options) -> Result<ExitCode> {
    let config = match options.config() {
        Ok(config) => config,
        Err(faults) => {
            eprintln!("{faults}");
            return Ok(ExitCode::FAILURE);
        }
    };
    logs::start(&Log { ..config.log });
    let signals = signals()?;
    let server = Server::bind(&options.control)?;
    let ready = {
        let (config, options) = (config.clone(), options.clone());
        start_with(move || set_up(&config, &options))
    };
    let (handle, (mailbox, facts)) = ready?;
    server.serve(mailbox.clone())?;
    announce(options, &config, &facts)?;
    attend(handle, &mailbox, &signals)
}

/// What becomes of bytes on a control connection before anything is carried out: for each line the
/// request that it is understood as, or the answer that refuses it. It is here for those who want
/// to try many lines without a worker, the fuzzer above all.
#[must_use]
pub fn understand(mut bytes: &[u8]) -> Vec<Result<String, String>> {
    let mut understood = Vec::new();
    // Reading from memory does not fail.
    while let Ok(line) = lines::read(&mut bytes) {
        let line = match line {
            lines::Line::Whole(line) => line,
            lines::Line::TooLong => continue,
            lines::Line::End => break,
        };
        understood.push(match protocol::parse(&line) {
            Ok(request) => Ok(format!("{request:?}")),
            Err(refusal) => Err(protocol::render(&Err(refusal))),
        });
    }
    understood
}

/// What others need to know of the worker.
type Ready = (Mailbox<AgentCommand>, Facts);

/// Opens the port, makes the worker, opens the echo service.
fn set_up(config: &Config, options: &Options) -> Result<(Worker<WorkerPort, Application>, Ready)> {
    let ports = ports::open(config)?;
    let facts: Vec<Facts> = ports.iter().map(|port| port.facts().clone()).collect();
    let mut made_of = plan::worker(config, &facts)?;
    made_of.commands_max = COMMANDS_MAX;
    // A tester may make segments and not care for ARP.
    made_of.trust_frames = true;
    if let (Some(mac), Some(interface)) = (options.mac, made_of.interfaces.first_mut()) {
        interface.mac = mac;
    }
    let mut worker = Worker::new(made_of, ports, Application::new()).context("the worker")?;
    if let Some(port) = options.echo {
        let listen = Listen {
            tag: ECHO_TAG,
            ..Listen::on(port)
        };
        let listener = worker.stack_mut().listen(listen);
        listener.with_context(|| format!("the echo service on port {port}"))?;
    }
    let mailbox = worker.mailbox();
    let facts = facts.into_iter().next().context("a stack has a port")?;
    Ok((worker, (mailbox, facts)))
}

/// The one line on the standard output.
fn announce(options: &Options, config: &Config, facts: &Facts) -> Result<()> {
    for note in &facts.notes {
        info!(port = %facts.name, "{note}");
    }
    let addresses = config.ports.first().map_or(&[][..], |port| &port.addresses);
    let line = format!(
        "ready interface={} driver={} mac={} address={} echo={} control={}\n",
        facts.name,
        facts.driver,
        options.mac.unwrap_or(facts.mac),
        options::shown(addresses),
        options.echo.unwrap_or(0),
        options.control.display(),
    );
    let mut out = std::io::stdout();
    match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        // Nobody has to read it.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Waits for a signal or the end of the worker.
fn attend(
    handle: Handle,
    mailbox: &Mailbox<AgentCommand>,
    signals: &crossbeam::channel::Receiver<i32>,
) -> Result<ExitCode> {
    loop {
        select! {
            recv(handle.ended()) -> _ => {
                handle.join(false)?;
                return Ok(ExitCode::SUCCESS);
            }
            recv(signals) -> signal => match signal.context("the signal thread has ended")? {
                // There is nothing to read again.
                SIGHUP => {}
                _ => break,
            },
        }
    }
    // The peers learn by a RST that nobody is there any more; what cannot be sent soon is left.
    insist(mailbox, || AgentCommand::Reset);
    let _ = mailbox.post(Command::Drain);
    let has_ended = handle.ended().recv_timeout(RESETTING);
    if has_ended.is_err_and(|error| error.is_timeout()) {
        let _ = mailbox.post(Command::Stop);
    }
    handle.join(true)?;
    Ok(ExitCode::SUCCESS)
}
