//! The life of an entry, and the bounds of the table.

use core::net::Ipv4Addr;

use super::*;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn way(last: u8) -> Way {
    Way {
        port: 0,
        next_hop: Ipv4Addr::new(192, 0, 2, last).into(),
    }
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

/// Lets time pass up to `ms` and answers how many requests went out.
fn pass(table: &mut Neighbours, ms: u64) -> usize {
    while table.expire(at(ms)) {}
    core::iter::from_fn(|| table.take_question()).count()
}

#[test]
fn a_station_is_asked_three_times_and_then_is_lost_for_a_while() {
    let mut table = Neighbours::new(4, [1; 16]);
    let hop = table.enter(way(1), None, at(0)).unwrap();
    assert!(matches!(table.hop(hop), Some(Hop::Asked)));
    let asked: Vec<usize> = (0..=4).map(|s| pass(&mut table, s * 1_005)).collect();
    assert_eq!(asked, [1, 1, 1, 0, 0]);
    assert!(matches!(table.hop(hop), Some(Hop::Lost(_))));
    assert!(table.take_news() && !table.take_news());
    assert_eq!(pass(&mut table, 6_100), 0);
    assert_eq!(table.hop(hop), None);
    assert_eq!(table.len(), 0);
}

#[test]
fn an_answer_is_believed_and_confirmed_while_it_is_used() {
    let mut table = Neighbours::new(4, [1; 16]);
    let hop = table.enter(way(1), Some(7), at(0)).unwrap();
    assert_eq!(pass(&mut table, 0), 1);
    table
        .learn(way(1), (MAC, Some(7)), Lesson::Told, at(10))
        .unwrap();
    let link = Link {
        port: 0,
        mac: MAC,
        vlan: Some(7),
    };
    assert_eq!(table.hop(hop), Some(Hop::Known(link)));
    assert_eq!(pass(&mut table, 30_020), 1, "used, so it is asked again");
    assert_eq!(table.hop(hop), Some(Hop::Known(link)), "and used meanwhile");
    table
        .learn(way(1), (MAC, None), Lesson::Told, at(30_030))
        .unwrap();
    assert_eq!(pass(&mut table, 60_100), 0, "not used, so it is forgotten");
    assert_eq!(table.hop(hop), None);
}

#[test]
fn a_station_that_went_away_is_asked_for_anew() {
    let mut table = Neighbours::new(4, [1; 16]);
    let hop = table.enter(way(1), None, at(0)).unwrap();
    assert_eq!(pass(&mut table, 0), 1);
    table
        .learn(way(1), (MAC, None), Lesson::Told, at(0))
        .unwrap();
    assert!(table.hop(hop).is_some());
    let asked: usize = (30..40).map(|s| pass(&mut table, s * 1_000 + 50)).sum();
    assert_eq!(asked, 3);
    assert_eq!(table.hop(hop), None);
}

#[test]
fn only_who_asks_for_us_is_remembered_unasked() {
    let mut table = Neighbours::new(4, [1; 16]);
    let told = table.learn(way(1), (MAC, None), Lesson::Told, at(0));
    assert_eq!(told, Err(Discard::ArpUnsolicited));
    table
        .learn(way(1), (MAC, None), Lesson::AskedForUs, at(0))
        .unwrap();
    let hop = table.enter(way(1), None, at(0)).unwrap();
    assert!(matches!(table.hop(hop), Some(Hop::Known(link)) if link.mac == MAC));
    table
        .learn(way(1), (OTHER, None), Lesson::ToldSoftly, at(0))
        .unwrap();
    assert!(matches!(table.hop(hop), Some(Hop::Known(link)) if link.mac == MAC));
    table
        .learn(way(1), (OTHER, None), Lesson::Told, at(0))
        .unwrap();
    assert!(matches!(table.hop(hop), Some(Hop::Known(link)) if link.mac == OTHER));
    assert!(table.take_question().is_none());
}

#[test]
fn a_full_table_gives_up_what_is_not_used_and_nothing_else() {
    let mut table = Neighbours::new(2, [1; 16]);
    for last in [1, 2] {
        table
            .learn(way(last), (MAC, None), Lesson::AskedForUs, at(0))
            .unwrap();
    }
    let used = table.enter(way(1), None, at(0)).unwrap();
    assert!(table.hop(used).is_some());
    table.enter(way(3), None, at(0)).unwrap();
    assert!(table.hop(used).is_some(), "the one that is used stays");
    table.enter(way(4), None, at(0)).unwrap();
    assert_eq!(
        table.enter(way(5), None, at(0)),
        Err(Discard::NeighbourTableFull),
        "who is being asked for stays"
    );
    assert_eq!(table.len(), 2);
    table.take_news();
    // Somebody who is there goes before somebody who may not be; who waits for that asks again.
    table
        .learn(way(6), (MAC, None), Lesson::AskedForUs, at(0))
        .unwrap();
    assert_eq!(table.len(), 2);
    assert!(table.take_news());
}
