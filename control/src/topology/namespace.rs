//! One network namespace: made by name, entered by threads, removed on drop.

use std::fs::File;
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::process::{Command, id};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ip::{ip, ip_output};

/// A network namespace that `ip netns` knows by name. Dropping it ends the processes inside it and
/// removes it, unless it was told to stay by [`Namespace::keep`].
#[derive(Debug)]
pub struct Namespace {
    name: String,
    keep: bool,
}

impl Namespace {
    /// Makes a namespace with its loopback interface up.
    ///
    /// # Errors
    ///
    /// `ip netns add` failed: no privilege, or the name is taken.
    pub fn create(name: &str) -> Result<Self> {
        ip(&["netns", "add", name])?;
        let namespace = Self {
            name: name.to_owned(),
            keep: false,
        };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// The namespace of that name which somebody else made; dropping this one removes it.
    #[must_use]
    pub fn adopt(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            keep: false,
        }
    }

    /// The name, as `ip netns list` shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the namespace and its processes in place when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Runs `ip` inside the namespace.
    ///
    /// # Errors
    ///
    /// As [`ip`].
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        self.ip_output(arguments).map(|_| ())
    }

    /// Runs `ip` inside the namespace and returns what it printed.
    ///
    /// # Errors
    ///
    /// As [`ip_output`].
    pub fn ip_output(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend_from_slice(arguments);
        ip_output(&all)
    }

    /// A command that will run inside the namespace, by `ip netns exec`.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a closure on a thread of this process that has entered the namespace, and returns what
    /// it returns. Sockets opened in it stay in the namespace for ever, wherever they are moved.
    ///
    /// # Panics
    ///
    /// Where the closure panics, and where the namespace cannot be entered.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                self.enter()
                    .expect("the namespace exists and we are allowed to enter it");
                body()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a named thread of this process that enters the namespace and then runs the closure.
    ///
    /// # Errors
    ///
    /// The thread could not be started. That the namespace cannot be entered is a panic of the
    /// thread, and so an error of its `join`.
    pub fn spawn<T: Send + 'static>(
        &self,
        thread_name: &str,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let inside = Self {
            name: self.name.clone(),
            keep: true,
        };
        thread::Builder::new()
            .name(thread_name.to_owned())
            .spawn(move || {
                inside
                    .enter()
                    .expect("the namespace exists and we are allowed to enter it");
                body()
            })
            .with_context(|| format!("thread {thread_name} could not be started"))
    }

    /// The processes whose main thread is in the namespace, ourselves left out.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let listed = ip_output(&["netns", "pids", &self.name]).unwrap_or_default();
        listed
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .filter(|pid| *pid != id())
            .collect()
    }

    /// Moves the calling thread into the namespace; there is no way back for it.
    fn enter(&self) -> Result<()> {
        let path = PathBuf::from("/run/netns").join(&self.name);
        let file = File::open(&path).with_context(|| format!("{}", path.display()))?;
        setns(file, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("setns(2) into {}", path.display()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // A namespace lives for as long as a process is in it, whatever becomes of its name.
        for pid in self.processes() {
            if let Ok(pid) = i32::try_from(pid) {
                // It may have ended by itself since it was listed: nothing is left to do then.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            let name = &self.name;
            // Not by eprintln!, which panics where nobody listens; a drop must not.
            let _ = writeln!(
                stderr(),
                "tidegate: namespace {name} was not removed: {error:#}"
            );
        }
    }
}
