//! Fast Open (RFC 7413): text on the SYN of who has been here before.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::Echo;
use sim::probe::{Probe, body, segments, tcp};
use tidegate_tcp::{End, State};
use tidegate_wire::{ArpOp, Body, FastOpen, Tcp, TcpFlags, TcpOptions};
use tidegate_worker::{Counter, FlowId, Listen, Open, WorkerConfig};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);

fn probe(listen: Listen) -> Probe<Echo> {
    let mut probe = Probe::new(Echo::ready(), WorkerConfig::default());
    probe.worker.stack_mut().listen(listen).unwrap();
    let frame = probe.arp(ArpOp::Request, PEER, US);
    assert_eq!(probe.ask(&frame).len(), 1);
    probe
}

fn server() -> Probe<Echo> {
    probe(Listen {
        fast_open: true,
        ..Listen::on(7)
    })
}

fn ask(probe: &mut Probe<Echo>, header: &Tcp, text: &[u8]) -> Vec<Tcp> {
    let frame = probe.segment((PEER, US), header, text);
    segments(&probe.ask(&frame))
}

fn of(probe: &Probe<Echo>, counter: Counter) -> u64 {
    probe.worker.counters().of(counter)
}

/// A SYN from `port` with this Fast Open option.
fn syn(port: u16, fast_open: Option<FastOpen>) -> Tcp {
    let mut header = tcp((port, 7), (100, 0), TcpFlags::SYN);
    header.options.fast_open = fast_open;
    header
}

/// The cookie that the server gives when asked for one.
fn cookie(probe: &mut Probe<Echo>, port: u16) -> FastOpen {
    let answer = ask(probe, &syn(port, Some(FastOpen::REQUEST)), b"")[0];
    assert_eq!((answer.flags, answer.ack), (SYN_ACK, 101));
    answer.options.fast_open.expect("a cookie")
}

#[test]
fn text_on_a_syn_with_a_good_cookie_is_delivered_before_the_handshake_ends() {
    let mut probe = server();
    let cookie = cookie(&mut probe, 1);
    let answers = ask(&mut probe, &syn(2, Some(cookie)), b"early");
    let syn_ack = answers[0];
    assert_eq!(
        (syn_ack.flags, syn_ack.ack),
        (SYN_ACK, 106),
        "the text, too"
    );
    assert_eq!(syn_ack.options.fast_open, None, "its cookie is good");
    assert_eq!(probe.worker.app().accepted.len(), 1);
    assert_eq!(of(&probe, Counter::FastOpenTaken), 1);
    let ack = tcp((2, 7), (106, syn_ack.seq.wrapping_add(1)), TcpFlags::ACK);
    let frame = probe.segment((PEER, US), &ack, b"");
    let frames = probe.ask(&frame);
    let Body::Tcp(_, _, text) = body(&frames[0]) else {
        panic!("an echo");
    };
    assert_eq!(text, b"early");
    assert_eq!(probe.worker.counters().in_state(State::Established), 1);
}

#[test]
fn it_is_off_unless_a_listener_asks_for_it() {
    let mut probe = probe(Listen::on(7));
    let request = syn(1, Some(FastOpen::REQUEST));
    let answer = ask(&mut probe, &request, b"text")[0];
    assert_eq!((answer.options.fast_open, answer.ack), (None, 101));
    let guess = syn(2, FastOpen::new(&[7; 8]));
    let answer = ask(&mut probe, &guess, b"text")[0];
    assert_eq!((answer.options.fast_open, answer.ack), (None, 101));
    assert!(probe.worker.app().accepted.is_empty());
}

#[test]
fn a_wrong_cookie_is_an_ordinary_handshake_and_a_fresh_cookie() {
    let mut probe = server();
    let good = cookie(&mut probe, 1);
    let answer = ask(&mut probe, &syn(2, FastOpen::new(&[7; 8])), b"early")[0];
    assert_eq!((answer.ack, answer.options.fast_open), (101, Some(good)));
    assert_eq!(of(&probe, Counter::FastOpenWrong), 1);
    assert!(probe.worker.app().accepted.is_empty());
    // The cookie of one address is none for another.
    let frame = probe.segment(("192.0.2.3", US), &syn(2, Some(good)), b"early");
    let answer = segments(&probe.ask(&frame))[0];
    assert_eq!(answer.ack, 101);
    assert_ne!(answer.options.fast_open, Some(good));
    // The text comes again with the ACK.
    let ack = tcp((2, 7), (101, 0), TcpFlags::ACK);
    assert_eq!(ask(&mut probe, &ack, b"early").len(), 1);
}

#[test]
fn two_keys_are_good_at_a_time() {
    let mut probe = server();
    let first = cookie(&mut probe, 1);
    probe.worker.stack_mut().rotate_fast_open_key([1; 16]);
    let answer = ask(&mut probe, &syn(2, Some(first)), b"early")[0];
    let second = answer.options.fast_open.expect("a fresh one");
    assert_eq!(answer.ack, 106, "the old one is still good");
    assert_ne!(second, first);
    probe.worker.stack_mut().rotate_fast_open_key([2; 16]);
    assert_eq!(ask(&mut probe, &syn(3, Some(first)), b"early")[0].ack, 101);
    assert_eq!(ask(&mut probe, &syn(4, Some(second)), b"early")[0].ack, 106);
}

#[test]
fn pending_requests_are_limited() {
    let mut probe = probe(Listen {
        fast_open: true,
        fast_open_max: 2,
        ..Listen::on(7)
    });
    let cookie = cookie(&mut probe, 1);
    let answers = [2, 3, 4].map(|port| ask(&mut probe, &syn(port, Some(cookie)), b"early")[0]);
    assert_eq!(answers.map(|answer| answer.ack), [106, 106, 101]);
    assert_eq!(of(&probe, Counter::FastOpenRefused), 1);
    // One that finishes its handshake makes room, and so does one that is reset.
    let ack = tcp((2, 7), (106, answers[0].seq.wrapping_add(1)), TcpFlags::ACK);
    ask(&mut probe, &ack, b"");
    assert_eq!(ask(&mut probe, &syn(5, Some(cookie)), b"early")[0].ack, 106);
    ask(&mut probe, &tcp((3, 7), (106, 0), TcpFlags::RST), b"");
    assert_eq!(ask(&mut probe, &syn(6, Some(cookie)), b"early")[0].ack, 106);
    assert_eq!(ask(&mut probe, &syn(8, Some(cookie)), b"early")[0].ack, 101);
    let ends = &probe.worker.app().ends;
    assert_eq!(ends.values().flatten().collect::<Vec<_>>(), [&End::Reset]);
}

#[test]
fn a_syn_ack_that_is_lost_goes_again_and_a_syn_that_comes_again_brings_nothing_twice() {
    let mut probe = server();
    let cookie = cookie(&mut probe, 1);
    let header = syn(2, Some(cookie));
    let first = ask(&mut probe, &header, b"early")[0];
    let again = ask(&mut probe, &header, b"early")[0];
    assert_eq!(
        (again.flags, again.seq, again.ack),
        (SYN_ACK, first.seq, 106)
    );
    probe.now += Duration::from_millis(1_010);
    let timed_out = segments(&probe.receive());
    assert!(
        timed_out
            .iter()
            .any(|tcp| tcp.dst_port == 2 && tcp.ack == 106)
    );
    let ack = tcp((2, 7), (106, first.seq.wrapping_add(1)), TcpFlags::ACK);
    let echoes = ask(&mut probe, &ack, b"");
    assert_eq!(echoes.len(), 1);
    assert_eq!(probe.worker.app().accepted.len(), 1);
}

#[test]
fn the_option_on_a_segment_without_syn_is_ignored() {
    let mut probe = server();
    let cookie = cookie(&mut probe, 1);
    let answer = ask(&mut probe, &syn(2, None), b"")[0];
    let mut ack = tcp((2, 7), (101, answer.seq.wrapping_add(1)), TcpFlags::ACK);
    ack.options.fast_open = Some(cookie);
    assert_eq!(ask(&mut probe, &ack, b"text")[0].ack, 105);
    assert_eq!(of(&probe, Counter::FastOpenTaken), 0);
}

/// Opens with Fast Open and queues text.
fn open(probe: &mut Probe<Echo>, text: &[u8]) -> (FlowId, Tcp, Vec<u8>) {
    let open = Open {
        fast_open: true,
        ..Open::to("192.0.2.2:80".parse().unwrap())
    };
    let stack = probe.worker.stack_mut();
    let flow = stack.open(open).unwrap();
    assert_eq!(stack.send(flow, text), Ok(text.len()));
    let frames = probe.receive();
    let Body::Tcp(_, syn, sent) = body(&frames[0]) else {
        panic!("a SYN");
    };
    assert_eq!(syn.flags, TcpFlags::SYN);
    (flow, syn, sent.to_vec())
}

/// The peer's SYN-ACK to a SYN, of which it acknowledges so much text.
fn grant(syn: &Tcp, taken: u32, cookie: Option<FastOpen>) -> Tcp {
    let ack = syn.seq.wrapping_add(1 + taken);
    let mut header = tcp((80, syn.src_port), (500, ack), SYN_ACK);
    header.options = TcpOptions {
        mss: Some(1_460),
        fast_open: cookie,
        ..TcpOptions::default()
    };
    header
}

#[test]
fn a_client_asks_once_and_then_sends_text_along() {
    let mut probe = server();
    let (_, first, text) = open(&mut probe, b"hello");
    assert_eq!(first.options.fast_open, Some(FastOpen::REQUEST));
    assert!(text.is_empty(), "there is no cookie yet");
    let given = FastOpen::new(&[9; 8]);
    let answers = ask(&mut probe, &grant(&first, 0, given), b"");
    assert_eq!(answers.len(), 1, "ACK and text in one");

    let (flow, second, text) = open(&mut probe, b"hello");
    assert_eq!((second.options.fast_open, &*text), (given, &b"hello"[..]));
    let answers = ask(&mut probe, &grant(&second, 5, None), b"");
    assert_eq!(answers[0].seq, second.seq.wrapping_add(6));
    assert_eq!(probe.worker.stack().state(flow), Some(State::Established));
    assert_eq!(of(&probe, Counter::FastOpenSent), 1);
}

#[test]
fn text_that_the_syn_ack_does_not_acknowledge_goes_again_at_once() {
    let mut probe = server();
    let (_, first, _) = open(&mut probe, b"hello");
    ask(&mut probe, &grant(&first, 0, FastOpen::new(&[9; 8])), b"");
    for taken in [0, 3] {
        let (_, syn, _) = open(&mut probe, b"hello");
        let frame = grant(&syn, taken, None);
        let frame = probe.segment((PEER, US), &frame, b"");
        let frames = probe.ask(&frame);
        let Body::Tcp(_, again, text) = body(&frames[0]) else {
            panic!("text");
        };
        assert_eq!(again.seq, syn.seq.wrapping_add(1 + taken));
        assert_eq!(text, &b"hello"[taken as usize..]);
    }
}

#[test]
fn a_lost_syn_goes_again_without_and_the_address_is_left_alone() {
    let mut probe = server();
    let (_, first, _) = open(&mut probe, b"hello");
    ask(&mut probe, &grant(&first, 0, FastOpen::new(&[9; 8])), b"");
    let (flow, lost, _) = open(&mut probe, b"hello");
    probe.now += Duration::from_millis(1_010);
    let frames = probe.receive();
    let is_syn = |tcp: &&Tcp| tcp.flags == TcpFlags::SYN;
    let again = *segments(&frames).iter().find(is_syn).unwrap();
    assert_eq!((again.seq, again.options.fast_open), (lost.seq, None));
    let frame = grant(&again, 0, None);
    let frame = probe.segment((PEER, US), &frame, b"");
    let frames = probe.ask(&frame);
    assert!(matches!(body(&frames[0]), Body::Tcp(_, _, b"hello")));
    assert_eq!(probe.worker.stack().state(flow), Some(State::Established));
    assert_eq!(of(&probe, Counter::FastOpenLost), 1);
    let (_, next, text) = open(&mut probe, b"hello");
    assert_eq!((next.options.fast_open, text.len()), (None, 0));
    // After an hour the address is asked again.
    probe.now += Duration::from_secs(3_601);
    probe.receive();
    let frame = probe.arp(ArpOp::Request, PEER, US);
    probe.ask(&frame);
    let (_, late, _) = open(&mut probe, b"hello");
    assert_eq!(late.options.fast_open, Some(FastOpen::REQUEST));
}
