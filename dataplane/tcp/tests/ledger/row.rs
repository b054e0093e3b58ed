//! A row of the ledger.

use std::fs;

use serde::Deserialize;

use crate::crate_root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ledger {
    row: Vec<Row>,
}

/// A requirement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// Number of the RFC and section; or where else it stands.
    pub(crate) section: String,
    /// What is required, in our own words.
    pub(crate) rule: String,
    pub(crate) status: Status,
    /// Where it is kept: a file below `dataplane`, a colon, an item of it.
    #[serde(default)]
    pub(crate) code: Vec<String>,
    /// Names of tests, or of conversations in `tests/pkt`.
    #[serde(default)]
    pub(crate) tests: Vec<String>,
    /// Why it is not kept, or what is to be known of how it is.
    #[serde(default)]
    pub(crate) remark: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    #[serde(rename = "kept")]
    Kept,
    #[serde(rename = "later")]
    Later,
    #[serde(rename = "not applicable")]
    NotApplicable,
    #[serde(rename = "deliberately not")]
    DeliberatelyNot,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Later => "later",
            Self::NotApplicable => "not applicable",
            Self::DeliberatelyNot => "deliberately not",
        }
    }
}

/// All of them, in the order of the file.
pub(crate) fn rows() -> Vec<Row> {
    let text = fs::read_to_string(crate_root().join("requirements.toml")).expect("it can be read");
    let ledger: Ledger = toml::from_str(&text).unwrap_or_else(|fault| panic!("{fault}"));
    ledger.row
}
