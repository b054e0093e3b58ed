//! A child process that ends with its owner.

use std::io::{Write as _, stderr};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a waiting parent looks, so how late it may notice. A child that ends is not urgent.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running child in a process group of its own, so that a Ctrl-C at the terminal reaches us and
/// not it: we end it in the right order. Dropping it kills it, unless it was told to stay.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    keep: bool,
}

/// How a child came to its end in [`Process::terminate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, after SIGTERM.
    InTime(ExitStatus),
    /// It did not obey SIGTERM in the time given and was killed.
    Killed,
}

impl Process {
    /// Starts the command.
    ///
    /// # Errors
    ///
    /// The program is missing or could not be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.process_group(0).spawn().with_context(|| {
            format!("{name} could not be started ({:?})", command.get_program())
        })?;
        Ok(Self {
            name: name.to_owned(),
            child,
            keep: false,
        })
    }

    /// What it was called when it was started.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pid; that of the program itself also where `ip netns exec` started it, which execs.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Leaves the process running when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Sends a signal. One that has already ended takes it in silence.
    ///
    /// # Errors
    ///
    /// The process exists and the signal may not be sent to it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("a pid fits an i32")?;
        match kill(Pid::from_raw(pid), signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{signal} to {}", self.name)),
        }
    }

    /// The exit status, if it has ended.
    ///
    /// # Errors
    ///
    /// wait(2) failed.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("waiting for {}", self.name))
    }

    /// Waits until it has ended, at most for this long; `None` if it still runs then.
    ///
    /// # Errors
    ///
    /// wait(2) failed.
    pub fn wait(&mut self, at_most: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + at_most;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            sleep(LOOK_EVERY);
        }
    }

    /// Asks it to end by SIGTERM and waits; kills it after this time.
    ///
    /// # Errors
    ///
    /// The signal could not be sent, or wait(2) failed.
    pub fn terminate(&mut self, at_most: Duration) -> Result<Ended> {
        self.signal(Signal::SIGTERM)?;
        if let Some(status) = self.wait(at_most)? {
            return Ok(Ended::InTime(status));
        }
        self.kill()?;
        Ok(Ended::Killed)
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    ///
    /// wait(2) failed.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child
            .wait()
            .with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.keep || matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Err(error) = self.kill() {
            // Not by eprintln!, which panics where nobody listens; a drop must not.
            let _ = writeln!(stderr(), "tidegate: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obedient_child_ends_in_time_and_stubborn_one_is_killed() {
        let mut obedient = Process::start("sleep", Command::new("sleep").arg("600")).unwrap();
        assert!(obedient.ended().unwrap().is_none());
        let ended = obedient.terminate(Duration::from_secs(60)).unwrap();
        assert!(matches!(ended, Ended::InTime(status) if !status.success()));

        let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdout(std::process::Stdio::piped());
        let mut stubborn = Process::start("sh", &mut command).unwrap();
        let mut ready = [0; 5];
        let mut stdout = stubborn.child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut stdout, &mut ready).unwrap();
        assert_eq!(
            stubborn.terminate(Duration::from_millis(50)).unwrap(),
            Ended::Killed
        );
    }

    #[test]
    fn dropping_ends_the_child() {
        let child = Process::start("sleep", Command::new("sleep").arg("600")).unwrap();
        let proc_entry = std::path::PathBuf::from("/proc").join(child.pid().to_string());
        assert!(proc_entry.exists());
        drop(child);
        assert!(!proc_entry.exists());
    }
}
