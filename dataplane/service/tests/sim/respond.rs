//! The fixed HTTP answer: requests however they come, answers in their order.

use core::time::Duration;

use tidegate_port::Impairment;
use tidegate_service::{Respond, Response, Service};
use tidegate_tcp::End;

use crate::http::{answers, heads};
use crate::net::{FLOWS_MAX, Net, Plan, VERSIONS, Version, clean, rough, service_at};
use crate::peers::{Closes, Pace, Script};

const PORT: u16 = 80;
const GET: &[u8] = b"GET /a/path HTTP/1.1\r\nHost: tidegate\r\n\r\n";
const BODY: &[u8] = b"It is high water.\n";

/// The service with this body.
fn service(body: &[u8]) -> Service {
    let response = Response {
        body: body.to_vec(),
        ..Response::default()
    };
    Service::Respond(Respond::new(&response, FLOWS_MAX))
}

fn net(seed: u64, impairment: Impairment) -> Net {
    Plan::new(seed)
        .service(PORT, service(BODY))
        .impaired(impairment)
        .build()
}

/// A client that sends `text`, closes its side, and returns everything that came.
fn ask(net: &mut Net, text: &[u8]) -> Vec<u8> {
    let script = Script::bytes(text).closes(Closes::AfterSaying);
    let client = net.open(service_at(Version::V4, PORT), script);
    net.run_to("it is over", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete(), "{:?}", story.end);
    story.text.clone()
}

#[test]
fn pipelined_requests_are_answered_one_by_one() {
    for version in VERSIONS {
        let mut net = net(1, clean());
        let script = Script::bytes(&GET.repeat(500)).closes(Closes::AfterSaying);
        let client = net.open(service_at(version, PORT), script);
        net.run_to("it is over", |net| net.client(client).end.is_some());
        let story = net.client(client);
        assert!(story.is_complete());
        let answers = answers(&story.text);
        assert_eq!(answers.len(), 500);
        assert!(answers.iter().all(|answer| answer.is_full(BODY)));
        let report = net.report();
        assert_eq!((report.accepted, report.requests), (1, 500));
        net.finish();
    }
}

#[test]
fn a_kept_connection_is_asked_again_and_again() {
    let mut net = net(2, clean());
    let script = Script::silent().closes(Closes::Never);
    let client = net.open(service_at(Version::V4, PORT), script);
    for round in 1..=50 {
        net.as_client(|clients, stack| clients.say(stack, client, GET));
        net.run_to("an answer has come", |net| {
            let text = &net.client(client).text;
            text.ends_with(BODY) && answers(text).len() == round
        });
        net.run_for(Duration::from_secs(100));
    }
    assert_eq!(
        net.client(client).end,
        None,
        "a silent client is left alone"
    );
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.run_to("it is over", |net| net.client(client).is_complete());
    net.finish();
}

#[test]
fn a_request_may_be_split_at_every_byte() {
    let post = b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\nGET / \n";
    let text = [GET, post, GET].concat();
    let mut net = net(3, clean());
    let at = service_at(Version::V4, PORT);
    let clients: Vec<usize> = (0..text.len())
        .map(|cut| net.open(at, Script::bytes(&text[..cut]).closes(Closes::Never)))
        .collect();
    net.run_for(Duration::from_secs(1));
    for (cut, &client) in clients.iter().enumerate() {
        net.as_client(|clients, stack| {
            clients.say(stack, client, &text[cut..]);
            clients.set_closes(stack, client, Closes::AfterSaying);
        });
    }
    net.run_to("all are over", |net| {
        clients
            .iter()
            .all(|&client| net.client(client).end.is_some())
    });
    for (cut, &client) in clients.iter().enumerate() {
        let story = net.client(client);
        let answers = answers(&story.text);
        assert!(story.is_complete(), "cut at {cut}: {:?}", story.end);
        assert_eq!(answers.len(), 3, "cut at {cut}");
        assert!(
            answers.iter().all(|answer| answer.is_full(BODY)),
            "cut at {cut}"
        );
    }
    net.finish();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let mut net = net(4, clean());
    let script = Script::silent().closes(Closes::Never);
    let client = net.open(service_at(Version::V6, PORT), script);
    for byte in GET.repeat(2) {
        net.as_client(|clients, stack| clients.say(stack, client, &[byte]));
        net.run_for(Duration::from_millis(50));
    }
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.run_to("it is over", |net| net.client(client).is_complete());
    assert_eq!(answers(&net.client(client).text).len(), 2);
    net.finish();
}

#[test]
fn head_gets_the_length_without_the_body() {
    let mut net = net(5, clean());
    let text = ask(&mut net, &b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
    let heads = heads(&text);
    assert_eq!(heads.len(), 2);
    for head in heads {
        assert_eq!((head.status, head.content_length), (200, BODY.len()));
    }
    net.finish();
}

#[test]
fn bodies_of_requests_are_skipped() {
    let body = GET.repeat(3_000);
    let post = |body: &[u8]| {
        let len = body.len();
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let text = [&post(&body), &post(b""), GET, &post(b"x")].concat();
    let mut net = net(6, clean());
    let answers = answers(&ask(&mut net, &text));
    assert_eq!(answers.len(), 4);
    assert!(answers.iter().all(|answer| answer.is_full(BODY)));
    assert_eq!(net.report().requests, 4);
    net.finish();
}

/// Sends `text` without closing: the service does, after one answer.
fn last_answer(net: &mut Net, text: &[u8]) -> crate::http::Answer {
    let client = net.open(service_at(Version::V4, PORT), Script::bytes(text));
    net.run_to("the service closes", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete(), "{:?}", story.end);
    let mut answers = answers(&story.text);
    assert_eq!(answers.len(), 1, "{}", story.text.escape_ascii());
    answers.remove(0)
}

#[test]
fn old_clients_and_those_that_ask_for_it_are_closed_after_the_answer() {
    let mut net = net(7, clean());
    for request in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nconnection: TE, Close\r\n\r\n",
    ] {
        // What follows the last request is not answered.
        let answer = last_answer(&mut net, &[request.as_bytes(), GET, GET].concat());
        assert_eq!(answer.status, 200, "{request}");
        assert_eq!(answer.connection, "close", "{request}");
        assert_eq!(answer.body, BODY, "{request}");
    }
    net.finish();
}

#[test]
fn an_old_client_may_ask_to_be_kept() {
    let mut net = net(8, clean());
    let request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let answers = answers(&ask(&mut net, &request.repeat(3)));
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert_eq!(
            (answer.status, answer.connection.as_str()),
            (200, "keep-alive")
        );
    }
    net.finish();
}

#[test]
fn what_is_no_request_is_refused_and_closed() {
    let mut net = net(9, clean());
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(10_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100));
    for (text, status) in [
        ("\x16\x03\x01\x02 no TLS here\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nNo colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nContent-Length: two\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
        (long.as_str(), 431),
        (many.as_str(), 431),
    ] {
        let answer = last_answer(&mut net, text.as_bytes());
        assert_eq!(answer.status, status, "{text}");
        assert_eq!(answer.connection, "close");
    }
    net.finish();
}

#[test]
fn a_large_body_goes_through_a_small_queue() {
    let body: Vec<u8> = (0..2_000_000_u32)
        .map(|place| place.to_le_bytes()[1])
        .collect();
    let queue = 64 * 1_024;
    let mut net = Plan::new(10)
        .service(PORT, service(&body))
        .queues(queue)
        .build();
    let answers = answers(&ask(&mut net, &GET.repeat(3)));
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| answer.is_full(&body)));
    assert!(net.text_peak() <= 2 * queue as usize + 3 * 4_096);
    net.finish();
}

#[test]
fn answers_survive_a_rough_path() {
    let body = vec![b'x'; 20_000];
    for seed in 0..10 {
        let mut net = Plan::new(seed)
            .service(PORT, service(&body))
            .impaired(rough())
            .build();
        let version = if seed % 2 == 0 {
            Version::V4
        } else {
            Version::V6
        };
        let script = || Script::bytes(&GET.repeat(20)).closes(Closes::AfterSaying);
        let clients: Vec<usize> = (0..5)
            .map(|_| net.open(service_at(version, PORT), script()))
            .collect();
        net.run_to("all are over", |net| {
            clients
                .iter()
                .all(|&client| net.client(client).is_complete())
        });
        for &client in &clients {
            let answers = answers(&net.client(client).text);
            assert_eq!(answers.len(), 20);
            assert!(answers.iter().all(|answer| answer.is_full(&body)));
        }
        net.finish();
    }
}

#[test]
fn a_client_that_resets_in_the_middle_leaves_nothing() {
    let body = vec![b'x'; 500_000];
    // Also where it has closed before, so that what it asked is still there to be read.
    for closes in [Closes::Never, Closes::AfterSaying] {
        let mut net = Plan::new(11).service(PORT, service(&body)).build();
        let script = Script::bytes(&GET.repeat(10)).pace(Pace::Stopped);
        let client = net.open(service_at(Version::V4, PORT), script.closes(closes));
        net.run_for(Duration::from_secs(2));
        net.as_client(|clients, stack| clients.reset(stack, client));
        net.run_to("it is over", |net| net.services.stack().flows() == 0);
        assert_eq!(net.client(client).end, Some(End::Aborted));
        net.finish();
    }
}
