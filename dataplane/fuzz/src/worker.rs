//! A whole worker with listeners and an application, and at the other end of its link somebody who
//! sends what he likes, when he likes.
//!
//! The first bytes choose settings; each step then is a byte that names it and the bytes of its
//! arguments. Segments take their numbers from what the worker said last, so that many hit a
//! window. After each step each frame has a fate and a place; in the end every flow was ended
//! once, and all memory is home.

#[path = "../../worker/tests/sim/mod.rs"]
mod sim;

use core::time::Duration;

use hashbrown::HashMap;
use tidegate_tcp::{End, Settings, State};
use tidegate_wire::{ArpOp, Icmpv4, Icmpv6, Tcp, TcpFlags, TcpOptions};
use tidegate_worker::{App, FlowId, Listen, ListenerId, Open, Stack, SynCookies, WorkerConfig};

use self::sim::probe::{Probe, segments, tcp};
use self::sim::{A6, ip};
use super::bytes::Bytes;

/// The most steps that are played; more would only be slower.
const STEPS_MAX: usize = 200;

/// Where the worker listens.
const LISTENS: u16 = 7;

/// The other end and the worker, by version.
const V4: (&str, &str) = ("192.0.2.2", "192.0.2.1");
const V6: (&str, &str) = ("2001:db8::2", "2001:db8::1");

/// Plays the bytes.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut game = Game::new(&mut bytes);
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        game.step(&mut bytes);
    }
    game.end();
}

/// Does with its flows what it is told to, and echoes otherwise.
#[derive(Debug, Default)]
struct Puppet {
    flows: Vec<FlowId>,
    ends: HashMap<FlowId, End>,
    /// Takes so many bytes of each text; the rest waits.
    appetite: usize,
    is_busy: bool,
}

impl App for Puppet {
    type Command = ();

    fn is_ready(&self, _: ListenerId) -> bool {
        !self.is_busy
    }

    fn on_accept(&mut self, _: &mut Stack, flow: FlowId, _: ListenerId) {
        self.flows.push(flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        assert!(!text.is_empty() && !self.ends.contains_key(&flow));
        let taken = text.len().min(self.appetite);
        let _ = stack.send(flow, &text[..taken]);
        taken
    }

    fn on_peer_closed(&mut self, _: &mut Stack, flow: FlowId) {
        assert!(!self.ends.contains_key(&flow));
    }

    fn on_end(&mut self, _: &mut Stack, flow: FlowId, end: End) {
        assert!(self.flows.contains(&flow), "{flow} was never ours");
        assert_eq!(self.ends.insert(flow, end), None, "{flow} ended twice");
    }
}

struct Game {
    probe: Probe<Puppet>,
    /// The last segment of the worker to each of our ports, 0 to 3, and the frame that it was in.
    heard: [(Tcp, Vec<u8>); 4],
    is_ipv4: bool,
}

impl Game {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let config = WorkerConfig {
            flows_max: bytes.pick(&[16, 2]),
            time_wait_max: bytes.pick(&[8, 1]),
            text_blocks: bytes.pick(&[48, 4]),
            range_sets: bytes.pick(&[4, 1]),
            neighbours_max: bytes.pick(&[4, 1]),
            settings: vec![Settings {
                time_wait: Duration::from_secs(2),
                timestamps: !bytes.bool(),
                sack: !bytes.bool(),
                rmem: bytes.pick(&[30_000, 2_000]),
                wmem: bytes.pick(&[30_000, 2_000]),
                ..Settings::default()
            }],
            ..WorkerConfig::default()
        };
        let puppet = Puppet {
            appetite: usize::MAX,
            ..Puppet::default()
        };
        let mut probe = Probe::new(puppet, config);
        let listen = Listen {
            syn_backlog: bytes.pick(&[4, 1]),
            backlog: bytes.pick(&[4, 0]),
            abort_on_overflow: bytes.bool(),
            syn_cookies: bytes.pick(&[SynCookies::Full, SynCookies::Always, SynCookies::Off]),
            ..Listen::on(LISTENS)
        };
        let opened = probe.worker.stack_mut().listen(listen);
        opened.expect("the port is free");
        let nothing = tcp((LISTENS, 0), (1, 1), TcpFlags::ACK);
        Self {
            probe,
            heard: core::array::from_fn(|_| (nothing, Vec::new())),
            is_ipv4: true,
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.u8() % 16 {
            0..=5 => self.segment(bytes),
            6 => self.open(bytes),
            7 => self.call(bytes),
            8 => self.icmp(bytes),
            9 => self.neighbour(bytes),
            10 => {
                let len = usize::from(bytes.u8());
                self.ask(bytes.take(len));
            }
            11 => {
                // What the worker said last, changed a little.
                let mut frame = self.heard[usize::from(bytes.u8() % 4)].1.clone();
                if let Some(byte) = frame.get_mut(usize::from(bytes.u8())) {
                    *byte ^= bytes.u8();
                }
                self.ask(&frame);
            }
            12 => self.pass(Duration::from_millis(bytes.u16().into())),
            13 => self.pass(Duration::from_micros(bytes.u16().into())),
            14 => self.is_ipv4 = bytes.bool(),
            _ => self.mood(bytes),
        }
    }

    fn addresses(&self) -> (&'static str, &'static str) {
        if self.is_ipv4 { V4 } else { V6 }
    }

    fn segment(&mut self, bytes: &mut Bytes<'_>) {
        let flags = bytes.pick(&[
            TcpFlags::ACK,
            TcpFlags::SYN,
            TcpFlags::ACK | TcpFlags::PSH,
            TcpFlags::SYN | TcpFlags::ACK,
            TcpFlags::ACK | TcpFlags::FIN,
            TcpFlags::RST,
            TcpFlags::ACK | TcpFlags::URG,
        ]);
        let ours = bytes.u8() % 4;
        let (last, frame) = &self.heard[usize::from(ours)];
        let mut text_len = frame.len().saturating_sub(54);
        if last.flags.intersects(TcpFlags::SYN.union(TcpFlags::FIN)) {
            text_len = 1;
        }
        let end = last
            .seq
            .wrapping_add(u32::try_from(text_len).expect("short"));
        let numbers = (
            last.ack.wrapping_add_signed(bytes.distance()),
            end.wrapping_add_signed(bytes.distance()),
        );
        let mut header = tcp((u16::from(ours) + 1, last.src_port), numbers, flags);
        header.wnd = bytes.pick(&[u16::MAX, 0, 1, 1_000]);
        let text = [5; 3_000];
        let len = usize::from(bytes.pick(&[0_u16, 1, 100, 1_400]));
        if bytes.bool() {
            let len = usize::from(bytes.u8() % 41);
            header.options = TcpOptions::parse(bytes.take(len));
        }
        let frame = self.probe.segment(self.addresses(), &header, &text[..len]);
        self.ask(&frame);
    }

    /// Sends a frame and hears what comes back.
    fn ask(&mut self, frame: &[u8]) {
        self.probe.send(&[frame]);
        self.hear();
    }

    fn hear(&mut self) {
        let frames = self.probe.receive();
        for frame in frames {
            for said in segments(core::slice::from_ref(&frame)) {
                // A flow that the worker opens has a port of ours that the low bits choose.
                let ours = usize::from(said.dst_port.wrapping_sub(1) % 4);
                self.heard[ours] = (said, frame.clone());
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.probe.now + time;
        for _ in 0..100 {
            let next = self.probe.worker.next_deadline();
            let Some(next) = next.filter(|next| *next < end) else {
                break;
            };
            // Whoever says "now" and then has nothing to do must not stop time.
            let later = self.probe.now + Duration::from_millis(1);
            self.probe.now = next.max(later);
            self.hear();
        }
        self.probe.now = self.probe.now.max(end);
        self.hear();
    }

    fn open(&mut self, bytes: &mut Bytes<'_>) {
        let remote = (
            ip(&format!("{}/0", self.addresses().0)),
            1 + u16::from(bytes.u8() % 4),
        );
        let open = Open {
            local_port: bytes.bool().then_some(LISTENS),
            ..Open::to(remote.into())
        };
        let (puppet, stack) = self.probe.worker.app_and_stack();
        if let Ok(flow) = stack.open(open) {
            puppet.flows.push(flow);
        }
        self.hear();
    }

    /// A call of the application on one of its flows, perhaps one that has ended.
    fn call(&mut self, bytes: &mut Bytes<'_>) {
        let (puppet, stack) = self.probe.worker.app_and_stack();
        let (nth, what) = (usize::from(bytes.u8()), bytes.u8());
        let Some(&flow) = puppet.flows.get(nth % puppet.flows.len().max(1)) else {
            return;
        };
        match what % 9 {
            0 | 1 => {
                let _ = stack.send(flow, &[9; 4_000][..usize::from(bytes.u16() % 4_000)]);
            }
            2 => {
                let _ = stack.shutdown(flow);
            }
            3 => stack.close(flow),
            4 => stack.abort(flow),
            5 => stack.resume(flow),
            6 => stack.set_nodelay(flow, bytes.bool()),
            7 => stack.set_keepalive(flow, bytes.bool()),
            _ => stack.set_user_timeout(flow, bytes.bool().then_some(Duration::from_secs(1))),
        }
        self.hear();
    }

    /// An ICMP error about something the worker said, or an echo request.
    fn icmp(&mut self, bytes: &mut Bytes<'_>) {
        let quoted = &self.heard[usize::from(bytes.u8() % 4)].1;
        let quoted = quoted.get(14..).unwrap_or_default();
        let quoted = &quoted[..quoted.len().min(usize::from(bytes.u8()) + 20)];
        let (code, mtu) = (bytes.u8(), bytes.u16());
        let frame = if self.is_ipv4 {
            let message = match bytes.u8() % 3 {
                0 => Icmpv4::Unreachable {
                    code,
                    next_hop_mtu: mtu,
                    quoted,
                },
                1 => Icmpv4::TimeExceeded { code, quoted },
                _ => Icmpv4::EchoRequest {
                    id: mtu,
                    seq: mtu,
                    text: quoted,
                },
            };
            self.probe.icmpv4(V4, &message)
        } else {
            let mtu = u32::from(mtu);
            let message = match bytes.u8() % 2 {
                0 => Icmpv6::Unreachable { code, quoted },
                _ => Icmpv6::PacketTooBig { mtu, quoted },
            };
            let to = (V6.0, ip(A6));
            self.probe.icmpv6(self.probe.worker_mac(), to, &message)
        };
        self.ask(&frame);
    }

    /// ARP, from the other end or from any neighbour.
    fn neighbour(&mut self, bytes: &mut Bytes<'_>) {
        let op = if bytes.bool() {
            ArpOp::Request
        } else {
            ArpOp::Reply
        };
        let sender = format!("192.0.2.{}", bytes.pick(&[2, 3, 4, 1, 0, 255]));
        let frame = self.probe.arp(op, &sender, V4.1);
        self.ask(&frame);
    }

    fn mood(&mut self, bytes: &mut Bytes<'_>) {
        let (puppet, _) = self.probe.worker.app_and_stack();
        puppet.appetite = bytes.pick(&[usize::MAX, 0, 1, 500]);
        puppet.is_busy = bytes.bool();
        self.hear();
    }

    /// Everything is given up and has its time: then every flow has ended and nothing is missing.
    fn end(mut self) {
        let (puppet, stack) = self.probe.worker.app_and_stack();
        puppet.is_busy = false;
        for flow in &puppet.flows {
            stack.abort(*flow);
        }
        for _ in 0..100 {
            if self.probe.worker.stack().flows() == 0 {
                break;
            }
            self.pass(Duration::from_secs(10));
            // What waited to be accepted has come only now.
            let (puppet, stack) = self.probe.worker.app_and_stack();
            for flow in &puppet.flows {
                stack.abort(*flow);
            }
        }
        let counters = self.probe.worker.counters();
        assert_eq!(counters.in_state(State::Established), 0);
        sim::check_no_leak(&self.probe.worker);
        let puppet = self.probe.worker.app();
        assert_eq!(puppet.ends.len(), puppet.flows.len(), "an end was not told");
    }
}
