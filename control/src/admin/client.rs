//! The asking side of the admin protocol.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use super::message::{Answer, Counters, Flow, Listener, Request, Status};

/// Where a running Tidegate listens if its configuration does not say otherwise.
pub const DEFAULT_SOCKET: &str = "/run/tidegate/admin.sock";

/// A worker answers between two turns, so within milliseconds; a process that says nothing for this
/// long is stuck or stopped, and the user should hear so instead of waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to a running Tidegate.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or we may not speak to it; the sentence says what to do.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).map_err(|error| refused(path, &error))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .context("read timeout of the admin socket")?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .context("write timeout of the admin socket")?;
        Ok(Self {
            lines: BufReader::new(stream),
        })
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    ///
    /// The connection broke, five seconds went by, or the server could not answer.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        let mut line = serde_json::to_string(request).context("a request is valid JSON")?;
        line.push('\n');
        let stream = self.lines.get_mut();
        stream
            .write_all(line.as_bytes())
            .context("asking over the admin socket")?;
        line.clear();
        let length = match self.lines.read_line(&mut line) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("tidegate did not answer within {} s", PATIENCE.as_secs())
            }
            other => other.context("reading from the admin socket")?,
        };
        if length == 0 {
            bail!("tidegate closed the admin connection");
        }
        let answer =
            serde_json::from_str(&line).context("an answer that this version cannot read")?;
        if let Answer::Error { message } = answer {
            bail!("tidegate answered: {message}");
        }
        Ok(answer)
    }

    /// The process and its ports.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn status(&mut self) -> Result<Status> {
        let Answer::Status(status) = self.ask(&Request::Status {})? else {
            bail!(UNASKED)
        };
        Ok(status)
    }

    /// All connections, page by page; with `info`, all that there is to know of each.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn flows(&mut self, info: bool) -> Result<Vec<Flow>> {
        let mut flows = Vec::new();
        let mut from = None;
        loop {
            let request = Request::Flows {
                from,
                max: None,
                info,
            };
            let Answer::Flows(page) = self.ask(&request)? else {
                bail!(UNASKED)
            };
            flows.extend(page.flows);
            if page.next.is_none() {
                return Ok(flows);
            }
            from = page.next;
        }
    }

    /// All listeners.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn listeners(&mut self) -> Result<Vec<Listener>> {
        let Answer::Listeners { listeners } = self.ask(&Request::Listeners {})? else {
            bail!(UNASKED)
        };
        Ok(listeners)
    }

    /// All counters.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn counters(&mut self) -> Result<Counters> {
        let Answer::Counters(counters) = self.ask(&Request::Counters {})? else {
            bail!(UNASKED)
        };
        Ok(counters)
    }
}

/// What is said where the server answers something else than it was asked.
const UNASKED: &str = "tidegate answered another question than was asked";

/// Why nobody could be reached, and what to do about it.
fn refused(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let shown = path.display();
    let kind = error.kind();
    if kind == ErrorKind::NotFound {
        anyhow!(
            "there is no admin socket {shown}: is `tidegate run` running? If its [admin] socket \
             is elsewhere, give the path with --socket"
        )
    } else if kind == ErrorKind::ConnectionRefused {
        anyhow!(
            "nobody listens at the admin socket {shown}: the `tidegate run` that made it has \
             ended without removing it"
        )
    } else if kind == ErrorKind::PermissionDenied {
        anyhow!(
            "the admin socket {shown} may not be used by this user: use root, or widen [admin] \
             mode"
        )
    } else {
        anyhow!("the admin socket {shown} could not be connected: {error}")
    }
}
