//! The TOML configuration of a Tidegate service: schema, validation, defaults.
#![forbid(unsafe_code)]

mod fault;
mod model;
mod source;
mod syntax;

use std::path::Path;

pub use fault::{Fault, Faults};
pub use model::*;

impl Config {
    /// Reads and validates the configuration in the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or that it cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, Faults> {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|e| Faults::of_file(&name, e.to_string(), ""))?;
        Self::from_str(&name, &text)
    }

    /// Validates the configuration `text`; `name` is what faults call it.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_str(name: &str, text: &str) -> Result<Self, Faults> {
        Err(Faults::of_file(
            name,
            format!("{name}: {} bytes are not read yet", text.len()),
            "",
        ))
    }
}
