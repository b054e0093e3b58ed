//! What must be true of all flows after a storm, from both sides' point of view: every byte was
//! delivered once and in order, or the flow was reported broken, and none was broken but by its
//! own users or the death of a stack.
//!
//! That bytes come in order, and are what was sent, the actors have seen to as they came.

use hashbrown::HashMap;
use tidegate_tcp::End;

use crate::actor::{Left, Side, Talk};

/// What TCP cannot promise where a SYN cookie is all that is left of a handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leniency {
    /// An old duplicate of the last segment of a handshake opens the flow again: nothing remembers
    /// the first one.
    pub(crate) ghosts: bool,
    /// The second segment of text comes without or before the first one, and has no cookie; or the
    /// flow was over and a ghost of it has nobody to talk to.
    pub(crate) resets: bool,
}

/// Judges all flows.
pub(crate) fn judge(talks: &[Talk], leniency: Leniency) {
    let mut servers: HashMap<u64, Vec<&Talk>> = HashMap::new();
    for talk in talks.iter().filter(|talk| talk.side == Side::Server) {
        if let Some(number) = talk.number.filter(|number| *number != 0) {
            servers.entry(number).or_default().push(talk);
        }
    }
    for client in talks.iter().filter(|talk| talk.side == Side::Client) {
        let number = client.number.expect("a client knows its number");
        let sides = servers.get(&number).map_or(&[][..], Vec::as_slice);
        assert!(
            sides.len() <= 1 || leniency.ghosts,
            "the same flow was delivered twice:\n{sides:#?}"
        );
        // A ghost has not answered what came, and is not seen to its end.
        let is_answer = |side: &&&Talk| {
            let is_whole = (side.is_innocent(), side.is_peer_closed);
            let is_all = side.sent == client.received;
            let is_enough = side.sent >= client.received;
            // A ghost may have heard all of a short text once more, and more of it than a server that
            // closed early; but an end that the client saw was sent by somebody.
            let is_end = !client.is_peer_closed || has_closed(side);
            (is_enough, is_all, is_end, side.received, is_whole)
        };
        match sides.iter().max_by_key(is_answer) {
            Some(server) => judge_pair(client, server, leniency),
            None => judge_alone(client),
        }
    }
}

/// Whether a user has ended what it sends, in order.
fn has_closed(talk: &Talk) -> bool {
    talk.is_shut || talk.left == Some(Left::Closed)
}

fn judge_pair(client: &Talk, server: &Talk, leniency: Leniency) {
    let both = || format!("\n{client:#?}\n{server:#?}");
    for (here, there) in [(client, server), (server, client)] {
        assert!(
            here.received <= there.sent,
            "more came than was sent{}",
            both()
        );
        if here.is_peer_closed {
            assert!(has_closed(there), "an end that nobody sent{}", both());
            assert_eq!(
                here.received,
                there.sent,
                "the end came before the text{}",
                both()
            );
        }
    }
    let is_complete = client.is_peer_closed && server.is_peer_closed;
    let is_cookie_lost = leniency.resets && client.end == Some(End::Reset);
    if client.is_innocent() && server.is_innocent() && !is_cookie_lost {
        assert!(is_complete, "broken, and nobody was to blame{}", both());
        // Whoever sent its FIN last may never hear that it arrived.
        let ends = [client.end, server.end];
        assert!(ends.contains(&Some(End::Closed)), "{}", both());
    }
    let gave_up = |talk: &Talk| talk.left == Some(Left::GaveUp);
    let is_excused = |talk: &Talk| talk.has_died || !talk.is_innocent() && !gave_up(talk);
    if gave_up(client) || gave_up(server) {
        let is_one = is_excused(client) || is_excused(server);
        assert!(is_one, "it stood still{}", both());
    }
}

/// A flow that never came to the other side, or not so far that it said which one it was.
fn judge_alone(client: &Talk) {
    if !client.is_innocent() {
        // Given up, where the other stack died in between.
        return;
    }
    assert_eq!(client.received, 0, "an answer of nobody: {client:#?}");
    assert_ne!(client.end, Some(End::Closed), "{client:#?}");
}
