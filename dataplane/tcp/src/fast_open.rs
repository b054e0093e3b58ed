//! Fast Open: text on the SYN of a client that has been here before, RFC 7413.
//!
//! A server gives each client address a cookie that only it can make; a client that brings one back
//! is believed to be where it says, so the text on its SYN may be taken before the handshake is
//! done. A server that does so has a whole [`Tcb`] in SYN-RECEIVED. A client sends the option and
//! the text on its first SYN alone: what goes again is an ordinary SYN, so whatever on the way
//! dislikes either costs one timeout (section 4.1.3 and 7.1). Who may, and what is remembered of
//! whom, is the caller's affair.
//!
//! Our text waits for the ACK of the SYN-ACK, as without Fast Open.

use core::hash::Hasher as _;
use core::net::IpAddr;

use siphasher::sip::SipHasher24;
use tidegate_wire::{Discard, FastOpen, TcpFlags};

use crate::memory::Memory;
use crate::open::{MSS_DEFAULT_IPV4, MSS_DEFAULT_IPV6};
use crate::state::State;
use crate::tcb::{Flags, Owes, Tcb};
use crate::transmit::TxChecksumMode;
use crate::{Arrival, Context, FourTuple, Segment, SeqNum};

/// The keys of a server's cookies: the present one, and the one before, whose cookies are still
/// good (RFC 7413 4.1.2).
#[derive(Clone)]
pub struct FastOpenKeys {
    present: [u8; 16],
    before: Option<[u8; 16]>,
}

/// Says that it is there, not what it is.
impl core::fmt::Debug for FastOpenKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FastOpenKeys").finish_non_exhaustive()
    }
}

/// What a cookie that was brought back is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// It is of the present key.
    Fresh,
    /// It is of the key before: good, and to be replaced.
    Old,
    /// It is none of ours.
    Wrong,
}

impl FastOpenKeys {
    /// With a first key out of a cryptographically secure generator.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self {
            present: key,
            before: None,
        }
    }

    /// From now on cookies are made with `key`. Those of the key before this one are good until the
    /// next rotation, older ones no longer.
    pub const fn rotate(&mut self, key: [u8; 16]) {
        self.before = Some(self.present);
        self.present = key;
    }

    /// The cookie of the client of `tuple`: one for its address and ours, 8 octets.
    #[must_use]
    pub fn cookie(&self, tuple: &FourTuple) -> FastOpen {
        bake(&self.present, tuple)
    }

    /// What a cookie is worth that the client of `tuple` has brought.
    #[must_use]
    pub fn check(&self, tuple: &FourTuple, brought: &FastOpen) -> Brought {
        let is_of = |key: &[u8; 16]| bake(key, tuple) == *brought;
        if is_of(&self.present) {
            Brought::Fresh
        } else if self.before.as_ref().is_some_and(is_of) {
            Brought::Old
        } else {
            Brought::Wrong
        }
    }
}

fn bake(key: &[u8; 16], tuple: &FourTuple) -> FastOpen {
    let mut hasher = SipHasher24::new_with_key(key);
    for address in [tuple.remote, tuple.local] {
        match address {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
    }
    FastOpen::new(&hasher.finish().to_be_bytes()).unwrap_or(FastOpen::REQUEST)
}

impl Tcb {
    /// [`accept`](Self::accept) for a SYN whose cookie is good, with its text (RFC 7413 4.2.2): to
    /// be given to the user at once, as any [`Arrival`]. The SYN-ACK acknowledges it.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn accept_fast_open<'t>(
        seg: &Segment<'t>,
        iss: SeqNum,
        mtu: u32,
        cx: &mut Context<'_>,
    ) -> Result<(Self, Arrival<'t>), Discard> {
        let mut tcb = Self::accept(seg, iss, mtu, cx)?;
        let rest = Segment {
            seq: seg.seq + 1,
            // A FIN comes again when its turn has come.
            flags: seg.flags - TcpFlags::SYN - TcpFlags::FIN,
            ..*seg
        };
        let rest = tcb.within_window(rest);
        tcb.owes.remove(Owes::ACK);
        tcb.advance(rest.text_len());
        let arrival = Arrival {
            text: rest.text,
            ..Arrival::default()
        };
        Ok((tcb, arrival))
    }

    /// The same TCB of an active open, whose first SYN shall ask for Fast Open.
    #[must_use]
    pub fn with_fast_open(mut self) -> Self {
        self.flags.insert(Flags::FAST_OPEN);
        self
    }

    /// Whether [`poll_syn`](Self::poll_syn) is to be called next, instead of
    /// [`poll_transmit`](Self::poll_transmit).
    #[must_use]
    pub fn wants_fast_open(&self) -> bool {
        self.has(Flags::FAST_OPEN) && self.state == State::SynSent && self.snd.nxt == self.snd.iss
    }

    /// Whether the first SYN asked for Fast Open.
    #[must_use]
    pub const fn has_asked_fast_open(&self) -> bool {
        self.has(Flags::FAST_OPEN)
    }

    /// [`poll_transmit`](Self::poll_transmit) for a first SYN or SYN-ACK with a Fast Open option. A
    /// SYN that brings a cookie takes queued text along, as much as fits a segment of the default
    /// size (RFC 7413 4.2.1; the peer's own is not known yet).
    pub fn poll_syn(
        &mut self,
        fast_open: Option<FastOpen>,
        out: &mut [u8],
        checksum: TxChecksumMode,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let is_bringing = fast_open.is_some_and(|option| !option.is_request());
        let text_len = if is_bringing && self.wants_fast_open() {
            self.snd.queue.len().min(self.syn_text_max())
        } else {
            0
        };
        self.transmit_syn((fast_open, text_len), out, checksum, cx)
    }

    /// Text that a SYN has room for, with 40 octets of options.
    fn syn_text_max(&self) -> u32 {
        let default = if self.tuple.local.is_ipv4() {
            MSS_DEFAULT_IPV4
        } else {
            MSS_DEFAULT_IPV6
        };
        u32::from(self.snd.mss.min(default)).saturating_sub(40)
    }

    /// The handshake is complete: what of the text on our SYN has arrived, and what goes again (RFC
    /// 7413 4.2.1). That it was not taken is no congestion.
    pub(crate) fn take_ack_of_syn_text(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) {
        if self.snd.nxt == self.snd.una {
            return;
        }
        let acked = seg.ack.since(self.snd.una);
        self.drop_acked(acked, cx.memory);
        if self.snd.nxt != self.snd.una {
            self.go_back_unharmed(cx.memory);
        }
    }

    fn drop_acked(&mut self, acked: u32, memory: &mut Memory) {
        self.snd.queue.drop_front(memory, acked);
        self.snd.una += acked;
        self.recovery.restart(self.snd.una);
        self.snd.small = self.snd.una;
    }
}
