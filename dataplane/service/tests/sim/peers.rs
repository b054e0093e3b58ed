//! The actors: an application whose flows follow scripts, as clients and as backends.
//!
//! A text that is to be checked is a **pattern**: its first four bytes are a number, and each byte
//! after them follows from that number and its place. Whoever hears a pattern learns the number
//! from it and checks every byte, so a byte lost, repeated, moved or brought to the wrong flow is
//! found where it happens.

use core::net::SocketAddr;
use core::time::Duration;

use tidegate_service::PerFlow;
use tidegate_tcp::End;
use tidegate_worker::{App, FlowId, ListenerId, Open, Stack};

/// Set in the number of a pattern that answers another.
const ANSWER: u32 = 1 << 31;
/// Bytes that are given to one `send`.
const PIECE: usize = 8_000;

/// What a flow sends.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes of the pattern with the story's own number.
    Pattern(u64),
    /// So many bytes of the pattern that answers the one that was heard, from the first four bytes
    /// of that one on.
    Answer(u64),
}

/// How a flow reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Everything at once.
    All,
    /// Nothing.
    Stopped,
    /// So many bytes, then nothing for a while.
    Bites { bytes: usize, every: Duration },
}

impl Pace {
    /// Bytes between two pauses.
    const fn bite(self) -> usize {
        match self {
            Self::Bites { bytes, .. } => bytes,
            Self::All | Self::Stopped => 0,
        }
    }
}

/// What is done with what is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ear {
    /// It is a pattern, and is checked.
    Checks,
    /// It is kept for the test to look at.
    Keeps,
}

/// When a flow closes its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closes {
    /// When it has said all.
    AfterSaying,
    /// When it has said all and the other side has closed.
    AfterPeer,
    /// Never, or when the test does it.
    Never,
}

/// What a flow does.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) says: Says,
    pub(crate) pace: Pace,
    pub(crate) ear: Ear,
    pub(crate) closes: Closes,
}

impl Script {
    /// Sends a pattern, closes its side, and checks the pattern that comes.
    pub(crate) const fn pattern(len: u64) -> Self {
        Self {
            says: Says::Pattern(len),
            pace: Pace::All,
            ear: Ear::Checks,
            closes: Closes::AfterSaying,
        }
    }

    /// Answers a pattern by another; closes when the other side has.
    pub(crate) const fn answer(len: u64) -> Self {
        Self {
            says: Says::Answer(len),
            pace: Pace::All,
            ear: Ear::Checks,
            closes: Closes::AfterPeer,
        }
    }

    /// Sends these bytes and keeps what comes; closes when the other side has.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self {
            says: Says::Bytes(bytes.to_vec()),
            pace: Pace::All,
            ear: Ear::Keeps,
            closes: Closes::AfterPeer,
        }
    }

    /// Sends nothing, keeps what comes, and closes when the other side has.
    pub(crate) fn silent() -> Self {
        Self::bytes(b"")
    }

    pub(crate) const fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    pub(crate) const fn ear(mut self, ear: Ear) -> Self {
        self.ear = ear;
        self
    }

    pub(crate) const fn closes(mut self, closes: Closes) -> Self {
        self.closes = closes;
        self
    }
}

/// What a flow has done and seen.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) script: Script,
    pub(crate) flow: FlowId,
    /// Of a flow that was accepted: which role it plays.
    pub(crate) role: Option<u32>,
    pub(crate) is_connected: bool,
    /// Bytes that the send queue has taken.
    pub(crate) said: u64,
    /// Bytes that were read.
    pub(crate) heard: u64,
    /// What was read, where it is kept.
    pub(crate) text: Vec<u8>,
    /// The first bytes of the pattern that is heard: its number, when there are four.
    number_heard: Vec<u8>,
    pub(crate) has_closed: bool,
    pub(crate) is_peer_closed: bool,
    pub(crate) end: Option<End>,
    /// Bytes that may be read before the next pause.
    bite_left: usize,
}

impl Story {
    fn new(script: Script, flow: FlowId, role: Option<u32>) -> Self {
        Self {
            bite_left: script.pace.bite(),
            script,
            flow,
            role,
            is_connected: role.is_some(),
            said: 0,
            heard: 0,
            text: Vec::new(),
            number_heard: Vec::new(),
            has_closed: false,
            is_peer_closed: false,
            end: None,
        }
    }

    /// The number of the pattern that is heard.
    pub(crate) fn number(&self) -> Option<u32> {
        let bytes = self.number_heard.as_slice().try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// Whether the pattern that was heard answers that of number `number`, whole.
    pub(crate) fn has_heard_answer(&self, number: usize, len: u64) -> bool {
        let number = u32::try_from(number).unwrap();
        self.heard == len && self.number() == Some(number | ANSWER)
    }

    /// Whether it has ended in order, after the other side's last byte.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_peer_closed && self.end == Some(End::Closed)
    }

    /// The next bytes to be said; none when all is said.
    fn piece(&self, own: u32) -> Vec<u8> {
        let (number, len) = match &self.script.says {
            Says::Bytes(bytes) => {
                let rest = &bytes[usize::try_from(self.said).unwrap()..];
                return rest[..rest.len().min(PIECE)].to_vec();
            }
            Says::Pattern(len) => (Some(own), *len),
            Says::Answer(len) => (self.number().map(|number| number | ANSWER), *len),
        };
        let Some(number) = number else {
            return Vec::new();
        };
        let end = len.min(self.said + PIECE as u64);
        (self.said..end)
            .map(|place| byte_of(number, place))
            .collect()
    }

    /// How many bytes of `text` are read now.
    fn bite(&mut self, text: &[u8]) -> usize {
        match self.script.pace {
            Pace::All => text.len(),
            Pace::Stopped => 0,
            Pace::Bites { .. } => {
                let bite = self.bite_left.min(text.len());
                self.bite_left -= bite;
                bite
            }
        }
    }

    fn hear(&mut self, text: &[u8]) {
        match self.script.ear {
            Ear::Keeps => self.text.extend_from_slice(text),
            Ear::Checks => {
                let missing = 4 - self.number_heard.len();
                let first = text.len().min(missing);
                self.number_heard.extend_from_slice(&text[..first]);
                let number = self.number().unwrap_or(0);
                for (&byte, place) in text[first..].iter().zip(self.heard + first as u64..) {
                    assert_eq!(byte, byte_of(number, place), "byte {place} of {number:#x}");
                }
            }
        }
        self.heard += text.len() as u64;
    }
}

/// The byte at a place of the pattern.
fn byte_of(number: u32, place: u64) -> u8 {
    if let Ok(place @ 0..4) = usize::try_from(place) {
        return number.to_le_bytes()[place];
    }
    let mixed = (place ^ (u64::from(number) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[0]
}

/// The application: each flow with its story.
#[derive(Debug)]
pub(crate) struct Peers {
    /// What a flow does that comes to the listener with this tag.
    roles: Vec<Script>,
    pub(crate) stories: Vec<Story>,
    numbers: PerFlow<usize>,
}

impl Peers {
    pub(crate) fn new(roles: Vec<Script>, flows_max: u32) -> Self {
        Self {
            roles,
            stories: Vec::new(),
            numbers: PerFlow::new(flows_max),
        }
    }

    /// Opens a flow; answers the number of its story.
    pub(crate) fn open(&mut self, stack: &mut Stack, remote: SocketAddr, script: Script) -> usize {
        let flow = stack.open(Open::to(remote)).expect("room and a route");
        self.begin(Story::new(script, flow, None))
    }

    /// Says more, on a flow that says bytes.
    pub(crate) fn say(&mut self, stack: &mut Stack, story: usize, more: &[u8]) {
        match &mut self.stories[story].script.says {
            Says::Bytes(bytes) => bytes.extend_from_slice(more),
            Says::Pattern(_) | Says::Answer(_) => panic!("it says a pattern"),
        }
        self.push(stack, story);
    }

    /// Reads differently from now on.
    pub(crate) fn set_pace(&mut self, stack: &mut Stack, story: usize, pace: Pace) {
        let story = &mut self.stories[story];
        story.script.pace = pace;
        story.bite_left = pace.bite();
        stack.resume(story.flow);
    }

    /// Closes differently from now on.
    pub(crate) fn set_closes(&mut self, stack: &mut Stack, story: usize, closes: Closes) {
        self.stories[story].script.closes = closes;
        self.push(stack, story);
    }

    /// Resets a flow.
    pub(crate) fn reset(&self, stack: &mut Stack, story: usize) {
        stack.abort(self.stories[story].flow);
    }

    /// The stories of a role, in the order in which they came.
    pub(crate) fn of_role(&self, role: u32) -> impl Iterator<Item = &Story> {
        self.stories
            .iter()
            .filter(move |story| story.role == Some(role))
    }

    fn begin(&mut self, story: Story) -> usize {
        let number = self.stories.len();
        self.numbers.insert(story.flow, number);
        self.stories.push(story);
        number
    }

    fn number(&self, flow: FlowId) -> usize {
        *self.numbers.of(flow).expect("one of ours")
    }

    /// Says as much as the send queue takes, and closes when it is time.
    fn push(&mut self, stack: &mut Stack, number: usize) {
        let own = u32::try_from(number).unwrap();
        let story = &mut self.stories[number];
        if !story.is_connected || story.has_closed || story.end.is_some() {
            return;
        }
        loop {
            let piece = story.piece(own);
            if piece.is_empty() {
                break;
            }
            let taken = stack.send(story.flow, &piece).unwrap_or(0);
            story.said += taken as u64;
            if taken < piece.len() {
                return;
            }
        }
        let waits_for_number = matches!(story.script.says, Says::Answer(1..))
            && story.number().is_none()
            && !story.is_peer_closed;
        let is_time = match story.script.closes {
            Closes::AfterSaying => !waits_for_number,
            Closes::AfterPeer => story.is_peer_closed,
            Closes::Never => false,
        };
        if is_time {
            story.has_closed = true;
            // It may have been reset before.
            let _ = stack.shutdown(story.flow);
        }
    }
}

impl App for Peers {
    type Command = ();

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, _: ListenerId) {
        let role = stack.tag(flow);
        let script = self.roles[role as usize].clone();
        let number = self.begin(Story::new(script, flow, Some(role)));
        self.push(stack, number);
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        let number = self.number(flow);
        self.stories[number].is_connected = true;
        self.push(stack, number);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        let number = self.number(flow);
        let story = &mut self.stories[number];
        assert!(!story.is_peer_closed, "text after the end of the text");
        let taken = story.bite(text);
        story.hear(&text[..taken]);
        if let Pace::Bites { every, .. } = story.script.pace
            && story.bite_left == 0
        {
            stack.set_timer(flow, Some(stack.now() + every));
        }
        self.push(stack, number);
        taken
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        self.push(stack, self.number(flow));
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        let number = self.number(flow);
        let story = &mut self.stories[number];
        assert!(!story.is_peer_closed, "the end of the text came twice");
        story.is_peer_closed = true;
        self.push(stack, number);
    }

    fn on_end(&mut self, _: &mut Stack, flow: FlowId, end: End) {
        let number = self.number(flow);
        let story = &mut self.stories[number];
        assert_eq!(story.end, None, "the end came twice");
        story.end = Some(end);
        self.numbers.take(flow);
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        let number = self.number(flow);
        let story = &mut self.stories[number];
        story.bite_left = story.script.pace.bite();
        stack.resume(flow);
    }
}
