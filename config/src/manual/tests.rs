//! Tests: the manual is complete, true, and the only source of defaults.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::Config,
    schema::{Purpose, RawConfig},
    syntax::Readable,
    validate,
};

/// Every key of the schema with what it accepts, as the reader asks for them.
fn schema() -> BTreeMap<String, String> {
    let source = Source {
        name: "default.toml",
        text: DEFAULT_TOML,
    };
    let readable = Readable::new(&source);
    assert!(readable.faults.is_empty(), "{:?}", readable.faults);
    let document = readable.document();
    let findings = Findings::new(&source, Vec::new(), false);
    let raw = RawConfig::read(&document, Purpose::Service, &findings);
    assert!(validate::validate(raw, &findings).is_some());
    let mut asked = findings.asked();
    // The same keys as [tcp], described there.
    asked.retain(|key, _| !key.starts_with("listener.tcp.") && !key.starts_with("pool.tcp."));
    asked
}

/// Every key of the manual, with the comment above it on one line. A key that stands twice is
/// described where it stands first.
fn described() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut table, mut comment) = (String::new(), String::new());
    for line in DEFAULT_TOML.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(' ');
            comment.push_str(text.trim());
            continue;
        }
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            found
                .entry(format!("{table}.{key}"))
                .or_insert_with(|| std::mem::take(&mut comment));
        }
        comment.clear();
    }
    found
}

#[test]
fn the_manual_is_a_valid_configuration() {
    if let Err(faults) = Config::from_str("default.toml", DEFAULT_TOML) {
        panic!("{faults}");
    }
}

#[test]
fn the_manual_has_every_key_of_the_schema_and_no_other() {
    let schema: Vec<String> = schema().into_keys().collect();
    let manual: Vec<String> = described().into_keys().collect();
    assert_eq!(manual, schema);
    assert!(schema.len() > 70, "{} keys", schema.len());
}

#[test]
fn every_key_says_what_it_accepts_and_its_default() {
    let described = described();
    for (key, accepts) in schema() {
        let comment = &described[&key];
        let said = format!("Accepts: {accepts} ");
        assert!(
            comment.contains(&said),
            "{key}: the manual must say\n# {said}\nand says\n{comment}"
        );
        let has_default = comment.contains(" Default: ") != comment.contains(" Required");
        assert!(
            has_default,
            "{key}: either a default or required:\n{comment}"
        );
    }
}

#[test]
fn the_default_in_the_comment_is_the_default_in_the_file() {
    let mut checked = 0;
    let described = described();
    let mut table = String::new();
    for line in DEFAULT_TOML.lines() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
        }
        let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let comment = &described[&format!("{table}.{key}")];
        let Some((_, default)) = comment.split_once(" Default: ") else {
            continue;
        };
        // Two are said in words: no routers, and the name that is made of the address.
        if !["gateways", "name"].contains(&key) {
            assert!(
                default.starts_with(value),
                "{table}.{key} = {value}, but: {default}"
            );
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked} keys");
}

#[test]
fn what_a_file_leaves_out_is_as_in_the_manual() {
    let only_required: String = {
        let described = described();
        let mut table = String::new();
        let keep = |line: &&str| {
            if line.starts_with('[') {
                table = line.trim_matches(['[', ']']).to_owned();
                // Headers of tables that stand once are optional themselves.
                return line.starts_with("[[");
            }
            let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
                return false;
            };
            let backend_name = table == "pool.backend" && key == "name";
            backend_name || described[&format!("{table}.{key}")].contains(" Required")
        };
        DEFAULT_TOML
            .lines()
            .filter(keep)
            .map(|line| format!("{line}\n"))
            .collect()
    };
    assert_eq!(only_required.lines().count(), 17, "{only_required}");
    let small = Config::from_str("small.toml", &only_required).unwrap_or_else(|f| panic!("{f}"));
    let full = Config::from_str("default.toml", DEFAULT_TOML).unwrap();
    assert_eq!(small, full);
}

#[test]
fn defaults_are_those_that_linux_users_know() {
    use std::time::Duration;
    let tcp = Config::from_str("default.toml", DEFAULT_TOML).unwrap().tcp;
    assert_eq!(
        (tcp.syn_retries, tcp.synack_retries, tcp.retries2),
        (6, 5, 15)
    );
    assert_eq!(
        (tcp.time_wait, tcp.fin_timeout),
        (Duration::from_secs(60), Duration::from_secs(60))
    );
    assert_eq!(
        (tcp.rto_min, tcp.rto_max),
        (Duration::from_millis(200), Duration::from_secs(120))
    );
    assert_eq!(
        (tcp.keepalive, tcp.linger, tcp.user_timeout),
        (None, None, None)
    );
    assert_eq!(
        (tcp.sack, tcp.timestamps, tcp.window_scaling, tcp.nodelay),
        (true, true, true, false)
    );
    assert_eq!((tcp.initial_window, tcp.ttl), (10, 64));
}
