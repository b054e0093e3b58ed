//! What nobody should send, over the control socket and over the wire: the agent survives it, and
//! serves others meanwhile.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use tidegate_wire::TcpFlags;

use crate::control::Control;
use crate::lab::{ECHO, Lab, agent_addresses};
use crate::peer::Peer;
use crate::raw::{FRAME_MAX, Raw};

/// Marsaglia's xorshift, from the same seed in every run or from `TIDEGATE_SEED`.
struct Random(u64);

impl Random {
    fn new(usual: u64) -> Self {
        let given = std::env::var("TIDEGATE_SEED").ok();
        let seed = given.map_or(usual, |text| text.parse().unwrap());
        println!("seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 8).unwrap() % end
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[5]).collect()
    }
}

/// The echo answers as if nothing were.
#[track_caller]
fn assert_echo(lab: &Lab) {
    let mut stream = lab.dial(ECHO);
    stream.write_all(b"still there").unwrap();
    let mut back = [0; 11];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still there");
}

/// A request with some of the right words in some of the right places.
fn request(random: &mut Random) -> Value {
    let ops = [
        "listen",
        "accept",
        "connect",
        "wait_connected",
        "send",
        "recv",
        "shutdown",
        "close",
        "abort",
        "setopt",
        "error",
        "state",
        "",
        "LISTEN",
    ];
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(3),
        json!(80),
        json!(70_000),
        json!(1e300),
        json!("192.0.2.2"),
        json!("2001:db8:1::2"),
        json!("eA=="),
        json!(""),
        json!([]),
        json!({}),
        json!({"ttl": 3}),
        json!({"rcvbuf": 4_294_967_295u32}),
        json!({"keepalive": {"idle": 1e6, "count": 255}}),
        json!({"dscp": -1}),
    ];
    let mut request = json!({"op": random.pick(&ops)});
    for key in ["h", "port", "backlog", "ip", "lport", "data", "n", "opts"] {
        // Mostly something that fits, or hardly any request gets further than its fields.
        let fitting = match key {
            "h" => json!(random.below(40)),
            "port" => json!(random.below(200)),
            "ip" => json!("192.0.2.2"),
            "data" => json!("dGV4dA=="),
            "n" | "backlog" => json!(random.below(3)),
            "opts" => json!({"nodelay": true}),
            _ => json!(null),
        };
        let value = match random.below(10) {
            0 => continue,
            1 => random.pick(&values),
            _ => fitting,
        };
        request[key] = value;
    }
    // Without this, waiting would have no end.
    request["timeout"] = random.pick(&[json!(0), json!(0.001)]);
    request
}

/// A request of which a few bytes are others; of an operation that cannot wait, as its limit might
/// be among what is lost.
fn scribble(random: &mut Random) -> Vec<u8> {
    let mut line = json!({"op": "state", "h": 1}).to_string().into_bytes();
    for _ in 0..1 + random.below(4) {
        let at = random.below(line.len());
        line[at] = random.bytes(1)[0].max(b' ');
    }
    line
}

/// Each line is answered by one line that says whether it was granted.
#[track_caller]
fn assert_answered(control: &mut Control, line: &[u8]) {
    control.write(line);
    control.write(b"\n");
    let answer = control.read().expect("the connection stays");
    let is_granted = answer["ok"]
        .as_bool()
        .expect("it says whether it was granted");
    assert_eq!(is_granted, answer["error"].is_null(), "{answer}");
}

#[test]
fn any_request_has_one_answer() {
    let Some(mut lab) = Lab::new(&["--tcp", "syn_retries=0"]) else {
        return;
    };
    let mut random = Random::new(1);
    for _ in 0..4 {
        let mut control = lab.control();
        for _ in 0..500 {
            let line = match random.below(4) {
                0 => scribble(&mut random),
                _ => request(&mut random).to_string().into_bytes(),
            };
            assert_answered(&mut control, &line);
        }
        for _ in 0..100 {
            let length = 1 + random.below(300);
            let mut line = random.bytes(length);
            line.retain(|byte| *byte != b'\n');
            line.insert(0, b'#');
            assert_answered(&mut control, &line);
        }
    }
    assert_echo(&lab);
    lab.assert_alive();
    // What the clients have opened went with them.
    let mut control = lab.control();
    control.listen(80, &json!({}));
}

#[test]
fn any_segment_is_survived_in_whatever_state_it_comes() {
    let Some(mut lab) = Lab::new(&["--tcp", "time_wait=1s"]) else {
        return;
    };
    let mut random = Random::new(2);
    let mut control = lab.control();
    let listener = control.listen(80, &json!({"rcvbuf": 8_000}));
    for number in 0..60 {
        let address = agent_addresses()[number % 2];
        let port = 5000 + u16::try_from(number).unwrap();
        let mut peer = Peer::new(&lab, address, (port, 80));
        peer.options.timestamps = None;
        peer.connect();
        let h = control.accept(listener);
        control.send_all(h, &random.bytes(3_000));
        match random.below(3) {
            0 => control.act("shutdown", h),
            1 => peer.send(TcpFlags::FIN | TcpFlags::ACK, b""),
            _ => {}
        }
        let (seq, ack) = (peer.seq, peer.ack);
        for _ in 0..40 {
            let near = |random: &mut Random| u32::try_from(random.below(20_000)).unwrap();
            peer.seq = seq.wrapping_add(near(&mut random)).wrapping_sub(6_000);
            peer.ack = ack.wrapping_add(near(&mut random)).wrapping_sub(6_000);
            peer.window = random.pick(&[0, 1, 500, 65_535]);
            let flags = TcpFlags::from_bits_retain(random.bytes(1)[0]);
            // A RST in the middle ends it too often for the rest to matter.
            let flags = if random.below(20) == 0 {
                flags
            } else {
                flags - TcpFlags::RST
            };
            let length = random.pick(&[0, 0, 1, 536, 1_400]);
            let text = random.bytes(length);
            peer.send(flags, &text);
        }
        let recv = json!({"op": "recv", "h": h, "n": 9_000, "timeout": 0});
        control.ask(&recv);
        control.ask(&json!({"op": random.pick(&["close", "abort", "shutdown"]), "h": h}));
        if number % 10 == 0 {
            assert_echo(&lab);
        }
    }
    assert_echo(&lab);
    lab.assert_alive();
}

#[test]
fn a_flood_of_noise_does_not_reach_who_is_served() {
    let Some(mut lab) = Lab::new(&[]) else { return };
    let mut random = Random::new(3);
    let raw = Raw::open(lab.bed.client());
    let mac = lab
        .ready
        .split(' ')
        .find_map(|word| word.strip_prefix("mac="));
    let mac: tidegate_wire::MacAddr = mac.unwrap().parse().unwrap();
    let mut served = lab.dial(ECHO);
    for number in 0..6_000_u32 {
        let length = 14 + random.below(FRAME_MAX - 13);
        let mut frame = random.bytes(length);
        frame[..6].copy_from_slice(&mac.0);
        frame[6] &= 0xfe;
        let types = [[0x08, 0x00], [0x86, 0xdd], [0x08, 0x06]];
        frame[12..14].copy_from_slice(&random.pick(&types));
        if frame[12..14] == [0x08, 0x00] && length >= 34 {
            frame[14] = 0x45;
            frame[30..34].copy_from_slice(&[192, 0, 2, 1]);
        }
        raw.send(&frame);
        if number % 500 == 0 {
            let text = number.to_be_bytes();
            served.write_all(&text).unwrap();
            let mut back = [0; 4];
            served.read_exact(&mut back).unwrap();
            assert_eq!(back, text);
        }
    }
    assert_echo(&lab);
    lab.assert_alive();
}

#[test]
fn a_flood_of_syns_leaves_room_for_who_means_it() {
    let Some(mut lab) = Lab::new(&["--tcp", "synack_retries=0"]) else {
        return;
    };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let mut peer = Peer::new(&lab, agent_addresses()[0], (10_000, 80));
    for port in 10_000..13_000 {
        peer.ports.0 = port;
        peer.send(TcpFlags::SYN, b"");
    }
    assert_echo(&lab);
    // The listener that is flooded takes connections again when the first half-open ones are given
    // up, if not before.
    let mut stream = lab.dial(80);
    let h = control.accept(listener);
    stream.write_all(b"x").unwrap();
    assert_eq!(control.recv(h, 1).0, b"x");
    lab.assert_alive();
}
