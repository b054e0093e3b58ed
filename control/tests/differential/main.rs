//! The differential test: one scripted peer plays the conversations of `dataplane/tcp/tests/pkt`
//! against `tidegate agent` and against the kernel of this machine, and what the two say is
//! compared: flags, numbers, lengths, whether the window is open, which options there are, and that
//! no timer is early.
//!
//! Where they differ, `differences.txt` has both and the reason. The test fails on a difference that
//! is not there, and on one that is there and has gone. `TIDEGATE_BLESS=1` writes what is seen, and
//! leaves the reasons to be written.
//!
//! Each set of settings has two hosts of its own, by `--tcp` and by sysctl of the namespace. Only
//! conversations whose calls are those of sockets, and which are over soon, can be played. All
//! are played at the same time, since most of the time is waiting; one that went differently is
//! played again, alone with the others that did, and more slowly: a late thread shall not be taken
//! for a late segment.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

#[expect(dead_code, reason = "the agent's own tests use all of it")]
#[path = "../agent/control.rs"]
mod control;
mod host;
#[expect(dead_code, reason = "the agent's own tests use all of it")]
#[path = "../agent/lab.rs"]
mod lab;
mod listed;
mod player;
#[expect(dead_code, reason = "other tests use all of it")]
#[path = "../traffic/raw.rs"]
mod raw;
#[expect(dead_code, reason = "the conversations of the TCP crate use all of it")]
#[path = "../../../dataplane/tcp/tests/script/mod.rs"]
mod script;
mod selection;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use host::{Agent, Linux};
use lab::Lab;
use listed::Difference;
use player::Player;
use selection::{Conversation, Wishes};
use tidegate::topology::Side;
use wire::Wire;

/// The binary under test.
const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is waited for after each segment of ours, in the first attempt and in the next ones.
const SETTLE: [Duration; 6] = [
    Duration::from_millis(8),
    Duration::from_millis(15),
    Duration::from_millis(25),
    Duration::from_millis(15),
    Duration::from_millis(25),
    Duration::from_millis(35),
];

/// Waits until something is the case, which some other thread or process brings about.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Both hosts, each with a peer at the other end of its wire.
struct Stage {
    lab: Lab,
    tidegate: Wire,
    linux: Wire,
}

impl Stage {
    fn new(wishes: &Wishes) -> Option<Self> {
        let tcp = wishes.iter().flat_map(|wish| ["--tcp", &wish.tidegate]);
        let lab = Lab::new(&tcp.collect::<Vec<_>>())?;
        lab.bed.backends().run(|| {
            for (name, value) in wishes.iter().map(|wish| wish.linux) {
                std::fs::write(format!("/proc/sys/net/ipv4/{name}"), value).unwrap();
            }
        });
        let mac = lab
            .ready
            .split(' ')
            .find_map(|word| word.strip_prefix("mac="))
            .unwrap()
            .parse()
            .unwrap();
        let tidegate = raw::Raw::open(lab.bed.client());
        let tidegate = Wire::new(tidegate, "192.0.2.50", lab::agent_addresses()[0], mac);
        let (address, _) = Side::BACK.kernel[0];
        let mac = raw::Raw::open(lab.bed.backends()).mac();
        let linux = raw::Raw::on(lab.bed.tidegate(), Side::BACK.interface);
        let linux = Wire::new(
            linux,
            "198.51.100.50",
            address.into(),
            tidegate_wire::MacAddr(mac),
        );
        Some(Self {
            lab,
            tidegate,
            linux,
        })
    }

    /// Plays it against both and answers the first difference.
    fn play(&self, conversation: &Conversation, attempt: usize) -> Option<Difference> {
        let port = conversation.port(attempt);
        let settle = SETTLE[attempt];
        let (tidegate, linux) = std::thread::scope(|scope| {
            let tidegate = scope.spawn(|| {
                let agent = Agent::new(self.lab.control(), port, self.tidegate.peer);
                Player::new(&self.tidegate, port, Box::new(agent), settle)
                    .play(&conversation.script)
            });
            let linux = Linux::new(
                self.lab.bed.backends(),
                self.linux.host,
                port,
                self.linux.peer,
            );
            let linux = Player::new(&self.linux, port, Box::new(linux), settle);
            let linux = linux.play(&conversation.script);
            (tidegate.join().unwrap(), linux)
        });
        listed::first_difference(&tidegate, &linux)
    }
}

#[test]
fn conversations_go_as_with_linux_but_for_what_is_listed() {
    let conversations = selection::all();
    let mut stages = BTreeMap::<&Wishes, Stage>::new();
    for Conversation { wishes, .. } in &conversations {
        if !stages.contains_key(wishes) {
            let Some(stage) = Stage::new(wishes) else {
                return;
            };
            stages.insert(wishes, stage);
        }
    }
    assert!(
        conversations.len() > 100,
        "{} can be played",
        conversations.len()
    );
    let listed = listed::read();
    let mut seen = BTreeMap::<&str, Vec<Option<Difference>>>::new();
    for attempt in 0..SETTLE.len() {
        let open: Vec<&Conversation> = conversations
            .iter()
            .filter(|conversation| !is_settled(conversation, &seen, &listed))
            .collect();
        std::thread::scope(|scope| {
            let playing: Vec<_> = open
                .into_iter()
                .map(|conversation| {
                    let stage = &stages[&conversation.wishes];
                    let playing = scope.spawn(|| stage.play(conversation, attempt));
                    (conversation, playing)
                })
                .collect();
            for (conversation, playing) in playing {
                let difference = playing.join().unwrap();
                seen.entry(&conversation.name).or_default().push(difference);
            }
        });
    }
    drop(stages);
    listed::judge(&conversations, &seen, &listed);
}

/// Whether an attempt went as it is known to go.
fn is_settled(
    conversation: &Conversation,
    seen: &BTreeMap<&str, Vec<Option<Difference>>>,
    listed: &BTreeMap<String, Difference>,
) -> bool {
    let known = listed.get(&conversation.name);
    let attempts = seen.get(conversation.name.as_str());
    attempts.is_some_and(|attempts| {
        attempts
            .iter()
            .any(|seen| Difference::is_known(seen.as_ref(), known))
    })
}
