//! What a check has to say: lines with a verdict, and what they add up to.

use std::fmt;

/// What is said of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As the configuration wants it.
    Ok,
    /// Otherwise; Tidegate runs, and the sentence says what that costs.
    Differs,
    /// Tidegate does not start like this, or nothing it serves would work.
    Missing,
}

/// What is said of one thing, and how it is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The verdict.
    pub verdict: Verdict,
    /// The stage that says it.
    pub stage: &'static str,
    /// What is the case.
    pub sentence: String,
    /// The command that mends it, or the line of the configuration that does.
    pub mend: Option<String>,
}

/// All lines, in the order of the stages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    stage: &'static str,
    lines: Vec<Line>,
}

impl Report {
    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether nothing is missing: `tidegate run` would start.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.count(Verdict::Missing) == 0
    }

    /// The lines that follow are of this stage.
    pub(super) fn begin(&mut self, stage: &'static str) {
        self.stage = stage;
    }

    pub(super) fn ok(&mut self, sentence: impl Into<String>) {
        self.say(Verdict::Ok, sentence.into(), None);
    }

    pub(super) fn differs(&mut self, sentence: impl Into<String>, mend: impl Into<String>) {
        self.say(Verdict::Differs, sentence.into(), Some(mend.into()));
    }

    pub(super) fn missing(&mut self, sentence: impl Into<String>, mend: impl Into<String>) {
        self.say(Verdict::Missing, sentence.into(), Some(mend.into()));
    }

    /// Says something that is not in order with a verdict that others decide.
    pub(super) fn say(&mut self, verdict: Verdict, sentence: String, mend: Option<String>) {
        self.lines.push(Line {
            verdict,
            stage: self.stage,
            sentence,
            mend,
        });
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.lines
            .iter()
            .filter(|line| line.verdict == verdict)
            .count()
    }
}

impl Verdict {
    /// The word that is printed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Differs => "differs",
            Self::Missing => "missing",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8} {:14} {}",
            self.verdict.name(),
            self.stage,
            self.sentence
        )?;
        match &self.mend {
            // Under the sentence and alone on its line, so that it can be copied.
            Some(mend) => write!(f, "\n{:8} {:14}   mend: {mend}", "", ""),
            None => Ok(()),
        }
    }
}

/// Every line, then one that says what they add up to.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let things = |count: usize| match count {
            1 => "1 thing".to_owned(),
            count => format!("{count} things"),
        };
        match (self.count(Verdict::Missing), self.count(Verdict::Differs)) {
            (0, 0) => write!(f, "ready"),
            (0, differs) => write!(f, "ready; {} may be better", things(differs)),
            (missing, _) => write!(f, "not ready: {} missing", things(missing)),
        }
    }
}
