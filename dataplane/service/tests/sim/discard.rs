//! The discard service: everything is taken, nothing comes back.

use core::time::Duration;

use tidegate_port::Impairment;
use tidegate_service::{Discard, Service};
use tidegate_worker::Counter;

use crate::net::{Net, Plan, VERSIONS, Version, clean, rough, service_at};
use crate::peers::{Closes, Script};

const PORT: u16 = 9;
const LEN: u64 = 500_000;

fn net(seed: u64, impairment: Impairment) -> Net {
    Plan::new(seed)
        .service(PORT, Service::Discard(Discard))
        .impaired(impairment)
        .build()
}

/// A client sends, closes, and hears nothing but the service's FIN.
fn swallow(net: &mut Net, version: Version) {
    let client = net.open(service_at(version, PORT), Script::pattern(LEN));
    net.run_to("all is sent", |net| net.client(client).end.is_some());
    let story = net.client(client);
    assert!(story.is_complete() && story.heard == 0, "{story:?}");
    assert_eq!(story.said, LEN);
}

#[test]
fn all_is_taken_and_counted_and_nothing_is_said() {
    for version in VERSIONS {
        let mut net = net(1, clean());
        swallow(&mut net, version);
        assert_eq!(net.report().accepted, 1);
        assert_eq!(net.count(Counter::RxTextBytes), LEN);
        assert_eq!(net.count(Counter::TxTextBytes), 0);
        // Text in order is read where it lies: none of it was kept.
        assert_eq!(net.text_peak(), 0);
        net.finish();
    }
}

#[test]
fn all_is_taken_over_a_rough_path() {
    for seed in 0..10 {
        let mut net = net(seed, rough());
        swallow(&mut net, Version::V4);
        assert!(net.count(Counter::RxTextBytes) >= LEN);
        net.finish();
    }
}

#[test]
fn a_silent_client_is_left_alone() {
    let mut net = net(2, clean());
    let script = Script::silent().closes(Closes::Never);
    let client = net.open(service_at(Version::V4, PORT), script);
    net.run_for(Duration::from_secs(3_600));
    assert_eq!(net.client(client).end, None);
    net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    net.run_to("it is closed", |net| net.client(client).is_complete());
    net.finish();
}
