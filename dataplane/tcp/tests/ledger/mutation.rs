//! Whether the tests that a row names would notice that its rule is gone.
//!
//! `mutations.toml` has, for each rule that is kept, a change of the code that takes the rule out: a
//! text that stands once in a file, and what stands there instead. That each still fits the code is
//! checked every time. The proof is slow, an hour or more, and run by hand or once a week:
//!
//! ```text
//! cargo test -p tidegate-tcp --test ledger -- --ignored --nocapture every_rule_is_missed
//! ```
//!
//! It copies the workspace, makes one change at a time, runs the tests that the rows name, and wants
//! one of them to fail for each row. `TIDEGATE_MUTATIONS=MUST-20,6528-number` tries these rows alone,
//! `TIDEGATE_MUTATIONS=2/3` the second third of all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use crate::row::{Row, Status, rows};
use crate::{assert_none, crate_root, sources, test_names, workspace_root};

/// How long the tests of one change may take. One that does not end by then has noticed.
const PATIENCE: Duration = Duration::from_secs(600);

/// How often it is asked whether they have ended.
const POLL: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutations {
    mutation: Vec<Mutation>,
}

/// A change that takes a rule out.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    /// Ids of the rows whose rule is gone with it.
    rows: Vec<String>,
    /// The file, below `dataplane`.
    file: String,
    /// What stands there, once.
    from: String,
    /// What stands there instead.
    to: String,
}

fn mutations() -> Vec<Mutation> {
    let path = crate_root().join("tests/ledger/mutations.toml");
    let text = fs::read_to_string(path).expect("it can be read");
    let all: Mutations = toml::from_str(&text).unwrap_or_else(|fault| panic!("{fault}"));
    all.mutation
}

fn kept() -> BTreeMap<String, Row> {
    rows()
        .into_iter()
        .filter(|row| row.status == Status::Kept)
        .map(|row| (row.id.clone(), row))
        .collect()
}

#[test]
fn every_kept_rule_has_a_mutation_that_fits_the_code() {
    let kept = kept();
    let dataplane = workspace_root().join("dataplane");
    let mut proven = BTreeSet::new();
    let mut faults = Vec::new();
    for mutation in mutations() {
        let ids = mutation.rows.join(", ");
        let text = fs::read_to_string(dataplane.join(&mutation.file)).unwrap_or_default();
        let count = text.matches(&mutation.from).count();
        if count != 1 || mutation.from.is_empty() {
            let file = &mutation.file;
            faults.push(format!("{ids}: the text stands {count} times in {file}"));
        }
        if mutation.from == mutation.to {
            faults.push(format!("{ids}: it changes nothing"));
        }
        for id in mutation.rows {
            let place = format!("{}: ", mutation.file);
            match kept.get(&id) {
                None => faults.push(format!("{id}: there is no such rule that is kept")),
                Some(row) if !row.code.iter().any(|code| code.starts_with(&place)) => {
                    faults.push(format!("{id}: {} is none of its places", mutation.file));
                }
                Some(_) => {}
            }
            proven.insert(id);
        }
    }
    let unproven = kept.keys().filter(|id| !proven.contains(*id));
    faults.extend(unproven.map(|id| format!("{id}: no mutation takes it out")));
    assert_none(&faults);
}

#[test]
#[ignore = "builds the tests once for each rule, an hour or more; see the module"]
#[expect(
    clippy::disallowed_macros,
    reason = "who waits for an hour wants to see how far it is"
)]
fn every_rule_is_missed_by_a_test_that_its_row_names() {
    let (kept, tests) = (kept(), Tests::find());
    let copy = Copy::make();
    let chosen = chosen(mutations());
    let mut faults = Vec::new();
    for (index, mutation) in chosen.iter().enumerate() {
        let ids = mutation.rows.join(", ");
        let missed: Vec<&Row> = mutation.rows.iter().filter_map(|id| kept.get(id)).collect();
        let unnoticed = copy.unnoticed(mutation, &missed, &tests);
        let verdict = match &unnoticed {
            Ok(rows) if rows.is_empty() => "noticed".to_owned(),
            Ok(rows) => format!("NOT NOTICED for {}", rows.join(", ")),
            Err(fault) => fault.clone(),
        };
        eprintln!("{}/{} {ids}: {verdict}", index + 1, chosen.len());
        if verdict != "noticed" {
            faults.push(format!("{ids}: {verdict}"));
        }
    }
    assert_none(&faults);
}

/// Those that `TIDEGATE_MUTATIONS` asks for.
fn chosen(all: Vec<Mutation>) -> Vec<Mutation> {
    let Ok(wish) = std::env::var("TIDEGATE_MUTATIONS") else {
        return all;
    };
    let part = wish.split_once('/').and_then(|(part, parts)| {
        Some((part.parse::<usize>().ok()?, parts.parse::<usize>().ok()?))
    });
    if let Some((part, parts)) = part {
        let len = all.len().div_ceil(parts);
        return all.into_iter().skip((part - 1) * len).take(len).collect();
    }
    let wished = |mutation: &Mutation| {
        wish.split(',')
            .any(|id| mutation.rows.iter().any(|row| row == id))
    };
    let chosen: Vec<Mutation> = all.into_iter().filter(wished).collect();
    assert!(!chosen.is_empty(), "no mutation is of a row {wish}");
    chosen
}

/// In which package each test is.
struct Tests(BTreeMap<String, &'static str>);

/// Folders of the packages whose tests a row may name, and the packages' names.
const PACKAGES: [(&str, &str); 9] = [
    ("dataplane/wire", "tidegate-wire"),
    ("dataplane/tcp", "tidegate-tcp"),
    ("dataplane/af_xdp", "af_xdp"),
    ("dataplane/port", "tidegate-port"),
    ("dataplane/worker", "tidegate-worker"),
    ("dataplane/service", "tidegate-service"),
    ("config", "tidegate-config"),
    ("control", "tidegate"),
    ("bench", "tidegate-bench"),
];

impl Tests {
    fn find() -> Self {
        let mut found = BTreeMap::new();
        for (folder, package) in PACKAGES {
            for (_, text) in sources(&workspace_root().join(folder)) {
                found.extend(test_names(&text).into_iter().map(|name| (name, package)));
            }
        }
        Self(found)
    }
}

/// A copy of the workspace that may be changed; it goes away with this.
struct Copy(PathBuf);

impl Copy {
    fn make() -> Self {
        let name = format!("tidegate-mutations-{}", std::process::id());
        let copy = Self(std::env::temp_dir().join(name));
        copy_folder(&workspace_root(), &copy.0);
        copy
    }

    /// Ids of the rows none of whose tests fails with the change.
    fn unnoticed(
        &self,
        mutation: &Mutation,
        rows: &[&Row],
        tests: &Tests,
    ) -> Result<Vec<String>, String> {
        let path = self.0.join("dataplane").join(&mutation.file);
        let text = fs::read_to_string(&path).expect("it can be read");
        fs::write(&path, text.replacen(&mutation.from, &mutation.to, 1))
            .expect("it can be written");
        let unnoticed = self.run_until_noticed(rows, tests);
        fs::write(&path, text).expect("it can be written");
        unnoticed
    }

    fn run_until_noticed(&self, rows: &[&Row], tests: &Tests) -> Result<Vec<String>, String> {
        let mut left: Vec<&Row> = rows.to_vec();
        for run in runs_of(rows, tests) {
            if left.is_empty() {
                break;
            }
            let Some(failed) = self.failing(&run)? else {
                // It hangs: whoever waits for it notices.
                left.clear();
                break;
            };
            let is_noticed = |row: &&Row| row.tests.iter().any(|name| failed.contains(name));
            left.retain(|row| !is_noticed(row));
        }
        Ok(left.iter().map(|row| row.id.clone()).collect())
    }

    /// Names of the tests and conversations that fail; nothing where they did not end.
    fn failing(&self, run: &[String]) -> Result<Option<BTreeSet<String>>, String> {
        let output = self.0.join("output.txt");
        let file = || fs::File::options().append(true).open(&output);
        fs::write(&output, "").expect("it can be written");
        let mut cargo = Command::new(env!("CARGO"))
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_TEST_DEBUG", "0")
            .args(["test", "--offline", "--no-fail-fast"])
            .args(run)
            .stdin(Stdio::null())
            .stdout(file().expect("it was just written"))
            .stderr(file().expect("it was just written"))
            .spawn()
            .expect("cargo runs");
        let mut waited = Duration::ZERO;
        while cargo.try_wait().expect("it is our child").is_none() {
            std::thread::sleep(POLL);
            waited += POLL;
            if waited > PATIENCE {
                cargo.kill().expect("it is our child");
                cargo.wait().expect("it is our child");
                return Ok(None);
            }
        }
        let text = fs::read_to_string(&output).expect("it was just written");
        if text.contains("could not compile") {
            let fault = text.lines().find(|line| line.starts_with("error"));
            return Err(format!("does not compile: {}", fault.unwrap_or_default()));
        }
        Ok(Some(failed_names(&text)))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Arguments of the runs of cargo in which the tests of `rows` are, the quick ones first.
fn runs_of(rows: &[&Row], tests: &Tests) -> Vec<Vec<String>> {
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| &row.tests).collect();
    let mut runs = Vec::new();
    if names.iter().any(|name| name.ends_with(".pkt")) {
        runs.push(
            ["-p", "tidegate-tcp", "--test", "conversations"]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    for (_, package) in PACKAGES {
        let mut run = ["-p", package, "--tests", "--"].map(str::to_owned).to_vec();
        let start = run.len();
        let of_package = |name: &&&String| tests.0.get(name.as_str()) == Some(&package);
        run.extend(names.iter().filter(of_package).map(|name| (*name).clone()));
        if run.len() > start {
            runs.push(run);
        }
    }
    runs
}

/// `test a::b::name ... FAILED`, and `name.pkt (IPv4): ..` of a conversation that went otherwise.
fn failed_names(output: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in output.lines() {
        let failed = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"));
        if let Some(path) = failed {
            names.insert(path.rsplit("::").next().unwrap_or(path).to_owned());
        }
        if let Some((name, _)) = line.split_once(".pkt") {
            names.insert(format!("{}.pkt", name.trim_start()));
        }
    }
    names
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if name != "target" && name != ".git" {
                copy_folder(&path, &to.join(name));
            }
        } else {
            fs::copy(&path, to.join(name)).expect("it can be copied");
        }
    }
}
