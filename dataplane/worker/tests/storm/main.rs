//! Storms: two and more stacks on a hostile network, in simulated time, from one seed. Their users
//! open, send, half-close, reset, stall; stacks die and come back; frames are lost, doubled,
//! damaged, delayed, and come again to later flows between the same sockets; an attacker forges
//! segments and ICMP errors.
//!
//! After each step every stack agrees with itself; in the end every byte was delivered once and in
//! order or the flow was reported broken, only users, dead stacks and nobody else have broken
//! flows, and all frames, text blocks, flows and timers are home.
//!
//! A seed that fails is printed with the command that plays it again. `TIDEGATE_SEEDS=5000` plays
//! that many, `TIDEGATE_SEEDS=5000..9000` these. With `TIDEGATE_LINES=1` each frame of it is printed,
//! a line as tcpdump has it, behind the time in microseconds and what became of it.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

mod actor;
mod air;
mod attack;
mod dice;
mod forge;
mod plan;
#[path = "../sim/mod.rs"]
mod sim;
mod tracks;
mod verdict;
mod world;

use plan::Plan;
use sim::{Seed, seeds};
use tidegate_tcp::End;
use tidegate_wire::Discard;
use verdict::judge;
use world::{Tally, World};

/// What was seen in all seeds of a test.
#[derive(Debug, Default)]
struct Seen {
    tally: Tally,
    ends: Vec<End>,
    challenged: u64,
    doubted: u64,
}

fn storm(seed: u64, hosts: usize, seen: &mut Seen) {
    let _seed = Seed(seed);
    let plan = Plan::new(seed, hosts);
    let leniency = plan.leniency();
    let mut world = World::new(plan);
    world.run();
    let apps = world.hosts.iter().map(|host| host.worker.app());
    let talks: Vec<_> = apps.flat_map(|app| app.ended.clone()).collect();
    judge(&talks, leniency);
    seen.tally.add(&world.tally);
    seen.ends.extend(talks.iter().filter_map(|talk| talk.end));
    for host in &world.hosts {
        let counters = host.worker.counters();
        seen.challenged += counters.discarded(Discard::TcpRstChallenged);
        seen.doubted += counters.discarded(Discard::IcmpNotInFlight);
    }
}

/// A storm in which nothing happens proves nothing.
fn assert_stormy(seen: &Seen) {
    let Tally {
        forged,
        replayed,
        replayed_earlier,
        deaths,
        cuts,
    } = seen.tally;
    let counts = [forged, replayed, replayed_earlier, deaths, cuts];
    assert!(!counts.contains(&0), "{:?}", seen.tally);
    assert!(seen.challenged > 0 && seen.doubted > 0, "{seen:?}");
    let wanted = [End::Closed, End::Reset, End::Refused, End::Aborted];
    for end in wanted {
        assert!(seen.ends.contains(&end), "no flow ended so: {end:?}");
    }
}

#[test]
fn two_stacks_in_a_storm() {
    let (all, mut seen) = (seeds(0, 1_000), Seen::default());
    for seed in all.clone() {
        storm(seed, 2, &mut seen);
    }
    if all.count() >= 100 {
        assert_stormy(&seen);
    }
}

#[test]
fn many_stacks_in_a_storm() {
    let (all, mut seen) = (seeds(10_000, 600), Seen::default());
    for seed in all.clone() {
        let hosts = 3 + usize::try_from(seed % 4).unwrap();
        storm(seed, hosts, &mut seen);
    }
    if all.count() >= 100 {
        assert_stormy(&seen);
    }
}
