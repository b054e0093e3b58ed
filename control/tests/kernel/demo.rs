//! `tidegate demo`, as a newcomer runs it, and the ways it can be cut short.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tidegate::demo::{PREFIX, is_privileged};
use tidegate::testbed::skip;
use tidegate::topology::{Folder, Process, ip_output};

use crate::{PATIENCE, TIDEGATE};

/// Each demo removes what dead ones have left, so two tests at a time would disturb each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Waits for the other tests of this file; `None` where the test is skipped.
fn turn() -> Option<MutexGuard<'static, ()>> {
    if !is_privileged() {
        skip("network namespaces need root");
        return None;
    }
    // A test that has failed leaves nothing behind that could harm the next.
    Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A demo under way, with its output in a folder.
struct Demo {
    process: Process,
    folder: Folder,
}

impl Demo {
    fn start(name: &str, command: &mut Command) -> Self {
        let folder = Folder::create(&format!("tidegate-test-{name}-{}", std::process::id()));
        let folder = folder.expect("a folder");
        folder.collect_output("demo", command).expect("a log file");
        let process = Process::start("demo", command).expect("the binary runs");
        Self { process, folder }
    }

    fn said(&self) -> String {
        self.folder.output("demo")
    }

    /// Waits until it has printed this.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            let ended = self.process.ended().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "no {text:?} in:\n{}",
                self.said()
            );
            sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn assert_success(&mut self) {
        let status = self.process.wait(PATIENCE).unwrap();
        assert!(
            status.is_some_and(|status| status.success()),
            "{status:?}:\n{}",
            self.said()
        );
    }

    /// Namespaces and files of this demo that are still there.
    fn remains(&self) -> Vec<String> {
        remains(self.process.pid())
    }
}

fn remains(pid: u32) -> Vec<String> {
    let prefix = format!("{PREFIX}-{pid}");
    let namespaces = ip_output(&["netns", "list"]).unwrap();
    let of_pid = |line: &&str| line.starts_with(&format!("{prefix}-"));
    let mut remains: Vec<String> = namespaces
        .lines()
        .filter(of_pid)
        .map(str::to_owned)
        .collect();
    let folder = std::env::temp_dir().join(prefix);
    remains.extend(folder.exists().then(|| folder.display().to_string()));
    remains
}

#[test]
fn every_answer_is_right_and_nothing_remains() {
    let Some(_turn) = turn() else { return };
    let mut demo = Demo::start(
        "whole",
        Command::new(TIDEGATE).args(["demo", "--seconds", "3"]),
    );
    demo.assert_success();
    let said = demo.said();
    for part in [
        "[[listener]]",
        "Port front: ",
        "IPv4",
        "IPv6",
        "p99.9",
        "Every answer was right.",
    ] {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert_eq!(demo.remains(), [""; 0]);
}

#[test]
fn ctrl_c_ends_it_in_order() {
    let Some(_turn) = turn() else { return };
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut demo = Demo::start("cut", Command::new(TIDEGATE).args(["demo", "--forever"]));
        demo.wait_for("1 s ");
        demo.process.signal(signal).unwrap();
        demo.assert_success();
        assert!(
            demo.said().contains("Every answer was right."),
            "{}",
            demo.said()
        );
        assert_eq!(demo.remains(), [""; 0]);
    }
}

#[test]
fn next_demo_removes_what_a_killed_one_left() {
    let Some(_turn) = turn() else { return };
    let mut killed = Demo::start("killed", Command::new(TIDEGATE).args(["demo", "--forever"]));
    killed.wait_for("1 s ");
    killed.process.kill().unwrap();
    assert_eq!(
        killed.remains().len(),
        4,
        "three namespaces and a folder: {:?}",
        killed.remains()
    );
    let mut next = Demo::start(
        "next",
        Command::new(TIDEGATE).args(["demo", "--seconds", "1"]),
    );
    next.assert_success();
    assert_eq!(killed.remains(), [""; 0]);
    assert_eq!(next.remains(), [""; 0]);
}

#[test]
fn keep_leaves_it_up_to_try_by_hand() {
    let Some(_turn) = turn() else { return };
    let mut command = Command::new(TIDEGATE);
    let mut demo = Demo::start("keep", command.args(["demo", "--seconds", "1", "--keep"]));
    demo.assert_success();
    assert_eq!(
        demo.remains().len(),
        4,
        "three namespaces and a folder: {:?}",
        demo.remains()
    );
    let said = demo.said();
    let line = said
        .lines()
        .find(|line| line.contains(" curl "))
        .expect("a line to try");
    if Command::new("curl").arg("-V").output().is_ok() {
        let output = Command::new("sh")
            .args(["-c", &format!("{line} -sS -m 60")])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text == "a /\n" || text == "b /\n", "{line}\n{output:?}");
    }
    let mut next = Demo::start(
        "after",
        Command::new(TIDEGATE).args(["demo", "--seconds", "1"]),
    );
    next.assert_success();
    assert_eq!(demo.remains(), [""; 0]);
}

#[test]
fn without_root_it_runs_in_a_user_namespace_or_says_why_not() {
    let Some(_turn) = turn() else { return };
    let Some(program) = copy_for_everybody() else {
        return;
    };
    let mut command = Command::new(program.path().join("tidegate"));
    // uid and gid of nobody, on every distribution.
    command
        .args(["demo", "--seconds", "2"])
        .uid(65_534)
        .gid(65_534)
        .current_dir("/");
    let mut demo = Demo::start("nobody", &mut command);
    let status = demo.process.wait(PATIENCE).unwrap();
    let said = demo.said();
    if said.contains("which this system forbids") {
        return skip(&said);
    }
    assert!(
        status.is_some_and(|status| status.success()),
        "{status:?}:\n{said}"
    );
    assert!(said.starts_with("Not root: "), "{said}");
    assert!(said.contains("Port front: af_packet"), "{said}");
    assert!(said.contains("Every answer was right."), "{said}");
    assert_eq!(demo.remains(), [""; 0]);
}

/// The folder of the build may be closed to others, so nobody gets a copy of the binary.
fn copy_for_everybody() -> Option<Folder> {
    let folder = Folder::create(&format!("tidegate-test-copy-{}", std::process::id())).ok()?;
    let copy: PathBuf = folder.path().join("tidegate");
    std::fs::copy(Path::new(TIDEGATE), &copy).ok()?;
    Some(folder)
}
