//! A Unix socket that listens at a path, and takes its file along when it ends.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A bound socket. Dropping it removes its file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    listener: UnixListener,
    path: PathBuf,
}

impl SocketFile {
    /// Binds the socket with these permission bits. The file of a process that has ended is
    /// replaced; the folder is made if it is missing. `name` is what the socket is called, `verb`
    /// which `tidegate` listens there.
    ///
    /// # Errors
    ///
    /// Another process listens there, something that is no socket is there, or no permission.
    pub(crate) fn bind(path: &Path, mode: u32, name: &str, verb: &str) -> Result<Self> {
        let shown = path.display();
        remove_stale(path, name, verb)?;
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder)
                .with_context(|| format!("the folder of the {name} socket {shown}"))?;
        }
        let listener = UnixListener::bind(path)
            .with_context(|| format!("the {name} socket {shown} could not be bound"))?;
        let file = Self {
            listener,
            path: path.to_owned(),
        };
        fs::set_permissions(path, Permissions::from_mode(mode))
            .with_context(|| format!("permissions of the {name} socket {shown}"))?;
        Ok(file)
    }

    /// What listens.
    pub(crate) const fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already; a stale file does no harm either.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the socket of a process that has ended, and nothing else.
fn remove_stale(path: &Path, name: &str, verb: &str) -> Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("the {name} socket {shown}")),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            bail!("{shown} is there and is no socket: choose another {name} socket")
        }
        Ok(_) => {}
    }
    if UnixStream::connect(path).is_ok() {
        bail!("another process listens at {shown}: is `tidegate {verb}` running already?");
    }
    fs::remove_file(path).with_context(|| format!("the stale {name} socket {shown}"))
}
