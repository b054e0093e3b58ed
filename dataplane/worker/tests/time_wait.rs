//! TIME_WAIT: what is left of a connection answers for it, gives way, makes room, and ends in time.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::Client;
use sim::probe::{Probe, segments, tcp};
use tidegate_tcp::{End, FourTuple, Settings, State};
use tidegate_wire::{ArpOp, Discard, Tcp, TcpFlags, Timestamps};
use tidegate_worker::{Command, Counter, Listen, Open, OpenError, TimeWaitRow, WorkerConfig};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";
const FROM_PEER: (&str, &str) = (PEER, US);
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);
const RST_ACK: TcpFlags = TcpFlags::RST.union(TcpFlags::ACK);
const FIN_ACK: TcpFlags = TcpFlags::FIN.union(TcpFlags::ACK);
const SECOND: Duration = Duration::from_secs(1);

fn client() -> Probe<Client> {
    client_with(WorkerConfig::default())
}

/// A worker that knows where the peer lives.
fn client_with(config: WorkerConfig) -> Probe<Client> {
    let mut probe = Probe::new(Client::default(), config);
    let frame = probe.arp(ArpOp::Request, PEER, US);
    assert_eq!(probe.ask(&frame).len(), 1);
    probe
}

fn ask(probe: &mut Probe<Client>, tcp: &Tcp) -> Vec<Tcp> {
    let frame = probe.segment(FROM_PEER, tcp, b"");
    segments(&probe.ask(&frame))
}

fn in_state(probe: &Probe<Client>, state: State) -> u64 {
    probe.worker.counters().in_state(state)
}

/// Opens, closes, and leaves us in TIME_WAIT; the peer has used sequence numbers from `seq` on.
fn into_time_wait(probe: &mut Probe<Client>, seq: u32, options: Option<u32>) -> (u16, u32) {
    let (client, stack) = probe.worker.app_and_stack();
    client.open(stack, "192.0.2.2:80".parse().unwrap(), 0);
    let syn = segments(&probe.receive())[0];
    let port = syn.src_port;
    let mut answer = tcp((80, port), (seq, syn.seq + 1), SYN_ACK);
    answer.options.timestamps = options.map(|value| Timestamps {
        value,
        echo: syn.options.timestamps.unwrap().value,
    });
    // The client has nothing to say, so its FIN follows at once.
    let fin = ask(probe, &answer);
    assert!(fin.iter().any(|tcp| tcp.flags.contains(TcpFlags::FIN)));
    let mut last = tcp((80, port), (seq + 1, syn.seq + 2), FIN_ACK);
    last.options.timestamps = options.map(|value| Timestamps { value, echo: 0 });
    assert!(!ask(probe, &last).is_empty());
    assert_eq!(in_state(probe, State::TimeWait), 1);
    (port, syn.seq + 2)
}

#[test]
fn a_newer_syn_reopens_out_of_time_wait_and_an_older_one_does_not() {
    let mut probe = client();
    let (port, snd_nxt) = into_time_wait(&mut probe, 1_000, None);
    let listen = Listen::on(port);
    probe.worker.stack_mut().listen(listen).unwrap();
    let old = ask(&mut probe, &tcp((80, port), (500, 0), TcpFlags::SYN));
    assert!(
        old.iter().all(|answer| answer.flags == TcpFlags::ACK),
        "{old:?}"
    );
    assert_eq!(in_state(&probe, State::TimeWait), 1);
    let new = ask(&mut probe, &tcp((80, port), (90_000, 0), TcpFlags::SYN));
    assert_eq!(new[0].flags, SYN_ACK);
    assert!(new[0].seq.wrapping_sub(snd_nxt) > u32::from(u16::MAX) - 1);
    assert_eq!(in_state(&probe, State::TimeWait), 0);
    assert_eq!(in_state(&probe, State::SynReceived), 1);
    assert_eq!(probe.worker.counters().of(Counter::TimeWaitReused), 1);
    let ends: Vec<End> = probe
        .worker
        .app()
        .trips
        .values()
        .flat_map(|trip| trip.ends.clone())
        .collect();
    assert_eq!(ends, [End::Closed], "the end was told once, before");
}

#[test]
fn a_syn_after_time_wait_without_listener_is_refused() {
    let mut probe = client();
    let (port, _) = into_time_wait(&mut probe, 1_000, Some(77));
    let mut syn = tcp((80, port), (90_000, 0), TcpFlags::SYN);
    syn.options.timestamps = Some(Timestamps { value: 99, echo: 0 });
    let answers = ask(&mut probe, &syn);
    assert_eq!(answers[0].flags, RST_ACK);
    assert_eq!(probe.worker.stack().flows(), 0);
}

/// The sockets of a connection from `port` to the peer's port 80.
fn sockets(port: u16) -> FourTuple {
    FourTuple {
        local: US.parse().unwrap(),
        local_port: port,
        remote: PEER.parse().unwrap(),
        remote_port: 80,
    }
}

/// The peer's FIN again.
fn fin_again(port: u16, seq: u32, snd_nxt: u32) -> Tcp {
    tcp((80, port), (seq + 1, snd_nxt), FIN_ACK)
}

#[test]
fn the_flow_is_gone_and_what_is_left_answers_for_a_minute() {
    let mut probe = client();
    let (port, snd_nxt) = into_time_wait(&mut probe, 1_000, None);
    let stack = probe.worker.stack();
    let flow = *probe.worker.app().trips.keys().next().unwrap();
    assert_eq!(stack.state(flow), None, "its slot is free");
    assert_eq!(stack.find(&sockets(port)), None);
    assert!(stack.is_waiting(&sockets(port)));
    assert_eq!(stack.flows(), 1);
    // After half a minute the FIN comes again, so our last ACK was lost, and the minute begins anew.
    probe.now += 30 * SECOND;
    let answers = ask(&mut probe, &fin_again(port, 1_000, snd_nxt));
    let [ack] = answers[..] else {
        panic!("one ACK: {answers:?}");
    };
    assert_eq!(
        (ack.flags, ack.seq, ack.ack),
        (TcpFlags::ACK, snd_nxt, 1_002)
    );
    assert_eq!(probe.discarded(Discard::TcpOutsideWindow), 1);
    probe.now += 59 * SECOND;
    assert!(segments(&probe.receive()).is_empty());
    assert_eq!(in_state(&probe, State::TimeWait), 1);
    probe.now += SECOND;
    let deadline = probe.worker.next_deadline();
    assert!(
        deadline.is_some_and(|at| at <= probe.now),
        "nobody wakes it"
    );
    assert!(segments(&probe.receive()).is_empty());
    assert_eq!(in_state(&probe, State::TimeWait), 0);
    assert_eq!(probe.worker.stack().flows(), 0);
    let answers = ask(&mut probe, &fin_again(port, 1_000, snd_nxt));
    assert_eq!(answers[0].flags, TcpFlags::RST, "nobody knows it any more");
}

#[test]
fn a_rst_ends_nothing_and_acks_are_rationed() {
    let mut probe = client();
    let (port, snd_nxt) = into_time_wait(&mut probe, 1_000, None);
    let rst = tcp((80, port), (1_002, 0), TcpFlags::RST);
    assert!(ask(&mut probe, &rst).is_empty());
    assert_eq!(probe.discarded(Discard::TcpRstInTimeWait), 1);
    let keepalive = tcp((80, port), (1_001, snd_nxt), TcpFlags::ACK);
    let answered = (0..30)
        .map(|_| ask(&mut probe, &keepalive).len())
        .sum::<usize>();
    assert_eq!(answered, 10, "of one second");
    probe.now += SECOND;
    assert_eq!(ask(&mut probe, &keepalive).len(), 1);
    assert_eq!(in_state(&probe, State::TimeWait), 1);
}

#[test]
fn answers_carry_the_header_that_the_flow_had() {
    let config = WorkerConfig {
        settings: vec![Settings {
            hop_limit: 9,
            traffic_class: 0xb8,
            ..Settings::default()
        }],
        ..WorkerConfig::default()
    };
    let mut probe = client_with(config);
    let (port, snd_nxt) = into_time_wait(&mut probe, 1_000, Some(77));
    let mut again = fin_again(port, 1_000, snd_nxt);
    again.options.timestamps = Some(Timestamps { value: 78, echo: 0 });
    let frame = probe.segment(FROM_PEER, &again, b"");
    let answer = probe.ask(&frame).remove(0);
    let tidegate_wire::Body::Tcp(ip, tcp, _) = sim::probe::body(&answer) else {
        panic!("an ACK");
    };
    assert_eq!((ip.hop_limit, ip.traffic_class), (9, 0xb8));
    assert_eq!(tcp.options.timestamps.unwrap().echo, 77);
}

/// An open of the same sockets.
fn open_again(probe: &mut Probe<Client>, port: u16) -> Result<Tcp, OpenError> {
    probe.receive();
    let (client, stack) = probe.worker.app_and_stack();
    let open = Open {
        local_port: Some(port),
        ..Open::to("192.0.2.2:80".parse().unwrap())
    };
    let flow = stack.open(open)?;
    client.trips.entry(flow).or_default();
    Ok(segments(&probe.receive())[0])
}

#[test]
fn an_open_takes_sockets_over_by_timestamps_after_a_second() {
    let mut probe = client();
    let (port, snd_nxt) = into_time_wait(&mut probe, 1_000, Some(77));
    assert_eq!(
        open_again(&mut probe, port).err(),
        Some(OpenError::PortInUse)
    );
    probe.now += SECOND;
    let syn = open_again(&mut probe, port).unwrap();
    assert_eq!(syn.flags, TcpFlags::SYN);
    let beyond = syn.seq.wrapping_sub(snd_nxt);
    assert!((u32::from(u16::MAX)..1 << 31).contains(&beyond), "{beyond}");
    assert_eq!(syn.options.timestamps.unwrap().echo, 0);
    assert_eq!(probe.worker.counters().of(Counter::TimeWaitTakenOver), 1);
    assert_eq!(in_state(&probe, State::TimeWait), 0);
    assert_eq!(in_state(&probe, State::SynSent), 1);
}

#[test]
fn without_timestamps_or_against_the_settings_nothing_is_taken_over() {
    for (time_wait_reuse, ts) in [(true, None), (false, Some(77))] {
        let config = WorkerConfig {
            settings: vec![Settings {
                time_wait_reuse,
                ..Settings::default()
            }],
            ..WorkerConfig::default()
        };
        let mut probe = client_with(config);
        let (port, _) = into_time_wait(&mut probe, 1_000, ts);
        probe.now += 30 * SECOND;
        assert_eq!(
            open_again(&mut probe, port).err(),
            Some(OpenError::PortInUse)
        );
        assert_eq!(in_state(&probe, State::TimeWait), 1);
    }
}

#[test]
fn the_timestamp_clock_of_the_same_sockets_goes_on() {
    let mut probe = client();
    let (client, stack) = probe.worker.app_and_stack();
    let port = 50_000;
    let open = Open {
        local_port: Some(port),
        ..Open::to("192.0.2.2:80".parse().unwrap())
    };
    let flow = stack.open(open).unwrap();
    client.trips.entry(flow).or_default();
    let first = segments(&probe.receive())[0];
    let ts = |value| Some(Timestamps { value, echo: 0 });
    for (seq, ack, flags) in [(500, 1, SYN_ACK), (501, 2, FIN_ACK)] {
        let mut answer = tcp((80, port), (seq, first.seq.wrapping_add(ack)), flags);
        answer.options.timestamps = ts(9);
        assert!(!ask(&mut probe, &answer).is_empty());
        probe.worker.stack_mut().close(flow);
        probe.receive();
    }
    assert_eq!(in_state(&probe, State::TimeWait), 1);
    probe.now += 2 * SECOND;
    let second = open_again(&mut probe, port).unwrap();
    let value = |syn: Tcp| syn.options.timestamps.unwrap().value;
    assert_eq!(value(second).wrapping_sub(value(first)), 2_000);
}

/// Opens and closes; answers the port of the connection that now waits.
fn close_one(probe: &mut Probe<Client>) -> u16 {
    let (client, stack) = probe.worker.app_and_stack();
    client.open(stack, "192.0.2.2:80".parse().unwrap(), 0);
    let syn = segments(&probe.receive())[0];
    let port = syn.src_port;
    for (seq, ack, flags) in [(500, 1, SYN_ACK), (501, 2, FIN_ACK)] {
        let answer = tcp((80, port), (seq, syn.seq.wrapping_add(ack)), flags);
        assert!(!ask(probe, &answer).is_empty());
    }
    port
}

#[test]
fn connections_in_time_wait_leave_their_slots_to_others() {
    let config = WorkerConfig {
        flows_max: 1,
        time_wait_max: 3,
        ..WorkerConfig::default()
    };
    let mut probe = client_with(config);
    let ports: Vec<u16> = (0..3)
        .map(|count| {
            let port = close_one(&mut probe);
            assert_eq!(in_state(&probe, State::TimeWait), count + 1);
            probe.now += SECOND;
            port
        })
        .collect();
    let waiting = |probe: &Probe<Client>| {
        let is_waiting = |port: &&u16| probe.worker.stack().is_waiting(&sockets(**port));
        ports.iter().filter(is_waiting).count()
    };
    assert_eq!(waiting(&probe), 3);
    // One more, and the oldest makes room.
    let port = close_one(&mut probe);
    assert!(probe.worker.stack().is_waiting(&sockets(port)));
    assert!(!probe.worker.stack().is_waiting(&sockets(ports[0])));
    assert_eq!(waiting(&probe), 2);
    assert_eq!(in_state(&probe, State::TimeWait), 3);
    assert_eq!(probe.worker.counters().of(Counter::TimeWaitRecycled), 1);
}

#[test]
fn control_is_told_of_what_waits_and_for_how_long() {
    let mut probe = client();
    let (port, _) = into_time_wait(&mut probe, 1_000, None);
    probe.now += 20 * SECOND;
    probe.receive();
    let (mut from_slot, mut rows) = (0, Vec::new());
    loop {
        let (reply, answer) = crossbeam::channel::bounded(1);
        let flows = Command::Flows {
            from_slot,
            max: 100,
            reply,
        };
        probe.worker.mailbox().post(flows).unwrap();
        probe.receive();
        let page = answer.try_recv().unwrap();
        assert!(page.rows.is_empty());
        rows.extend(page.time_waits);
        match page.next_slot {
            Some(next) => from_slot = next,
            None => break,
        }
    }
    let row = TimeWaitRow {
        tuple: sockets(port),
        settings: tidegate_worker::SettingsId(0),
        remaining: 40 * SECOND,
    };
    assert_eq!(rows, [row]);
}
