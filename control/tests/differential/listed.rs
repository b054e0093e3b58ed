//! What is known to differ, and why: `differences.txt`, which is read, compared and written here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::selection::Conversation;

/// The first segment in which two hosts differ. What follows from it is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// How many segments were the same before.
    same: usize,
    tidegate: String,
    linux: String,
    /// It is a matter of microseconds whether they differ.
    sometimes: bool,
    reason: String,
}

impl Difference {
    /// Whether an attempt went as it is known to go.
    pub(crate) fn is_known(seen: Option<&Self>, known: Option<&Self>) -> bool {
        match (seen, known) {
            (None, None) => true,
            (None, Some(known)) => known.sometimes,
            (Some(_), None) => false,
            (Some(seen), Some(known)) => seen.is_same(known),
        }
    }

    /// The same, but for the reason.
    fn is_same(&self, known: &Self) -> bool {
        (self.same, &self.tidegate, &self.linux) == (known.same, &known.tidegate, &known.linux)
    }
}

/// What stands where a reason is to be written.
const NO_REASON: &str = "?";

/// The end of what a host said.
const END: &str = "no more";

/// The first segment that differs.
pub(crate) fn first_difference(tidegate: &[String], linux: &[String]) -> Option<Difference> {
    let of = |said: &[String], at: usize| said.get(at).map_or(END, String::as_str).to_owned();
    let longest = tidegate.len().max(linux.len());
    let same = (0..longest).find(|at| tidegate.get(*at) != linux.get(*at))?;
    Some(Difference {
        same,
        tidegate: of(tidegate, same),
        linux: of(linux, same),
        sometimes: false,
        reason: NO_REASON.to_owned(),
    })
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/differential/differences.txt")
}

/// The kernel whose behaviour is listed. Another one may differ in its own way, which is said and not
/// judged.
const LISTED_KERNEL: &str = "6.18";

fn is_the_listed_kernel() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').take(2).eq(LISTED_KERNEL.split('.'))
}

/// What stands above the list.
const HEAD: &str = "\
# Where Tidegate and Linux differ in a conversation: after how many segments that were the same, what
# each of them says then, and why. `control/tests/differential` reads it, and writes it with
# TIDEGATE_BLESS=1; the reasons are written by hand. Seen with Linux 6.18.
";

/// The list by conversation.
pub(crate) fn read() -> BTreeMap<String, Difference> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut listed = BTreeMap::new();
    let mut name = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.trim_start().split_once(": ") else {
            name = line;
            continue;
        };
        if name.is_empty() {
            continue;
        }
        let difference: &mut Difference = listed.entry(name.to_owned()).or_default();
        match key {
            "same" => difference.same = value.parse().unwrap(),
            "tidegate" => value.clone_into(&mut difference.tidegate),
            "linux" => value.clone_into(&mut difference.linux),
            "sometimes" => difference.sometimes = value == "yes",
            "reason" => value.clone_into(&mut difference.reason),
            _ => panic!("{name}: {key} is no part of a difference"),
        }
    }
    listed
}

fn write(listed: &BTreeMap<String, Difference>) {
    let mut text = HEAD.to_owned();
    for (name, difference) in listed {
        let Difference {
            same,
            tidegate,
            linux,
            sometimes,
            reason,
        } = difference;
        let sometimes = if *sometimes { "  sometimes: yes\n" } else { "" };
        let _ = write!(
            text,
            "\n{name}\n  same: {same}\n  tidegate: {tidegate}\n  linux: {linux}\n{sometimes}  reason: {reason}\n"
        );
    }
    std::fs::write(path(), text).unwrap();
}

/// Fails where an attempt at none of the conversations went as it is listed.
pub(crate) fn judge(
    conversations: &[Conversation],
    seen: &BTreeMap<&str, Vec<Option<Difference>>>,
    listed: &BTreeMap<String, Difference>,
) {
    let mut now = BTreeMap::new();
    let mut faults = Vec::new();
    for Conversation { name, .. } in conversations {
        let attempts = &seen[name.as_str()];
        let known = listed.get(name);
        let is_as_known = attempts
            .iter()
            .any(|seen| Difference::is_known(seen.as_ref(), known));
        let last = attempts.last().cloned().flatten();
        let is_equal = attempts.iter().any(Option::is_none);
        let difference = match known {
            Some(known) if is_as_known => Some(known.clone()),
            _ if is_equal => None,
            _ => last,
        };
        if !is_as_known {
            faults.push(match (&difference, known) {
                (None, Some(_)) => format!("{name}: differs no more, take it from the list"),
                (seen, _) => format!("{name}: {seen:?} is not listed; it is {known:?}"),
            });
        }
        if let Some(difference) = difference {
            if difference.reason == NO_REASON {
                faults.push(format!("{name}: the reason is missing"));
            }
            now.insert(name.clone(), difference);
        }
    }
    let is_played = |name: &&String| conversations.iter().any(|played| played.name == **name);
    let strays = listed.keys().filter(|name| !is_played(name));
    faults.extend(strays.map(|name| format!("{name}: is listed and not played")));
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        write(&now);
    }
    if !faults.is_empty() && !is_the_listed_kernel() {
        let all = faults.join("\n");
        let line = format!("NOT JUDGED: this kernel is not Linux {LISTED_KERNEL}:\n{all}\n");
        // Not by eprintln!, which the test harness keeps to itself when a test passes.
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
