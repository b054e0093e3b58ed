//! `tidegate check FILE`: is the file right, and is the machine ready?
//!
//! The configuration comes first; with a fault in it nothing is asked of the machine. Then the
//! stages look at the machine, one after the other, and say of each thing that it is as the file
//! wants it (`ok`), that it is otherwise and Tidegate runs all the same (`differs`), or that
//! Tidegate cannot run like this (`missing`), with the command that mends it.
//!
//! The facts are gathered once into a `Machine`, so that a stage is a function of the
//! configuration and the facts, and every answer can be tested on machines that are not there.
//! Nothing is changed here: no interface, no limit, no file.

mod address;
mod driver;
mod interface;
mod local;
mod machine;
mod report;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use tidegate_config::Config;

use machine::Machine;
pub use report::{Line, Report, Verdict};

/// One thing of the machine that is looked at.
struct Stage {
    /// What the lines of the stage are called.
    name: &'static str,
    /// Looks at it.
    check: fn(&Config, &Machine, &mut Report),
}

/// All of them, in the order in which they are said.
const STAGES: [Stage; 11] = [
    Stage {
        name: "interface",
        check: interface::check_presence,
    },
    Stage {
        name: "driver",
        check: driver::check,
    },
    Stage {
        name: "queues",
        check: interface::check_queues,
    },
    Stage {
        name: "mtu",
        check: interface::check_mtu,
    },
    Stage {
        name: "checksums",
        check: interface::check_checksums,
    },
    Stage {
        name: "segments",
        check: interface::check_segments,
    },
    Stage {
        name: "addresses",
        check: address::check_owned,
    },
    Stage {
        name: "routes",
        check: address::check_next_hops,
    },
    Stage {
        name: "memory",
        check: local::check_memory,
    },
    Stage {
        name: "cores",
        check: local::check_cores,
    },
    Stage {
        name: "files",
        check: local::check_files,
    },
];

/// Checks the file at `path` and this machine, and prints what there is to say. Fails if anything
/// is missing, or if nobody could be told.
#[must_use]
pub fn run(path: &Path) -> ExitCode {
    match print(path, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// Checks a valid configuration against this machine, as the calling thread sees it.
///
/// `tidegate run` asks this before it opens anything, and says what is missing.
#[must_use]
pub fn check(config: &Config) -> Report {
    examine(config, &Machine::of(config))
}

/// Writes what [`run`] prints; whether `tidegate run` would start.
fn print(path: &Path, out: &mut impl Write) -> io::Result<bool> {
    let config = match Config::from_file(path) {
        Ok(config) => config,
        Err(faults) => {
            writeln!(out, "{faults}")?;
            return Ok(false);
        }
    };
    let report = check(&config);
    writeln!(
        out,
        "{:8} {:14} {}: {}",
        "ok",
        "configuration",
        path.display(),
        summary(&config)
    )?;
    writeln!(out, "{report}")?;
    Ok(report.is_ready())
}

/// What every stage says.
fn examine(config: &Config, machine: &Machine) -> Report {
    let mut report = Report::default();
    for stage in STAGES {
        report.begin(stage.name);
        (stage.check)(config, machine, &mut report);
    }
    report
}

/// How much a configuration has of what.
fn summary(config: &Config) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let backends = config.pools.iter().map(|pool| pool.backends.len()).sum();
    [
        count(config.ports.len(), "port"),
        count(config.listeners.len(), "listener"),
        count(config.pools.len(), "pool"),
        count(backends, "backend"),
    ]
    .join(", ")
}
