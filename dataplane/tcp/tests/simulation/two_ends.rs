//! Two TCBs talk over bad links: every byte arrives once and in order, both ends end as they
//! should, all memory comes home, and the invariants hold after each step. Each run is made from
//! one seed; a failure is printed with the command that plays it alone. `TIDEGATE_SEEDS=1000` plays
//! so many, `TIDEGATE_SEEDS=1000..2000` these.

use std::time::Duration;

use tidegate_tcp::{CongestionKind, Ecn, End, MtuProbing, Pacing, Settings, State};
use tidegate_wire::Instant;

use crate::world::{Dice, Weather, World};

/// A day: longer than all retries of both ends.
const END: Instant = Instant::from_secs(86_400);

/// Settings at random, such that every feature is on in some runs and off in others.
fn settings(dice: &mut Dice) -> Settings {
    Settings {
        rmem: dice.pick(&[2_000, 10_000, 65_535, 262_144, 1 << 20]),
        rmem_max: dice.pick(&[0, 500_000, 4 << 20]),
        wmem: dice.pick(&[2_000, 20_000, 262_144]),
        wmem_max: dice.pick(&[0, 4 << 20]),
        wnd_scaling: dice.per_mille(700),
        sack: dice.per_mille(700),
        timestamps: dice.per_mille(700),
        nodelay: dice.per_mille(300),
        initial_window: dice.pick(&[1, 2, 10]),
        delayed_ack: Duration::from_millis(dice.pick(&[0, 1, 40, 400])),
        congestion: dice.pick(&[
            CongestionKind::Cubic,
            CongestionKind::NewReno,
            CongestionKind::Bbr,
        ]),
        pacing: dice.pick(&[Pacing::Auto, Pacing::Auto, Pacing::On, Pacing::Off]),
        syn_retries: 40,
        syn_ack_retries: 40,
        retries2: 100,
        rto_max: Duration::from_secs(20),
        time_wait: Duration::from_secs(240),
        mss_max: dice.pick(&[None, None, Some(536), Some(100)]),
        mtu_probing: dice.pick(&[MtuProbing::BlackHole, MtuProbing::Always]),
        ecn: dice.pick(&[Ecn::Off, Ecn::Passive, Ecn::On, Ecn::On]),
        ..Settings::default()
    }
}

fn weather(dice: &mut Dice) -> Weather {
    Weather {
        lost_per_mille: dice.pick(&[0, 1, 10, 50, 200]),
        doubled_per_mille: dice.pick(&[0, 10, 100]),
        late_per_mille: dice.pick(&[0, 10, 300]),
        marked_per_mille: dice.pick(&[0, 10, 200]),
        delay: Duration::from_micros(dice.pick(&[50, 1_000, 20_000, 100_000])),
        lateness: Duration::from_micros(dice.pick(&[200, 5_000, 200_000])),
        mtu: usize::MAX,
        line: None,
    }
}

fn world(seed: u64) -> World {
    let mut dice = Dice::new(seed ^ 0x5eed);
    let settings = [settings(&mut dice), settings(&mut dice)];
    let mtu = dice.pick(&[1_500, 1_500, 9_000, 600]);
    World::new(seed, settings, weather(&mut dice), mtu)
}

/// Plays `run` for each seed and names the one that fails.
fn for_each_seed(count: u64, run: fn(u64)) {
    let asked = |name| std::env::var(name).ok();
    let number = |text: &str| text.parse::<u64>().expect("a number of seeds");
    let seeds = match (asked("TIDEGATE_SEED"), asked("TIDEGATE_SEEDS")) {
        (Some(seed), _) => number(&seed)..number(&seed) + 1,
        (None, Some(seeds)) => match seeds.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&seeds),
        },
        (None, None) => 0..count,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = outcome {
            let current = std::thread::current();
            let test = current.name().unwrap_or_default();
            eprintln!(
                "seed {seed}: TIDEGATE_SEED={seed} cargo test -p tidegate-tcp --test simulation {test}"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

/// Everything arrives, and both ends are closed in order.
fn assert_closed_in_order(world: &mut World, seed: u64) {
    for host in 0..2 {
        let (here, there) = (&world.hosts[host], &world.hosts[1 - host]);
        assert_eq!(
            here.delivered, there.to_write,
            "seed {seed}: host {host} did not get it all"
        );
        assert_eq!(
            here.end,
            Some(End::Closed),
            "seed {seed}: host {host} in {}",
            here.state()
        );
        world.hosts[host].assert_memory_is_home();
    }
}

#[test]
fn every_byte_arrives_once_and_in_order() {
    for_each_seed(400, |seed| {
        let mut world = world(seed);
        let mut dice = Dice::new(seed ^ 0xb0b);
        for host in &mut world.hosts {
            host.to_write = dice.pick(&[0, 1, 1_460, 50_000, 400_000]);
            host.pauses_per_mille = dice.pick(&[0, 0, 20]);
        }
        let now = world.now;
        world.hosts[0].open(now);
        if dice.per_mille(200) {
            // MUST-10: both open at once.
            world.hosts[1].open(now);
        }
        world.run(END, |_| ());
        assert_closed_in_order(&mut world, seed);
    });
}

#[test]
fn an_abort_ends_both_and_loses_no_memory() {
    for_each_seed(200, |seed| {
        let mut world = world(seed);
        let mut dice = Dice::new(seed ^ 0xabcd);
        for host in &mut world.hosts {
            host.to_write = 300_000;
            host.pauses_per_mille = dice.pick(&[0, 20]);
        }
        let who = usize::from(dice.per_mille(500));
        let when = world.now + Duration::from_millis(dice.below(3_000));
        let now = world.now;
        world.hosts[0].open(now);
        let mut is_aborted = false;
        world.run(END, |world| {
            if !is_aborted && world.now >= when && world.hosts[who].tcb.is_some() {
                is_aborted = true;
                let now = world.now;
                world.hosts[who].abort(now);
            }
        });
        for host in &mut world.hosts {
            // Who has nothing more to say learns of a RST that was lost from keep-alive alone, which
            // is off (RFC 9293 3.6).
            let is_lost = is_aborted && host.state() == State::FinWait2;
            let is_over = host.state() == State::Closed || is_lost;
            assert!(is_over, "seed {seed}: it never ended, in {}", host.state());
            host.assert_memory_is_home();
        }
        if is_aborted {
            let end = world.hosts[who].end;
            let is_plausible = matches!(end, Some(End::Aborted | End::Closed | End::Reset));
            assert!(is_plausible, "seed {seed}: {end:?}");
        }
    });
}

#[test]
fn silence_of_the_link_ends_in_a_timeout() {
    for_each_seed(50, |seed| {
        let mut dice = Dice::new(seed);
        let ours = Settings {
            retries2: 5,
            ..settings(&mut dice)
        };
        let weather = Weather {
            lost_per_mille: 0,
            ..weather(&mut dice)
        };
        let mut world = World::new(seed, [ours, ours], weather, 1_500);
        world.hosts[0].to_write = 100_000_000;
        world.hosts[1].to_write = 100_000_000;
        let (start, cut) = (world.now, world.now + Duration::from_secs(1));
        world.hosts[0].open(start);
        world.run(END, |world| {
            if world.now >= cut {
                world.cut();
            }
        });
        for host in &mut world.hosts {
            assert_eq!(host.end, Some(End::TimedOut), "seed {seed}");
            host.assert_memory_is_home();
        }
    });
}

#[test]
fn a_path_that_swallows_large_segments_is_found() {
    for_each_seed(200, |seed| {
        let mut dice = Dice::new(seed ^ 0xb16);
        let ours = [settings(&mut dice), settings(&mut dice)].map(|settings| Settings {
            mss_max: None,
            ..settings
        });
        let weather = Weather {
            mtu: dice.pick(&[1_280, 1_300, 1_400, 1_492]),
            lost_per_mille: dice.pick(&[0, 0, 10]),
            ..weather(&mut dice)
        };
        let mut world = World::new(seed, ours, weather, dice.pick(&[1_500, 9_000]));
        for host in &mut world.hosts {
            host.to_write = 400_000;
        }
        let now = world.now;
        world.hosts[0].open(now);
        world.run(END, |_| ());
        assert_closed_in_order(&mut world, seed);
    });
}

/// A link of 1400 octets, which says nothing, between interfaces of 1500: what one long transfer
/// makes of it.
#[test]
fn nearly_all_that_a_silent_link_takes_is_used() {
    for mtu_probing in [MtuProbing::BlackHole, MtuProbing::Always] {
        let ours = Settings {
            mtu_probing,
            ..Settings::default()
        };
        let weather = Weather {
            lost_per_mille: 0,
            doubled_per_mille: 0,
            late_per_mille: 0,
            marked_per_mille: 0,
            delay: Duration::from_millis(5),
            lateness: Duration::ZERO,
            mtu: 1_400,
            line: None,
        };
        let mut world = World::new(1, [ours, ours], weather, 1_500);
        world.hosts[0].to_write = 20_000_000;
        world.hosts[0].writes_at_once = true;
        let start = world.now;
        world.hosts[0].open(start);
        let (mut mss, mut retransmits) = (0, 0);
        world.run(END, |world| {
            if let Some(seen) = world.hosts[0].snapshot(world.now) {
                (mss, retransmits) = (seen.mss, seen.retransmits);
            }
        });
        // Text beside timestamps and the headers of either version of IP.
        let headers = 1_400 - mss;
        assert!(
            (52..=72 + 8).contains(&headers),
            "{mtu_probing:?}: {mss} octets"
        );
        assert!(
            retransmits < 40,
            "{mtu_probing:?}: {retransmits} retransmissions"
        );
        let time = world.now.saturating_since(start);
        assert!(
            time < Duration::from_secs(70),
            "{mtu_probing:?}: {time:?} with TIME_WAIT"
        );
        assert_closed_in_order(&mut world, 1);
    }
}

#[test]
#[ignore = "five gigabytes take a while; run with --ignored"]
fn sequence_numbers_go_round_more_than_once() {
    for sack in [false, true] {
        let settings = Settings {
            sack,
            ..Settings::default()
        };
        let weather = Weather {
            lost_per_mille: 1,
            doubled_per_mille: 1,
            late_per_mille: 0,
            marked_per_mille: 0,
            delay: Duration::from_micros(500),
            lateness: Duration::ZERO,
            mtu: usize::MAX,
            line: None,
        };
        let mut world = World::new(1, [settings, settings], weather, 9_000);
        world.hosts[0].to_write = 5 << 30;
        world.hosts[0].writes_at_once = true;
        let start = world.now;
        world.hosts[0].open(start);
        world.run(END, |_| ());
        assert_closed_in_order(&mut world, 1);
        let time = world.now.saturating_since(start);
        assert!(
            time < Duration::from_secs(600),
            "it stood still for a while: {time:?}"
        );
    }
}
