//! A folder for the files of a run: configuration, admin socket, what the processes print.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Lines that [`Folder::last_lines`] shows: enough for an error with its causes.
const LAST_LINES: usize = 20;

/// A folder below the system's folder for temporary files. Dropping it removes it with all that is
/// in it, unless it was told to stay.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// Makes the folder.
    ///
    /// # Errors
    ///
    /// The name is taken, so nobody can have put something in its place; or no room, no permission.
    pub fn create(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("the folder {}", path.display()))?;
        Ok(Self { path, keep: false })
    }

    /// Removes the folder of that name, which a killed run has left, if it is there.
    pub fn remove_leftover(name: &str) {
        let path = std::env::temp_dir().join(name);
        drop(Self { path, keep: false });
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it in place when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// The admin socket of a Tidegate that runs here.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path.join("admin.sock")
    }

    /// Writes a file and returns its path.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
        Ok(path)
    }

    /// Lets the command print into a file here, which [`Self::output`] reads.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn collect_output(&self, name: &str, command: &mut Command) -> Result<()> {
        let path = self.log(name);
        let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
        let again = file.try_clone().context("a second handle of a log file")?;
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        Ok(())
    }

    /// What the process of that name has printed so far.
    #[must_use]
    pub fn output(&self, name: &str) -> String {
        fs::read_to_string(self.log(name)).unwrap_or_default()
    }

    /// The end of what the process of that name has printed.
    #[must_use]
    pub fn last_lines(&self, name: &str) -> String {
        let text = self.output(name);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
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
