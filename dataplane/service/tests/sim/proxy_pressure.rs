//! The proxy between one that is fast and one that is slow: the slow side's window closes the fast
//! side's, and what is held between them is bounded.

use core::time::Duration;

use crate::net::{Net, Plan, Version, backend_at, clean, pool, proxy, rough, service_at};
use crate::peers::{Closes, Pace, Script};

const PORT: u16 = 80;
const QUEUE: u32 = 100_000;
const LEN: u64 = 10_000_000;
/// What a direction may hold: the receive queue of one flow and the send queue of the other, each
/// with a block at either end that is not full.
const HELD_MAX: usize = 2 * (QUEUE as usize + 2 * 4_096);
/// What the two ends themselves may hold: their queues grow with what is read, and little is.
const ENDS_MAX: u64 = 2 * (1 << 20);

fn net(seed: u64, backend: Script) -> Net {
    Plan::new(seed)
        .service(PORT, proxy(pool(&[backend_at(Version::V4, 8_000)])))
        .backend(8_000, backend)
        .queues(QUEUE)
        .build()
}

#[test]
fn a_client_that_stops_reading_stops_the_backend() {
    let backend = Script::answer(LEN);
    let mut net = net(1, backend);
    let script = Script::pattern(4).pace(Pace::Stopped);
    let client = net.open(service_at(Version::V4, PORT), script);
    net.run_for(Duration::from_secs(30));
    let said = net.backend(0).said;
    assert!(
        (100_000..ENDS_MAX + HELD_MAX as u64).contains(&said),
        "{said}"
    );
    net.run_for(Duration::from_secs(300));
    assert_eq!(net.backend(0).said, said, "it goes on");
    assert!(net.text_peak() <= HELD_MAX, "{} bytes", net.text_peak());

    net.as_client(|clients, stack| clients.set_pace(stack, client, Pace::All));
    net.run_to("the rest has come", |net| net.client(client).end.is_some());
    assert!(net.client(client).is_complete());
    assert!(net.client(client).has_heard_answer(client, LEN));
    assert!(net.text_peak() <= HELD_MAX, "{} bytes", net.text_peak());
    net.finish();
}

#[test]
fn a_backend_that_stops_reading_stops_the_client() {
    let mut net = net(2, Script::answer(4).pace(Pace::Stopped));
    let client = net.open(service_at(Version::V6, PORT), Script::pattern(LEN));
    net.run_for(Duration::from_secs(30));
    let said = net.client(client).said;
    assert!(
        (100_000..ENDS_MAX + HELD_MAX as u64).contains(&said),
        "{said}"
    );
    net.run_for(Duration::from_secs(300));
    assert_eq!(net.client(client).said, said, "it goes on");
    assert!(net.text_peak() <= HELD_MAX, "{} bytes", net.text_peak());

    net.as_backend(|backends, stack| backends.set_pace(stack, 0, Pace::All));
    net.run_to("it is over", |net| net.client(client).end.is_some());
    assert!(net.client(client).is_complete());
    assert_eq!(net.backend(0).heard, LEN);
    assert!(net.text_peak() <= HELD_MAX, "{} bytes", net.text_peak());
    net.finish();
}

#[test]
fn both_may_stop_reading_and_go_on() {
    // Both talk at once and neither listens: all four windows close.
    let backend = Script::pattern(LEN)
        .pace(Pace::Stopped)
        .closes(Closes::AfterSaying);
    let mut net = net(3, backend);
    let script = Script::pattern(LEN).pace(Pace::Stopped);
    let client = net.open(service_at(Version::V4, PORT), script);
    net.run_for(Duration::from_secs(100));
    let (up, down) = (net.client(client).said, net.backend(0).said);
    assert!(up < LEN / 2 && down < LEN / 2, "{up} and {down}");
    assert!(net.text_peak() <= 2 * HELD_MAX, "{} bytes", net.text_peak());

    net.as_client(|clients, stack| clients.set_pace(stack, client, Pace::All));
    net.run_to("the client has all", |net| net.client(client).heard == LEN);
    // The backend does not read yet.
    let said = net.client(client).said;
    assert!(said < ENDS_MAX + HELD_MAX as u64, "{said}");
    net.as_backend(|backends, stack| backends.set_pace(stack, 0, Pace::All));
    net.run_to("the backend has all", |net| net.backend(0).heard == LEN);
    net.run_to("it is over", |net| net.client(client).is_complete());
    net.finish();
}

#[test]
fn a_slow_reader_sets_the_pace() {
    let every = Duration::from_millis(10);
    let pace = Pace::Bites {
        bytes: 2_000,
        every,
    };
    let mut net = net(4, Script::answer(LEN));
    let client = net.open(service_at(Version::V4, PORT), Script::pattern(4).pace(pace));
    net.run_for(Duration::from_secs(40));
    let heard = net.client(client).heard;
    // 200 kB/s, never stopped by anything but itself.
    assert!((7_500_000..=8_000_000).contains(&heard), "{heard}");
    let said = net.backend(0).said;
    assert!(said < heard + ENDS_MAX + HELD_MAX as u64, "{said}");
    net.run_to("it is over", |net| net.client(client).end.is_some());
    assert!(net.client(client).is_complete());
    assert!(net.text_peak() <= HELD_MAX, "{} bytes", net.text_peak());
    net.finish();
}

#[test]
fn one_slow_client_does_not_slow_the_others() {
    let mut net = net(5, Script::answer(1_000_000));
    let at = service_at(Version::V4, PORT);
    let slow = net.open(at, Script::pattern(4).pace(Pace::Stopped));
    net.run_for(Duration::from_secs(10));
    let before = net.now;
    let fast: Vec<usize> = (0..20).map(|_| net.open(at, Script::pattern(4))).collect();
    net.run_to("the fast ones are done", |net| {
        fast.iter().all(|&client| net.client(client).end.is_some())
    });
    assert!(fast.iter().all(|&client| net.client(client).is_complete()));
    let taken = net.now.saturating_since(before);
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    net.as_client(|clients, stack| clients.set_pace(stack, slow, Pace::All));
    net.run_to("the slow one is done", |net| net.client(slow).is_complete());
    net.finish();
}

#[test]
fn too_little_memory_makes_it_slow_and_loses_nothing() {
    // 40 flows could hold 100 kB in either direction; there is room for 400 kB in all.
    for seed in 0..8 {
        let mut net = Plan::new(seed)
            .service(PORT, proxy(pool(&[backend_at(Version::V4, 8_000)])))
            .backend(8_000, Script::answer(500_000))
            .queues(QUEUE)
            .text_blocks(100)
            .impaired(if seed < 2 { clean() } else { rough() })
            .build();
        let at = service_at(Version::V4, PORT);
        let clients: Vec<usize> = (0..20)
            .map(|_| net.open(at, Script::pattern(500_000)))
            .collect();
        net.run_to("all are over", |net| {
            clients
                .iter()
                .all(|&client| net.client(client).end.is_some())
        });
        for &client in &clients {
            assert!(net.client(client).is_complete(), "client {client}");
            assert!(net.client(client).has_heard_answer(client, 500_000));
        }
        net.finish();
    }
}
