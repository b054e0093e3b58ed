//! What the compiler and clippy do not check: the shape of the tree, sizes, openings, words.
//!
//! Each test names every offender with file and line, so that one run is enough to mend all. The
//! rules are few and meant literally; where one is wrong for a case, change the rule here.

#![forbid(unsafe_code)]

mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use source::{Source, root, sources};

/// The longest file, tests included: what one reads in one sitting.
const FILE_LINES_MAX: usize = 500;

/// The longest function, tests left out: what one sees on one screen and holds in the head.
const FUNCTION_LINES_MAX: usize = 70;

/// Tests at the foot of a file; more go into a file of their own.
const FOOT_LINES_MAX: usize = 150;

/// Fails with all offenders, one a line.
#[track_caller]
fn assert_none(rule: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn visible_root_is_what_was_agreed() {
    let agreed = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "bench",
        "config",
        "control",
        "dataplane",
    ];
    let entries = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let visible: BTreeSet<String> = entries
        .map(|name| name.into_string().unwrap())
        // What cargo builds is not part of the tree.
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    assert_eq!(visible, agreed.map(str::to_owned).into());
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let mut offenders = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            offenders.push(format!("{}: {lines} lines", source.name));
        }
        let foot = lines - source.code_lines();
        if foot > FOOT_LINES_MAX && !source.is_test() {
            offenders.push(format!(
                "{}: {foot} lines of tests at its foot",
                source.name
            ));
        }
    }
    assert_none(
        "a file has at most 500 lines, its foot at most 150 of tests",
        &offenders,
    );
}

#[test]
fn every_function_fits_a_screen() {
    let mut offenders = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for function in source.functions() {
            if function.lines > FUNCTION_LINES_MAX {
                let (name, line) = (&function.name, function.first_line);
                offenders.push(format!(
                    "{}:{line}: {name}: {} lines",
                    source.name, function.lines
                ));
            }
        }
    }
    assert_none("a function has at most 70 lines", &offenders);
}

#[test]
fn every_module_says_what_it_is() {
    let opens = |source: &&Source| !source.text.starts_with("//! ");
    let offenders: Vec<String> = sources()
        .iter()
        .filter(opens)
        .map(|s| s.name.clone())
        .collect();
    assert_none("a file opens with //! and a sentence", &offenders);
}

#[test]
fn every_file_of_tcp_cites_its_rfc() {
    let cites = |source: &&Source| {
        let is_protocol = source.name.starts_with("dataplane/tcp/src/") && !source.is_test();
        // An algorithm that has no RFC yet cites its draft; a container carries out none.
        let is_container = source.name == "dataplane/tcp/src/pool.rs";
        let has_source = source.text.contains("RFC ") || source.text.contains("draft-ietf-");
        is_protocol && !is_container && !has_source
    };
    let offenders: Vec<String> = sources()
        .iter()
        .filter(cites)
        .map(|s| s.name.clone())
        .collect();
    assert_none("a file of tcp/ cites the RFC it carries out", &offenders);
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    let mut offenders = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                offenders.push(format!("{}:{}: {}", source.name, number + 1, line.trim()));
            }
        }
    }
    assert_none("what is left to do is an issue, not a comment", &offenders);
}

#[test]
fn names_are_of_our_vocabulary() {
    let verbs = ["fn get_", "fn handle_", "fn process_", "fn do_"];
    let modules = [
        "mod util",
        "mod utils",
        "mod helper",
        "mod helpers",
        "mod common",
        "mod misc",
    ];
    let mut offenders = Vec::new();
    for source in sources() {
        for (number, line) in source.bare().lines().enumerate() {
            let banned = verbs.iter().any(|verb| line.contains(verb))
                || modules
                    .iter()
                    .any(|module| line.trim_end().ends_with(&format!("{module};")))
                || line.contains("struct ") && line.contains("Manager");
            if banned {
                offenders.push(format!("{}:{}: {}", source.name, number + 1, line.trim()));
            }
        }
    }
    assert_none(
        "no get_, handle_, process_, do_, util, helper, common, manager",
        &offenders,
    );
}

#[test]
fn only_two_crates_may_be_unsafe() {
    let entrances = ["lib.rs", "main.rs"];
    let mut offenders = Vec::new();
    for source in sources() {
        let may = ["dataplane/af_xdp/", "dataplane/port/"];
        let is_entrance = entrances
            .iter()
            .any(|name| source.name.ends_with(&format!("src/{name}")));
        let forbids = source.text.contains("#![forbid(unsafe_code)]");
        if is_entrance && !forbids && !may.iter().any(|folder| source.name.starts_with(folder)) {
            offenders.push(source.name.clone());
        }
    }
    assert_none(
        "all crates but af_xdp and port forbid unsafe code",
        &offenders,
    );
}

#[test]
fn every_discard_is_met_by_a_test() {
    let mut tests = String::new();
    for source in sources() {
        let skipped = if source.is_test() {
            0
        } else {
            source.code_lines()
        };
        source
            .text
            .lines()
            .skip(skipped)
            .for_each(|line| tests.extend([line, "\n"]));
    }
    for conversation in source::files_under(&root().join("dataplane"), "pkt") {
        tests += &fs::read_to_string(conversation).unwrap();
    }
    let met = |name: &str| {
        let mut found = tests
            .match_indices(name)
            .map(|(at, _)| &tests[at + name.len()..]);
        found.any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    };
    let offenders: Vec<String> = tidegate_wire::Discard::ALL
        .iter()
        .filter(|discard| !met(&format!("Discard::{discard:?}")) && !met(discard.name()))
        .map(|discard| discard.name().to_owned())
        .collect();
    assert_none("no test has seen these discards", &offenders);
}

#[test]
fn every_key_of_the_manual_is_explained() {
    let path = root().join("config/default.toml");
    let text = fs::read_to_string(&path).unwrap();
    // A key that stands in two tables of one kind is explained in the first.
    let mut explained = BTreeSet::new();
    let mut below_comment = false;
    let mut offenders = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("# ") {
            below_comment = true;
        } else if line.is_empty() || line.starts_with('[') {
            below_comment = false;
        } else if let Some((key, _)) = line.split_once(" = ") {
            if below_comment {
                explained.insert(key);
            } else if !explained.contains(key) {
                offenders.push(format!("config/default.toml:{}: {line}", number + 1));
            }
        }
    }
    assert_none(
        "each key of default.toml has a comment above it",
        &offenders,
    );
}

#[test]
fn every_document_has_one_title() {
    let mut offenders = Vec::new();
    for path in source::files_under(&root(), "md") {
        let text = fs::read_to_string(&path).unwrap();
        let titles = titles(&text);
        if titles != 1 {
            offenders.push(format!("{}: {titles} titles", relative(&path)));
        }
    }
    assert_none("a document has exactly one title", &offenders);
}

/// Lines of the form `# ...` outside of fenced code.
fn titles(text: &str) -> usize {
    let mut fenced = false;
    let mut titles = 0;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if line.starts_with("# ") && !fenced {
            titles += 1;
        }
    }
    titles
}

/// The path as seen from the root of the repository.
fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .expect("a path below the root")
        .display()
        .to_string()
}
