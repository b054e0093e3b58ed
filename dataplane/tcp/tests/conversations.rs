//! Every conversation in `pkt/`, over IPv4 and IPv6, with sequence numbers that wrap and that do
//! not. The grammar stands in `script/mod.rs`. To play one alone: `PKT=name cargo test
//! conversations`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use script::Script;
use script::play::{Stage, play};

mod script;

/// Sequence numbers wrap in the middle of most conversations of the first stage.
const STAGES: [Stage; 3] = [
    Stage {
        is_ipv4: true,
        our_iss: 0xffff_fc00,
        peer_iss: 0xffff_fe00,
        ts_offset: 0,
    },
    Stage {
        is_ipv4: false,
        our_iss: 1_000,
        peer_iss: 0x7fff_fe00,
        ts_offset: 0xffff_ff00,
    },
    Stage {
        is_ipv4: true,
        our_iss: 0x7fff_ff00,
        peer_iss: 0,
        ts_offset: 0x7fff_ffff,
    },
];

#[test]
fn conversations_go_as_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pkt");
    let only = std::env::var("PKT").ok();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pkt"))
        .filter(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy();
            only.as_ref().is_none_or(|only| *only == name)
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no conversation was found");
    let faults: Vec<String> = files
        .iter()
        .filter_map(|path| play_file(path).err())
        .collect();
    assert!(
        faults.is_empty(),
        "{} of {} failed:\n{}",
        faults.len(),
        files.len(),
        faults.join("\n")
    );
}

fn play_file(path: &PathBuf) -> Result<(), String> {
    let name = path
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let text = std::fs::read_to_string(path).expect("it can be read");
    let script = Script::parse(&text).map_err(|fault| format!("{name}: {fault}"))?;
    for stage in STAGES {
        let ip_version = if stage.is_ipv4 { 4 } else { 6 };
        if script
            .host
            .ip_version
            .is_some_and(|only| only != ip_version)
        {
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| play(&script, stage)));
        let outcome = outcome.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(|&m| m.to_owned()));
            Err(format!("panicked: {}", message.unwrap_or_default()))
        });
        outcome.map_err(|fault| format!("{name} (IPv{ip_version}): {fault}"))?;
    }
    Ok(())
}
