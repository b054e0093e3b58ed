//! `tidegate stats`: counters, and what was dropped and why.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::table::{Align, lay_out};
use crate::admin::{Client, Counters, PortCounters};

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

/// A heading and two columns for each kind of counter.
fn text(counters: &Counters, all: bool) -> String {
    let shown = |count: u64| all || count > 0;
    let mut text = String::new();
    for (heading, table) in [
        ("Connections by state", &counters.flows),
        ("Counters", &counters.counters),
    ] {
        let rows = table.iter().filter(|(_, count)| shown(**count));
        text += &section(
            heading,
            rows.map(|(name, count)| [count.to_string(), name.clone()]),
        );
    }
    text += &section(
        "Connections to backends",
        counters
            .backends
            .iter()
            .map(|(name, count)| [count.to_string(), name.clone()]),
    );
    for (interface, port) in &counters.ports {
        let rows = port_rows(port).filter(|(_, count)| shown(*count));
        let rows = rows.map(|(name, count)| [count.to_string(), name]);
        text += &section(&format!("Port {interface}"), rows);
    }
    let discards = counters
        .discards
        .iter()
        .filter(|(_, discarded)| shown(discarded.count));
    let rows = discards.map(|(name, discarded)| {
        let (severity, sentence) = (&discarded.severity, &discarded.sentence);
        [
            discarded.count.to_string(),
            name.clone(),
            format!("[{severity}] {sentence}"),
        ]
    });
    text + &section("Discards", rows)
}

fn port_rows(port: &PortCounters) -> impl Iterator<Item = (String, u64)> + '_ {
    let totals = [
        ("rx_frames", port.rx_frames),
        ("rx_bytes", port.rx_bytes),
        ("tx_frames", port.tx_frames),
        ("tx_bytes", port.tx_bytes),
    ];
    let totals = totals
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count));
    totals.chain(
        port.drops
            .iter()
            .map(|(name, count)| (name.clone(), *count)),
    )
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
    use crate::admin::Discarded;

    #[test]
    fn zeros_are_hidden_unless_asked_for() {
        let discarded = |count| Discarded {
            count,
            severity: "damage".to_owned(),
            sentence: "The checksum is wrong.".to_owned(),
        };
        let counters = Counters {
            flows: [("ESTABLISHED".to_owned(), 2), ("LISTEN".to_owned(), 0)].into(),
            discards: [
                ("bad_sum".to_owned(), discarded(12)),
                ("cut".to_owned(), discarded(0)),
            ]
            .into(),
            ports: [(
                "eth1".to_owned(),
                PortCounters {
                    rx_frames: 7,
                    ..Default::default()
                },
            )]
            .into(),
            ..Counters::default()
        };
        let expected = "\
Connections by state
  2  ESTABLISHED

Counters
  none

Connections to backends
  none

Port eth1
  7  rx_frames

Discards
  12  bad_sum  [damage] The checksum is wrong.

";
        assert_eq!(text(&counters, false), expected);
        let all = text(&counters, true);
        assert!(all.contains("0  LISTEN") && all.contains("0  cut") && all.contains("0  tx_bytes"));
    }
}
