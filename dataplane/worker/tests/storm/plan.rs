//! What a seed chooses: how many stacks, their settings and sizes, the weather, the attacks.

use core::time::Duration;

use tidegate_tcp::{CongestionKind, Ecn, Keepalive, MtuProbing, Pacing, Settings};
use tidegate_worker::{Listen, SettingsId, SynCookies, WorkerConfig};

use crate::actor::Manners;
use crate::dice::Dice;
use crate::verdict::Leniency;

/// How the network treats frames, of a thousand each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) damaged: u64,
    pub(crate) late: u64,
    /// Kept to come again later, perhaps to the next flow between the same sockets.
    pub(crate) archived: u64,
    pub(crate) delay: Duration,
    pub(crate) lateness: Duration,
    /// Congestion is marked on those that may be marked (RFC 3168).
    pub(crate) marked: u64,
    /// Datagrams longer than this are dropped by a router, where there is one.
    pub(crate) path_mtu: Option<usize>,
    /// The router does not say so.
    pub(crate) is_black_hole: bool,
}

/// How often something happens, one time for each kind; `None` for never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) open: Duration,
    pub(crate) forge: Option<Duration>,
    pub(crate) replay: Option<Duration>,
    pub(crate) cut: Option<Duration>,
    pub(crate) death: Option<Duration>,
    pub(crate) busy: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) hosts: usize,
    /// Flows that are opened in all.
    pub(crate) opens: u32,
    /// How long the storm lasts; then the weather is fine and nobody attacks.
    pub(crate) storm: Duration,
    pub(crate) weather: Weather,
    pub(crate) pace: Pace,
    pub(crate) manners: Manners,
    pub(crate) mtu: u32,
    pub(crate) local_ports: (u16, u64),
    /// With them an old duplicate of the last segment of a handshake can open a flow again: there
    /// is nothing that remembers the first one.
    pub(crate) cookies: SynCookies,
}

impl Plan {
    pub(crate) fn new(seed: u64, hosts: usize) -> Self {
        let dice = &mut Dice::new(seed, "plan");
        let ms = Duration::from_millis;
        let may = |dice: &mut Dice, chance, paces: &[u64]| {
            let pace = Duration::from_millis(dice.pick(paces));
            dice.per_mille(chance).then_some(pace)
        };
        let cookies = dice.pick(&[SynCookies::Off, SynCookies::Full, SynCookies::Always]);
        Self {
            seed,
            hosts,
            cookies,
            opens: 6 + u32::try_from(dice.below(30)).expect("few"),
            storm: ms(dice.pick(&[2_000, 20_000, 90_000])),
            weather: weather(dice),
            pace: Pace {
                open: ms(dice.pick(&[1, 20, 300, 2_000])),
                forge: may(dice, 700, &[2, 20, 200]),
                replay: may(dice, 600, &[5, 50, 500]),
                cut: may(dice, 200, &[3_000, 20_000]),
                death: may(dice, 250, &[2_000, 15_000]),
                busy: may(dice, 300, &[500, 4_000]),
            },
            manners: Manners {
                leave_per_mille: dice.pick(&[0, 100, 500]),
                pause_per_mille: dice.pick(&[0, 10, 100]),
                pause_max: ms(dice.pick(&[20, 2_000, 40_000])),
                text_max: dice.pick(&[1_000, 30_000, 150_000]),
                ghosts: cookies != SynCookies::Off,
            },
            mtu: dice.pick(&[1_500, 1_500, 3_500, 1_280]),
            local_ports: (40_000, dice.pick(&[2, 20, 2_000])),
        }
    }

    /// What the verdict has to excuse.
    pub(crate) fn leniency(&self) -> Leniency {
        let is_in_order = self.weather.lost == 0 && self.weather.late == 0;
        let is_whole = self.weather.damaged == 0 && self.pace.cut.is_none();
        let is_once = self.weather.doubled == 0 && self.pace.replay.is_none();
        let has_cookies = self.cookies != SynCookies::Off;
        Leniency {
            ghosts: has_cookies,
            resets: has_cookies && !(is_in_order && is_whole && is_once),
        }
    }

    /// The sizes and settings of one of the hosts; a host that is made again has the same.
    pub(crate) fn config(&self, host: usize) -> WorkerConfig {
        let dice = &mut Dice::new(self.seed ^ host as u64, "config");
        WorkerConfig {
            flows_max: dice.pick(&[128, 128, 16]),
            time_wait_max: dice.pick(&[64, 2]),
            text_blocks: dice.pick(&[2_048, 512, 96]),
            range_sets: dice.pick(&[64, 2]),
            neighbours_max: 16,
            local_ports: 50_000..=50_000 + dice.pick(&[8, 1_000]),
            settings: vec![self.settings(dice), self.settings(dice)],
            ..WorkerConfig::default()
        }
    }

    /// Settings such that the path can be used: through a black hole only who searches finds a way,
    /// and what looks dead to keep-alive is.
    fn settings(&self, dice: &mut Dice) -> Settings {
        let mut settings = settings(dice);
        if self.weather.is_black_hole && settings.mtu_probing == MtuProbing::Off {
            settings.mtu_probing = MtuProbing::BlackHole;
        }
        if self.pace.cut.is_some() || self.weather.lost > 50 {
            settings.keepalive = None;
        }
        settings
    }

    /// The two listeners of a host.
    pub(crate) fn listeners(&self, host: usize) -> [Listen; 2] {
        let dice = &mut Dice::new(self.seed ^ host as u64, "listen");
        [(7, 0), (8, 1)].map(|(port, settings)| Listen {
            backlog: dice.pick(&[64, 4, 0]),
            syn_backlog: dice.pick(&[64, 4]),
            syn_cookies: self.cookies,
            abort_on_overflow: dice.per_mille(300),
            settings: SettingsId(settings),
            ..Listen::on(port)
        })
    }
}

fn weather(dice: &mut Dice) -> Weather {
    let us = Duration::from_micros;
    Weather {
        lost: dice.pick(&[0, 0, 10, 50, 200]),
        doubled: dice.pick(&[0, 10, 100]),
        damaged: dice.pick(&[0, 0, 10, 50]),
        late: dice.pick(&[0, 10, 300]),
        archived: dice.pick(&[10, 200]),
        delay: us(dice.pick(&[20, 1_000, 20_000, 100_000])),
        lateness: us(dice.pick(&[100, 5_000, 300_000])),
        marked: dice.pick(&[0, 10, 200]),
        path_mtu: dice.pick(&[None, None, None, Some(1_400), Some(1_280)]),
        is_black_hole: dice.per_mille(500),
    }
}

/// Settings at random, such that every feature is on in some runs and off in others.
fn settings(dice: &mut Dice) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        rmem: dice.pick(&[2_000, 10_000, 65_535, 262_144, 1 << 20]),
        rmem_max: dice.pick(&[0, 1 << 20]),
        wmem: dice.pick(&[2_000, 20_000, 262_144]),
        wmem_max: dice.pick(&[0, 1 << 20]),
        quick_acks: dice.pick(&[0, 2, 16]),
        hystart: dice.per_mille(500),
        pacing: dice.pick(&[Pacing::Auto, Pacing::On, Pacing::Off]),
        linger: dice.pick(&[None, None, Some(Duration::ZERO), Some(ms(1_000))]),
        keepalive: dice.per_mille(200).then_some(Keepalive {
            idle: ms(30_000),
            interval: ms(10_000),
            count: 6,
        }),
        wnd_scaling: dice.per_mille(700),
        sack: dice.per_mille(700),
        timestamps: dice.per_mille(700),
        nodelay: dice.per_mille(300),
        initial_window: dice.pick(&[1, 2, 10]),
        delayed_ack: ms(dice.pick(&[0, 1, 40, 400])),
        congestion: dice.pick(&[
            CongestionKind::Cubic,
            CongestionKind::NewReno,
            CongestionKind::Bbr,
        ]),
        rto_min: ms(dice.pick(&[200, 200, 1_000])),
        rto_max: ms(dice.pick(&[20_000, 120_000])),
        // Long enough that no honest flow is given up in a storm.
        retries2: 30,
        time_wait: ms(dice.pick(&[100, 2_000, 60_000])),
        fin_timeout: ms(dice.pick(&[2_000, 60_000])),
        mss_max: dice.pick(&[None, None, Some(536), Some(100)]),
        strict: dice.per_mille(100),
        ecn: dice.pick(&[Ecn::Off, Ecn::Passive, Ecn::On]),
        mtu_probing: dice.pick(&[MtuProbing::Off, MtuProbing::BlackHole, MtuProbing::Always]),
        ..Settings::default()
    }
}
