//! A path that marks where another would drop (RFC 3168): the window follows the marks as it would
//! follow losses, and nothing is ever sent again.

use std::time::Duration;

use tidegate_tcp::{CongestionKind, Ecn, End, Settings, Tcb};
use tidegate_wire::Instant;

use crate::world::{Weather, World};

const BYTES: u64 = 4 << 20;

/// What became of a transfer.
struct Transfer {
    time: Duration,
    retransmits: u32,
    marks: u64,
}

/// Some megabytes over a path that marks or loses so many in a thousand.
fn transfer(settings: Settings, seed: u64, (marked, lost): (u64, u64)) -> Transfer {
    let weather = Weather {
        lost_per_mille: lost,
        doubled_per_mille: 0,
        late_per_mille: 0,
        marked_per_mille: marked,
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
    let (mut done, mut retransmits) = (start, 0);
    world.run(Instant::from_secs(100_000), |world| {
        if world.hosts[1].delivered < BYTES {
            done = world.now;
        }
        let tcb = world.hosts[0].tcb.as_ref();
        retransmits = tcb.map_or(retransmits, Tcb::retransmits);
    });
    assert_eq!(world.hosts[1].end, Some(End::Closed), "seed {seed}");
    assert_eq!(world.hosts[1].delivered, BYTES, "seed {seed}");
    Transfer {
        time: done.saturating_since(start),
        retransmits,
        marks: world.hosts[1].marks,
    }
}

#[test]
fn marks_slow_down_as_losses_do_and_nothing_goes_again() {
    for congestion in [CongestionKind::Cubic, CongestionKind::NewReno] {
        let settings = Settings {
            ecn: Ecn::On,
            congestion,
            ..Settings::default()
        };
        let (mut free, mut marked, mut lost) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        for seed in 0..5 {
            let transfer = |weather| transfer(settings, seed, weather);
            free += transfer((0, 0)).time;
            lost += transfer((0, 10)).time;
            let run = transfer((10, 0));
            marked += run.time;
            assert!(run.marks > 0, "seed {seed}: the path marks");
            assert_eq!(run.retransmits, 0, "seed {seed}: a mark loses nothing");
        }
        assert!(
            marked > 2 * free,
            "{marked:?} against {free:?}: it slows down"
        );
        assert!(
            marked < lost,
            "{marked:?} against {lost:?}: a mark costs no repair"
        );
    }
}

#[test]
fn who_has_not_agreed_is_never_marked() {
    let settings = Settings::default();
    let run = transfer(settings, 1, (1_000, 0));
    assert_eq!(run.marks, 0);
    assert_eq!(run.retransmits, 0);
}
