//! The echo service: everything comes back, in its own time.

use core::time::Duration;

use tidegate_port::Impairment;
use tidegate_service::{Echo, Service};
use tidegate_tcp::End;

use crate::net::{Net, Plan, VERSIONS, Version, clean, rough, service_at};
use crate::peers::{Ear, Pace, Script};

const PORT: u16 = 7;

fn net(seed: u64, impairment: Impairment) -> Net {
    Plan::new(seed)
        .service(PORT, Service::Echo(Echo))
        .impaired(impairment)
        .build()
}

/// Clients that send so many bytes each, close their side, and expect the same back.
fn exchange(mut net: Net, version: Version, lens: impl IntoIterator<Item = u64>) {
    let script = |len| Script::pattern(len);
    let lens: Vec<u64> = lens.into_iter().collect();
    let clients: Vec<usize> = lens
        .iter()
        .map(|&len| net.open(service_at(version, PORT), script(len)))
        .collect();
    net.run_to("all clients are done", |net| {
        clients
            .iter()
            .all(|&client| net.client(client).end.is_some())
    });
    for (&client, &len) in clients.iter().zip(&lens) {
        let story = net.client(client);
        assert!(story.is_complete(), "{story:?}");
        assert_eq!(story.heard, len);
        assert!(len < 4 || story.number() == u32::try_from(client).ok());
    }
    assert_eq!(net.report().accepted, lens.len() as u64);
    net.finish();
}

#[test]
fn every_byte_comes_back_after_the_client_has_closed_its_side() {
    for version in VERSIONS {
        let lens = [0, 1, 3, 4, 1_000, 1_460, 100_000, 3_000_000];
        exchange(net(1, clean()), version, lens);
    }
}

#[test]
fn every_byte_comes_back_over_a_rough_path() {
    for seed in 0..20 {
        let version = if seed % 2 == 0 {
            Version::V4
        } else {
            Version::V6
        };
        let lens = (0..10).map(|number| (seed * 7_919 + number * 12_345) % 60_000);
        exchange(net(seed, rough()), version, lens);
    }
}

#[test]
fn a_client_that_does_not_read_stops_itself() {
    const LEN: u64 = 20_000_000;
    const QUEUE: u32 = 100_000;
    let mut net = Plan::new(2)
        .service(PORT, Service::Echo(Echo))
        .queues(QUEUE)
        .build();
    let script = Script::pattern(LEN).pace(Pace::Stopped);
    let client = net.open(service_at(Version::V4, PORT), script);
    net.run_for(Duration::from_secs(60));
    // What went out is in the client's two queues of 1 MiB and in the service's two.
    let said = net.client(client).said;
    assert!(said < 3_000_000, "{said} bytes were sent to nobody");
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.client(client).said, said, "it still goes on");
    // Each queue may have a block at either end that is not full.
    let peak = net.text_peak();
    assert!(peak <= 2 * QUEUE as usize + 4 * 4_096, "{peak} bytes held");

    net.as_client(|clients, stack| clients.set_pace(stack, client, Pace::All));
    net.run_to("the rest has come", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete() && story.heard == LEN, "{story:?}");
    assert!(net.text_peak() <= 2 * QUEUE as usize + 4 * 4_096);
    net.finish();
}

#[test]
fn a_client_that_resets_takes_nobody_along() {
    let mut net = net(3, clean());
    let at = service_at(Version::V6, PORT);
    let script = || Script::pattern(1_000_000).ear(Ear::Checks);
    let goes = net.open(at, script());
    let stays = net.open(at, script());
    net.run_to("both are busy", |net| {
        net.client(goes).heard > 100_000 && net.client(stays).heard > 100_000
    });
    net.as_client(|clients, stack| clients.reset(stack, goes));
    net.run_to("the other is done", |net| net.client(stays).end.is_some());
    assert_eq!(net.client(goes).end, Some(End::Aborted));
    assert!(net.client(stays).is_complete());
    net.finish();
}
