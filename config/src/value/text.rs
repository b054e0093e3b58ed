//! Strings: names, paths, and values that are written as strings.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::{Kind, Node, Place};

/// A string that a function reads: it gives the value, or says what is wrong.
#[derive(Debug)]
pub(crate) struct Parsed<T> {
    /// What is accepted, as a noun phrase.
    pub(crate) expects: &'static str,
    /// Reads the string. What it says is wrong stands before [`Parsed::expects`].
    pub(crate) parse: fn(&str) -> Result<T, Refusal>,
}

/// Why a string is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) what: String,
    /// What would be right here, where more can be said than what the kind accepts.
    pub(crate) help: Option<String>,
}

/// Any string.
pub(crate) const ANY_TEXT: Parsed<String> = Parsed {
    expects: "a string",
    parse: |text| Ok(text.to_owned()),
};

/// The name of a thing of the configuration.
pub(crate) const NAME: Parsed<String> = Parsed {
    expects: "a name of up to 64 letters, digits, \".\", \"_\" and \"-\"",
    parse: parse_name,
};

/// The name of an interface.
pub(crate) const INTERFACE: Parsed<String> = Parsed {
    expects: "the name of an interface as `ip link` shows it, up to 15 characters",
    parse: parse_interface,
};

/// The path of a file.
pub(crate) const FILE: Parsed<PathBuf> = Parsed {
    expects: "the path of a file",
    parse: |text| parse_path(text, usize::MAX),
};

/// The path of a Unix socket. `sun_path` of linux/un.h (6.18) has 108 bytes, the last one zero.
pub(crate) const SOCKET: Parsed<PathBuf> = Parsed {
    expects: "an absolute path of at most 107 bytes",
    parse: parse_socket,
};

/// Permission bits as `chmod` takes them. A string, since 0660 is no TOML number and 660 another
/// one.
pub(crate) const MODE: Parsed<u32> = Parsed {
    expects: "three octal digits in a string, like \"0660\"",
    parse: parse_mode,
};

/// A range of ports, both ends in it.
pub(crate) const PORTS: Parsed<RangeInclusive<u16>> = Parsed {
    expects: "two ports, the smaller one first, like \"32768-60999\"",
    parse: parse_ports,
};

/// The value of an HTTP field: nothing in it may end the line.
pub(crate) const FIELD_VALUE: Parsed<String> = Parsed {
    expects: "a string of visible ASCII characters and blanks",
    parse: parse_field_value,
};

impl Refusal {
    /// A refusal with nothing to add to what the kind accepts.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: None,
        }
    }

    /// A refusal that knows what would be right.
    pub(crate) fn with_help(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: Some(help.into()),
        }
    }
}

impl<T> Kind for Parsed<T> {
    type Value = T;

    fn expects(&self) -> String {
        self.expects.to_owned()
    }

    fn read(&self, node: &Node<'_>, place: &Place<'_>) -> Option<T> {
        let Some(found) = node.get_ref().as_str() else {
            place.refuse(node, self.describe(node), self);
            return None;
        };
        match (self.parse)(found) {
            Ok(value) => Some(value),
            Err(Refusal {
                what,
                help: Some(help),
            }) => {
                place.complain(node, what, help);
                None
            }
            Err(Refusal { what, help: None }) => {
                place.refuse(node, what, self);
                None
            }
        }
    }
}

fn parse_name(text: &str) -> Result<String, Refusal> {
    let strange = |c: &char| !(c.is_ascii_alphanumeric() || "._-".contains(*c));
    if text.is_empty() {
        return Err(Refusal::new("the name is empty"));
    }
    if let Some(strange) = text.chars().find(strange) {
        return Err(Refusal::new(format!("{strange:?} cannot stand in a name")));
    }
    if text.len() > 64 {
        return Err(Refusal::new(format!(
            "the name has {} characters",
            text.len()
        )));
    }
    Ok(text.to_owned())
}

/// What the kernel accepts: `dev_valid_name` in net/core/dev.c (6.18).
fn parse_interface(text: &str) -> Result<String, Refusal> {
    let strange = |c: &char| c.is_whitespace() || c.is_control() || "/:".contains(*c);
    if text.is_empty() || text == "." || text == ".." {
        return Err(Refusal::new(format!("{text:?} is no name of an interface")));
    }
    if let Some(strange) = text.chars().find(strange) {
        let what = format!("{strange:?} cannot stand in the name of an interface");
        return Err(Refusal::new(what));
    }
    if text.len() > 15 {
        return Err(Refusal::new(format!(
            "{text:?} is longer than a name of an interface can be"
        )));
    }
    Ok(text.to_owned())
}

fn parse_path(text: &str, len_max: usize) -> Result<PathBuf, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("the path is empty"));
    }
    if text.contains('\0') {
        return Err(Refusal::new("a path cannot contain a zero byte"));
    }
    if text.len() > len_max {
        return Err(Refusal::new(format!("the path has {} bytes", text.len())));
    }
    Ok(PathBuf::from(text))
}

fn parse_socket(text: &str) -> Result<PathBuf, Refusal> {
    let path = parse_path(text, 107)?;
    if path.is_relative() {
        let what = "a relative path depends on where Tidegate was started";
        return Err(Refusal::with_help(
            what,
            format!("write \"/run/tidegate/{text}\""),
        ));
    }
    if path.file_name().is_none() || text.ends_with('/') {
        return Err(Refusal::new("this is a folder, not a file in it"));
    }
    Ok(path)
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, Refusal> {
    let port = |text: &str| match text.trim().parse() {
        Ok(0) => Err(Refusal::new("port 0 is nobody's")),
        Ok(port) => Ok(port),
        Err(_) => Err(Refusal::new(format!("{text:?} is no port"))),
    };
    let (first, last) = text
        .split_once('-')
        .ok_or_else(|| Refusal::new(format!("{text:?} is no range")))?;
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(Refusal::with_help(
            format!("{first} is above {last}"),
            format!("write \"{last}-{first}\""),
        ));
    }
    Ok(first..=last)
}

fn parse_mode(text: &str) -> Result<u32, Refusal> {
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| Refusal::new(format!("{text:?} is not a file mode")))
}

fn parse_field_value(text: &str) -> Result<String, Refusal> {
    match text.chars().find(|c| !(' '..='~').contains(c)) {
        Some(strange) => Err(Refusal::new(format!(
            "{strange:?} cannot stand in an HTTP field"
        ))),
        None => Ok(text.to_owned()),
    }
}
