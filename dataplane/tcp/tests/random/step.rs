//! What may happen to a TCB, and the ways into its states.

use tidegate_wire::TcpFlags;

/// Something that happens to a TCB. Sequence numbers are near what the TCB expects, most of the
/// time: what is far off is answered by the first check.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Segment {
        flags: u8,
        seq: i32,
        ack: i32,
        wnd: u16,
        len: u16,
        urgent: u16,
        options: Options,
    },
    Send(u16),
    Read(u8),
    Pause(bool),
    SendUrgent(u8),
    Shutdown,
    ShutdownRead,
    Close,
    Abort,
    Icmp {
        kind: u8,
        seq: i32,
    },
    Wait(u32),
    Transmit,
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) has_timestamps: bool,
    pub(crate) ts_value: i8,
    pub(crate) sack: Vec<(i16, u16)>,
}

/// Ways there are.
pub(crate) const WAYS: u8 = 11;

/// Steps that lead to a state, from SYN_SENT or SYN_RECV.
pub(crate) fn way_to(state: u8, is_active: bool) -> Vec<Step> {
    let options = Options {
        has_timestamps: true,
        ts_value: 0,
        sack: Vec::new(),
    };
    let segment = |flags: TcpFlags, seq, ack| Step::Segment {
        flags: flags.bits(),
        seq,
        ack,
        wnd: 60_000,
        len: 0,
        urgent: 1_460,
        options: options.clone(),
    };
    let (ack, fin) = (
        segment(TcpFlags::ACK, 0, 0),
        segment(TcpFlags::ACK | TcpFlags::FIN, 0, 0),
    );
    // The number of our FIN is one beyond the text.
    let (ack_of_fin, fin_and_ack) = (
        segment(TcpFlags::ACK, 0, 1),
        segment(TcpFlags::ACK | TcpFlags::FIN, 0, 1),
    );
    // Who opened waits for a SYN-ACK, who was opened to for the last ACK.
    let last = if is_active {
        segment(TcpFlags::SYN | TcpFlags::ACK, -1, 0)
    } else {
        ack.clone()
    };
    let established = vec![Step::Transmit, last, Step::Transmit];
    let more = match state {
        0 => return vec![Step::Transmit],
        1 => vec![],
        2 => vec![Step::Shutdown, Step::Transmit],
        3 => vec![Step::Send(4_000), Step::Close, Step::Transmit],
        4 => vec![fin, Step::Transmit],
        5 => vec![fin, Step::Transmit, Step::Close, Step::Transmit],
        6 => vec![Step::Send(60_000), Step::Transmit],
        7 => vec![Step::Shutdown, Step::Transmit, ack_of_fin],
        8 => vec![Step::Shutdown, Step::Transmit, fin],
        9 => vec![Step::Shutdown, Step::Transmit, fin_and_ack, Step::Transmit],
        _ => vec![Step::Pause(true), Step::Send(60_000), Step::Transmit, ack],
    };
    [established, more].concat()
}
