//! The binary `tidegate`: reads the command line and calls the verb. The verbs are in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser as _;
use tidegate::agent;
use tidegate::cli::{Cli, Verb};
use tidegate::demo;
use tidegate::run::run;
use tidegate::show::{SsOptions, StatsOptions, ss, stats};

/// Faster than the system's for the many small tables of control; the data path does not allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match act(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Run { file } => run(&file),
        Verb::Check { file } => Ok(tidegate::check::run(&file)),
        Verb::Ss(arguments) => {
            let text = ss(&SsOptions {
                socket: arguments.socket,
                timers: arguments.options,
                info: arguments.info,
                summary: arguments.summary,
                json: arguments.json,
            })?;
            print(&text)
        }
        Verb::Stats(arguments) => {
            let text = stats(&StatsOptions {
                socket: arguments.socket,
                all: arguments.all,
                json: arguments.json,
            })?;
            print(&text)
        }
        Verb::Demo(arguments) => {
            let seconds = Duration::from_secs(arguments.seconds);
            demo::run(&demo::Options {
                time: Some(seconds).filter(|_| !arguments.forever),
                keep: arguments.keep,
                inside: arguments.inside,
            })
        }
        Verb::Agent(arguments) => agent::run(&arguments.into_options()),
        Verb::DemoBackend { name, addresses } => {
            demo::serve_backend(&name, &addresses)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints a text; a reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<ExitCode> {
    use std::io::{ErrorKind, Write as _};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
