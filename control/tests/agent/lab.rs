//! An agent in one namespace, and a kernel in another that is joined to it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tidegate::testbed::Bed;
use tidegate::topology::Side;

use crate::control::Control;
use crate::{PATIENCE, TIDEGATE};

/// The port of the agent's echo service.
pub(crate) const ECHO: u16 = 7;

/// A bed of which only the client's side is used, with an agent in the middle.
pub(crate) struct Lab {
    pub(crate) bed: Bed,
    agent: Child,
    /// The line that the agent has printed.
    pub(crate) ready: String,
}

impl Lab {
    /// An agent with these further arguments; `None` where the test is skipped.
    pub(crate) fn new(arguments: &[&str]) -> Option<Self> {
        let bed = Bed::new(TIDEGATE)?;
        let socket = bed.folder().path().join("control.sock");
        let (v4, v6) = Side::FRONT.tidegate;
        let mut command = bed.tidegate().command(TIDEGATE);
        command
            .args(["agent", "--interface", Side::FRONT.interface])
            .args(["--address", &format!("{v4}/24")])
            .args(["--address", &format!("{v6}/64")])
            .args(["--echo", &ECHO.to_string(), "--control"])
            .arg(&socket)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut agent = command.spawn().unwrap();
        let mut ready = String::new();
        let out = agent.stdout.as_mut().unwrap();
        BufReader::new(out).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready "), "the agent has said {ready:?}");
        Some(Self { bed, agent, ready })
    }

    /// Where the control socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.bed.folder().path().join("control.sock")
    }

    /// A new control connection.
    pub(crate) fn control(&self) -> Control {
        Control::connect(&self.socket())
    }

    /// A connection of the kernel to a port of the agent, to its IPv4 address.
    pub(crate) fn dial(&self, port: u16) -> TcpStream {
        self.dial_at(SocketAddr::new(agent_addresses()[0], port))
    }

    pub(crate) fn dial_at(&self, to: SocketAddr) -> TcpStream {
        let stream = self
            .bed
            .client()
            .run(|| TcpStream::connect_timeout(&to, PATIENCE));
        patient(stream.unwrap_or_else(|error| panic!("connecting to {to}: {error}")))
    }

    /// A listener of the kernel, and where it listens.
    pub(crate) fn listen_at(&self, address: IpAddr) -> (TcpListener, SocketAddr) {
        let listener = self.bed.client().run(|| TcpListener::bind((address, 0)));
        let listener = listener.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// Sends a signal to the agent, and answers whether it ended well and what else it printed.
    pub(crate) fn end(mut self, signal: Signal) -> (bool, String) {
        let pid = Pid::from_raw(i32::try_from(self.agent.id()).unwrap());
        kill(pid, signal).unwrap();
        let status = self.agent.wait().unwrap();
        let mut rest = String::new();
        let out = self.agent.stdout.as_mut().unwrap();
        out.read_to_string(&mut rest).unwrap();
        (status.success(), rest)
    }

    /// Fails where the agent has ended.
    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        assert_eq!(self.agent.try_wait().unwrap(), None, "the agent has ended");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // One that has ended already cannot be killed and need not.
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// The agent's addresses, IPv4 first.
pub(crate) fn agent_addresses() -> [IpAddr; 2] {
    Side::FRONT.owned()
}

/// The kernel's addresses, IPv4 first.
pub(crate) fn kernel_addresses() -> [IpAddr; 2] {
    let (v4, v6) = Side::FRONT.kernel[0];
    [v4.into(), v6.into()]
}

/// With timeouts that turn a hang into a failure.
pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}
