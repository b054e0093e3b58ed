//! All services on one worker, side by side, and what control asks of them.

use core::time::Duration;

use crossbeam::channel::bounded;
use tidegate_service::{
    Chargen, Discard, Echo, Proxy, Respond, Response, Service, ServiceCommand, ServiceReport,
};
use tidegate_worker::Command;

use crate::http::answers;
use crate::net::{FLOWS_MAX, Net, Plan, Version, backend_at, pool, rough, service_at};
use crate::peers::{Closes, Script};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: tidegate\r\n\r\n";
const LEN: u64 = 50_000;

/// Two proxies among the others: neither of them is service number 0.
fn net(seed: u64) -> Net {
    let proxy = |tag, port| {
        let pool = pool(&[backend_at(Version::V4, port)]);
        Service::Proxy(Proxy::new(pool, tag, FLOWS_MAX))
    };
    let respond = Respond::new(&Response::default(), FLOWS_MAX);
    Plan::new(seed)
        .service(7, Service::Echo(Echo))
        .service(9, Service::Discard(Discard))
        .service(19, Service::Chargen(Chargen::new(FLOWS_MAX)))
        .service(80, Service::Respond(respond))
        .service(8_080, proxy(4, 8_000))
        .service(8_081, proxy(5, 8_001))
        .backend(8_000, Script::answer(LEN))
        .backend(8_001, Script::answer(2 * LEN))
        .impaired(rough())
        .build()
}

/// What the services say when they are asked over the mailbox.
fn ask_for_report(net: &mut Net) -> Vec<ServiceReport> {
    let (reply, answer) = bounded(1);
    let command = Command::App(ServiceCommand::Report { reply });
    net.services.mailbox().post(command).unwrap();
    net.run_for(Duration::from_millis(1));
    answer.try_recv().unwrap()
}

#[test]
fn each_client_gets_the_service_of_its_port() {
    for seed in 0..5 {
        let mut net = net(seed);
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let mut open = |port, script| net.open(service_at(Version::V4, port), script);
            rounds.push([
                open(7, Script::pattern(LEN)),
                open(9, Script::pattern(LEN)),
                open(19, Script::bytes(b"").closes(Closes::AfterSaying)),
                open(80, Script::bytes(GET).closes(Closes::AfterSaying)),
                open(8_080, Script::pattern(LEN)),
                open(8_081, Script::pattern(LEN)),
            ]);
        }
        net.run_to("all are over", |net| {
            let mut stories = net.clients.app().stories.iter();
            stories.all(|story| story.end.is_some())
        });
        for [echo, discard, chargen, respond, first, second] in rounds {
            assert_eq!(
                (net.client(echo).heard, net.client(discard).heard),
                (LEN, 0)
            );
            assert!(net.client(chargen).text.starts_with(b" !\"#$%"));
            let answers = answers(&net.client(respond).text);
            assert_eq!((answers.len(), answers[0].status), (1, 200));
            assert!(net.client(first).has_heard_answer(first, LEN));
            assert!(net.client(second).has_heard_answer(second, 2 * LEN));
        }
        assert!(
            net.clients
                .app()
                .stories
                .iter()
                .all(|story| story.is_complete())
        );

        let report = ask_for_report(&mut net);
        let kinds: Vec<&str> = report.iter().map(|report| report.kind).collect();
        let expected = ["echo", "discard", "chargen", "respond", "proxy", "proxy"];
        assert_eq!(kinds, expected);
        assert!(report.iter().all(|report| report.accepted == 5));
        assert_eq!(report[3].requests, 5);
        for (report, factor) in report[4..].iter().zip([1, 2]) {
            let (name, counts) = &report.backends[0];
            assert_eq!((report.pool.as_str(), name.as_str()), ("pool", "b0"));
            assert_eq!((counts.opened, counts.failed), (5, 0));
            assert_eq!(
                (counts.text_to, counts.text_from),
                (5 * LEN, 5 * factor * LEN)
            );
            assert_eq!(report.proxy.unwrap_or_default().accepted, 5);
        }
        net.finish();
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let mut net = net(7);
    let (reply, answer) = bounded(1);
    drop(answer);
    let command = Command::App(ServiceCommand::Report { reply });
    net.services.mailbox().post(command).unwrap();
    net.run_for(Duration::from_millis(1));
    assert_eq!(ask_for_report(&mut net).len(), 6);
    net.finish();
}

#[test]
fn a_drained_worker_serves_the_clients_it_has() {
    let mut net = net(8);
    let at = service_at(Version::V4, 8_080);
    let here = net.open(at, Script::pattern(2_000_000));
    net.run_to("it is being served", |net| {
        net.report_of(4).backends[0].1.text_to > 10_000
    });
    net.services.mailbox().post(Command::Drain).unwrap();
    net.run_for(Duration::from_millis(10));
    let late = net.open(at, Script::pattern(4));
    net.run_to("the late one is over", |net| net.client(late).end.is_some());
    assert_eq!(net.client(late).end, Some(tidegate_tcp::End::Refused));
    assert!(!net.services.has_stopped(), "one is still being served");
    net.run_to("the other is over", |net| net.client(here).end.is_some());
    assert!(net.client(here).is_complete());
    assert!(net.client(here).has_heard_answer(here, LEN));
    net.run_to("it stops", |net| net.services.has_stopped());
    net.finish();
}
