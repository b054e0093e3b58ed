//! The corpus of the fuzz targets, played through the same functions without a fuzzer: what once
//! reached new code, or broke something, is tried in every run of the tests.
//!
//! `dataplane/fuzz` is outside the workspace, so its sources are taken in by their path. How to
//! fuzz is said at the top of them.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[path = "../../../dataplane/fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    reason = "the fuzzer's package has targets that call it"
)]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A corpus is kept small, so that one can see what is in it and nobody waits for it: files a
/// target, and bytes a file.
const FILES_MAX: usize = 60;
const FILE_LEN_MAX: usize = 4_096;

/// What a target does with the bytes.
type Run = fn(&[u8]);

/// Each target.
const TARGETS: [(&str, Run); 7] = [
    ("admin", fuzz::admin::run),
    ("agent", fuzz::agent::run),
    ("cookie", fuzz::cookie::run),
    ("options", fuzz::options::run),
    ("parse", fuzz::parse::run),
    ("segments", fuzz::segments::run),
    ("worker", fuzz::worker::run),
];

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/fuzz")
}

/// The names in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Names the file at hand where a target panics.
struct Playing(PathBuf);

impl Drop for Playing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while playing {}", self.0.display());
        }
    }
}

fn play(target: &str) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let folder = package().join("corpus").join(target);
    let files = names(&folder);
    assert!(
        (1..=FILES_MAX).contains(&files.len()),
        "{} files",
        files.len()
    );
    for file in files {
        let playing = Playing(folder.join(file));
        let bytes = fs::read(&playing.0).unwrap();
        assert!(bytes.len() <= FILE_LEN_MAX, "{} bytes", bytes.len());
        run(&bytes);
    }
}

#[test]
fn admin() {
    play("admin");
}

#[test]
fn agent() {
    play("agent");
}

#[test]
fn cookie() {
    play("cookie");
}

#[test]
fn options() {
    play("options");
}

#[test]
fn parse() {
    play("parse");
}

#[test]
fn segments() {
    play("segments");
}

#[test]
fn worker() {
    play("worker");
}

#[test]
fn every_target_has_its_source_its_entry_and_its_corpus() {
    let targets: BTreeSet<String> = TARGETS.map(|(name, _)| name.to_owned()).into();
    let sources: BTreeSet<String> = names(&package().join("fuzz_targets"))
        .into_iter()
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .collect();
    assert_eq!(sources, targets);
    assert_eq!(names(&package().join("corpus")), targets);
    let manifest = fs::read_to_string(package().join("Cargo.toml")).unwrap();
    for target in &targets {
        let entry = format!("path = \"fuzz_targets/{target}.rs\"");
        assert!(manifest.contains(&entry), "no entry for {target}");
    }
}
