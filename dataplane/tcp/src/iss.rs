//! Initial sequence numbers and timestamp offsets that outsiders cannot compute, RFC 6528.
//!
//! RFC 9293 section 3.4.1: the number is a clock of 4-microsecond ticks plus a keyed hash of the
//! four-tuple (SipHash-2-4). The secret is drawn once a start and given to us; nothing here draws
//! random numbers.

use core::fmt;
use core::hash::Hasher;
use core::net::IpAddr;

use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128 as _, SipHasher24 as SipHasher128};
use tidegate_wire::Instant;

use crate::seq::SeqNum;
use crate::tuple::FourTuple;

/// Microseconds in one tick of the clock in RFC 9293 section 3.4.1.
const TICK_US: u64 = 4;

/// Longest form of a tuple to hash: version, two IPv6 addresses, two ports.
const TUPLE_LEN_MAX: usize = 1 + 16 + 16 + 2 + 2;

/// The secrets of one start: whoever knows them can predict our sequence numbers.
#[derive(Clone)]
pub struct Secrets {
    iss: [u8; 16],
    ts_offset: [u8; 16],
    /// For `cookie`.
    pub(crate) cookie: [u8; 16],
}

impl Secrets {
    /// Secrets from 32 bytes out of a cryptographically secure generator.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let (mut iss, mut ts_offset) = ([0; 16], [0; 16]);
        iss.copy_from_slice(&bytes[..16]);
        ts_offset.copy_from_slice(&bytes[16..]);
        let mut cookie = SipHasher128::new_with_key(&iss);
        cookie.write(&ts_offset);
        Self {
            iss,
            ts_offset,
            cookie: cookie.finish128().as_bytes(),
        }
    }

    /// The initial send sequence number of a connection that is opened at `now`.
    #[must_use]
    pub fn iss(&self, tuple: &FourTuple, now: Instant) -> SeqNum {
        // RFC 9293 3.4.1, MUST-8, SHLD-1: M, which grows by one every 4 us, plus F.
        let clock = low_half(now.as_micros() / TICK_US);
        SeqNum::new(low_half(hash(&self.iss, tuple, &[]))) + clock
    }

    /// What is added to the timestamp clock of a connection, RFC 7323 section 7.1.
    ///
    /// The same tuple has the same offset until the next start, so that a new incarnation's
    /// timestamps go on where those of the old one ended (RFC 6191 counts on that).
    #[must_use]
    pub fn ts_offset(&self, tuple: &FourTuple) -> u32 {
        low_half(hash(&self.ts_offset, tuple, &[]))
    }
}

/// Says that it is there, not what it is (RFC 9293 3.4.1, MUST-9).
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

/// The function F of RFC 6528: a keyed hash of the tuple, and of `more` where it is for more.
pub(crate) fn hash(key: &[u8; 16], tuple: &FourTuple, more: &[u32]) -> u64 {
    // The version byte keeps an IPv4 tuple apart from an IPv6 one of the same bytes.
    let mut bytes = arrayvec::ArrayVec::<u8, TUPLE_LEN_MAX>::new();
    bytes.push(if tuple.local.is_ipv4() { 4 } else { 6 });
    for address in [tuple.local, tuple.remote] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend(tuple.local_port.to_be_bytes());
    bytes.extend(tuple.remote_port.to_be_bytes());
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(&bytes);
    for word in more {
        hasher.write(&word.to_be_bytes());
    }
    hasher.finish()
}

/// The lower 32 bits; sequence numbers and timestamps wrap there.
#[expect(clippy::cast_possible_truncation, reason = "the wrap at 2^32 is meant")]
pub(crate) const fn low_half(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};
    use core::time::Duration;
    use std::collections::HashSet;

    use super::*;

    fn secrets(fill: u8) -> Secrets {
        Secrets::from_bytes(core::array::from_fn(|i| {
            fill.wrapping_add(u8::try_from(i).unwrap())
        }))
    }

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 80,
            remote: Ipv4Addr::new(198, 51, 100, 7).into(),
            remote_port,
        }
    }

    #[test]
    fn the_clock_ticks_every_four_microseconds_and_wraps() {
        let (secrets, tuple) = (secrets(1), tuple(40_000));
        let start = Instant::from_secs(86_400);
        let first = secrets.iss(&tuple, start);
        assert_eq!(secrets.iss(&tuple, start + Duration::from_micros(3)), first);
        assert_eq!(
            secrets.iss(&tuple, start + Duration::from_micros(4)),
            first + 1
        );
        assert_eq!(
            secrets.iss(&tuple, start + Duration::from_secs(1)),
            first + 250_000
        );
        let round = Duration::from_micros(TICK_US << 32);
        assert_eq!(secrets.iss(&tuple, start + round), first);
    }

    #[test]
    fn the_same_secret_gives_the_same_numbers_another_does_not() {
        let now = Instant::from_secs(5);
        let (tuple, one, other) = (tuple(1), secrets(1), secrets(2));
        assert_eq!(one.iss(&tuple, now), secrets(1).iss(&tuple, now));
        assert_ne!(one.iss(&tuple, now), other.iss(&tuple, now));
        assert_eq!(one.ts_offset(&tuple), secrets(1).ts_offset(&tuple));
        assert_ne!(one.ts_offset(&tuple), other.ts_offset(&tuple));
        assert_ne!(
            one.ts_offset(&tuple),
            one.iss(&tuple, Instant::ZERO).value()
        );
    }

    #[test]
    fn numbers_of_different_tuples_are_unrelated() {
        let secrets = secrets(9);
        let ports = 1..=4_096_u16;
        let numbers: Vec<u32> = ports
            .map(|port| secrets.iss(&tuple(port), Instant::ZERO).value())
            .collect();
        let distinct: HashSet<u32> = numbers.iter().copied().collect();
        assert!(
            distinct.len() >= 4_094,
            "two collisions at most are plausible"
        );
        // Each bit is set in about half of them; 6 standard deviations are 6 * sqrt(4096) / 2.
        for bit in 0..32 {
            let set = numbers
                .iter()
                .filter(|&&number| number >> bit & 1 == 1)
                .count();
            assert!(
                (2_048 - 192..=2_048 + 192).contains(&set),
                "bit {bit} set {set} times"
            );
        }
    }

    #[test]
    fn every_part_of_the_tuple_counts() {
        let secrets = secrets(3);
        let base = tuple(1_000);
        let v6 = FourTuple {
            local: Ipv6Addr::LOCALHOST.into(),
            remote: Ipv6Addr::LOCALHOST.into(),
            ..base
        };
        let tuples = [
            base,
            v6,
            base.reversed(),
            FourTuple {
                local: Ipv4Addr::new(192, 0, 2, 2).into(),
                ..base
            },
            FourTuple {
                remote: Ipv4Addr::new(198, 51, 100, 8).into(),
                ..base
            },
            FourTuple {
                local_port: 81,
                ..base
            },
            FourTuple {
                remote_port: 1_001,
                ..base
            },
        ];
        let offsets: HashSet<u32> = tuples.iter().map(|t| secrets.ts_offset(t)).collect();
        assert_eq!(offsets.len(), tuples.len());
    }

    #[test]
    fn debug_keeps_the_secret() {
        assert_eq!(
            format!("{:?}", Secrets::from_bytes([0xab; 32])),
            "Secrets { .. }"
        );
    }
}
