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
//! that many, `TIDEGATE_SEEDS=5000..9000` these.

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
use verdict::judge;
use world::World;

fn weather(seed: u64, hosts: usize) {
    let _seed = Seed(seed);
    let plan = Plan::new(seed, hosts);
    let ghosts = plan.manners.ghosts;
    let mut world = World::new(plan);
    world.run();
    let apps = world.hosts.iter().map(|host| host.worker.app());
    let talks: Vec<_> = apps.flat_map(|app| app.ended.clone()).collect();
    judge(&talks, ghosts);
}

#[test]
fn two_stacks_in_a_storm() {
    for seed in seeds(0, 200) {
        weather(seed, 2);
    }
}

#[test]
fn many_stacks_in_a_storm() {
    for seed in seeds(10_000, 100) {
        let hosts = 3 + usize::try_from(seed % 4).unwrap();
        weather(seed, hosts);
    }
}
