//! The eleven states of RFC 9293 section 3.3.2 and the events that lead from one to the next.
//!
//! [`State::on`] is the only way to change state: one `match`, which is figure 5 of the RFC together
//! with the resets, timeouts and aborts that the figure leaves out. A test draws every pair of
//! state and event in Graphviz and compares the drawing with `state.dot`, so the picture is proven.
//!
//! A flow is not a listener: a passive flow is made by a SYN that a listener takes, and where the
//! RFC says "return to LISTEN" the flow goes away, to CLOSED, and the listener was in LISTEN all
//! along. Numbers, timers and text are the connection's record, not here.

use core::fmt;

/// A state of a connection, RFC 9293 section 3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for a SYN from anybody.
    Listen,
    /// We sent a SYN and wait for the peer's.
    SynSent,
    /// Both SYNs are sent, ours is not acknowledged yet.
    SynReceived,
    /// Text flows both ways.
    Established,
    /// We closed; our FIN is not acknowledged yet, and the peer has not closed.
    FinWait1,
    /// We closed and the peer knows; it has not closed.
    FinWait2,
    /// The peer closed; we have not.
    CloseWait,
    /// Both closed at the same time; our FIN is not acknowledged yet.
    Closing,
    /// The peer closed, then we did; our FIN is not acknowledged yet.
    LastAck,
    /// Both closed; old segments of this connection may still be under way.
    TimeWait,
}

/// What can change the state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// OPEN call of the passive kind, RFC 9293 section 3.10.1.
    PassiveOpen,
    /// OPEN call of the active kind: our SYN goes out, RFC 9293 section 3.10.1.
    ActiveOpen,
    /// A SYN without an acknowledgment of ours was taken, RFC 9293 sections 3.10.7.2 and 3.10.7.3.
    SynArrived,
    /// A SYN that acknowledges ours was taken, RFC 9293 section 3.10.7.3.
    SynAckArrived,
    /// Our SYN was acknowledged after the peer's had come, RFC 9293 section 3.10.7.4, fifth.
    SynAcked,
    /// CLOSE call, or the end of sending alone: a FIN goes out after all text, section 3.10.4.
    Close,
    /// The peer's FIN was taken, all text before it too, RFC 9293 section 3.10.7.4, eighth.
    FinArrived,
    /// Our FIN was acknowledged, RFC 9293 section 3.10.7.4, fifth.
    FinAcked,
    /// A passive open is undone by a RST or by a SYN in the window, section 3.10.7.4, second, fourth.
    BackToListen,
    /// A RST was taken, RFC 9293 sections 3.10.7.3 and 3.10.7.4, second.
    ResetArrived,
    /// ABORT call, or an ICMP error that ends a connection, RFC 9293 sections 3.10.5 and 3.9.2.2.
    Abort,
    /// User timeout, retransmissions or keep-alive probes used up, or nobody left to wait in
    /// FIN-WAIT-2, RFC 9293 section 3.10.8.
    TimedOut,
    /// Twice the maximum segment lifetime is over, RFC 9293 section 3.10.8.
    TimeWaitOver,
}

impl State {
    /// Number of states.
    pub const COUNT: usize = Self::ALL.len();

    /// Every state, in the order of the RFC's list.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The state after `event`, or nothing where the event cannot happen in this state.
    #[must_use]
    pub const fn on(self, event: Event) -> Option<Self> {
        use Event as E;
        let next = match (self, event) {
            (Self::Closed, E::PassiveOpen) => Self::Listen,
            (Self::Closed | Self::Listen, E::ActiveOpen) => Self::SynSent,

            // A SYN in SYN-SENT is a simultaneous open, RFC 9293 3.5, MUST-10.
            (Self::Listen | Self::SynSent, E::SynArrived) => Self::SynReceived,
            (Self::SynSent, E::SynAckArrived) => Self::Established,
            (Self::SynReceived, E::SynAcked) => Self::Established,
            (Self::SynReceived, E::BackToListen) => Self::Closed,

            (Self::Listen | Self::SynSent, E::Close) => Self::Closed,
            (Self::SynReceived | Self::Established, E::Close) => Self::FinWait1,
            (Self::CloseWait, E::Close) => Self::LastAck,

            (Self::SynReceived | Self::Established, E::FinArrived) => Self::CloseWait,
            // The acknowledgment of our FIN, if the segment has it, was an event of its own before.
            (Self::FinWait1, E::FinArrived) => Self::Closing,
            (Self::FinWait2, E::FinArrived) => Self::TimeWait,
            // RFC 9293 3.10.7.4, eighth: the FIN is there again, nothing changes.
            (Self::CloseWait | Self::Closing | Self::LastAck, E::FinArrived) => self,
            (Self::TimeWait, E::FinArrived) => self,

            (Self::FinWait1, E::FinAcked) => Self::FinWait2,
            (Self::Closing, E::FinAcked) => Self::TimeWait,
            (Self::LastAck, E::FinAcked) => Self::Closed,

            // What ends a connection ends it in every state that it can be in then.
            (Self::Closed, _) => return None,
            (_, E::Abort) => Self::Closed,
            (Self::Listen, _) => return None,
            (_, E::ResetArrived) => Self::Closed,
            (Self::TimeWait, E::TimeWaitOver) => Self::Closed,
            (Self::TimeWait, _) => return None,
            (_, E::TimedOut) => Self::Closed,
            _ => return None,
        };
        Some(next)
    }

    /// Place of the state in [`State::ALL`], to index an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name by which `netstat` and `ss` of Linux users know the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
        }
    }

    /// The name as RFC 9293 section 3.3.2 writes it.
    #[must_use]
    pub const fn rfc_name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }

    /// Whether both ends know each other's first number, RFC 9293 section 3.3.2.
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        !matches!(
            self,
            Self::Closed | Self::Listen | Self::SynSent | Self::SynReceived
        )
    }

    /// Whether a SEND call is taken and its text goes out now, RFC 9293 section 3.10.2.
    ///
    /// In SYN-SENT and SYN-RECEIVED a SEND is queued until ESTABLISHED; see
    /// [`can_queue_text`](Self::can_queue_text).
    #[must_use]
    pub const fn can_send_text(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait)
    }

    /// Whether a SEND call is taken at all: now, or for when the connection is there.
    #[must_use]
    pub const fn can_queue_text(self) -> bool {
        matches!(self, Self::SynSent | Self::SynReceived) || self.can_send_text()
    }

    /// Whether text that was queued before may be on its way, RFC 9293 section 3.10.8.
    ///
    /// Text queued before a CLOSE is sent, and sent again, after it.
    #[must_use]
    pub const fn can_transmit_text(self) -> bool {
        matches!(self, Self::FinWait1 | Self::Closing | Self::LastAck) || self.can_send_text()
    }

    /// Whether text of the peer is taken, RFC 9293 section 3.10.7.4, seventh.
    #[must_use]
    pub const fn can_receive_text(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether we closed our direction: a FIN is sent or will be after the queued text.
    #[must_use]
    pub const fn is_send_closed(self) -> bool {
        matches!(
            self,
            Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }

    /// Whether the peer's FIN has been taken.
    #[must_use]
    pub const fn is_receive_closed(self) -> bool {
        matches!(
            self,
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }
}

impl Event {
    /// Every event, in the order of the enum.
    pub const ALL: [Self; 13] = [
        Self::PassiveOpen,
        Self::ActiveOpen,
        Self::SynArrived,
        Self::SynAckArrived,
        Self::SynAcked,
        Self::Close,
        Self::FinArrived,
        Self::FinAcked,
        Self::BackToListen,
        Self::ResetArrived,
        Self::Abort,
        Self::TimedOut,
        Self::TimeWaitOver,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use core::fmt::Write as _;

    use super::*;

    /// Every pair of state and event that leads somewhere, as a Graphviz drawing.
    fn drawing() -> String {
        let mut dot = String::from(
            "// RFC 9293 section 3.3.2, figure 5, as `State::on` has it. A test in state.rs compares.\n\
             digraph tcp {\n    rankdir = TB;\n    node [shape = box, fontname = monospace];\n",
        );
        for state in State::ALL {
            writeln!(dot, "    {state};").unwrap();
        }
        let pairs = State::ALL
            .into_iter()
            .flat_map(|state| Event::ALL.map(|event| (state, event)));
        for (state, event) in pairs {
            if let Some(next) = state.on(event) {
                writeln!(dot, "    {state} -> {next} [label = \"{event:?}\"];").unwrap();
            }
        }
        dot.push_str("}\n");
        dot
    }

    /// The state that the events lead to from CLOSED.
    fn after(events: &[Event]) -> Option<State> {
        events
            .iter()
            .try_fold(State::Closed, |state, &event| state.on(event))
    }

    #[test]
    fn every_pair_of_state_and_event_is_as_drawn() {
        let drawing = drawing();
        assert!(
            drawing == include_str!("state.dot"),
            "state.dot is to be:\n{drawing}"
        );
    }

    #[test]
    fn a_state_or_event_is_where_its_number_says() {
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state.index(), index);
        }
        for (index, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, index);
            assert!(
                State::ALL
                    .into_iter()
                    .any(|state| state.on(event).is_some()),
                "{event:?}"
            );
        }
    }

    #[test]
    fn handshakes_lead_to_established() {
        use Event as E;
        let passive = [E::PassiveOpen, E::SynArrived, E::SynAcked];
        let active = [E::ActiveOpen, E::SynAckArrived];
        let simultaneous = [E::ActiveOpen, E::SynArrived, E::SynAcked];
        for events in [&passive[..], &active, &simultaneous] {
            assert_eq!(after(events), Some(State::Established));
        }
    }

    #[test]
    fn closing_leads_to_closed_by_every_way() {
        use Event as E;
        let ways: [(&[Event], State); 4] = [
            (
                &[E::Close, E::FinAcked, E::FinArrived, E::TimeWaitOver],
                State::TimeWait,
            ),
            (
                &[E::Close, E::FinArrived, E::FinAcked, E::TimeWaitOver],
                State::TimeWait,
            ),
            (
                &[
                    E::Close,
                    E::FinAcked,
                    E::FinArrived,
                    E::FinArrived,
                    E::TimeWaitOver,
                ],
                State::TimeWait,
            ),
            (&[E::FinArrived, E::Close, E::FinAcked], State::LastAck),
        ];
        for (events, last) in ways {
            let mut passed = vec![E::ActiveOpen, E::SynAckArrived];
            passed.extend_from_slice(events);
            assert_eq!(after(&passed[..passed.len() - 1]), Some(last));
            assert_eq!(after(&passed), Some(State::Closed));
        }
    }

    #[test]
    fn a_flow_can_be_aborted_in_every_state_but_closed() {
        for state in State::ALL {
            let aborted = (state != State::Closed).then_some(State::Closed);
            assert_eq!(state.on(Event::Abort), aborted);
        }
    }

    #[test]
    fn what_a_state_permits_fits_together() {
        for state in State::ALL {
            assert!(!state.can_send_text() || state.can_queue_text());
            assert!(!state.can_send_text() || state.can_transmit_text());
            assert!(
                !(state.can_send_text() && state.is_send_closed()),
                "{state}"
            );
            assert!(
                !(state.can_receive_text() && state.is_receive_closed()),
                "{state}"
            );
            assert!(state.is_synchronized() || !state.is_send_closed());
            if state.is_synchronized() {
                assert_ne!(
                    state.can_receive_text(),
                    state.is_receive_closed(),
                    "{state}"
                );
                assert_ne!(state.can_send_text(), state.is_send_closed(), "{state}");
            }
        }
        assert_eq!(format!("{:>11}|", State::SynReceived), "   SYN_RECV|");
    }
}
