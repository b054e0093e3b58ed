//! `ss` and `stats` say what is going on, as text and as JSON.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::Value;
use tidegate::testbed::Bed;

use crate::client::{connect, front};
use crate::{TIDEGATE, listener};

/// What the verb prints about the Tidegate of this bed.
fn ask(bed: &Bed, arguments: &[&str]) -> String {
    let mut command = Command::new(TIDEGATE);
    command
        .args(arguments)
        .arg("--socket")
        .arg(bed.folder().socket());
    let output = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn greet(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

#[test]
fn ss_shows_listeners_and_connections() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    let mut streams = front(7).map(|address| connect(&bed, address));
    streams.iter_mut().for_each(greet);

    let table = ask(&bed, &["ss"]);
    assert!(table.starts_with("State "), "{table}");
    let listening = |line: &str| line.starts_with("LISTEN") && line.contains("*:7 ");
    assert!(table.lines().any(listening), "{table}");
    for stream in &streams {
        let local = stream.peer_addr().unwrap().to_string();
        let peer = stream.local_addr().unwrap().to_string();
        let row = |line: &str| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            cells == ["ESTAB", "0", "0", &local, &peer, "echo"]
        };
        assert!(table.lines().any(row), "{local} {peer} in\n{table}");
    }
    let figures = ask(&bed, &["ss", "-i"]);
    let said = |line: &str| {
        let has = |word: &str| line.split_whitespace().any(|said| said == word);
        line.starts_with('\t') && has("cubic") && has("bytes_acked:5") && has("bytes_received:5")
    };
    assert_eq!(
        figures.lines().filter(|line| said(line)).count(),
        2,
        "{figures}"
    );
    let summary = ask(&bed, &["ss", "-s"]);
    let counted = |line: &str| line.split_whitespace().eq(["ESTAB", "2"]);
    assert!(summary.lines().any(counted), "{summary}");

    let lines = ask(&bed, &["ss", "--json"]);
    let rows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let established = rows.iter().filter(|row| row["state"] == "ESTABLISHED");
    assert_eq!(established.count(), 2, "{lines}");

    let lines = ask(&bed, &["ss", "--info", "--json"]);
    for line in lines.lines().filter(|line| line.contains("ESTABLISHED")) {
        let row: Value = serde_json::from_str(line).unwrap();
        let info = &row["info"];
        assert_eq!(info["bytes_delivered"], 5, "{line}");
        assert!(info["rtt_us"].as_u64() > Some(0), "{line}");
        assert!(info["options"].as_array().is_some(), "{line}");
    }
}

#[test]
fn stats_count_what_happened() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    for address in front(7) {
        greet(&mut connect(&bed, address));
    }
    let text = ask(&bed, &["stats", "--json"]);
    let stats: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(stats["counters"]["accepted"], 2, "{text}");
    assert!(
        stats["ports"]["front"]["rx_frames"].as_u64() >= Some(10),
        "{text}"
    );
    assert_eq!(stats["discards"]["tcp_checksum"]["count"], 0, "{text}");

    let table = ask(&bed, &["stats"]);
    assert!(
        table.lines().any(|line| line.trim() == "2  accepted"),
        "{table}"
    );
    assert!(!table.contains("tcp_checksum"), "{table}");
    assert!(ask(&bed, &["stats", "--all"]).contains("tcp_checksum"));
}

#[test]
fn without_a_running_tidegate_the_verbs_say_what_to_do() {
    for verb in ["ss", "stats"] {
        let mut command = Command::new(TIDEGATE);
        let output = command
            .args([verb, "--socket", "/nowhere/admin.sock"])
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("is `tidegate run` running?"), "{said}");
    }
}
