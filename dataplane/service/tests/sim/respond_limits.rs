//! The fixed HTTP answer and clients that want too much: too slow, too silent, too many.

use core::time::Duration;

use tidegate_service::{Respond, Response, Service};
use tidegate_tcp::End;

use crate::http::answers;
use crate::net::{FLOWS_MAX, Net, Plan, Version, service_at};
use crate::peers::{Closes, Pace, Script};

const PORT: u16 = 80;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: tidegate\r\n\r\n";
const LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: tidegate\r\nConnection: close\r\n\r\n";
/// Heads of which only a part has come that the service has room for.
const PARTIAL_MAX: usize = 256;

fn net(seed: u64, body_len: usize) -> Net {
    let response = Response {
        body: vec![b'b'; body_len],
        ..Response::default()
    };
    let respond = Respond::new(&response, FLOWS_MAX);
    Plan::new(seed)
        .service(PORT, Service::Respond(respond))
        .build()
}

fn open(net: &mut Net, script: Script) -> usize {
    net.open(service_at(Version::V4, PORT), script)
}

/// The status of the only answer that a client got.
fn status(net: &Net, client: usize) -> u16 {
    let answers = answers(&net.client(client).text);
    assert_eq!(answers.len(), 1);
    answers[0].status
}

#[test]
fn a_slow_reader_gets_all_of_the_last_answer() {
    // 30 kB/s for 900 kB: longer than a client may send after it.
    let mut net = net(1, 900_000);
    let every = Duration::from_millis(100);
    let pace = Pace::Bites {
        bytes: 3_000,
        every,
    };
    let client = open(&mut net, Script::bytes(LAST).pace(pace));
    net.run_to("it is over", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(
        story.is_complete(),
        "{:?} after {} bytes",
        story.end,
        story.heard
    );
    assert_eq!(answers(&story.text)[0].body.len(), 900_000);
    net.finish();
}

#[test]
fn a_client_that_stops_reading_the_last_answer_is_waited_for() {
    let mut net = net(2, 3_000_000);
    let client = open(&mut net, Script::bytes(LAST));
    net.run_to("it has begun", |net| net.client(client).heard > 0);
    net.as_client(|clients, stack| clients.set_pace(stack, client, Pace::Stopped));
    net.run_for(Duration::from_secs(120));
    assert_eq!(net.client(client).end, None);
    net.as_client(|clients, stack| clients.set_pace(stack, client, Pace::All));
    net.run_to("it is over", |net| net.client(client).end.is_some());
    assert!(net.client(client).is_complete());
    assert_eq!(answers(&net.client(client).text)[0].body.len(), 3_000_000);
    net.finish();
}

#[test]
fn a_client_that_never_closes_after_the_last_answer_is_forgotten() {
    let mut net = net(3, 10);
    let client = open(&mut net, Script::bytes(LAST).closes(Closes::Never));
    net.run_to("the answer has come", |net| {
        net.client(client).is_peer_closed
    });
    // Ten seconds for what the client still sends, then FIN_WAIT2 of a minute.
    net.run_for(Duration::from_secs(65));
    assert_eq!(net.services.stack().flows(), 1);
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.services.stack().flows(), 0);
    assert_eq!(net.client(client).end, None, "there was no RST");
    assert_eq!(status(&net, client), 200);
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.finish();
}

#[test]
fn what_a_client_sends_after_the_last_request_does_not_harm_the_answer() {
    let mut net = net(4, 200_000);
    let text = [LAST, &vec![b'z'; 2_000_000]].concat();
    let client = open(&mut net, Script::bytes(&text));
    net.run_to("it is over", |net| net.client(client).end.is_some());
    assert!(
        net.client(client).is_complete(),
        "{:?}",
        net.client(client).end
    );
    assert_eq!(status(&net, client), 200);
    assert_eq!(answers(&net.client(client).text)[0].body.len(), 200_000);
    net.finish();
}

#[test]
fn half_a_head_is_given_a_minute() {
    let mut net = net(5, 10);
    let script = |text| Script::bytes(text).closes(Closes::Never);
    let stays = open(&mut net, script(&GET[..9]));
    let goes_on = open(&mut net, script(&GET[..9]));
    net.run_for(Duration::from_secs(55));
    net.as_client(|clients, stack| clients.say(stack, goes_on, &GET[9..]));
    net.run_for(Duration::from_secs(10));
    assert_eq!(net.client(stays).end, Some(End::Reset));
    // Silence between two requests is not half a head.
    net.run_for(Duration::from_secs(500));
    assert_eq!(net.client(goes_on).end, None);
    assert_eq!(status(&net, goes_on), 200);
    net.as_client(|clients, stack| clients.set_closes(stack, goes_on, Closes::AfterSaying));
    net.run_to("it is over", |net| net.client(goes_on).is_complete());
    net.finish();
}

/// As many clients with half a head as there is room for.
fn fill(net: &mut Net) -> Vec<usize> {
    let script = || Script::bytes(b"GET").closes(Closes::Never);
    let clients = (0..PARTIAL_MAX).map(|_| open(net, script())).collect();
    net.run_for(Duration::from_secs(1));
    clients
}

#[test]
fn with_all_buffers_taken_only_split_heads_are_refused() {
    let mut net = net(6, 10);
    let slow = fill(&mut net);
    let split = open(&mut net, Script::bytes(b"GET"));
    let whole = open(&mut net, Script::bytes(GET).closes(Closes::AfterSaying));
    net.run_to("both are over", |net| {
        net.client(split).end.is_some() && net.client(whole).end.is_some()
    });
    assert_eq!((status(&net, split), status(&net, whole)), (503, 200));
    for &client in &slow {
        net.as_client(|clients, stack| {
            clients.say(stack, client, &GET[3..]);
            clients.set_closes(stack, client, Closes::AfterSaying);
        });
    }
    net.run_to("the slow ones are over", |net| {
        slow.iter().all(|&client| net.client(client).is_complete())
    });
    assert!(slow.iter().all(|&client| status(&net, client) == 200));
    net.finish();
}

#[test]
fn buffers_come_back_however_a_client_ends() {
    let mut net = net(7, 10);
    for round in 0..3 {
        let slow = fill(&mut net);
        net.as_client(|clients, stack| match round {
            0 => slow.iter().for_each(|&client| clients.reset(stack, client)),
            1 => slow
                .iter()
                .for_each(|&client| clients.set_closes(stack, client, Closes::AfterSaying)),
            // They wait until they are reset.
            _ => {}
        });
        net.run_to("they are over", |net| {
            slow.iter().all(|&client| net.client(client).end.is_some())
        });
        net.run_for(Duration::from_secs(5));
    }
    let slow = fill(&mut net);
    for &client in &slow {
        net.as_client(|clients, stack| {
            clients.say(stack, client, &GET[3..]);
            clients.set_closes(stack, client, Closes::AfterSaying);
        });
    }
    net.run_to("the last are over", |net| {
        slow.iter().all(|&client| net.client(client).end.is_some())
    });
    assert!(slow.iter().all(|&client| status(&net, client) == 200));
    net.finish();
}
