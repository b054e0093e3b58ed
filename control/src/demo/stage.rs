//! The demo's stage: the network, the backends, Tidegate, and a folder for its files.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::id;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::PREFIX;
use crate::admin::{Counters, Status};
use crate::topology::{Folder, Namespace, Plan, Process, Service, Side, Three, remove_leftovers};

/// Names of the backends. Backend `n` has the addresses number `n` of [`Side::BACK`].
pub(super) const BACKENDS: [&str; 2] = ["a", "b"];

/// The TCP port of the service and of the backends.
const HTTP: u16 = 80;

/// How long a backend may take to listen. It takes milliseconds; on a machine that is so busy that
/// this is not enough, there is nothing to show.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long Tidegate may take to end after SIGTERM, its `shutdown_timeout` of one second included.
const FAREWELL: Duration = Duration::from_secs(10);

/// Everything the demo has set up. Dropping it removes everything, in the order of the fields.
#[derive(Debug)]
pub(super) struct Stage {
    tidegate: Service,
    backends: Vec<Process>,
    folder: Folder,
    three: Three,
    program: String,
    rootless: bool,
}

/// Where the clients find the service: over IPv4 and over IPv6.
pub(super) fn services() -> [SocketAddr; 2] {
    Side::FRONT
        .owned()
        .map(|address| SocketAddr::new(address, HTTP))
}

impl Stage {
    /// Removes what killed runs left over, then sets everything up and waits until it is ready.
    pub(super) fn set(rootless: bool) -> Result<Self> {
        let leftovers = remove_leftovers(PREFIX)?;
        for name in &leftovers.namespaces {
            say!("Removed {name}, which an earlier demo has left.");
        }
        for maker in leftovers.makers {
            Folder::remove_leftover(&folder_name(maker));
        }
        let three = Three::create(&Plan::new(PREFIX)).context("the demo's network")?;
        say!(
            "Three network namespaces, joined by veth pairs:\n  {} === {} === {}\n",
            three.client.name(),
            three.tidegate.name(),
            three.backends.name()
        );
        let folder = Folder::create(&folder_name(id()))?;
        let program = this_program()?;
        let backends = start_backends(&program, &three.backends, &folder)?;
        let driver = if rootless { "af_packet" } else { "auto" };
        let text = configuration(driver, &folder.socket());
        say!("\nTidegate runs with this configuration:\n");
        for line in text.lines() {
            say!("    {line}");
        }
        let tidegate = Service::start(&program, &three.tidegate, &folder, &text)?;
        show(tidegate.status());
        Ok(Self {
            tidegate,
            backends,
            folder,
            three,
            program,
            rootless,
        })
    }

    /// The clients' namespace.
    pub(super) fn clients(&self) -> &Namespace {
        &self.three.client
    }

    /// Asks Tidegate.
    pub(super) fn counters(&mut self) -> Result<Counters> {
        self.tidegate.admin().counters()
    }

    /// Fails when Tidegate or a backend has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        self.tidegate.check_alive(&self.folder)?;
        for backend in &mut self.backends {
            if let Some(status) = backend.ended()? {
                let said = self.folder.last_lines(backend.name());
                bail!("{} has ended ({status}):\n{said}", backend.name());
            }
        }
        Ok(())
    }

    /// Lets Tidegate end in order, then removes everything.
    pub(super) fn strike(self) -> Result<()> {
        self.tidegate.terminate(FAREWELL, &self.folder)
    }

    /// Leaves everything in place and says how to use and how to remove it.
    pub(super) fn keep(mut self) {
        let client = self.three.client.name();
        let tidegate = self.tidegate.process();
        // In a user namespace only somebody who enters it sees the namespaces.
        let prefix = if self.rootless {
            format!(
                "nsenter --preserve-credentials -U -m -t {} ",
                tidegate.pid()
            )
        } else {
            String::new()
        };
        say!("Everything stays up. Try by hand:");
        for service in services() {
            let url = match service.ip() {
                IpAddr::V4(address) => format!("http://{address}/"),
                // Neither the shell nor curl may take the brackets for a pattern.
                IpAddr::V6(address) => format!("-g 'http://[{address}]/'"),
            };
            say!("  {prefix}ip netns exec {client} curl {url}");
        }
        let socket = self.folder.socket();
        say!("  {} ss --socket {}", self.program, socket.display());
        if self.rootless {
            let mut pids = vec![tidegate.pid().to_string()];
            pids.extend(
                self.backends
                    .iter()
                    .map(|backend| backend.pid().to_string()),
            );
            say!(
                "It goes away with its processes:\n  kill {}",
                pids.join(" ")
            );
        } else {
            say!("The next demo removes it.");
        }
        tidegate.keep();
        self.backends.iter_mut().for_each(Process::keep);
        self.folder.keep();
        self.three.keep();
    }
}

fn start_backends(program: &str, namespace: &Namespace, folder: &Folder) -> Result<Vec<Process>> {
    let mut backends = Vec::new();
    for (name, (v4, v6)) in BACKENDS.iter().zip(Side::BACK.kernel) {
        let addresses = [
            SocketAddr::new((*v4).into(), HTTP),
            SocketAddr::new((*v6).into(), HTTP),
        ];
        let mut command = namespace.command(program);
        command.args(["demo-backend", name]);
        command.args(addresses.map(|address| address.to_string()));
        let title = format!("backend-{name}");
        folder.collect_output(&title, &mut command)?;
        let mut backend = Process::start(&title, &mut command)?;
        for address in addresses {
            wait_for_backend(&mut backend, namespace, address, folder)?;
        }
        say!(
            "Backend {name}, on the kernel's TCP: {} and {}",
            addresses[0],
            addresses[1]
        );
        backends.push(backend);
    }
    Ok(backends)
}

fn wait_for_backend(
    backend: &mut Process,
    namespace: &Namespace,
    address: SocketAddr,
    folder: &Folder,
) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while namespace.run(|| TcpStream::connect(address)).is_err() {
        if backend.ended()?.is_some() || Instant::now() > end {
            let said = folder.last_lines(backend.name());
            bail!("{} does not listen: {said}", backend.name());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The configuration of the demo's load balancer.
fn configuration(driver: &str, socket: &Path) -> String {
    let mut text = format!(
        "[workers]\nshutdown_timeout = \"1s\"\n\n[admin]\nsocket = \"{}\"\n",
        socket.display()
    );
    for side in [Side::FRONT, Side::BACK] {
        text += &format!("\n{}", side.port(driver));
    }
    for (family, service) in ["4", "6"].iter().zip(services()) {
        text += &format!(
            "\n[[listener]]\nname = \"web{family}\"\naddresses = [\"{service}\"]\n\
             service = \"proxy\"\npool = \"web{family}\"\n\n[[pool]]\nname = \"web{family}\"\n"
        );
        for (name, (v4, v6)) in BACKENDS.iter().zip(Side::BACK.kernel) {
            let address = if service.is_ipv4() {
                (*v4).into()
            } else {
                (*v6).into()
            };
            let address = SocketAddr::new(address, HTTP);
            text += &format!("[[pool.backend]]\nname = \"{name}\"\naddress = \"{address}\"\n");
        }
    }
    text
}

/// Which driver each port got, and why.
fn show(status: &Status) {
    say!();
    for port in &status.ports {
        say!(
            "Port {}: {} ({})",
            port.interface,
            port.driver,
            port.queues.join("; ")
        );
        for note in &port.notes {
            say!("    {note}");
        }
    }
}

/// This very program, for the processes of the demo.
fn this_program() -> Result<String> {
    let program = std::env::current_exe().context("the path of this program")?;
    let program = program.into_os_string().into_string().ok();
    program.context("the path of this program is not UTF-8")
}

/// Where a demo with this pid keeps its files.
fn folder_name(pid: u32) -> String {
    format!("{PREFIX}-{pid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_valid() {
        let text = configuration("auto", Path::new("/tmp/admin.sock"));
        let config = tidegate_config::Config::from_str("demo.toml", &text).unwrap();
        assert_eq!(config.ports.len(), 2);
        assert_eq!(config.listeners.len(), 2);
        assert!(
            config
                .pools
                .iter()
                .all(|pool| pool.backends.len() == BACKENDS.len())
        );
    }
}
