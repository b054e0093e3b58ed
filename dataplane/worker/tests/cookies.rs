//! SYN cookies of a listener (RFC 4987 3.6): a flood keeps nothing, and a real client is served.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::{Client, Echo};
use sim::probe::{Probe, segments, tcp};
use sim::{B4, B6, Plan, ip};
use tidegate_tcp::State;
use tidegate_wire::{ArpOp, Discard, Tcp, TcpFlags, TcpOptions, Timestamps};
use tidegate_worker::{Counter, Listen, SynCookies, WorkerConfig};

const FROM_PEER: (&str, &str) = ("192.0.2.2", "192.0.2.1");
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);

fn probe(is_ready: bool, listen: Listen) -> Probe<Echo> {
    let echo = Echo {
        is_ready,
        ..Echo::default()
    };
    let mut probe = Probe::new(echo, WorkerConfig::default());
    probe.worker.stack_mut().listen(listen).unwrap();
    let frame = probe.arp(ArpOp::Request, "192.0.2.2", "192.0.2.1");
    assert_eq!(probe.ask(&frame).len(), 1);
    probe
}

fn always() -> Listen {
    Listen {
        syn_cookies: SynCookies::Always,
        ..Listen::on(7)
    }
}

fn ask(probe: &mut Probe<Echo>, header: &Tcp, text: &[u8]) -> Vec<Tcp> {
    let frame = probe.segment(FROM_PEER, header, text);
    segments(&probe.ask(&frame))
}

fn of(probe: &Probe<Echo>, counter: Counter) -> u64 {
    probe.worker.counters().of(counter)
}

/// Sends a SYN and answers the acknowledgement of what comes back.
fn syn(probe: &mut Probe<Echo>, port: u16) -> u32 {
    let answers = ask(probe, &tcp((port, 7), (100, 0), TcpFlags::SYN), b"");
    assert_eq!((answers.len(), answers[0].flags), (1, SYN_ACK));
    answers[0].seq.wrapping_add(1)
}

#[test]
fn a_flood_keeps_nothing_and_a_client_is_served() {
    let listen = Listen {
        syn_backlog: 4,
        ..Listen::on(7)
    };
    let mut probe = probe(true, listen);
    let mut answers = 0;
    for n in 0..2_000u32 {
        let src = format!("198.51.{}.{}", n / 250, n % 250 + 1);
        let header = tcp((2_000, 7), (n, 0), TcpFlags::SYN);
        let frame = probe.segment((&src, "192.0.2.1"), &header, b"");
        answers += segments(&probe.ask(&frame)).len();
        assert!(probe.worker.stack().flows() <= 4);
    }
    assert_eq!(of(&probe, Counter::SyncookiesSent), 1_996);
    // One SYN-ACK for each SYN at most.
    assert!(answers <= 2_000, "{answers}");
    let snd_nxt = syn(&mut probe, 999);
    let text = ask(
        &mut probe,
        &tcp((999, 7), (101, snd_nxt), TcpFlags::ACK),
        b"real",
    );
    assert_eq!(text.last().unwrap().ack, 105, "its text was taken");
    assert_eq!(of(&probe, Counter::SyncookiesReceived), 1);
    assert_eq!(probe.worker.app().accepted.len(), 1);
}

#[test]
fn without_timestamps_no_option_is_promised_and_with_them_all_are() {
    let mut probe = probe(true, always());
    let offer = TcpOptions {
        mss: Some(1_460),
        wnd_shift: Some(7),
        sack_permitted: true,
        ..TcpOptions::default()
    };
    let mut header = tcp((1, 7), (100, 0), TcpFlags::SYN);
    header.options = offer;
    let answer = ask(&mut probe, &header, b"")[0].options;
    assert_eq!((answer.wnd_shift, answer.sack_permitted), (None, false));
    header.options.timestamps = Some(Timestamps { value: 5, echo: 0 });
    let answer = ask(&mut probe, &header, b"")[0];
    assert!(answer.options.sack_permitted && answer.options.wnd_shift.is_some());

    let ours = answer.options.timestamps.unwrap().value;
    let mut ack = tcp((1, 7), (101, answer.seq.wrapping_add(1)), TcpFlags::ACK);
    ack.options.timestamps = Some(Timestamps {
        value: 6,
        echo: ours,
    });
    let echo = ask(&mut probe, &ack, b"scaled")[0];
    let seen = echo.options.timestamps.unwrap();
    assert_eq!(seen.echo, 6);
    assert!(seen.value.wrapping_sub(ours) < 1_000, "our clock goes on");
    // Text with a gap before it is answered by a SACK block.
    ack.seq += 100;
    ack.ack = echo.seq + 6;
    let gap = ask(&mut probe, &ack, b"ahead")[0];
    assert_eq!(gap.options.sack.as_slice(), [(201, 206)]);
}

#[test]
fn a_wrong_cookie_gets_a_rst_and_is_counted() {
    let mut probe = probe(true, always());
    // Before any cookie was sent none is believed, nor counted as one.
    let ack = |n| tcp((1, 7), (101, n), TcpFlags::ACK);
    let answers = ask(&mut probe, &ack(55), b"");
    assert_eq!((answers[0].flags, answers[0].seq), (TcpFlags::RST, 55));
    assert_eq!(probe.discarded(Discard::TcpAckInListen), 1);
    let snd_nxt = syn(&mut probe, 1);
    let answers = ask(&mut probe, &ack(snd_nxt.wrapping_add(1 << 20)), b"");
    assert_eq!(answers[0].flags, TcpFlags::RST);
    assert_eq!(probe.discarded(Discard::TcpCookieWrong), 1);
    assert_eq!(of(&probe, Counter::SyncookiesFailed), 1);
    // An old one is as good as none.
    probe.now += Duration::from_secs(129);
    assert_eq!(ask(&mut probe, &ack(snd_nxt), b"")[0].flags, TcpFlags::RST);
    assert_eq!(probe.worker.stack().flows(), 0);
    assert_eq!(of(&probe, Counter::SyncookiesReceived), 0);
}

#[test]
fn a_cookie_is_dropped_while_the_accept_queue_is_full() {
    let listen = Listen {
        backlog: 1,
        ..always()
    };
    let mut probe = probe(false, listen);
    let (first, second) = (syn(&mut probe, 1), syn(&mut probe, 2));
    ask(&mut probe, &tcp((1, 7), (101, first), TcpFlags::ACK), b"");
    let ack = tcp((2, 7), (101, second), TcpFlags::ACK);
    assert!(ask(&mut probe, &ack, b"").is_empty());
    assert_eq!(probe.discarded(Discard::AcceptQueueFull), 1);
    assert_eq!(probe.worker.stack().flows(), 1);
    // When there is room its text finds it.
    probe.worker.app_mut().is_ready = true;
    probe.receive();
    let echo = ask(&mut probe, &ack, b"late");
    assert_eq!(echo[0].ack, 105);
    assert_eq!(probe.worker.app().accepted.len(), 2);
}

#[test]
fn or_it_is_aborted_on_overflow() {
    let listen = Listen {
        backlog: 1,
        abort_on_overflow: true,
        ..always()
    };
    let mut probe = probe(false, listen);
    let (first, second) = (syn(&mut probe, 1), syn(&mut probe, 2));
    ask(&mut probe, &tcp((1, 7), (101, first), TcpFlags::ACK), b"");
    let answers = ask(&mut probe, &tcp((2, 7), (101, second), TcpFlags::ACK), b"");
    assert!(answers[0].flags.contains(TcpFlags::RST));
    assert_eq!(of(&probe, Counter::AcceptAborted), 1);
    assert_eq!(probe.worker.stack().flows(), 1);
}

#[test]
fn without_cookies_a_full_queue_drops() {
    let listen = Listen {
        syn_backlog: 1,
        syn_cookies: SynCookies::Off,
        ..Listen::on(7)
    };
    let mut probe = probe(true, listen);
    syn(&mut probe, 1);
    assert!(ask(&mut probe, &tcp((2, 7), (100, 0), TcpFlags::SYN), b"").is_empty());
    assert_eq!(probe.discarded(Discard::SynQueueFull), 1);
    assert_eq!(of(&probe, Counter::SyncookiesSent), 0);
}

/// Both stacks are ours here, so the handshakes go through with all that a client does.
#[test]
fn clients_are_served_by_cookies_alone_over_a_lossy_link() {
    for to in [B4, B6] {
        let mut plan = Plan::new(21);
        plan.link.a_to_b.loss = 0.05;
        plan.link.b_to_a.loss = 0.05;
        let mut net = plan.build(Client::default(), Echo::ready());
        net.b.stack_mut().listen(always()).unwrap();
        let (client, stack) = net.a.app_and_stack();
        for _ in 0..50 {
            // One segment: a second that comes before the cookie is not known for what it is.
            client.open(stack, (ip(to), 7).into(), 1_000);
        }
        net.run_until_empty(Duration::from_secs(300));
        net.a.app().assert_complete();
        let counters = net.b.counters();
        assert_eq!(counters.of(Counter::HalfOpened), 0);
        assert!(counters.of(Counter::SyncookiesSent) >= 50);
        assert_eq!(counters.of(Counter::SyncookiesReceived), 50);
        assert_eq!(counters.in_state(State::SynReceived), 0);
    }
}
