//! The ledger of requirements: `requirements.toml` has a row for each rule of RFC 9293 and its
//! companions, and says where it is kept and which tests would fail if it were not.
//!
//! Here the ledger is held against what it speaks of: the list of ids, the sources, the tests, and
//! every citation of an RFC in the dataplane. It is rendered in `REQUIREMENTS.md`; after a change,
//! `TIDEGATE_BLESS=1 cargo test -p tidegate-tcp --test ledger` writes that file anew. Whether a test
//! would notice that a rule is gone is tried out in `mutation`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use citation::{citations, flowing, known_sections, labels};
use row::{Row, Status, rows};

mod citation;
mod mutation;
mod row;

/// Every id there has to be a row for, one a line.
const IDS: &str = include_str!("ids.txt");

fn crate_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn workspace_root() -> PathBuf {
    crate_root().join("../..")
}

/// Every Rust file below `folder`, path and text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("it can be read");
                found.push((path, text));
            }
        }
    }
    found
}

/// Fails with all faults, one a line.
#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

const fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// The word at the start of `text`.
fn word(text: &str) -> &str {
    &text[..text.find(|letter| !is_word(letter)).unwrap_or(text.len())]
}

/// Names of the functions with a `#[test]` before them.
fn test_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            names.push(word(rest).to_owned());
            is_test = false;
        }
    }
    names
}

/// Whether a file defines `item`: a function, type, constant, field or variant.
fn defines(source: &str, item: &str) -> bool {
    let keywords = ["fn", "const", "struct", "enum", "trait", "type", "static"];
    source.lines().any(|line| {
        let line = line.trim_start();
        let line = ["pub(crate) ", "pub(super) ", "pub "]
            .iter()
            .find_map(|visibility| line.strip_prefix(visibility))
            .unwrap_or(line);
        let mut words = line.split_whitespace().peekable();
        while words.next_if(|word| keywords.contains(word)).is_some() {
            if words.peek().is_some_and(|next| word(next) == item) {
                return true;
            }
        }
        // A field, a variant, or a flag; not the call of a function.
        let rest = line.strip_prefix(item).unwrap_or_default();
        let is_variant = item.starts_with(|letter: char| letter.is_ascii_uppercase());
        rest.starts_with([':', ',']) && !rest.starts_with("::")
            || is_variant && rest.starts_with(['(', ' '])
    })
}

#[test]
fn every_id_has_one_row_and_every_row_is_complete() {
    let ids: BTreeSet<&str> = IDS.lines().collect();
    assert_eq!(
        ids.len(),
        IDS.lines().count(),
        "an id stands twice in the list"
    );
    let rows = rows();
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for row in &rows {
        let id = row.id.as_str();
        let mut fault = |what: &str| faults.push(format!("{id}: {what}"));
        if !seen.insert(id) {
            fault("has two rows");
        }
        if !ids.contains(id) {
            fault("is not in the list of ids");
        }
        if row.rule.is_empty() || row.section.is_empty() {
            fault("needs a section and a rule");
        }
        if row.status == Status::Kept && (row.code.is_empty() || row.tests.is_empty()) {
            fault("is kept, so it needs a place in the code and a test");
        }
        if row.status != Status::Kept && row.remark.is_empty() {
            fault("is not kept, so it needs a reason");
        }
        if id.starts_with("MUST-") && row.status == Status::DeliberatelyNot {
            fault("is a MUST: it is kept, or it does not apply");
        }
    }
    for id in ids.difference(&seen) {
        faults.push(format!("{id}: has no row"));
    }
    assert_none(&faults);
}

#[test]
fn every_labelled_id_is_in_the_list() {
    let ids: BTreeSet<&str> = IDS.lines().collect();
    let series = [("MUST", 69), ("SHLD", 31), ("MAY", 18), ("REC", 1)];
    for (label, last) in series {
        for number in 1..=last {
            assert!(
                ids.contains(format!("{label}-{number}").as_str()),
                "{label}-{number}"
            );
        }
    }
}

#[test]
fn every_named_test_is_there() {
    let mut tests = BTreeSet::new();
    for folder in ["dataplane", "control", "config", "bench"] {
        for (_, text) in sources(&workspace_root().join(folder)) {
            tests.extend(test_names(&text));
        }
    }
    let conversations = crate_root().join("tests/pkt");
    let is_there = |name: &String| match name.strip_suffix(".pkt") {
        Some(_) => conversations.join(name).is_file(),
        None => tests.contains(name),
    };
    let mut faults = Vec::new();
    for row in rows() {
        let missing = row.tests.iter().filter(|name| !is_there(name));
        faults.extend(missing.map(|name| format!("{}: there is no test {name}", row.id)));
    }
    assert_none(&faults);
}

#[test]
fn every_named_place_in_the_code_is_there() {
    let dataplane = workspace_root().join("dataplane");
    let mut faults = Vec::new();
    for row in rows() {
        for place in &row.code {
            let Some((file, item)) = place.split_once(": ") else {
                faults.push(format!("{}: {place}: wants a file and an item", row.id));
                continue;
            };
            let text = fs::read_to_string(dataplane.join(file)).unwrap_or_default();
            if !defines(&text, item) {
                faults.push(format!("{}: {file} has no {item}", row.id));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_citation_is_of_a_known_section_or_label() {
    let (known, ids) = (known_sections(), IDS.lines().collect::<BTreeSet<_>>());
    let mut texts = sources(&workspace_root().join("dataplane"));
    texts.retain(|(path, _)| path.components().any(|part| part.as_os_str() == "src"));
    for entry in fs::read_dir(crate_root().join("tests/pkt")).expect("it is there") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("it can be read");
        texts.push((path, text));
    }
    let mut faults = BTreeSet::new();
    for (path, text) in texts {
        let text = flowing(&text);
        let name = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        for (rfc, cited) in citations(&text) {
            let Some(sections) = known.get(rfc) else {
                faults.insert(format!("{name}: RFC {rfc} is not known"));
                continue;
            };
            let unknown = cited.iter().filter(|section| !sections.contains(*section));
            faults.extend(unknown.map(|section| format!("{name}: RFC {rfc} {section}")));
        }
        let unknown = labels(&text)
            .into_iter()
            .filter(|label| !ids.contains(label));
        faults.extend(unknown.map(|label| format!("{name}: {label}")));
    }
    assert_none(&faults.into_iter().collect::<Vec<_>>());
}

#[test]
fn every_section_of_a_row_is_known() {
    let known = known_sections();
    let mut faults = Vec::new();
    for row in rows() {
        let Some((rfc, sections)) = row.section.split_once(' ') else {
            continue;
        };
        let Some(known) = known.get(rfc) else {
            continue;
        };
        let unknown = sections
            .split(", ")
            .filter(|section| !known.contains(section));
        faults.extend(unknown.map(|section| format!("{}: RFC {rfc} {section}", row.id)));
    }
    assert_none(&faults);
}

/// The ledger as a document.
fn document(rows: &[Row]) -> String {
    let mut text = String::from(
        "# What this TCP keeps\n\n\
         One row for each requirement of RFC 9293 (its labels are those of its appendix B), for each\n\
         rule of its state machine, for each rule of its companions that can be checked, and for what\n\
         users know TCP by. Written from `requirements.toml` by `tests/ledger.rs`, which also checks\n\
         that code and tests are there. Places in the code are below `dataplane`; tests that end in\n\
         `.pkt` are conversations in `tests/pkt`.\n\n",
    );
    let mut counts = BTreeMap::<Status, u32>::new();
    for row in rows {
        *counts.entry(row.status).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(status, count)| format!("{count} {}", status.name()))
        .collect();
    write!(
        text,
        "{} requirements: {}.\n\n",
        rows.len(),
        counts.join(", ")
    )
    .expect("a string");
    text.push_str("| id | section | requirement | status | code | tests |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join("<br>")
    };
    for row in rows {
        let status = if row.remark.is_empty() {
            row.status.name().to_owned()
        } else {
            format!("{}: {}", row.status.name(), row.remark)
        };
        let cells = [
            row.id.clone(),
            row.section.clone(),
            row.rule.clone(),
            status,
            list(&row.code),
            list(&row.tests),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| {} |", cells.join(" | ")).expect("a string");
    }
    text
}

#[test]
fn the_document_is_as_the_ledger_has_it() {
    let path = crate_root().join("REQUIREMENTS.md");
    let document = document(&rows());
    if std::env::var_os("TIDEGATE_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, document).expect("it can be written");
        return;
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differing = document
        .lines()
        .zip(committed.lines().chain(std::iter::repeat("")))
        .find(|(wanted, there)| wanted != there);
    assert!(
        document == committed,
        "REQUIREMENTS.md is not in step; TIDEGATE_BLESS=1 writes it anew. First: {differing:?}"
    );
}
