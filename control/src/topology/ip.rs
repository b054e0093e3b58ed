//! Runs the `ip` command and turns what goes wrong into a sentence.

use std::io;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `ip` with these arguments, and fails with what it printed.
///
/// # Errors
///
/// `ip` is not installed, or it refused.
pub fn ip<S: AsRef<str>>(arguments: &[S]) -> Result<()> {
    ip_output(arguments).map(|_| ())
}

/// Runs `ip` with these arguments and returns what it printed.
///
/// # Errors
///
/// `ip` is not installed, or it refused.
pub fn ip_output<S: AsRef<str>>(arguments: &[S]) -> Result<String> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    let output = Command::new("ip")
        .args(&arguments)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "the command `ip` is missing: install iproute2 (Debian, Ubuntu: apt-get install \
             iproute2; Fedora: dnf install iproute)"
        ),
        other => other.context("the command `ip` could not be started")?,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`ip {}` failed: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
