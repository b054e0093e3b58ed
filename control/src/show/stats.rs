//! `tidegate stats`: counters, and what was dropped and why.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::table::{Align, lay_out};
use crate::admin::{BackendCounters, Client, Counters, Discarded};

/// What to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsOptions {
    /// The admin socket.
    pub socket: PathBuf,
    /// Show counters that are zero as well.
    pub all: bool,
    /// Print the answer as JSON.
    pub json: bool,
}

/// Asks a running Tidegate and returns what is to be printed.
///
/// # Errors
///
/// Nobody answers at the socket.
pub fn stats(options: &StatsOptions) -> Result<String> {
    let counters = Client::connect(&options.socket)?.counters()?;
    if options.json {
        let json = serde_json::to_string_pretty(&counters).context("an answer is valid JSON")?;
        return Ok(json + "\n");
    }
    Ok(text(&counters, options.all))
}

/// A heading and a table for each kind of counter.
fn text(counters: &Counters, all: bool) -> String {
    let mut text = String::new();
    text += &section("Connections by state", plain(&counters.flows, all));
    text += &section("Counters", plain(&counters.counters, all));
    text += &section("Backends", counters.backends.iter().map(backend_row));
    for (interface, port) in &counters.ports {
        let rows = plain(&port.counts, all).chain(plain(&port.drops, all));
        text += &section(&format!("Port {interface}"), rows);
    }
    text += &section(
        "Discards of what was received",
        reasons(&counters.discards, all),
    );
    text + &section(
        "Discards of what was to be sent",
        reasons(&counters.tx_discards, all),
    )
}

/// Numbers with their names.
fn plain(table: &BTreeMap<String, u64>, all: bool) -> impl Iterator<Item = [String; 2]> {
    let shown = table.iter().filter(move |(_, count)| all || **count > 0);
    shown.map(|(name, count)| [count.to_string(), name.clone()])
}

/// Numbers with their names and what they mean.
fn reasons(table: &BTreeMap<String, Discarded>, all: bool) -> impl Iterator<Item = [String; 3]> {
    let shown = table
        .iter()
        .filter(move |(_, discarded)| all || discarded.count > 0);
    shown.map(|(name, discarded)| {
        let (severity, sentence) = (&discarded.severity, &discarded.sentence);
        [
            discarded.count.to_string(),
            name.clone(),
            format!("[{severity}] {sentence}"),
        ]
    })
}

fn backend_row((name, backend): (&String, &BackendCounters)) -> [String; 3] {
    let BackendCounters {
        opened,
        failed,
        active,
        text_to,
        text_from,
    } = backend;
    let figures =
        format!("{failed} failed, {active} active, bytes: {text_to} to, {text_from} from");
    [opened.to_string(), name.clone(), figures]
}

/// A heading with its rows below; `none` where there are none.
fn section<const N: usize>(heading: &str, rows: impl Iterator<Item = [String; N]>) -> String {
    let indent = |row: [String; N]| [String::new()].into_iter().chain(row).collect();
    let rows: Vec<Vec<String>> = rows.map(indent).collect();
    let mut columns = vec![Align::Left, Align::Right];
    columns.resize(N + 1, Align::Left);
    let body = if rows.is_empty() {
        "  none\n".to_owned()
    } else {
        lay_out(&columns, &rows)
    };
    format!("{heading}\n{body}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::PortCounters;

    fn discarded(count: u64) -> Discarded {
        Discarded {
            count,
            severity: "warning".to_owned(),
            sentence: "The checksum is wrong.".to_owned(),
        }
    }

    #[test]
    fn zeros_are_hidden_unless_asked_for() {
        let named = |name: &str, count| (name.to_owned(), count);
        let backend = BackendCounters {
            opened: 9,
            failed: 1,
            ..Default::default()
        };
        let port = PortCounters {
            counts: [named("rx_frames", 7), named("tx_frames", 0)].into(),
            drops: [named("rx_no_frame", 0)].into(),
        };
        let counters = Counters {
            flows: [named("ESTABLISHED", 2), named("LISTEN", 0)].into(),
            discards: [
                ("bad_sum".to_owned(), discarded(12)),
                ("cut".to_owned(), discarded(0)),
            ]
            .into(),
            ports: [("eth1".to_owned(), port)].into(),
            backends: [("web/pool/a".to_owned(), backend)].into(),
            ..Counters::default()
        };
        let expected = "\
Connections by state
  2  ESTABLISHED

Counters
  none

Backends
  9  web/pool/a  1 failed, 0 active, bytes: 0 to, 0 from

Port eth1
  7  rx_frames

Discards of what was received
  12  bad_sum  [warning] The checksum is wrong.

Discards of what was to be sent
  none

";
        assert_eq!(text(&counters, false), expected);
        let all = text(&counters, true);
        for zero in ["0  LISTEN", "0  cut", "0  tx_frames", "0  rx_no_frame"] {
            assert!(all.contains(zero), "{all}");
        }
    }
}
