//! `tidegate demo`: shows on one machine, with nothing configured, that Tidegate works.
//!
//! It makes the network of [`crate::topology::Three`], starts two HTTP servers on the kernel's TCP in one
//! end, Tidegate as their load balancer in the middle, and clients on the kernel's TCP in the other
//! end. Every answer is checked. At the end, on Ctrl-C, on SIGTERM and on a panic everything is
//! removed; what a killed run left over is removed by the next one.

/// Prints a line. Whoever reads may have seen enough (`tidegate demo | head`); the demo goes on to
/// its end all the same, because its end is what removes everything.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

mod backend;
mod http;
mod live;
mod load;
mod rootless;
mod stage;
mod summary;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

pub use backend::serve as serve_backend;
pub use rootless::is_privileged;

use live::Live;
use load::{Crowd, Load};
use stage::Stage;
use summary::Summary;

/// First part of the names of everything the demo makes.
pub const PREFIX: &str = "tidegate-demo";

/// How the demo is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long the clients send; `None`: until Ctrl-C.
    pub time: Option<Duration>,
    /// Leave the namespaces, the backends and Tidegate in place at the end.
    pub keep: bool,
    /// This process was started by the demo in a user namespace of its own.
    pub inside: bool,
}

/// Runs the demo; success only if every answer was right and each backend answered over each
/// family.
///
/// # Errors
///
/// The stage could not be set up, or Tidegate ended before it was told to.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.inside {
        rootless::hide_run()?;
    } else if !is_privileged() {
        return rootless::enter();
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("a signal handler")?;
    }
    let mut stage = Stage::set(options.inside)?;
    if stop.load(Ordering::Relaxed) {
        return Ok(ExitCode::FAILURE);
    }
    let summary = perform(&mut stage, options, &stop)?;
    say!("{summary}");
    if options.keep {
        stage.keep();
    } else {
        stage.strike()?;
    }
    Ok(if summary.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lets the clients loose and shows what happens until it is over.
fn perform(stage: &mut Stage, options: &Options, stop: &AtomicBool) -> Result<Summary> {
    let services = stage::services();
    let crowd = Crowd {
        lasting: 8,
        fleeting: 2,
    };
    let load = Load::start(stage.clients(), &services, &stage::BACKENDS, crowd)?;
    say!(
        "\n{} clients keep their connection, {} open one for each request; every answer is checked.\n",
        services.len() * crowd.lasting as usize,
        services.len() * crowd.fleeting as usize,
    );
    let begun = Instant::now();
    let mut live = Live::new(begun);
    let mut next = begun + Duration::from_secs(1);
    while !stop.load(Ordering::Relaxed) && options.time.is_none_or(|time| begun.elapsed() < time) {
        let end = options.time.map_or(next, |time| next.min(begun + time));
        sleep(
            end.saturating_duration_since(Instant::now())
                .min(Duration::from_millis(50)),
        );
        stage.check_alive()?;
        if Instant::now() >= next {
            next += Duration::from_secs(1);
            live.show(load.tally(), &stage.counters()?);
        }
    }
    let tally = Arc::clone(load.tally());
    let latencies = load.stop()?;
    let took = begun.elapsed();
    Ok(Summary::new(&tally, latencies, took, &stage.counters()?))
}
