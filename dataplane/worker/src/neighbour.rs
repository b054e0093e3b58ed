//! Neighbours: the stations on our links, found by ARP (RFC 826) and neighbour discovery (RFC 4861).
//!
//! One table of fixed size for all ports and both versions. An entry is made when something is to
//! be sent to a station, or when the station asks for one of our addresses:
//!
//! ```text
//!            to be sent to           answer
//!   (none) ---------------> Asking ----------> Known <----+
//!      \                      |                  | 30 s   | answer
//!       \  asked for us       | 3 requests,      v        |
//!        +----------> Known   | 1 s apart     Confirming -+
//!                             v                  | 3 requests, 1 s apart
//!                           Lost --- 3 s ----> (none)
//! ```
//!
//! A known entry that nothing used for 30 s is forgotten. While a station is asked for, nothing is
//! written to it: the flows that want to are parked by the transmit stage, however many they are,
//! and go on when there is news. So no frame is held for it and no segment is lost, as in a queue
//! of datagrams (RFC 4861 7.2.2). When the station does not answer, the segments of these flows
//! count as undeliverable, so that an open fails in seconds; for three more seconds everything to
//! it fails at once. Frames are not written here: the turn asks what is to be sent.
//!
//! It does not keep RFC 4861's finer states (DELAY before PROBE) and takes no hints from TCP.

use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use tidegate_wire::{Discard, Instant, MacAddr};

use crate::queue::IndexQueue;
use crate::route::Way;
use crate::table::write_address;
use crate::wheel::Wheel;

/// Requests before a station counts as lost (RFC 4861 10, MAX_MULTICAST_SOLICIT).
const TRIES: u8 = 3;
/// Time between requests (RFC 4861 10, RETRANS_TIMER).
const RETRANSMIT: Duration = Duration::from_secs(1);
/// How long an answer is believed (RFC 4861 10, REACHABLE_TIME).
const REACHABLE: Duration = Duration::from_secs(30);
/// How long a lost station is not asked for again. Longer saves requests to a dead router's
/// address, shorter finds a station sooner that came up without announcing itself.
const LOST: Duration = Duration::from_secs(3);
/// Entries that are looked at for one that can be given up when the table is full.
const EVICTION_LOOKS: u32 = 16;

/// Where a flow's next hop stands in the table. It may have been forgotten meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HopId {
    index: u32,
    generation: u32,
}

impl HopId {
    /// No entry.
    pub(crate) const NONE: Self = Self {
        index: u32::MAX,
        generation: 0,
    };
}

/// What is known of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Being asked for; its MAC address is not known.
    Asking,
    /// Answered not long ago.
    Known,
    /// Known, and asked again whether it is still there.
    Confirming,
    /// Did not answer.
    Lost,
}

/// Where frames to a station go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) port: u16,
    pub(crate) mac: MacAddr,
    pub(crate) vlan: Option<u16>,
}

/// What the way to a station is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// Frames can go.
    Known(Link),
    /// The station is being asked for; whoever wants to send has to wait.
    Asked,
    /// The station does not answer; the MAC address in here is none.
    Lost(Link),
}

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) port: u16,
    pub(crate) address: IpAddr,
    pub(crate) vlan: Option<u16>,
    /// The station itself is asked, not everybody.
    pub(crate) unicast: Option<MacAddr>,
}

/// What a station said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// It asked for us, so it wants to talk.
    AskedForUs,
    /// It answered, or told everybody. Whom we do not know already is not remembered.
    Told,
    /// It told, and asks us not to replace what we know by it (RFC 4861 7.2.5).
    ToldSoftly,
    /// It said nothing of the kind, but a frame of it came from there.
    Seen,
}

#[derive(Debug)]
struct Neighbour {
    port: u16,
    address: IpAddr,
    mac: MacAddr,
    vlan: Option<u16>,
    standing: Standing,
    tries: u8,
    /// Something was sent to it since it was last confirmed.
    is_used: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    neighbour: Option<Neighbour>,
}

/// The neighbour table of a worker.
#[derive(Debug)]
pub(crate) struct Neighbours {
    slots: Vec<Slot>,
    table: HashTable<u32>,
    key: [u8; 16],
    free: Vec<u32>,
    wheel: Wheel,
    /// Entries whose request is to be sent.
    questions: IndexQueue,
    /// A station that was asked for has answered or was given up.
    has_news: bool,
    /// Where the search for an entry to give up goes on.
    hand: u32,
}

impl Neighbours {
    /// An empty table for `neighbours_max` stations.
    pub(crate) fn new(neighbours_max: u32, key: [u8; 16]) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(neighbours_max as usize, Slot::default);
        Self {
            slots,
            table: HashTable::with_capacity(neighbours_max as usize * 2),
            key,
            free: (0..neighbours_max).rev().collect(),
            wheel: Wheel::new(neighbours_max),
            questions: IndexQueue::new(neighbours_max),
            has_news: false,
            hand: 0,
        }
    }

    /// Stations in the table.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.table.len()).expect("made from a 32-bit count")
    }

    /// The entry of the station that `way` leads to; a new one is asked for, in `vlan`.
    pub(crate) fn enter(
        &mut self,
        way: Way,
        vlan: Option<u16>,
        now: Instant,
    ) -> Result<HopId, Discard> {
        let index = match self.find(way.port, way.next_hop) {
            Some(index) => index,
            None => {
                let index = self.insert(way, vlan, None)?;
                self.ask(index, now);
                index
            }
        };
        Ok(HopId {
            index,
            generation: self.slots[index as usize].generation,
        })
    }

    /// Where a station is known to live. To be asked so does not keep it in the table.
    pub(crate) fn known(&self, way: Way) -> Option<Link> {
        let index = self.find(way.port, way.next_hop)?;
        let neighbour = self.slots[index as usize].neighbour.as_ref()?;
        let is_known = matches!(neighbour.standing, Standing::Known | Standing::Confirming);
        is_known.then_some(Link {
            port: neighbour.port,
            mac: neighbour.mac,
            vlan: neighbour.vlan,
        })
    }

    /// What the entry is good for; `None` where it was forgotten.
    pub(crate) fn hop(&mut self, id: HopId) -> Option<Hop> {
        let slot = self.slots.get_mut(id.index as usize)?;
        let neighbour = slot
            .neighbour
            .as_mut()
            .filter(|_| slot.generation == id.generation)?;
        neighbour.is_used = true;
        let link = Link {
            port: neighbour.port,
            mac: neighbour.mac,
            vlan: neighbour.vlan,
        };
        Some(match neighbour.standing {
            Standing::Known | Standing::Confirming => Hop::Known(link),
            Standing::Asking => Hop::Asked,
            Standing::Lost => Hop::Lost(link),
        })
    }

    /// A station has said where it lives.
    pub(crate) fn learn(
        &mut self,
        way: Way,
        (mac, vlan): (MacAddr, Option<u16>),
        lesson: Lesson,
        now: Instant,
    ) -> Result<(), Discard> {
        let index = match (self.find(way.port, way.next_hop), lesson) {
            (Some(index), _) => index,
            (None, Lesson::AskedForUs | Lesson::Seen) => self.insert(way, vlan, Some(lesson))?,
            (None, Lesson::Told | Lesson::ToldSoftly) => {
                return Err(match way.next_hop {
                    IpAddr::V4(_) => Discard::ArpUnsolicited,
                    IpAddr::V6(_) => Discard::NdpUnsolicited,
                });
            }
        };
        let neighbour = self.slots[index as usize]
            .neighbour
            .as_mut()
            .expect("an index in the table is that of an entry");
        let is_known = matches!(neighbour.standing, Standing::Known | Standing::Confirming);
        let is_weak = matches!(lesson, Lesson::ToldSoftly | Lesson::Seen);
        if is_weak && is_known && neighbour.mac != mac {
            return Ok(());
        }
        neighbour.mac = mac;
        neighbour.vlan = vlan;
        neighbour.standing = Standing::Known;
        neighbour.tries = 0;
        neighbour.is_used = false;
        self.has_news |= !is_known;
        self.questions.remove(index);
        self.wheel.arm(index, Some(now + REACHABLE));
        Ok(())
    }

    /// A flow gets no answers: the station is asked whether it is still there.
    pub(crate) fn doubt(&mut self, id: HopId, now: Instant) {
        let Some(slot) = self.slots.get_mut(id.index as usize) else {
            return;
        };
        let is_same = slot.generation == id.generation;
        if let Some(neighbour) = slot.neighbour.as_mut().filter(|_| is_same)
            && neighbour.standing == Standing::Known
        {
            neighbour.standing = Standing::Confirming;
            self.ask(id.index, now);
        }
    }

    /// Carries out one timer that is due; answers whether there was one.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let Some(index) = self.wheel.poll_expired(now) else {
            return false;
        };
        let Some(neighbour) = &mut self.slots[index as usize].neighbour else {
            return true;
        };
        match neighbour.standing {
            Standing::Known if neighbour.is_used => {
                neighbour.standing = Standing::Confirming;
                neighbour.is_used = false;
                self.ask(index, now);
            }
            Standing::Asking | Standing::Confirming if neighbour.tries < TRIES => {
                self.ask(index, now);
            }
            Standing::Asking => {
                neighbour.standing = Standing::Lost;
                self.has_news = true;
                self.questions.remove(index);
                self.wheel.arm(index, Some(now + LOST));
            }
            // Nobody needs it, or it has gone: the next datagram asks everybody for it.
            Standing::Known | Standing::Confirming | Standing::Lost => self.forget(index),
        }
        true
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// Whether something is to be sent or told.
    pub(crate) const fn has_work(&self) -> bool {
        !self.questions.is_empty() || self.has_news
    }

    /// A request that is to be sent.
    pub(crate) fn take_question(&mut self) -> Option<Question> {
        let index = self.questions.pop()?;
        let neighbour = self.slots[index as usize].neighbour.as_ref()?;
        let is_confirming = neighbour.standing == Standing::Confirming;
        Some(Question {
            port: neighbour.port,
            address: neighbour.address,
            vlan: neighbour.vlan,
            unicast: is_confirming.then_some(neighbour.mac),
        })
    }

    /// Whether there is news for those who wait for a station; it is told once.
    pub(crate) const fn take_news(&mut self) -> bool {
        core::mem::replace(&mut self.has_news, false)
    }

    fn find(&self, port: u16, address: IpAddr) -> Option<u32> {
        let is_it = |index: &u32| {
            self.slots[*index as usize]
                .neighbour
                .as_ref()
                .is_some_and(|other| other.port == port && other.address == address)
        };
        self.table
            .find(hash(&self.key, port, address), is_it)
            .copied()
    }

    /// A new entry, being asked for but not asked yet. `lesson` is why it is made, if the station
    /// itself is the reason.
    fn insert(
        &mut self,
        way: Way,
        vlan: Option<u16>,
        lesson: Option<Lesson>,
    ) -> Result<u32, Discard> {
        if self.free.is_empty() {
            self.evict(lesson);
        }
        let index = self.free.pop().ok_or(Discard::NeighbourTableFull)?;
        self.slots[index as usize].neighbour = Some(Neighbour {
            port: way.port,
            address: way.next_hop,
            mac: MacAddr::ZERO,
            vlan,
            standing: Standing::Asking,
            tries: 0,
            is_used: false,
        });
        let (slots, key) = (&self.slots, &self.key);
        let hash_of = |index: &u32| {
            slots[*index as usize]
                .neighbour
                .as_ref()
                .map_or(0, |other| hash(key, other.port, other.address))
        };
        self.table.insert_unique(hash_of(&index), index, hash_of);
        Ok(index)
    }

    /// Sends a request, and another one later.
    fn ask(&mut self, index: u32, now: Instant) {
        if let Some(neighbour) = &mut self.slots[index as usize].neighbour {
            neighbour.tries += 1;
            self.questions.push(index);
            self.wheel.arm(index, Some(now + RETRANSMIT));
        }
    }

    /// Gives up an entry that nobody has used of late, if one is found soon. Where somebody who is
    /// there needs the place, that may be the entry of somebody who has not answered yet.
    fn evict(&mut self, lesson: Option<Lesson>) {
        let count = u32::try_from(self.slots.len()).expect("made from a 32-bit count");
        let mut asked = None;
        for _ in 0..EVICTION_LOOKS.min(count * 2) {
            let index = self.hand;
            self.hand = (self.hand + 1) % count;
            let Some(neighbour) = &mut self.slots[index as usize].neighbour else {
                continue;
            };
            match neighbour.standing {
                Standing::Asking => asked = Some(index),
                Standing::Confirming => {}
                // Who was used gets a second chance.
                Standing::Known | Standing::Lost if core::mem::take(&mut neighbour.is_used) => {}
                Standing::Known | Standing::Lost => {
                    self.forget(index);
                    return;
                }
            }
        }
        if let (Some(index), Some(_)) = (asked, lesson) {
            self.forget(index);
        }
    }

    /// Takes an entry out of the table.
    fn forget(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(neighbour) = slot.neighbour.take() else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        // Whoever waits for it has to ask anew.
        self.has_news |= neighbour.standing == Standing::Asking;
        let hash = hash(&self.key, neighbour.port, neighbour.address);
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
        self.wheel.arm(index, None);
        self.questions.remove(index);
        self.free.push(index);
    }
}

fn hash(key: &[u8; 16], port: u16, address: IpAddr) -> u64 {
    use core::hash::Hasher as _;

    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write_u16(port);
    write_address(&mut hasher, address);
    hasher.finish()
}

#[cfg(test)]
mod tests;
