//! Which conversations can be played against sockets of a kernel, in real time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::script::{Happening, Script};

/// Longest conversation that is played. All are played at once, and this is how long it takes.
const TIME_MAX: Duration = Duration::from_secs(8);

/// Most octets of text that fit a frame with all options.
const TEXT_MAX: u32 = 1_440;

/// The first port of all.
const PORT: u16 = 2_000;

/// A setting under all its names.
struct Setting {
    /// In a script.
    key: &'static str,
    /// In `[tcp]`.
    tidegate: &'static str,
    /// Below net.ipv4.
    linux: &'static str,
    /// Values of a script, and what Linux calls them.
    values: &'static [(&'static str, &'static str)],
}

const SWITCH: &[(&str, &str)] = &[("off", "0"), ("on", "1")];

const SETTINGS: [Setting; 5] = [
    Setting {
        key: "congestion",
        tidegate: "congestion",
        linux: "tcp_congestion_control",
        values: &[("reno", "reno"), ("cubic", "cubic")],
    },
    Setting {
        key: "ecn",
        tidegate: "ecn",
        linux: "tcp_ecn",
        values: &[("off", "0"), ("on", "1"), ("passive", "2")],
    },
    Setting {
        key: "sack",
        tidegate: "sack",
        linux: "tcp_sack",
        values: SWITCH,
    },
    Setting {
        key: "timestamps",
        tidegate: "timestamps",
        linux: "tcp_timestamps",
        values: SWITCH,
    },
    Setting {
        key: "wscale",
        tidegate: "window_scaling",
        linux: "tcp_window_scaling",
        values: SWITCH,
    },
];

/// What both hosts are told before conversations are played.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wish {
    /// For `--tcp`.
    pub(crate) tidegate: String,
    /// A name below net.ipv4, and its value.
    pub(crate) linux: (&'static str, &'static str),
}

/// All that hosts are told; each set needs hosts of its own.
pub(crate) type Wishes = BTreeSet<Wish>;

/// A conversation that can be played.
pub(crate) struct Conversation {
    pub(crate) name: String,
    pub(crate) script: Script,
    pub(crate) wishes: Wishes,
    number: u16,
}

impl Conversation {
    /// A port of its own, in each attempt: what is left of the one before is no part of it.
    pub(crate) fn port(&self, attempt: usize) -> u16 {
        PORT + self.number * 8 + u16::try_from(attempt).unwrap()
    }
}

/// All that can be played, by name.
pub(crate) fn all() -> Vec<Conversation> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tcp/tests/pkt");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pkt"))
        .collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let script = Script::parse(&text).unwrap();
        let wishes = wishes_of(&text).filter(|_| can_be_played(&script));
        if let Some(wishes) = wishes {
            all.push(Conversation {
                wishes,
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                script,
                number: u16::try_from(all.len()).unwrap(),
            });
        }
    }
    all
}

/// The settings of a script, where both hosts can be told them. Sizes of buffers are not compared.
fn wishes_of(text: &str) -> Option<Wishes> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("set "));
    let pairs = lines.flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    let mut wishes = Wishes::new();
    for pair in pairs {
        let (key, value) = pair.split_once('=').unwrap();
        if pair == "ip=4" || key == "rmem" {
            continue;
        }
        let setting = SETTINGS.iter().find(|setting| setting.key == key)?;
        let (_, linux) = setting.values.iter().find(|(ours, _)| *ours == value)?;
        wishes.insert(Wish {
            tidegate: format!("{}={value}", setting.tidegate),
            linux: (setting.linux, linux),
        });
    }
    Some(wishes)
}

/// Whether its calls are those of sockets, its segments come one by one, and it is over soon.
fn can_be_played(script: &Script) -> bool {
    let time: Duration = script.lines.iter().map(|line| line.after).sum();
    let is_playable = |event: &Happening| match event {
        Happening::Arrives {
            segment,
            is_last_of_burst,
            ..
        } => *is_last_of_burst && segment.len <= TEXT_MAX,
        Happening::GoesOut(_) | Happening::NothingGoesOut | Happening::Expect(_) => true,
        Happening::Call(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            matches!(
                words[..],
                ["listen" | "open" | "shutdown" | "close" | "abort" | "pause" | "resume"]
                    | ["send" | "read", _]
                    | ["nodelay", "on" | "off"]
            )
        }
        Happening::Icmp { .. } => false,
    };
    time <= TIME_MAX && script.lines.iter().all(|line| is_playable(&line.event))
}
