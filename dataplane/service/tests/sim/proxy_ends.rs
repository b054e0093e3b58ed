//! The proxy when something ends that should not: resets, silence, and who is gone meanwhile.

use core::time::Duration;

use tidegate_port::{End as LinkEnd, Impairment};
use tidegate_service::PoolSpec;
use tidegate_tcp::End;
use tidegate_worker::{Listen, SynCookies};

use crate::net::{Net, Plan, VERSIONS, Version, backend_at, clean, pool, proxy, rough, service_at};
use crate::peers::{Closes, Pace, Script};

const PORT: u16 = 80;
const IDLE: Duration = Duration::from_secs(60);
const LONG: u64 = 50_000_000;
/// A path on which everything gets lost.
const LOST: Impairment = Impairment {
    loss: 1.0,
    duplication: 0.0,
    corruption: 0.0,
    reordering: 0.0,
    reorder_delay: Duration::ZERO,
    delay: Duration::ZERO,
    jitter: Duration::ZERO,
    bandwidth: None,
    queue_bytes: 0,
};

/// A proxy in front of one backend, with an idle timeout of a minute.
fn net(seed: u64, impairment: Impairment, backend: Script) -> Net {
    let mut pool = pool(&[backend_at(Version::V4, 8_000)]);
    pool.idle_timeout = IDLE;
    Plan::new(seed)
        .service(PORT, proxy(pool))
        .backend(8_000, backend)
        .impaired(impairment)
        .build()
}

fn open(net: &mut Net, script: Script) -> usize {
    net.open(service_at(Version::V4, PORT), script)
}

/// A client and a backend that are joined and say nothing.
fn quiet_pair(seed: u64) -> (Net, usize) {
    let quiet = || Script::silent().closes(Closes::Never);
    let mut net = net(seed, clean(), quiet());
    let client = open(&mut net, quiet());
    net.run_to("they are joined", |net| {
        !net.backends.app().stories.is_empty()
    });
    net.run_for(Duration::from_secs(1));
    (net, client)
}

#[test]
fn the_clients_reset_reaches_the_backend() {
    for seed in 0..8 {
        let impairment = if seed == 0 { clean() } else { rough() };
        let mut net = net(seed, impairment, Script::answer(LONG));
        let client = open(&mut net, Script::pattern(LONG));
        net.run_to("both are busy", |net| net.client(client).heard > 200_000);
        net.as_client(|clients, stack| clients.reset(stack, client));
        net.run_to("the backend hears of it", |net| {
            net.backend(0).end.is_some()
        });
        assert_eq!(net.backend(0).end, Some(End::Reset));
        assert_eq!(net.proxy_counts().pairs, 0);
        net.finish();
    }
}

#[test]
fn the_backends_reset_reaches_the_client() {
    for seed in 0..8 {
        let impairment = if seed == 0 { clean() } else { rough() };
        let mut net = net(seed, impairment, Script::answer(LONG));
        let client = open(&mut net, Script::pattern(LONG));
        net.run_to("both are busy", |net| net.client(client).heard > 200_000);
        net.as_backend(|backends, stack| backends.reset(stack, 0));
        net.run_to("the client hears of it", |net| {
            net.client(client).end.is_some()
        });
        assert_eq!(net.client(client).end, Some(End::Reset));
        net.finish();
    }
}

#[test]
fn a_reset_of_a_quiet_pair_goes_through() {
    let (mut net, client) = quiet_pair(1);
    net.as_client(|clients, stack| clients.reset(stack, client));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.backend(0).end, Some(End::Reset));
    net.finish();

    let (mut net, client) = quiet_pair(2);
    net.as_backend(|backends, stack| backends.reset(stack, 0));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.client(client).end, Some(End::Reset));
    net.finish();
}

#[test]
fn a_reset_after_a_fin_goes_through() {
    let (mut net, client) = quiet_pair(3);
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.run_to("the FIN is through", |net| net.backend(0).is_peer_closed);
    net.as_backend(|backends, stack| backends.reset(stack, 0));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.client(client).end, Some(End::Reset));
    net.finish();

    let (mut net, client) = quiet_pair(4);
    net.as_backend(|backends, stack| backends.set_closes(stack, 0, Closes::AfterSaying));
    net.run_to("the FIN is through", |net| {
        net.client(client).is_peer_closed
    });
    net.as_client(|clients, stack| clients.reset(stack, client));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.backend(0).end, Some(End::Reset));
    net.finish();
}

#[test]
fn a_reset_goes_through_while_the_other_side_does_not_read() {
    let mut net = net(5, clean(), Script::answer(4).pace(Pace::Stopped));
    let client = open(&mut net, Script::pattern(LONG));
    net.run_for(Duration::from_secs(10));
    net.as_client(|clients, stack| clients.reset(stack, client));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.backend(0).end, Some(End::Reset));
    net.finish();
}

#[test]
fn a_client_that_goes_while_a_backend_is_asked_leaves_nothing() {
    let silent = Listen {
        syn_backlog: 0,
        syn_cookies: SynCookies::Off,
        ..Listen::on(8_001)
    };
    for version in VERSIONS {
        let backends = [8_001, 8_000].map(|port| backend_at(version, port));
        let mut net = Plan::new(6)
            .service(PORT, proxy(pool(&backends)))
            .backend(8_000, Script::answer(4))
            .backend_listening(silent, Script::silent())
            .build();
        let client = open(&mut net, Script::pattern(1_000));
        net.run_for(Duration::from_secs(2));
        assert_eq!(net.report().backends[0].1.active, 1);
        net.as_client(|clients, stack| clients.reset(stack, client));
        net.run_for(Duration::from_secs(1));
        assert_eq!(net.services.stack().flows(), 0);
        let report = net.report();
        let (first, second) = (report.backends[0].1, report.backends[1].1);
        assert_eq!((first.opened, first.failed, first.active), (1, 0, 0));
        assert_eq!(second.opened, 0, "nobody is there to be served");
        assert_eq!(net.proxy_counts().unserved, 0);
        net.finish();
    }
}

#[test]
fn silence_resets_both_sides() {
    let (mut net, client) = quiet_pair(7);
    net.run_for(IDLE - Duration::from_secs(2));
    assert_eq!(net.client(client).end, None);
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.client(client).end, Some(End::Reset));
    assert_eq!(net.backend(0).end, Some(End::Reset));
    assert_eq!(net.proxy_counts().idle, 1);
    net.finish();
}

#[test]
fn a_word_in_either_direction_ends_the_silence() {
    let (mut net, client) = quiet_pair(8);
    for _ in 0..5 {
        net.run_for(IDLE - Duration::from_secs(5));
        net.as_client(|clients, stack| clients.say(stack, client, b"x"));
        net.run_for(IDLE - Duration::from_secs(5));
        net.as_backend(|backends, stack| backends.say(stack, 0, b"y"));
    }
    net.run_for(IDLE - Duration::from_secs(1));
    assert_eq!(net.client(client).end, None);
    assert_eq!(net.client(client).text, b"yyyyy");
    assert_eq!(net.backend(0).text, b"xxxxx");
    net.run_for(Duration::from_secs(2));
    assert_eq!(net.client(client).end, Some(End::Reset));
    assert_eq!(net.backend(0).end, Some(End::Reset));
    net.finish();
}

#[test]
fn a_fin_does_not_stop_the_clock() {
    let (mut net, client) = quiet_pair(9);
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.run_for(IDLE + Duration::from_secs(1));
    assert_eq!(net.client(client).end, Some(End::Reset));
    assert_eq!(net.backend(0).end, Some(End::Reset));
    net.finish();
}

/// The whole answer lies in the proxy's send queue, and the backend has gone; the client takes
/// several times the idle timeout to read it.
#[test]
fn a_queue_that_drains_is_not_silence() {
    let backend = Script::answer(3_000_000).closes(Closes::AfterSaying);
    let mut net = net(10, clean(), backend);
    let every = Duration::from_secs(1);
    let pace = Pace::Bites {
        bytes: 10_000,
        every,
    };
    let client = open(&mut net, Script::pattern(4).pace(pace));
    net.run_to("it is over", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete(), "{:?} after {}", story.end, story.heard);
    assert!(story.has_heard_answer(client, 3_000_000));
    net.finish();
}

#[test]
fn a_backend_that_vanishes_costs_the_client_no_more_than_the_timeout() {
    let backend = Script::bytes(b"hello").closes(Closes::Never);
    let mut net = net(11, clean(), backend);
    let client = open(&mut net, Script::silent().closes(Closes::Never));
    net.run_to("it is served", |net| net.client(client).heard == 5);
    net.links[1].set_impairment(LinkEnd::B, LOST);
    net.as_client(|clients, stack| clients.say(stack, client, b"are you there?"));
    net.run_for(IDLE + Duration::from_secs(1));
    assert_eq!(net.client(client).end, Some(End::Reset));
    assert_eq!(net.proxy_counts().pairs, 0);
    // Nobody answers the neighbour requests before our RST to it, so that is given up.
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.services.stack().flows(), 0);
    // It was there all the time, and learns of it when it says something.
    net.links[1].set_impairment(LinkEnd::B, clean());
    net.as_backend(|backends, stack| backends.say(stack, 0, b"yes"));
    net.run_to("it is told", |net| net.backend(0).end.is_some());
    assert_eq!(net.backend(0).end, Some(End::Reset));
    net.finish();
}

/// A peer whose last ACK never comes must not hold the pair for ever: the side that is left has
/// the timer, whichever it is.
#[test]
fn the_side_that_is_left_is_timed_as_well() {
    for client_goes_first in [true, false] {
        let (mut net, client) = quiet_pair(12);
        // Both close; the last segments of one of them get lost.
        if client_goes_first {
            net.as_backend(|backends, stack| backends.set_closes(stack, 0, Closes::AfterSaying));
            net.run_to("half", |net| net.client(client).is_peer_closed);
            net.links[1].set_impairment(LinkEnd::B, LOST);
            net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
        } else {
            net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
            net.run_to("half", |net| net.backend(0).is_peer_closed);
            net.links[0].set_impairment(LinkEnd::A, LOST);
            net.as_backend(|backends, stack| backends.set_closes(stack, 0, Closes::AfterSaying));
        }
        net.run_for(Duration::from_secs(10));
        assert_eq!(net.proxy_counts().pairs, 1, "one side is left");
        net.run_for(2 * IDLE);
        assert_eq!(net.proxy_counts().pairs, 0);
        net.links[0].set_impairment(LinkEnd::A, clean());
        net.links[1].set_impairment(LinkEnd::B, clean());
        net.finish();
    }
}

#[test]
fn a_backend_that_is_killed_takes_only_its_own_clients_along() {
    for seed in 0..5 {
        let backends = [8_000, 8_001, 8_002].map(|port| backend_at(Version::V4, port));
        let pool = PoolSpec {
            // Ends the pairs whose RST from the backend was lost.
            idle_timeout: IDLE,
            ..pool(&backends)
        };
        let mut net = Plan::new(seed)
            .service(PORT, proxy(pool))
            .backend(8_000, Script::answer(2_000_000))
            .backend(8_001, Script::answer(2_000_000).closes(Closes::Never))
            .backend(8_002, Script::answer(2_000_000))
            // A RST is sent once. Were one lost in front, its client would wait for ever, as in
            // any TCP without keep-alive.
            .impaired_behind(rough())
            .build();
        let clients: Vec<usize> = (0..12)
            .map(|_| open(&mut net, Script::pattern(4)))
            .collect();
        net.run_to("all are being served", |net| {
            clients
                .iter()
                .all(|&client| net.client(client).heard > 10_000)
        });
        let own = |net: &Net, role| -> Vec<u32> {
            let stories = net.backends.app().of_role(role);
            stories.filter_map(|story| story.number()).collect()
        };
        let victims = own(&net, 1);
        assert_eq!(victims.len(), 4);
        net.kill_backend(1);
        // Who comes now is served by the others.
        let late: Vec<usize> = (0..6).map(|_| open(&mut net, Script::pattern(4))).collect();
        let all = || clients.iter().chain(&late);
        net.run_to("all are over", |net| {
            all().all(|&client| net.client(client).end.is_some())
        });
        for &client in all() {
            let story = net.client(client);
            if victims.contains(&u32::try_from(client).unwrap()) {
                assert_eq!(story.end, Some(End::Reset), "client {client}");
            } else {
                assert!(story.is_complete(), "client {client}: {:?}", story.end);
                assert!(story.has_heard_answer(client, 2_000_000));
            }
        }
        let counts = net.report().backends[1].1;
        assert!(
            counts.failed > 0 && counts.opened == 4 + counts.failed,
            "{counts:?}"
        );
        net.finish();
    }
}
