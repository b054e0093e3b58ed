//! The character generator: the text of RFC 864, as fast as it is read and no faster.

use core::time::Duration;

use tidegate_port::Impairment;
use tidegate_service::{Chargen, Service};
use tidegate_tcp::End;
use tidegate_worker::Counter;

use crate::net::{FLOWS_MAX, Net, Plan, VERSIONS, Version, clean, rough, service_at};
use crate::peers::{Closes, Ear, Pace, Script};

const PORT: u16 = 19;
const QUEUE: u32 = 100_000;

fn net(seed: u64, impairment: Impairment) -> Net {
    Plan::new(seed)
        .service(PORT, Service::Chargen(Chargen::new(FLOWS_MAX)))
        .impaired(impairment)
        .queues(QUEUE)
        .build()
}

/// A reader that says nothing and closes when it is told to.
fn reader() -> Script {
    Script::silent().closes(Closes::Never)
}

/// The byte at a place, as RFC 864 has it: lines of 72 characters out of the 95 that print, each
/// line begun one character later, with CR LF at its end.
fn byte_at(place: usize) -> u8 {
    let (line, column) = (place / 74, place % 74);
    match column {
        72 => b'\r',
        73 => b'\n',
        column => u8::try_from(32 + (line + column) % 95).unwrap(),
    }
}

fn assert_is_pattern(text: &[u8]) {
    let wrong = (0..text.len()).find(|&place| text[place] != byte_at(place));
    assert_eq!(wrong, None, "the first wrong byte");
}

#[test]
fn the_text_is_that_of_the_rfc_until_the_reader_closes() {
    for version in VERSIONS {
        let mut net = net(1, clean());
        let client = net.open(service_at(version, PORT), reader());
        net.run_to("some periods have come", |net| {
            net.client(client).heard > 500_000
        });
        net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
        net.run_to("it is over", |net| net.client(client).end.is_some());
        let story = net.client(client);
        assert!(story.is_complete(), "{:?}", story.end);
        assert_is_pattern(&story.text);
        net.finish();
    }
}

#[test]
fn the_text_survives_a_rough_path() {
    for seed in 0..10 {
        let mut net = net(seed, rough());
        let client = net.open(service_at(Version::V6, PORT), reader());
        net.run_to("much has come", |net| net.client(client).heard > 200_000);
        net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
        net.run_to("it is over", |net| net.client(client).end.is_some());
        assert!(net.client(client).is_complete());
        assert_is_pattern(&net.client(client).text);
        net.finish();
    }
}

#[test]
fn a_reader_that_stops_is_waited_for() {
    let mut net = net(2, clean());
    let client = net.open(service_at(Version::V4, PORT), reader().pace(Pace::Stopped));
    net.run_for(Duration::from_secs(30));
    let sent = net.count(Counter::TxTextBytes);
    // The reader's receive queue is 1 MiB; what is more is a probe now and then.
    assert!(sent < 1_200_000, "{sent} bytes were sent to nobody");
    net.run_for(Duration::from_secs(120));
    assert!(net.count(Counter::TxTextBytes) < sent + 1_000, "it goes on");
    assert!(
        net.text_peak() <= QUEUE as usize + 2 * 4_096,
        "the queue is bounded"
    );

    net.as_client(|clients, stack| clients.set_pace(stack, client, Pace::All));
    net.run_to("it goes on", |net| net.client(client).heard > 3_000_000);
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.run_to("it is over", |net| net.client(client).is_complete());
    assert_is_pattern(&net.client(client).text);
    net.finish();
}

#[test]
fn a_slow_reader_gets_the_same_text() {
    let mut net = net(3, clean());
    let every = Duration::from_millis(7);
    let pace = Pace::Bites { bytes: 999, every };
    let client = net.open(service_at(Version::V4, PORT), reader().pace(pace));
    net.run_for(Duration::from_secs(20));
    let heard = net.client(client).heard;
    assert!(
        (2_000_000..3_000_000).contains(&heard),
        "{heard} at 143 kB/s"
    );
    net.as_client(|clients, stack| {
        clients.set_closes(stack, client, Closes::AfterSaying);
        clients.set_pace(stack, client, Pace::All);
    });
    net.run_to("it is over", |net| net.client(client).is_complete());
    assert_is_pattern(&net.client(client).text);
    net.finish();
}

#[test]
fn what_the_reader_says_is_thrown_away() {
    let mut net = net(4, clean());
    let script = Script::pattern(2_000_000).ear(Ear::Keeps);
    let client = net.open(service_at(Version::V4, PORT), script);
    net.run_to("it is over", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete() && story.said == 2_000_000);
    assert_is_pattern(&story.text);
    net.finish();
}

#[test]
fn a_reader_that_resets_ends_the_text() {
    let mut net = net(5, clean());
    let at = service_at(Version::V4, PORT);
    let (goes, stays) = (net.open(at, reader()), net.open(at, reader()));
    net.run_to("both read", |net| {
        net.client(goes).heard > 50_000 && net.client(stays).heard > 50_000
    });
    net.as_client(|clients, stack| clients.reset(stack, goes));
    let heard = net.client(stays).heard;
    net.run_to("the other reads on", |net| {
        net.client(stays).heard > heard + 500_000
    });
    assert_eq!(net.client(goes).end, Some(End::Aborted));
    assert_eq!(net.services.stack().flows(), 1);
    net.as_client(|clients, stack| clients.reset(stack, stays));
    net.finish();
}
