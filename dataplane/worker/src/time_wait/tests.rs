//! The table against a model, and what a record costs.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use proptest::prelude::*;
use tidegate_tcp::{Context, Memory, MemoryConfig, Segment, SeqNum, Settings, Tcb, TxChecksumMode};
use tidegate_wire::{TcpFlags, TcpOptions};

use super::*;

const OURS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

#[test]
fn a_connection_in_time_wait_costs_64_bytes_everything_counted() {
    for records_max in [1, 1_000, 1_024, 66_000] {
        let table = TimeWaits::new(records_max, 1, OURS.to_vec(), [0; 16]);
        let len = size_of::<Record>() * records_max as usize + size_of_val(&*table.chains);
        assert!(len.div_ceil(records_max as usize) <= 64, "{records_max}");
    }
}

/// What is left of some connection; which it was is nothing to the table.
fn some_time_wait() -> TimeWait {
    let settings = Settings::default();
    let mut memory = Memory::new(MemoryConfig {
        blocks: 1,
        range_sets: 1,
        send_logs: 1,
        bbr_records: 0,
    });
    let mut cx = Context {
        now: Instant::from_secs(1),
        settings: &settings,
        memory: &mut memory,
    };
    let tuple = tuple(0, 1);
    let mut tcb = Tcb::open(tuple, SeqNum::new(0), 1_500, &mut cx);
    let mut out = [0; 1_500];
    for (seq, flags, ack) in [
        (100, TcpFlags::SYN | TcpFlags::ACK, 1),
        (101, TcpFlags::FIN | TcpFlags::ACK, 2),
    ] {
        while tcb
            .poll_transmit(&mut out, TxChecksumMode::Full, &mut cx)
            .is_some()
        {}
        let seg = Segment {
            tuple,
            seq: SeqNum::new(seq),
            ack: SeqNum::new(ack),
            flags,
            wnd: 1_000,
            urgent: 0,
            options: TcpOptions::default(),
            text: &[],
            traffic_class: 0,
        };
        assert!(tcb.on_segment(seg, &mut cx).is_ok());
        tcb.close(&mut cx);
    }
    while tcb
        .poll_transmit(&mut out, TxChecksumMode::Full, &mut cx)
        .is_some()
    {}
    tcb.time_wait(&cx).expect("it is in TIME_WAIT").0
}

fn tuple(own: usize, number: u16) -> FourTuple {
    let remote = match OURS[own] {
        IpAddr::V4(_) => Ipv4Addr::new(198, 51, 100, 7).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 7).into(),
    };
    FourTuple {
        local: OURS[own],
        local_port: 80,
        remote,
        remote_port: 1_000 + number,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { own: usize, number: u16, queue: u16 },
    Remove(u16),
    Restart(u16),
    Recycle,
    Wait(u64),
}

#[expect(clippy::disallowed_types, reason = "inside prop_oneof")]
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2_usize, 0..12_u16, 0..2_u16)
            .prop_map(|(own, number, queue)| Step::Insert { own, number, queue }),
        2 => (0..12_u16).prop_map(Step::Remove),
        2 => (0..12_u16).prop_map(Step::Restart),
        1 => Just(Step::Recycle),
        3 => (0..40_u64).prop_map(Step::Wait),
    ]
}

/// How long the records of each queue wait.
const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(30)];

/// The table, and what it should hold: sockets, queue, end.
struct Both {
    table: TimeWaits,
    model: Vec<(FourTuple, u16, Instant)>,
    now: Instant,
}

impl Both {
    fn step(&mut self, step: &Step, time_wait: TimeWait) {
        match *step {
            Step::Insert { own, number, queue } => {
                let tuple = tuple(own, number);
                // One that was long in coming here ends earlier than those before it.
                let late = Duration::from_millis(number.into());
                let until = self.now + WAITS[usize::from(queue)] - late;
                if self.table.find(&tuple).is_some() {
                    return;
                }
                let has_room = !self.table.is_full();
                let table = &mut self.table;
                let is_in = table.insert(&tuple, time_wait, SettingsId(queue), until);
                assert_eq!(is_in, has_room);
                self.model.extend(is_in.then_some((tuple, queue, until)));
            }
            Step::Remove(number) => {
                for tuple in [tuple(0, number), tuple(1, number)] {
                    let slot = self.table.find(&tuple);
                    let is_known = self.model.iter().any(|record| record.0 == tuple);
                    assert_eq!(slot.is_some(), is_known);
                    slot.into_iter().for_each(|slot| self.table.remove(slot));
                    self.model.retain(|record| record.0 != tuple);
                }
            }
            Step::Restart(number) => self.restart(&tuple(0, number)),
            Step::Recycle => self.recycle(),
            Step::Wait(millis) => {
                self.now += Duration::from_millis(millis);
                while self.table.expire(self.now) {}
                self.model.retain(|record| record.2 > self.now);
            }
        }
    }

    fn restart(&mut self, tuple: &FourTuple) {
        let Some(slot) = self.table.find(tuple) else {
            return;
        };
        let record = self.model.iter_mut().find(|record| record.0 == *tuple);
        let (_, queue, until) = record.expect("both have it");
        *until = self.now + WAITS[usize::from(*queue)];
        self.table.restart(slot, *until);
    }

    fn recycle(&mut self) {
        assert_eq!(self.table.recycle(), !self.model.is_empty());
        let Some(first) = self.first() else {
            return;
        };
        // Where several end at once, either may go.
        let table = &self.table;
        let is_gone = |record: &(FourTuple, u16, Instant)| {
            record.2 == first && table.find(&record.0).is_none()
        };
        let gone = self.model.iter().position(is_gone);
        self.model.remove(gone.expect("one that ends first"));
    }

    /// When the first ends.
    fn first(&self) -> Option<Instant> {
        self.model.iter().map(|record| record.2).min()
    }

    fn compare(&self) {
        assert_eq!(self.table.len() as usize, self.model.len());
        for (tuple, queue, until) in &self.model {
            let slot = self.table.find(tuple).expect("it was entered");
            let (_, settings, seen) = self.table.at(slot, self.now);
            assert_eq!((settings.0, seen), (*queue, *until));
            assert_eq!(self.table.tuple(slot), Some(*tuple));
        }
        let deadline = self.table.next_deadline(self.now);
        assert_eq!(deadline.is_some(), !self.model.is_empty());
        assert!(deadline <= self.first(), "the first end is missed");
    }
}

proptest! {
    #[test]
    fn it_finds_what_waits_and_ends_it_in_time(
        steps in prop::collection::vec(step(), 0..120),
        wraps: bool,
    ) {
        // Also where 32 bits of milliseconds wrap.
        let start = if wraps { (1 << 32) - 60 } else { 1_000 };
        let mut table = TimeWaits::new(6, 1, OURS.to_vec(), [3; 16]);
        table.add_settings();
        let mut both = Both {
            table,
            model: Vec::new(),
            now: Instant::from_millis(start),
        };
        let time_wait = some_time_wait();
        for step in steps {
            both.step(&step, time_wait);
            both.compare();
        }
    }
}

#[test]
fn an_address_that_is_not_ours_finds_no_place() {
    let mut table = TimeWaits::new(6, 1, vec![OURS[0]], [3; 16]);
    let until = Instant::from_secs(1);
    assert!(!table.insert(&tuple(1, 1), some_time_wait(), SettingsId(0), until));
    assert_eq!(table.len(), 0);
}
