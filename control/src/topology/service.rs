//! A `tidegate run` inside a namespace, from its start until it is in service.

use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::folder::Folder;
use super::namespace::Namespace;
use super::process::{Ended, Process};
use crate::admin::{Client, Status};

/// What the process is called in messages and log files.
const NAME: &str = "tidegate";

/// How long it may take until it is in service. It takes far less; on a machine that is so busy
/// that this is not enough, nothing works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Tidegate. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    process: Process,
    admin: Client,
    status: Status,
}

impl Service {
    /// Starts `PROGRAM run FILE` in the namespace, with this text as the file, and waits until it
    /// answers on the admin socket, which the text must put at [`Folder::socket`].
    ///
    /// # Errors
    ///
    /// It does not start; the message ends with what it printed.
    pub fn start(
        program: &str,
        namespace: &Namespace,
        folder: &Folder,
        configuration: &str,
    ) -> Result<Self> {
        let file = folder.write("tidegate.toml", configuration)?;
        let mut command = namespace.command(program);
        command.arg("run").arg(&file);
        folder.collect_output(NAME, &mut command)?;
        let mut process = Process::start(NAME, &mut command)?;
        let (admin, status) = wait_for_admin(&mut process, folder)?;
        Ok(Self {
            process,
            admin,
            status,
        })
    }

    /// What it said of itself when it was ready.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// A connection to ask it over.
    pub fn admin(&mut self) -> &mut Client {
        &mut self.admin
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    ///
    /// It has ended; the message ends with what it printed.
    pub fn check_alive(&mut self, folder: &Folder) -> Result<()> {
        match self.process.ended()? {
            None => Ok(()),
            Some(status) => Err(ended_early(status, folder)),
        }
    }

    /// Asks it to end and waits for that.
    ///
    /// # Errors
    ///
    /// It did not end within this time, or not with exit code 0.
    pub fn terminate(mut self, at_most: Duration, folder: &Folder) -> Result<()> {
        match self.process.terminate(at_most)? {
            Ended::InTime(status) if status.success() => Ok(()),
            Ended::InTime(status) => Err(ended_early(status, folder)),
            Ended::Killed => bail!(
                "Tidegate did not end within {} s of SIGTERM",
                at_most.as_secs()
            ),
        }
    }
}

fn ended_early(status: ExitStatus, folder: &Folder) -> anyhow::Error {
    anyhow::anyhow!(
        "Tidegate has ended ({status}):\n{}",
        folder.last_lines(NAME)
    )
}

/// Waits until Tidegate answers questions, which it does when it is in service.
fn wait_for_admin(process: &mut Process, folder: &Folder) -> Result<(Client, Status)> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut client) = Client::connect(&folder.socket()) {
            let status = client.status().context("the first question to Tidegate")?;
            return Ok((client, status));
        }
        if let Some(status) = process.ended()? {
            return Err(ended_early(status, folder));
        }
        if Instant::now() > end {
            bail!("Tidegate is not ready after {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(10));
    }
}
