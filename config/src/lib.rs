//! The TOML configuration of a Tidegate service: schema, validation, defaults.
//!
//! ```text
//!   text --syntax--> document --schema--> RawConfig --validate--> Config
//!              \________________\______________________\
//!                                                        Faults
//! ```
//!
//! * [`Config`] is what the rest of Tidegate sees: typed, complete, every name resolved.
//! * [`Faults`] is everything that is wrong, at once, each with its line, a caret under it, what is
//!   wrong and what would be right. A configuration with five mistakes names five.
//! * [`DEFAULT_TOML`] is the manual: every key with what it means. It is also where the defaults
//!   come from; there is no second list of them.
//!
//! This crate does not look at the machine: whether an interface exists is asked by `tidegate
//! check`.
//!
//! ```
//! use tidegate_config::{Config, Service};
//!
//! let config = Config::from_str(
//!     "echo.toml",
//!     r#"
//!     [[port]]
//!     interface = "eth1"
//!     addresses = ["10.0.0.2/24"]
//!
//!     [[listener]]
//!     name = "echo"
//!     addresses = ["*:7"]
//!     service = "echo"
//!     "#,
//! )?;
//! assert_eq!(config.listeners[0].service, Service::Echo);
//! assert_eq!(config.tcp.syn_retries, 6);
//! # Ok::<(), tidegate_config::Faults>(())
//! ```
#![forbid(unsafe_code)]

mod fault;
mod manual;
mod model;
mod schema;
mod section;
mod source;
mod syntax;
mod validate;
mod value;
mod words;

use std::path::Path;

pub use fault::{Fault, Faults};
pub use manual::DEFAULT_TOML;
pub use model::*;
pub use words::{quoted, tcp_line};

use fault::Findings;
use schema::{Purpose, RawConfig};
use source::{Source, Span};
use syntax::Readable;

/// Bytes of a configuration file at most. A thousand listeners fit ten times; a file that is larger
/// is not a configuration, and reading it would only fill the memory.
const FILE_BYTES_MAX: u64 = 4 << 20;

impl Config {
    /// Reads and validates the configuration in the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or why it cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, Faults> {
        let name = path.display().to_string();
        let unread = |what: String, help: &str| Faults::of_file(&name, what, help);
        let io = |error: std::io::Error| {
            unread(
                error.to_string(),
                "expected a configuration in TOML that can be read",
            )
        };
        let file = std::fs::File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        let limited = std::io::Read::take(file, FILE_BYTES_MAX + 1);
        std::io::Read::read_to_end(&mut { limited }, &mut bytes).map_err(io)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let what = format!("the file has more than {FILE_BYTES_MAX} bytes");
            return Err(unread(what, "expected a configuration in TOML"));
        }
        Self::from_bytes(&name, &bytes)
    }

    /// Validates the configuration `bytes`; `name` is what faults call it.
    ///
    /// # Errors
    /// Everything that is wrong with it; for bytes that are not UTF-8, where that begins.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, Faults> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::from_str(name, text),
            Err(error) => {
                let text = String::from_utf8_lossy(bytes);
                let at = error.valid_up_to();
                let source = Source { name, text: &text };
                let findings = Findings::new(&source, Vec::new(), true);
                let what = "the file is not UTF-8 from here on".to_owned();
                let help = "save it as UTF-8; TOML knows no other encoding".to_owned();
                findings.add_syntax(
                    Span {
                        start: at,
                        end: at + 1,
                    },
                    what,
                    help,
                );
                Err(findings.into_faults().expect("one fault was just noted"))
            }
        }
    }

    /// Validates the configuration `text`; `name` is what faults call it.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_str(name: &str, text: &str) -> Result<Self, Faults> {
        Self::read(name, text, Purpose::Service)
    }

    /// Validates a configuration that need not have a listener: one of a stack that is driven by
    /// something else.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn stack_from_str(name: &str, text: &str) -> Result<Self, Faults> {
        Self::read(name, text, Purpose::Stack)
    }

    fn read(name: &str, text: &str, purpose: Purpose) -> Result<Self, Faults> {
        let source = Source { name, text };
        let readable = Readable::new(&source);
        let document = readable.document();
        let broken = readable.faults.iter().map(|fault| fault.span).collect();
        let findings = Findings::new(&source, broken, readable.partial);
        for fault in &readable.faults {
            findings.add_syntax(fault.span, fault.what.clone(), fault.help.clone());
        }
        let raw = RawConfig::read(&document, purpose, &findings);
        let config = validate::validate(raw, &findings);
        match findings.into_faults() {
            Some(faults) => Err(faults),
            None => Ok(config.expect("what is missing in a configuration is among its faults")),
        }
    }
}
