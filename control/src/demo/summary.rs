//! The demo's last words: was every answer right, who answered, how long did it take.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::live::{discards, rate};
use super::load::{Family, Tally};
use super::stage::BACKENDS;
use crate::admin::Counters;

/// What is known at the end.
#[derive(Debug)]
pub(super) struct Summary {
    right: [[u64; BACKENDS.len()]; 2],
    wrong: u64,
    faults: Vec<String>,
    connections: u64,
    latencies: Histogram<u64>,
    took: Duration,
    discards: String,
}

impl Summary {
    pub(super) fn new(
        tally: &Tally,
        latencies: Histogram<u64>,
        took: Duration,
        counters: &Counters,
    ) -> Self {
        let mut right = [[0; BACKENDS.len()]; 2];
        for family in Family::ALL {
            for (backend, right) in right[family as usize].iter_mut().enumerate() {
                *right = tally.right(family, backend);
            }
        }
        Self {
            right,
            wrong: tally.wrong(),
            faults: tally.faults(),
            connections: tally.connections(),
            latencies,
            took,
            discards: discards(counters),
        }
    }

    /// No wrong answer, and at least one right one from each backend over each family.
    pub(super) fn is_success(&self) -> bool {
        self.wrong == 0 && self.silent().is_empty()
    }

    /// The backends and families that never met.
    fn silent(&self) -> Vec<String> {
        let pairs = Family::ALL.into_iter().flat_map(|family| {
            BACKENDS
                .into_iter()
                .enumerate()
                .map(move |pair| (family, pair))
        });
        pairs
            .filter(|(family, (backend, _))| self.right[*family as usize][*backend] == 0)
            .map(|(family, (_, name))| format!("{name} over {}", family.name()))
            .collect()
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  answers")?;
        for name in BACKENDS {
            write!(f, "{name:>12}")?;
        }
        for family in Family::ALL {
            write!(f, "\n  {:<7}", family.name())?;
            for right in self.right[family as usize] {
                write!(f, "{right:>12}")?;
            }
        }
        writeln!(f)
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  time of one request:")?;
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            write!(
                f,
                "  {name} {}",
                milliseconds(self.latencies.value_at_quantile(quantile))
            )?;
        }
        writeln!(f, "  max {}", milliseconds(self.latencies.max()))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right: u64 = self.right.iter().flatten().sum();
        let seconds = self.took.as_secs_f64();
        writeln!(
            f,
            "\nIn {seconds:.1} s: {right} right answers ({:.0} a second) and {} wrong ones over {} \
             connections.",
            rate(right, seconds),
            self.wrong,
            self.connections,
        )?;
        self.write_table(f)?;
        self.write_latencies(f)?;
        writeln!(f, "  Tidegate: {}\n", self.discards)?;
        for fault in &self.faults {
            writeln!(f, "  wrong: {fault}")?;
        }
        let silent = self.silent();
        if !silent.is_empty() {
            writeln!(f, "No answer from {}.", silent.join(", "))?;
        }
        if self.is_success() {
            write!(f, "Every answer was right.")
        } else {
            write!(f, "FAILED.")
        }
    }
}

/// Nanoseconds as milliseconds with as many digits as a reader wants.
fn milliseconds(nanoseconds: u64) -> String {
    let whole = nanoseconds / 1_000_000;
    let thousandths = nanoseconds / 1_000 % 1_000;
    format!("{whole}.{thousandths:03} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(right: [[u64; 2]; 2], wrong: u64) -> Summary {
        let mut latencies = Histogram::new_with_bounds(1_000, 60_000_000_000, 3).unwrap();
        latencies.record(2_500_000).unwrap();
        Summary {
            right,
            wrong,
            faults: Vec::new(),
            connections: 4,
            latencies,
            took: Duration::from_secs(2),
            discards: "no discards".to_owned(),
        }
    }

    #[test]
    fn success_needs_every_answer_right_and_every_backend_over_both_families() {
        assert!(summary([[1, 2], [3, 4]], 0).is_success());
        assert!(!summary([[1, 2], [3, 4]], 1).is_success());
        assert!(!summary([[0, 0], [0, 0]], 0).is_success());
        let lame = summary([[1, 2], [3, 0]], 0);
        assert!(!lame.is_success());
        let text = lame.to_string();
        assert!(text.contains("No answer from b over IPv6."), "{text}");
        assert!(text.contains("6 right answers (3 a second)"), "{text}");
        assert!(text.contains("max 2.5"), "{text}");
        assert!(text.ends_with("FAILED."), "{text}");
    }
}
