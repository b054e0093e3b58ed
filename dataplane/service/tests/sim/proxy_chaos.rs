//! The proxy among clients and backends of every kind at once, as a seed throws them together.
//!
//! Whatever they do, each of them comes to an end, who was served to the end got every byte of its
//! own answer, and nothing is left over.

use core::time::Duration;

use tidegate_port::Impairment;
use tidegate_worker::{Listen, Stack, SynCookies};

use crate::net::{Net, Plan, VERSIONS, backend_at, clean, pool, proxy, rough, service_at};
use crate::peers::{Closes, Pace, Peers, Script};

const PORT: u16 = 80;
const ANSWER: u64 = 30_000;
const CLIENTS: u64 = 80;
/// Reads slowly, but reads.
const SLOW: Pace = Pace::Bites {
    bytes: 2_000,
    every: Duration::from_millis(20),
};

/// SplitMix64: enough for choosing.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Two backends that serve, one of them slowly; one that hangs, one that refuses, one that is
/// silent, one that closes at once, and one that nobody has ever seen.
fn plan(seed: u64, dice: &mut Dice) -> Plan {
    let ports = [8_000, 8_001, 8_002, 8_003, 8_004, 8_005];
    let version = VERSIONS[usize::from(seed.is_multiple_of(2))];
    let mut backends: Vec<_> = ports
        .iter()
        .map(|&port| backend_at(version, port))
        .collect();
    backends.push("198.51.100.66:80".parse().unwrap());
    let mut pool = pool(&backends);
    pool.connect_timeout = Duration::from_secs(2);
    pool.idle_timeout = Duration::from_secs(30);
    pool.retries = u32::try_from(dice.below(7)).unwrap();
    let silent = Listen {
        syn_backlog: 0,
        syn_cookies: SynCookies::Off,
        ..Listen::on(8_003)
    };
    let hangs = Script::answer(ANSWER)
        .pace(Pace::Stopped)
        .closes(Closes::Never);
    let queues = [5_000, 20_000, 200_000][usize::try_from(dice.below(3)).unwrap()];
    Plan::new(seed)
        .service(PORT, proxy(pool))
        .backend(8_000, Script::answer(ANSWER))
        .backend(8_001, Script::answer(ANSWER).pace(SLOW))
        .backend(8_002, hangs)
        .backend_listening(silent, Script::silent())
        .backend(8_004, Script::bytes(b"").closes(Closes::AfterSaying))
        .impaired(if seed.is_multiple_of(3) {
            clean()
        } else {
            worse()
        })
        .queues(queues)
}

/// Somewhat rougher than rough.
fn worse() -> Impairment {
    Impairment {
        loss: 0.04,
        ..rough()
    }
}

/// A client of some kind.
fn client(dice: &mut Dice) -> Script {
    let script = Script::pattern(4 + dice.below(60_000));
    let script = match dice.below(4) {
        0 => script.pace(SLOW),
        1 => script.pace(Pace::Stopped),
        _ => script,
    };
    match dice.below(4) {
        0 => script.closes(Closes::AfterPeer),
        1 => script.closes(Closes::Never),
        _ => script,
    }
}

/// One of those that came does something that its script does not have.
fn disturb(net: &mut Net, dice: &mut Dice) {
    let seen = net.backends.app().stories.len() as u64;
    let backend = usize::try_from(dice.below(seen.max(1))).unwrap();
    let clients = net.clients.app().stories.len() as u64;
    let client = usize::try_from(dice.below(clients)).unwrap();
    match dice.below(8) {
        0 if seen > 0 => net.as_backend(|peers, stack| peers.reset(stack, backend)),
        1 => net.as_client(|peers, stack| peers.reset(stack, client)),
        2 => net.as_client(|peers, stack| peers.set_pace(stack, client, Pace::All)),
        3 => net.as_client(|peers, stack| peers.set_pace(stack, client, Pace::Stopped)),
        4 => net.as_client(|peers, stack| peers.set_closes(stack, client, Closes::AfterSaying)),
        _ => {}
    }
}

/// Resets everything that is still open.
fn give_up(peers: &Peers, stack: &mut Stack) {
    let left = peers.stories.iter().filter(|story| story.end.is_none());
    left.for_each(|story| stack.abort(story.flow));
}

fn play(seed: u64) {
    let mut dice = Dice(seed);
    let mut net = plan(seed, &mut dice).build();
    for _ in 0..CLIENTS {
        let version = VERSIONS[usize::try_from(dice.below(2)).unwrap()];
        let script = client(&mut dice);
        net.open(service_at(version, PORT), script);
        net.run_for(Duration::from_millis(dice.below(300)));
        disturb(&mut net, &mut dice);
    }
    net.run_to("the proxy has let go of all", |net| {
        net.proxy_counts().pairs == 0
    });
    // What now is left of clients and backends are those that only a RST can end.
    net.as_client(|clients, stack| give_up(clients, stack));
    net.as_backend(|backends, stack| give_up(backends, stack));
    let mut served = 0;
    for (number, story) in net.clients.app().stories.iter().enumerate() {
        let is_whole = story.has_heard_answer(number, ANSWER);
        served += u32::from(is_whole);
        // Whoever was told of the end of the text has the whole answer, or met the backend that
        // closes at once.
        let is_right = !story.is_peer_closed || is_whole || story.heard == 0;
        assert!(is_right, "client {number}: {story:?}");
    }
    assert!(served > 0, "not one of them was served");
    net.finish();
}

#[test]
fn whatever_they_do_nothing_is_left() {
    (0..40).for_each(play);
}
