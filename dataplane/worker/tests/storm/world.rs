//! The stacks, the network between them, and time.

use core::net::IpAddr;
use core::time::Duration;

use tidegate_port::{Burst, Link, LinkConfig, LinkPort, Port};
use tidegate_wire::{Instant, MacAddr};
use tidegate_worker::{Cidr, Interface, Worker, WorkerConfig};

use crate::actor::{Actor, services};
use crate::air::Air;
use crate::attack::forgery;
use crate::dice::Dice;
use crate::plan::{Pace, Plan};
use crate::sim;

/// A stack and our end of its link.
pub(crate) struct Host {
    pub(crate) worker: Worker<LinkPort, Actor>,
    end: LinkPort,
    mac: MacAddr,
    addresses: [Cidr; 2],
    reborn_at: Option<Instant>,
}

/// How often what has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) forged: u64,
    pub(crate) replayed: u64,
    /// Of these, from an incarnation before the present one.
    pub(crate) replayed_earlier: u64,
    pub(crate) deaths: u64,
    pub(crate) cuts: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.forged += other.forged;
        self.replayed += other.replayed;
        self.replayed_earlier += other.replayed_earlier;
        self.deaths += other.deaths;
        self.cuts += other.cuts;
    }
}

/// When each kind of thing happens next.
struct Schedule {
    open: Option<Instant>,
    forge: Option<Instant>,
    replay: Option<Instant>,
    cut: Option<Instant>,
    death: Option<Instant>,
    busy: Option<Instant>,
}

pub(crate) struct World {
    plan: Plan,
    dice: Dice,
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    air: Air,
    schedule: Schedule,
    to_open: u32,
    pub(crate) tally: Tally,
}

fn addresses(host: usize) -> [Cidr; 2] {
    let last = u8::try_from(host + 1).expect("few hosts");
    [
        Cidr {
            addr: IpAddr::from([192, 0, 2, last]),
            prefix: 24,
        },
        Cidr {
            addr: IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()]),
            prefix: 64,
        },
    ]
}

impl Host {
    /// A stack with its two listeners, as the plan has it; `boot` counts its lives.
    fn new(plan: &Plan, host: usize, (boot, actor): (u8, Actor)) -> Self {
        let seed = plan.seed ^ (host as u64) << 32;
        let last = u8::try_from(host + 1).expect("few hosts");
        let mac = MacAddr([2, 0, 0, 0, 0, last]);
        let (port, end) = Link::pair(LinkConfig {
            mtu: plan.mtu,
            frames: 256,
            seed,
            a_mac: mac,
            ..LinkConfig::default()
        })
        .expect("a link of the usual size");
        let mut secret = [boot; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        let addresses = addresses(host);
        let config = WorkerConfig {
            secret,
            interfaces: vec![Interface::new(port.facts(), addresses.to_vec(), Vec::new())],
            ..plan.config(host)
        };
        let mut worker = Worker::new(config, vec![port], actor).expect("sizes that work");
        for listen in plan.listeners(host) {
            worker.stack_mut().listen(listen).expect("a free port");
        }
        Self {
            worker,
            end,
            mac,
            addresses,
            reborn_at: None,
        }
    }

    /// All that the stack has sent goes into the air.
    fn send_all(&mut self, air: &mut Air, now: Instant) {
        let mut burst = Burst::new();
        loop {
            self.end.rx_burst(&mut burst, now);
            if burst.is_empty() {
                return;
            }
            for frame in burst.drain(..) {
                air.send(frame.bytes().to_vec(), now);
                self.end.give_frame(frame);
            }
        }
    }
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let all = |of: usize| {
            let others = (0..plan.hosts).filter(move |other| *other != of);
            others.flat_map(|other| addresses(other).map(|own| services(own.addr)))
        };
        let hosts = (0..plan.hosts).map(|host| {
            let peers = all(host).flatten().collect();
            let name = (host as u64 + 1, plan.seed);
            let actor = Actor::new(name, plan.manners, peers, plan.local_ports);
            Host::new(&plan, host, (0, actor))
        });
        let now = Instant::from_secs(1_000);
        let pace = &plan.pace;
        Self {
            dice: Dice::new(plan.seed, "world"),
            now,
            hosts: hosts.collect(),
            air: Air::new(plan.weather, Dice::new(plan.seed, "air")),
            schedule: Schedule::new(pace, now),
            to_open: plan.opens,
            tally: Tally::default(),
            plan,
        }
    }

    /// The storm, and the calm after it until nothing happens any more.
    pub(crate) fn run(&mut self) {
        let end = self.now + self.plan.storm;
        while self.step(end) {}
        self.schedule = Schedule {
            open: self.schedule.open,
            ..Schedule::never()
        };
        self.air.clear_up();
        self.calm();
    }

    fn calm(&mut self) {
        // Longer than any flow has patience, the last FIN's retries included.
        let end = self.now + Duration::from_secs(200_000);
        let is_over = |world: &Self| {
            let is_quiet = |host: &Host| host.worker.stack().flows() == 0;
            world.to_open == 0 && world.hosts.iter().all(is_quiet)
        };
        while !is_over(self) && self.step(end) {}
        let alive = self.hosts.iter().map(|host| {
            let worker = &host.worker;
            format!("{}\n{:#?}", sim::figures(worker), worker.app().live())
        });
        let alive: Vec<String> = alive.collect();
        assert!(is_over(self), "flows that never end:\n{}", alive.join("\n"));
        // What is under way or waits for a neighbour has its time too.
        let end = self.now + Duration::from_secs(300);
        while self.step(end) {}
        for host in &self.hosts {
            assert!(host.worker.app().live().is_empty(), "an end was not told");
            sim::check_no_leak(&host.worker);
        }
    }

    /// Everybody has a turn, frames pass, and something of the schedule happens; then time moves
    /// on, but not beyond `end`. Answers false when nothing will happen until then.
    fn step(&mut self, end: Instant) -> bool {
        let mut is_busy = self.happen();
        while let Some((to, frame)) = self.air.arrived(self.now) {
            self.air.trace("came", &frame, self.now);
            self.bring(to, &frame);
        }
        for host in &mut self.hosts {
            host.worker.app_mut().tick(self.now);
            if !host.worker.turn(self.now) {
                // What has done nothing is as it was.
                continue;
            }
            is_busy = true;
            sim::check(&host.worker);
            host.worker.stack_mut().assert_invariants();
            host.send_all(&mut self.air, self.now);
        }
        if is_busy {
            return true;
        }
        let deadlines = self.hosts.iter().filter_map(|h| h.worker.next_deadline());
        let next = deadlines
            .chain(self.air.next_due())
            .chain(self.schedule.next())
            .min();
        // Whoever says "now" and then has nothing to do must not stop time.
        let next = next.map(|next| next.max(self.now + Duration::from_micros(1)));
        let next = next.filter(|next| *next <= end);
        self.now = next.unwrap_or(end);
        next.is_some()
    }

    /// A frame arrives at a station, or at all.
    fn bring(&mut self, to: MacAddr, bytes: &[u8]) {
        for host in &mut self.hosts {
            if to != host.mac && !to.is_multicast() {
                continue;
            }
            let Some(mut frame) = host.end.take_frame() else {
                continue;
            };
            frame.resize(bytes.len());
            frame.bytes_mut().copy_from_slice(bytes);
            let mut burst = Burst::new();
            burst.push(frame);
            host.end.tx_burst(&mut burst, self.now);
        }
    }

    /// Does what the schedule has for now.
    fn happen(&mut self) -> bool {
        let pace = self.plan.pace;
        let (now, dice) = (self.now, &mut self.dice);
        let is_opening = due(&mut self.schedule.open, Some(pace.open), now, dice);
        let is_forging = due(&mut self.schedule.forge, pace.forge, now, dice);
        let is_replaying = due(&mut self.schedule.replay, pace.replay, now, dice);
        let is_cutting = due(&mut self.schedule.cut, pace.cut, now, dice);
        let is_dying = due(&mut self.schedule.death, pace.death, now, dice);
        let is_busying = due(&mut self.schedule.busy, pace.busy, now, dice);
        let whom = self.dice.index(self.hosts.len());
        if is_opening && self.to_open > 0 {
            self.to_open -= 1;
            let (actor, stack) = self.hosts[whom].worker.app_and_stack();
            actor.open(stack);
            if self.to_open == 0 {
                self.schedule.open = None;
            }
        }
        if is_cutting {
            self.tally.cuts += 1;
            let long = self.dice.up_to(Duration::from_secs(15));
            self.air.cut(self.hosts[whom].mac, now + long);
        }
        if is_busying {
            let until = now + self.dice.up_to(Duration::from_secs(3));
            self.hosts[whom].worker.app_mut().be_busy(until);
        }
        if is_dying {
            self.die(whom);
        }
        if is_replaying {
            self.replay();
        }
        if is_forging {
            self.forge();
        }
        is_opening || is_dying || is_forging
    }

    fn mac_of(hosts: &[Host], address: IpAddr) -> Option<MacAddr> {
        let has = |host: &&Host| host.addresses.iter().any(|own| own.addr == address);
        hosts.iter().find(has).map(|host| host.mac)
    }

    fn forge(&mut self) {
        let forged = forgery(&mut self.air, |address| Self::mac_of(&self.hosts, address));
        if let Some((to, frame)) = forged {
            self.tally.forged += 1;
            self.air.trace("forged", &frame, self.now);
            // At once, so that what the test knows of the target still holds.
            self.bring(to, &frame);
        }
    }

    /// A frame of long ago arrives.
    fn replay(&mut self) {
        if self.air.archive.is_empty() {
            return;
        }
        let place = self.dice.index(self.air.archive.len());
        let old = self.air.archive.swap_remove(place);
        let sender = old.way.map(|way| way.0);
        let reborn_at = sender.and_then(|sender| {
            let is_sender = |host: &&Host| host.addresses.iter().any(|own| own.addr == sender);
            self.hosts.iter().find(is_sender)?.reborn_at
        });
        if self.air.tracks.is_recognisable(&old, reborn_at) {
            self.tally.replayed += 1;
            self.tally.replayed_earlier += u64::from(self.air.tracks.is_earlier(&old));
            self.air.trace("again", &old.bytes, self.now);
            let to: [u8; 6] = *old.bytes.first_chunk().expect("a whole frame");
            self.bring(MacAddr(to), &old.bytes);
        }
    }

    /// A stack dies with all that it knows, and another one takes its place.
    fn die(&mut self, whom: usize) {
        self.tally.deaths += 1;
        let boot = self.dice.word().to_le_bytes()[0];
        let actor = self.hosts[whom].worker.app_mut().reborn();
        self.hosts[whom] = Host {
            reborn_at: Some(self.now),
            ..Host::new(&self.plan, whom, (boot, actor))
        };
    }
}

/// Whether something is due, and when it is next.
fn due(at: &mut Option<Instant>, pace: Option<Duration>, now: Instant, dice: &mut Dice) -> bool {
    let is_due = at.is_some_and(|at| at <= now);
    if is_due {
        *at = pace.map(|pace| now + Duration::from_micros(1) + dice.up_to(pace * 2));
    }
    is_due
}

impl Schedule {
    const fn never() -> Self {
        Self {
            open: None,
            forge: None,
            replay: None,
            cut: None,
            death: None,
            busy: None,
        }
    }

    fn new(pace: &Pace, now: Instant) -> Self {
        let first = |pace: Option<Duration>| pace.map(|pace| now + pace);
        Self {
            open: Some(now),
            forge: first(pace.forge),
            replay: first(pace.replay),
            cut: first(pace.cut),
            death: first(pace.death),
            busy: first(pace.busy),
        }
    }

    fn next(&self) -> Option<Instant> {
        let all = [
            self.open,
            self.forge,
            self.replay,
            self.cut,
            self.death,
            self.busy,
        ];
        all.into_iter().flatten().min()
    }
}
