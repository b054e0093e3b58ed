//! Which conversations can be played against sockets of a kernel, in real time.

use std::path::PathBuf;
use std::time::Duration;

use crate::script::{Happening, Script};

/// Longest conversation that is played. All are played at once, and this is how long it takes.
const TIME_MAX: Duration = Duration::from_secs(8);

/// Most octets of text that fit a frame with all options.
const TEXT_MAX: u32 = 1_440;

/// The first port of all.
const PORT: u16 = 2_000;

/// A conversation that can be played.
pub(crate) struct Conversation {
    pub(crate) name: String,
    pub(crate) script: Script,
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
        if can_be_set(&text) && can_be_played(&script) {
            all.push(Conversation {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                script,
                number: u16::try_from(all.len()).unwrap(),
            });
        }
    }
    all
}

/// Whether it is played with what both hosts have by default. Sizes of buffers are not compared.
fn can_be_set(text: &str) -> bool {
    let pairs = text.lines().filter_map(|line| line.strip_prefix("set "));
    pairs
        .flat_map(str::split_whitespace)
        .all(|pair| pair == "ip=4" || pair.starts_with("rmem="))
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
