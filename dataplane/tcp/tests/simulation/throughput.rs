//! How fast one megabyte gets over links of different loss, for windows of different size: a table
//! that is committed, so that a change of behaviour under loss is a visible difference.
//!
//! The link takes 10 ms each way, keeps the order and has no limit of its own. After a wanted
//! change: `UPDATE=1 cargo test --test simulation throughput`, and look at the difference.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_tcp::{CongestionKind, End, Settings};
use tidegate_wire::Instant;

use crate::world::{Weather, World};

const BYTES: u64 = 1 << 20;
const SEEDS: u64 = 5;

/// Kilobytes a second, the mean of some seeds.
fn rate(settings: Settings, lost_per_mille: u64) -> u64 {
    let mut total = Duration::ZERO;
    for seed in 0..SEEDS {
        let weather = Weather {
            lost_per_mille,
            doubled_per_mille: 0,
            late_per_mille: 0,
            marked_per_mille: 0,
            delay: Duration::from_millis(10),
            lateness: Duration::ZERO,
            mtu: 1_500,
            line: None,
        };
        let mut world = World::new(seed, [settings, settings], weather, 1_500);
        world.hosts[0].to_write = BYTES;
        world.hosts[0].writes_at_once = true;
        let start = world.now;
        world.hosts[0].open(start);
        let mut done = start;
        world.run(Instant::from_secs(100_000), |world| {
            if world.hosts[1].delivered < BYTES {
                done = world.now;
            }
        });
        assert_eq!(world.hosts[1].end, Some(End::Closed));
        total += done.saturating_since(start);
    }
    let millis = u64::try_from(total.as_millis()).expect("short");
    BYTES * SEEDS / millis.max(1)
}

fn table() -> String {
    let mut table = String::from("kilobytes a second; loss in 1/1000:\n");
    let losses = [0, 1, 10, 50, 150];
    let _ = write!(table, "{:<28}", "");
    for loss in losses {
        let _ = write!(table, "{loss:>8}");
    }
    table.push('\n');
    for (name, sack, congestion) in [
        ("newreno", false, CongestionKind::NewReno),
        ("newreno, sack", true, CongestionKind::NewReno),
        ("cubic, sack", true, CongestionKind::Cubic),
    ] {
        for rmem in [Some(16_384), Some(65_535), Some(1 << 20), None] {
            let size = rmem.map_or("auto".to_owned(), |rmem| rmem.to_string());
            let _ = write!(table, "{name:<16} rmem {size:>7}");
            for loss in losses {
                let settings = Settings {
                    sack,
                    congestion,
                    ..Settings::default()
                };
                let settings = match rmem {
                    Some(rmem) => settings.with_rmem(rmem).with_wmem(1 << 20),
                    None => settings,
                };
                let _ = write!(table, "{:>8}", rate(settings, loss));
            }
            table.push('\n');
        }
    }
    table
}

#[test]
fn throughput_is_as_committed() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/throughput.txt");
    let table = table();
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, &table).expect("it can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        table, committed,
        "throughput has changed; see the head of this file"
    );
}
