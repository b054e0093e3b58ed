//! The demo's stage: the network, the backends, Tidegate, and a folder for its files.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Stdio, id};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::PREFIX;
use crate::admin::{Client, Counters, Status};
use crate::topology::{Ended, Namespace, Plan, Process, Side, Three, remove_leftovers};

/// Names of the backends. Backend `n` has the addresses number `n` of [`Side::BACK`].
pub(super) const BACKENDS: [&str; 2] = ["a", "b"];

/// The TCP port of the service and of the backends.
const HTTP: u16 = 80;

/// How long a part of the stage may take to be ready. It takes milliseconds; on a machine that is
/// so busy that this is not enough, there is nothing to show.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long Tidegate may take to end after SIGTERM, its `shutdown_timeout` of one second included.
const FAREWELL: Duration = Duration::from_secs(10);

/// Everything the demo has set up. Dropping it removes everything, in the order of the fields.
#[derive(Debug)]
pub(super) struct Stage {
    admin: Client,
    tidegate: Process,
    backends: Vec<Process>,
    folder: Folder,
    three: Three,
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
            println!("Removed {name}, which an earlier demo has left.");
        }
        for maker in leftovers.makers {
            drop(Folder {
                path: folder_of(maker),
                keep: false,
            });
        }
        let three = Three::create(&Plan::new(PREFIX)).context("the demo's network")?;
        println!(
            "Three network namespaces, joined by veth pairs:\n  {} === {} === {}\n",
            three.client.name(),
            three.tidegate.name(),
            three.backends.name()
        );
        let folder = Folder::create()?;
        let backends = start_backends(&three.backends, &folder)?;
        let mut tidegate = start_tidegate(&three.tidegate, &folder, rootless)?;
        let (admin, status) = wait_for_admin(&mut tidegate, &folder)?;
        show(&status);
        Ok(Self {
            admin,
            tidegate,
            backends,
            folder,
            three,
            rootless,
        })
    }

    /// The clients' namespace.
    pub(super) fn clients(&self) -> &Namespace {
        &self.three.client
    }

    /// Asks Tidegate.
    pub(super) fn counters(&mut self) -> Result<Counters> {
        self.admin.counters()
    }

    /// Fails when Tidegate or a backend has ended.
    pub(super) fn check_alive(&mut self) -> Result<()> {
        for process in self.backends.iter_mut().chain([&mut self.tidegate]) {
            if let Some(status) = process.ended()? {
                let said = self.folder.last_lines(process.name());
                bail!(
                    "{} has ended before it was told to ({status}):\n{said}",
                    process.name()
                );
            }
        }
        Ok(())
    }

    /// Lets Tidegate end in order, then removes everything.
    pub(super) fn strike(mut self) -> Result<()> {
        match self.tidegate.terminate(FAREWELL)? {
            Ended::InTime(status) if status.success() => Ok(()),
            Ended::InTime(status) => {
                let said = self.folder.last_lines(self.tidegate.name());
                bail!("Tidegate did not end in order ({status}):\n{said}")
            }
            Ended::Killed => bail!(
                "Tidegate did not end within {} s of SIGTERM",
                FAREWELL.as_secs()
            ),
        }
    }

    /// Leaves everything in place and says how to use and how to remove it.
    pub(super) fn keep(mut self) {
        let client = self.three.client.name();
        // In a user namespace only somebody who enters it sees the namespaces.
        let prefix = if self.rootless {
            format!(
                "nsenter --preserve-credentials -U -m -t {} ",
                self.tidegate.pid()
            )
        } else {
            String::new()
        };
        println!("Everything stays up. Try by hand:");
        for service in services() {
            println!("  {prefix}ip netns exec {client} curl -g http://{service}/");
        }
        println!("  tidegate ss --socket {}", self.folder.socket().display());
        if self.rootless {
            let mut pids = vec![self.tidegate.pid().to_string()];
            pids.extend(
                self.backends
                    .iter()
                    .map(|backend| backend.pid().to_string()),
            );
            println!(
                "It goes away with its processes:\n  kill {}",
                pids.join(" ")
            );
        } else {
            println!("The next demo removes it.");
        }
        self.tidegate.keep();
        self.backends.iter_mut().for_each(Process::keep);
        self.folder.keep = true;
        self.three.keep();
    }
}

fn start_backends(namespace: &Namespace, folder: &Folder) -> Result<Vec<Process>> {
    let mut backends = Vec::new();
    for (name, (v4, v6)) in BACKENDS.iter().zip(Side::BACK.kernel) {
        let addresses = [
            SocketAddr::new((*v4).into(), HTTP),
            SocketAddr::new((*v6).into(), HTTP),
        ];
        let mut command = namespace.command(&this_program()?);
        command
            .args(["demo-backend", name])
            .args(addresses.map(|address| address.to_string()));
        let title = format!("backend-{name}");
        folder.collect_output(&title, &mut command)?;
        let mut backend = Process::start(&title, &mut command)?;
        for address in addresses {
            wait_for_backend(&mut backend, namespace, address, folder)?;
        }
        println!(
            "Backend {name}, on the kernel's TCP: {} and {}",
            addresses[0], addresses[1]
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
    while namespace
        .run(|| std::net::TcpStream::connect(address))
        .is_err()
    {
        if backend.ended()?.is_some() || Instant::now() > end {
            bail!(
                "{} does not listen: {}",
                backend.name(),
                folder.last_lines(backend.name())
            );
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn start_tidegate(namespace: &Namespace, folder: &Folder, rootless: bool) -> Result<Process> {
    let file = folder.path.join("demo.toml");
    let driver = if rootless { "af_packet" } else { "auto" };
    let text = configuration(driver, &folder.socket());
    fs::write(&file, &text).with_context(|| format!("{}", file.display()))?;
    println!("\nTidegate runs with {}:\n", file.display());
    for line in text.lines() {
        println!("    {line}");
    }
    let mut command = namespace.command(&this_program()?);
    command.arg("run").arg(&file);
    folder.collect_output("tidegate", &mut command)?;
    Process::start("tidegate", &mut command)
}

/// The configuration of the demo's load balancer.
fn configuration(driver: &str, socket: &Path) -> String {
    let (front, back) = (Side::FRONT, Side::BACK);
    let mut text = format!(
        "# A veth peer leaves the checksum to hardware that is not there: only the pseudo-header's\n\
         # sum is in it, which rx_checksum = \"partial\" accepts.\n\
         [workers]\nshutdown_timeout = \"1s\"\n\n[admin]\nsocket = \"{}\"\n",
        socket.display()
    );
    for side in [front, back] {
        text += &format!(
            "\n[[port]]\ninterface = \"{}\"\ndriver = \"{driver}\"\n\
             addresses = [\"{}/24\", \"{}/64\"]\nrx_checksum = \"partial\"\n",
            side.interface, side.tidegate.0, side.tidegate.1
        );
    }
    for (family, service) in ["4", "6"].iter().zip(services()) {
        text += &format!(
            "\n[[listener]]\nname = \"web{family}\"\naddresses = [\"{service}\"]\n\
             service = \"proxy\"\npool = \"web{family}\"\n\n[[pool]]\nname = \"web{family}\"\n"
        );
        for (name, (v4, v6)) in BACKENDS.iter().zip(back.kernel) {
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

/// Waits until Tidegate answers questions, which it does when it is in service.
fn wait_for_admin(tidegate: &mut Process, folder: &Folder) -> Result<(Client, Status)> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut client) = Client::connect(&folder.socket()) {
            let status = client.status()?;
            return Ok((client, status));
        }
        if let Some(status) = tidegate.ended()? {
            bail!(
                "Tidegate did not start ({status}):\n{}",
                folder.last_lines("tidegate")
            );
        }
        if Instant::now() > end {
            bail!("Tidegate is not ready after {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(10));
    }
}

/// Which driver each port got, and why.
fn show(status: &Status) {
    println!();
    for port in &status.ports {
        println!(
            "Port {}: {} ({})",
            port.interface,
            port.driver,
            port.queues.join("; ")
        );
        for note in &port.notes {
            println!("    {note}");
        }
    }
}

/// This very program, for the processes of the demo.
fn this_program() -> Result<String> {
    let program = std::env::current_exe().context("the path of this program")?;
    program
        .into_os_string()
        .into_string()
        .ok()
        .context("the path of this program is not UTF-8")
}

/// Where a demo with this pid keeps its files.
fn folder_of(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{PREFIX}-{pid}"))
}

/// The demo's folder. Dropping it removes it with all that is in it.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn create() -> Result<Self> {
        let path = folder_of(id());
        // Fails where the name is taken, so nobody can have put something in its place.
        fs::create_dir(&path).with_context(|| format!("the folder {}", path.display()))?;
        Ok(Self { path, keep: false })
    }

    fn socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// Sends what the command will print into a file of its own.
    fn collect_output(&self, name: &str, command: &mut std::process::Command) -> Result<()> {
        let path = self.log(name);
        let file = fs::File::create(&path).with_context(|| format!("{}", path.display()))?;
        let again = file.try_clone().context("a second handle of a log file")?;
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        Ok(())
    }

    /// The end of what a process has printed.
    fn last_lines(&self, name: &str) -> String {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            // What is not there any more need not be removed.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
