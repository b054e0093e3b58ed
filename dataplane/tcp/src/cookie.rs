//! SYN cookies: the answer to a SYN for which nothing is kept, RFC 4987 section 3.6.
//!
//! Our initial sequence number is the cookie. It says when it was baked and what segment size the
//! peer announced, and nobody else can bake it; the ACK of our SYN brings it back, and with it a
//! [`Tcb`] is made as if it had been there all the time. A peer with timestamps brings back a
//! second part, in the lower bits of the timestamp that it echoes: window scale, SACK and ECN.
//!
//! ```text
//!   cookie    = mask(tuple) + IRS + (slot mod 2^8 << 24 | (mac(tuple, IRS, slot) + size) mod 2^24)
//!   TSval     = the clock, its lower six bits replaced: | ECN | SACK | scale, 15 for none |
//! ```
//!
//! Both functions are keyed hashes (SipHash-2-4). The number moves on with the peer's own and with
//! time, as that of RFC 6528 does, so an old connection's segments do not fit (RFC 9293 3.4.1).
//! What is lost by a cookie: a segment size between those of the table, without timestamps the
//! options, and the retransmission of the SYN-ACK; and where both the ACK and the first text are
//! lost, what comes next is not known for what it is and gets a RST. When cookies are used is the
//! listener's affair.

use tidegate_wire::{Discard, Instant, TcpFlags, TcpOptions};

use crate::arrive::check_opening;
use crate::iss::{Secrets, hash, low_half};
use crate::open::peer_mss;
use crate::tcb::{Flags, Tcb};
use crate::{Context, FourTuple, Segment, SeqNum};

/// Seconds of a slot of time. A cookie is good in its slot and in the next one, so for one to two
/// minutes: longer than SYN-ACKs of a kept handshake go again. Longer slots leave more time to
/// guess.
const SLOT_S: u64 = 64;

/// Slots in which a cookie is good: its own and the next.
const SLOTS_VALID: u32 = 2;

/// The bits of the sum of MAC and segment size.
const MAC_MASK: u32 = (1 << MAC_BITS) - 1;
/// See [`MAC_MASK`]. The rest is the slot.
const MAC_BITS: u32 = 24;

/// Segment sizes that a cookie can say over IPv4; what the peer announced is rounded down. Most
/// used: Ethernet (1460), PPPoE and tunnels (1440 to 1300), the least that may be assumed (536),
/// jumbo frames. One guess in 2^28 hits, with fewer sizes a few less.
const SIZES_IPV4: [u16; 8] = [48, 536, 1_220, 1_300, 1_400, 1_440, 1_460, 8_960];
/// The same over IPv6, whose header is 20 longer.
const SIZES_IPV6: [u16; 8] = [48, 1_220, 1_280, 1_360, 1_400, 1_420, 1_440, 8_940];

/// The bits of a timestamp that say what was agreed. The clock has the others, so what it tells is
/// at most 64 ms old.
const AGREED_MASK: u32 = (1 << 6) - 1;
/// The peer's window scale, a number of four bits.
const SCALE_MASK: u32 = 0xf;
/// In place of a window scale, which is 14 at most (RFC 7323 2.3).
const NO_SCALE: u32 = 0xf;
/// Both ends permit SACK.
const SACK_BIT: u32 = 1 << 4;
/// Both ends take part in ECN.
const ECN_BIT: u32 = 1 << 5;
/// What a SYN says that asks for ECN (RFC 3168 6.1.1).
const ECN_ASKED: TcpFlags = TcpFlags::ECE.union(TcpFlags::CWR);

impl Secrets {
    /// The cookie of a peer's SYN.
    fn cookie(&self, tuple: &FourTuple, irs: SeqNum, size: u32, now: Instant) -> SeqNum {
        let slot = slot_at(now);
        let sum = self.cookie_mac(tuple, irs, slot).wrapping_add(size);
        let body = slot << MAC_BITS | sum & MAC_MASK;
        SeqNum::new(self.cookie_mask(tuple)) + irs.value() + body
    }

    /// The segment size that `iss` says, as its place in the table, if it is a cookie of ours and
    /// not too old.
    fn check_cookie(
        &self,
        tuple: &FourTuple,
        irs: SeqNum,
        iss: SeqNum,
        now: Instant,
    ) -> Option<u32> {
        let mask = SeqNum::new(self.cookie_mask(tuple)) + irs.value();
        let body = iss.since(mask);
        let present = slot_at(now);
        let age = present.wrapping_sub(body >> MAC_BITS) & (u32::MAX >> MAC_BITS);
        let slot = present.wrapping_sub(age);
        let size = body.wrapping_sub(self.cookie_mac(tuple, irs, slot)) & MAC_MASK;
        (age < SLOTS_VALID && (size as usize) < SIZES_IPV4.len()).then_some(size)
    }

    fn cookie_mask(&self, tuple: &FourTuple) -> u32 {
        low_half(hash(&self.cookie, tuple, &[]))
    }

    fn cookie_mac(&self, tuple: &FourTuple, irs: SeqNum, slot: u32) -> u32 {
        low_half(hash(&self.cookie, tuple, &[irs.value(), slot]))
    }
}

impl Tcb {
    /// [`accept`](Self::accept) for a SYN of which nothing shall be kept: the TCB has a cookie for
    /// its ISS and is to be dropped when it has transmitted its SYN-ACK. It holds no memory.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn accept_by_cookie(
        seg: &Segment<'_>,
        secrets: &Secrets,
        mtu: u32,
        cx: &mut Context<'_>,
    ) -> Result<Self, Discard> {
        check_opening(seg)?;
        let mut seg = *seg;
        let has_timestamps = cx.settings.timestamps && seg.options.timestamps.is_some();
        if !has_timestamps {
            // There would be no place to keep what is agreed, so nothing is.
            seg.options = TcpOptions {
                mss: seg.options.mss,
                ..TcpOptions::default()
            };
            seg.flags.remove(ECN_ASKED);
        }
        let size = place_of_size(&seg.tuple, peer_mss(&seg));
        let iss = secrets.cookie(&seg.tuple, seg.seq, size, cx.now);
        let tcb = Self::accept(&seg, iss, mtu, cx)?.with_ts_offset(secrets.ts_offset(&seg.tuple));
        let clock = tcb.ts_value(cx.now);
        let back = clock.wrapping_sub(baked(clock, tcb.agreed_bits()));
        let ts_offset = tcb.snd.ts_offset.wrapping_sub(back);
        Ok(tcb.with_ts_offset(ts_offset))
    }

    /// The TCB of a segment that brings a cookie back, as the ACK of our SYN or as the first text
    /// after it: in SYN_RECV, its SYN-ACK sent, to be given the same segment, which establishes it.
    ///
    /// # Errors
    ///
    /// The segment has no cookie, or a wrong or an old one. It is to be answered as
    /// [`arrive::listen`](crate::arrive::listen) says.
    pub fn from_cookie(
        seg: &Segment<'_>,
        secrets: &Secrets,
        mtu: u32,
        cx: &mut Context<'_>,
    ) -> Result<Self, Discard> {
        let is_ack = seg.has(TcpFlags::ACK) && !seg.flags.intersects(TcpFlags::SYN | TcpFlags::RST);
        if !is_ack {
            return Err(Discard::TcpAckInListen);
        }
        let (irs, iss) = (seg.seq - 1, seg.ack - 1);
        let size = secrets
            .check_cookie(&seg.tuple, irs, iss, cx.now)
            .ok_or(Discard::TcpCookieWrong)?;
        let timestamps = seg.options.timestamps.filter(|_| cx.settings.timestamps);
        let agreed = timestamps.map_or(NO_SCALE, |timestamps| timestamps.echo & AGREED_MASK);
        let scale = agreed & SCALE_MASK;
        let is_ecn_agreed = agreed & ECN_BIT != 0;
        // The peer's SYN, as far as it can still be told.
        let syn = Segment {
            seq: irs,
            flags: if is_ecn_agreed {
                TcpFlags::SYN | ECN_ASKED
            } else {
                TcpFlags::SYN
            },
            options: TcpOptions {
                mss: Some(sizes(&seg.tuple)[size as usize]),
                wnd_shift: u8::try_from(scale).ok().filter(|_| scale != NO_SCALE),
                sack_permitted: agreed & SACK_BIT != 0,
                timestamps,
                ..TcpOptions::default()
            },
            text: &[],
            ..*seg
        };
        let mut tcb = Self::accept(&syn, iss, mtu, cx)?;
        tcb.on_syn_sent(cx.now);
        // When the SYN-ACK was sent is not known, so there is no round trip to be timed.
        tcb.flags.remove(Flags::TIMED);
        Ok(tcb.with_ts_offset(secrets.ts_offset(&seg.tuple)))
    }

    /// What was agreed, as the lower bits of a timestamp.
    fn agreed_bits(&self) -> u32 {
        let scale = if self.has(Flags::WND_SCALING) {
            u32::from(self.snd.wnd_shift)
        } else {
            NO_SCALE
        };
        let sack = if self.has(Flags::SACK) { SACK_BIT } else { 0 };
        let ecn = if self.has(Flags::ECN) { ECN_BIT } else { 0 };
        scale | sack | ecn
    }
}

/// `clock` with other lower bits, and never ahead of it: the timestamps that follow are not older
/// (RFC 7323 5.3).
const fn baked(clock: u32, bits: u32) -> u32 {
    let value = clock & !AGREED_MASK | bits;
    if clock & AGREED_MASK < bits {
        value.wrapping_sub(AGREED_MASK + 1)
    } else {
        value
    }
}

const fn slot_at(now: Instant) -> u32 {
    low_half(now.as_millis() / 1_000 / SLOT_S)
}

const fn sizes(tuple: &FourTuple) -> &'static [u16; 8] {
    if tuple.local.is_ipv4() {
        &SIZES_IPV4
    } else {
        &SIZES_IPV6
    }
}

/// The place of the largest size that is not above `mss`; the first is below all there are.
fn place_of_size(tuple: &FourTuple, mss: u16) -> u32 {
    let place = sizes(tuple).iter().rposition(|size| *size <= mss);
    u32::try_from(place.unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
