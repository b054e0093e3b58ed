//! The proxy as a carrier: every byte once and in order, both ways, and the ends of both ways.

use core::time::Duration;

use tidegate_port::Impairment;
use tidegate_worker::{Listen, SynCookies};

use crate::net::{Net, Plan, VERSIONS, Version, backend_at, clean, pool, proxy, rough, service_at};
use crate::peers::{Closes, Script};

const PORT: u16 = 80;
const MEGABYTE: u64 = 1_000_000;

/// A proxy in front of one backend.
fn net(seed: u64, impairment: Impairment, version: Version, backend: Script) -> Net {
    Plan::new(seed)
        .service(PORT, proxy(pool(&[backend_at(version, 8_000)])))
        .backend(8_000, backend)
        .impaired(impairment)
        .build()
}

/// A listener that never answers: no flow may be half-open at it.
fn silent() -> Listen {
    Listen {
        syn_backlog: 0,
        syn_cookies: SynCookies::Off,
        ..Listen::on(8_001)
    }
}

/// A client says a megabyte and closes; the backend answers by another.
fn megabyte_each_way(mut net: Net, version: Version) {
    let client = net.open(service_at(version, PORT), Script::pattern(MEGABYTE));
    net.run_to("the client is done", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete(), "{story:?}");
    assert!(story.has_heard_answer(client, MEGABYTE), "{story:?}");
    assert_eq!(net.backend(0).heard, MEGABYTE);
    let counts = net.report().backends[0].1;
    assert_eq!((counts.text_to, counts.text_from), (MEGABYTE, MEGABYTE));
    net.run_to("the backend is done", |net| net.backend(0).is_complete());
    net.finish();
}

#[test]
fn a_megabyte_goes_each_way_between_any_versions() {
    for front in VERSIONS {
        for back in VERSIONS {
            megabyte_each_way(net(1, clean(), back, Script::answer(MEGABYTE)), front);
        }
    }
}

#[test]
fn a_megabyte_goes_each_way_over_rough_paths() {
    for seed in 0..12 {
        let (front, back) = match seed % 2 {
            0 => (Version::V4, Version::V6),
            _ => (Version::V6, Version::V4),
        };
        megabyte_each_way(net(seed, rough(), back, Script::answer(MEGABYTE)), front);
    }
}

#[test]
fn a_megabyte_goes_each_way_through_small_queues() {
    for queue in [3_000, 10_000, 64 * 1_024] {
        let net = Plan::new(u64::from(queue))
            .service(PORT, proxy(pool(&[backend_at(Version::V4, 8_000)])))
            .backend(8_000, Script::answer(MEGABYTE))
            .impaired(rough())
            .queues(queue)
            .build();
        megabyte_each_way(net, Version::V4);
    }
}

/// Many clients at a time, each with its own length; each gets its own answer.
fn many(seed: u64, impairment: Impairment) {
    const ANSWER: u64 = 5_000;
    let backends = [8_000, 8_001, 8_002].map(|port| backend_at(Version::V4, port));
    let mut net = Plan::new(seed)
        .service(PORT, proxy(pool(&backends)))
        .backend(8_000, Script::answer(ANSWER))
        .backend(8_001, Script::answer(ANSWER))
        .backend(8_002, Script::answer(ANSWER))
        .impaired(impairment)
        .build();
    let lens: Vec<u64> = (0..45)
        .map(|n| 4 + (seed * 7_919 + n * n * 991) % 40_000)
        .collect();
    let versions = VERSIONS.into_iter().cycle();
    let clients: Vec<usize> = lens
        .iter()
        .zip(versions)
        .map(|(&len, version)| net.open(service_at(version, PORT), Script::pattern(len)))
        .collect();
    net.run_to("all are done", |net| {
        clients
            .iter()
            .all(|&client| net.client(client).end.is_some())
    });
    for &client in &clients {
        let story = net.client(client);
        assert!(story.is_complete(), "client {client}: {:?}", story.end);
        assert!(story.has_heard_answer(client, ANSWER), "client {client}");
    }
    for (name, counts) in net.report().backends {
        assert_eq!((counts.opened, counts.failed), (15, 0), "{name}");
        assert_eq!(counts.text_from, 15 * ANSWER, "{name}");
    }
    let mut heard: Vec<u64> = net
        .backends
        .app()
        .stories
        .iter()
        .map(|story| story.heard)
        .collect();
    let mut sent = lens;
    heard.sort_unstable();
    sent.sort_unstable();
    assert_eq!(heard, sent);
    net.finish();
}

#[test]
fn many_clients_get_each_its_own_answer() {
    many(1, clean());
}

#[test]
fn many_clients_get_each_its_own_answer_over_rough_paths() {
    for seed in 0..15 {
        many(seed, rough());
    }
}

#[test]
fn after_the_clients_fin_the_backend_still_talks() {
    for seed in 0..6 {
        let impairment = if seed == 0 { clean() } else { rough() };
        let backend = Script::silent().closes(Closes::Never);
        let mut net = net(seed, impairment, Version::V4, backend);
        let request = Script::bytes(b"all that I say").closes(Closes::AfterSaying);
        let client = net.open(service_at(Version::V4, PORT), request);
        net.run_to("the FIN has gone through", |net| {
            net.backends
                .app()
                .stories
                .first()
                .is_some_and(|story| story.is_peer_closed)
        });
        assert_eq!(net.backend(0).text, b"all that I say");
        net.run_for(Duration::from_secs(30));
        let answer = vec![b'a'; 300_000];
        net.as_backend(|backends, stack| {
            backends.say(stack, 0, &answer);
            backends.set_closes(stack, 0, Closes::AfterSaying);
        });
        net.run_to("the answer is there", |net| {
            net.client(client).end.is_some()
        });
        let story = net.client(client);
        assert!(
            story.is_complete() && story.text == answer,
            "{:?}",
            story.end
        );
        net.finish();
    }
}

#[test]
fn after_the_backends_fin_the_client_still_talks() {
    for seed in 0..6 {
        let impairment = if seed == 0 { clean() } else { rough() };
        let backend = Script::bytes(b"first and last").closes(Closes::AfterSaying);
        let mut net = net(seed, impairment, Version::V6, backend);
        let listens = Script::silent().closes(Closes::Never);
        let client = net.open(service_at(Version::V4, PORT), listens);
        net.run_to("the FIN has gone through", |net| {
            net.client(client).is_peer_closed
        });
        assert_eq!(net.client(client).text, b"first and last");
        net.run_for(Duration::from_secs(30));
        let text = vec![b'c'; 300_000];
        net.as_client(|clients, stack| {
            clients.say(stack, client, &text);
            clients.set_closes(stack, client, Closes::AfterSaying);
        });
        net.run_to("it is over", |net| {
            net.backend(0).end.is_some() && net.client(client).end.is_some()
        });
        assert!(net.backend(0).is_complete() && net.client(client).is_complete());
        assert_eq!(net.backend(0).text, text);
        net.finish();
    }
}

#[test]
fn both_may_close_at_once() {
    let backend = Script::bytes(b"").closes(Closes::AfterSaying);
    let mut net = net(2, clean(), Version::V4, backend);
    let script = || Script::bytes(b"").closes(Closes::AfterSaying);
    let clients: Vec<usize> = (0..5)
        .map(|_| net.open(service_at(Version::V4, PORT), script()))
        .collect();
    net.run_to("all are over", |net| {
        clients
            .iter()
            .all(|&client| net.client(client).is_complete())
    });
    net.finish();
}

#[test]
fn what_the_client_says_before_a_backend_accepts_is_not_lost() {
    for len in [0, 4, 1_000, 3_000_000] {
        let backends = [8_001, 8_000].map(|port| backend_at(Version::V4, port));
        let mut net = Plan::new(len)
            .service(PORT, proxy(pool(&backends)))
            .backend(8_000, Script::answer(7))
            .backend_listening(silent(), Script::silent())
            .build();
        let client = net.open(service_at(Version::V4, PORT), Script::pattern(len));
        // Five seconds for the first backend, which says nothing; text and FIN come long before.
        net.run_for(Duration::from_secs(4));
        assert!(net.backends.app().stories.is_empty());
        net.run_to("it is over", |net| net.client(client).end.is_some());
        let story = net.client(client);
        assert!(story.is_complete(), "{len} bytes: {:?}", story.end);
        assert!(len == 0 || story.has_heard_answer(client, 7));
        assert_eq!(net.backend(0).heard, len);
        net.finish();
    }
}
