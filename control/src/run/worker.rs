//! The worker's thread: ports are opened, the worker is made and run in it, because packet memory
//! stays with the thread that made it.

use std::any::Any;
use std::thread::{Builder, JoinHandle};

use anyhow::{Context as _, Result, anyhow, bail};
use crossbeam::channel::{Receiver, Sender, bounded};
use tidegate_config::Config;
use tidegate_port::{Facts, Port as _};
use tidegate_worker::{App, Mailbox, Worker};
use tracing::error;

use super::application::{AppCommand, Application};
use super::plan;
use super::ports::{self, WorkerPort};

/// What is known once the worker is about to run.
#[derive(Debug)]
pub(super) struct Ready {
    /// What was found out about each port.
    pub(super) facts: Vec<Facts>,
    /// How to speak to the worker.
    pub(super) mailbox: Mailbox<AppCommand>,
}

/// A running worker.
#[derive(Debug)]
pub(crate) struct Handle {
    thread: JoinHandle<Result<()>>,
    ended: Receiver<()>,
}

impl Handle {
    /// Becomes ready, by being disconnected, when the thread ends in any way.
    pub(crate) fn ended(&self) -> &Receiver<()> {
        &self.ended
    }

    /// Waits for the end of the thread. An end that nobody asked for is an error.
    pub(crate) fn join(self, is_expected: bool) -> Result<()> {
        match self.thread.join() {
            Ok(result) => result.context("the worker cannot go on")?,
            Err(panic) => {
                let what = message(&*panic);
                error!("the worker has panicked, which is a bug: {what}");
                bail!("the worker has panicked: {what}");
            }
        }
        if !is_expected {
            bail!("the worker has ended although nobody told it to");
        }
        Ok(())
    }
}

/// Starts the worker of a service and waits until its ports and listeners are open.
pub(super) fn start(config: &Config) -> Result<(Handle, Ready)> {
    let config = config.clone();
    start_with(move || set_up(&config))
}

/// Starts a worker and waits until it is set up, which happens in its own thread; what `set_up`
/// gives beside it is what others need to know.
pub(crate) fn start_with<A: App, R: Send + 'static>(
    set_up: impl FnOnce() -> Result<(Worker<WorkerPort, A>, R)> + Send + 'static,
) -> Result<(Handle, R)> {
    let (ready_sender, ready) = bounded(1);
    let (ended_sender, ended) = bounded(0);
    let work = move || {
        // Dropped at the end of the thread, however it comes.
        let _ended: Sender<()> = ended_sender;
        let mut worker = match set_up() {
            Ok((worker, ready)) => {
                // Nobody waits any more only where the process is about to end.
                let _ = ready_sender.send(Ok(ready));
                worker
            }
            Err(error) => {
                let _ = ready_sender.send(Err(error));
                return Ok(());
            }
        };
        worker.run().map_err(|error| anyhow!(error))
    };
    let thread = Builder::new().name("worker-0".to_owned()).spawn(work);
    let thread = thread.context("the worker's thread could not be started")?;
    let handle = Handle { thread, ended };
    match ready.recv() {
        Ok(Ok(ready)) => Ok((handle, ready)),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            handle.join(true)?;
            bail!("the worker has ended before it was ready")
        }
    }
}

/// Opens the ports, makes the worker, opens its listeners.
fn set_up(config: &Config) -> Result<(Worker<WorkerPort, Application>, Ready)> {
    let ports = ports::open(config)?;
    let facts: Vec<Facts> = ports.iter().map(|port| port.facts().clone()).collect();
    let made_of = plan::worker(config, &facts)?;
    let application = Application(plan::services(config));
    let mut worker = Worker::new(made_of, ports, application).context("the worker")?;
    for listen in plan::listens(config) {
        let at = listen
            .address
            .map_or("*".to_owned(), |address| address.to_string());
        let listener = worker.stack_mut().listen(listen);
        listener.with_context(|| format!("listening on {at} port {}", listen.port))?;
    }
    let mailbox = worker.mailbox();
    Ok((worker, Ready { facts, mailbox }))
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(work: impl FnOnce() -> Result<()> + Send + 'static, is_expected: bool) -> Result<()> {
        let (_sender, ended) = bounded(0);
        let thread = Builder::new().spawn(work).unwrap();
        Handle { thread, ended }.join(is_expected)
    }

    #[test]
    fn an_end_that_nobody_asked_for_is_an_error() {
        assert!(ended(|| Ok(()), true).is_ok());
        let error = ended(|| Ok(()), false).unwrap_err();
        assert!(error.to_string().contains("nobody told it to"), "{error}");
        let error = ended(|| bail!("poll failed"), true).unwrap_err();
        assert_eq!(format!("{error:#}"), "the worker cannot go on: poll failed");
        for is_expected in [false, true] {
            let error = ended(|| panic!("index {} of 3", 7), is_expected).unwrap_err();
            assert_eq!(error.to_string(), "the worker has panicked: index 7 of 3");
        }
    }

    #[test]
    fn what_does_not_open_is_told_before_anything_runs() {
        let text = "[[port]]\ninterface = \"nowhere0\"\ndriver = \"af_packet\"\n\
                    addresses = [\"192.0.2.1/24\"]\n\
                    [[listener]]\nname = \"echo\"\naddresses = [\"*:7\"]\nservice = \"echo\"\n";
        let config = Config::from_str("test.toml", text).unwrap();
        let error = start(&config).err().unwrap();
        assert!(
            format!("{error:#}").contains("port nowhere0 cannot be opened"),
            "{error:#}"
        );
    }
}
