//! What the tester at the other end of the wire sees of `close`, `abort` and of a reader that stops.

use serde_json::json;
use tidegate_wire::TcpFlags;

use crate::lab::{Lab, agent_addresses};
use crate::peer::Peer;

/// A connection of the peer's to a listener of the agent, accepted.
fn connected(lab: &Lab, control: &mut crate::control::Control, port: u16) -> (Peer, u64) {
    let listener = control.listen(port, &json!({"rcvbuf": 8_000}));
    let mut peer = Peer::new(lab, agent_addresses()[0], (5000, port));
    peer.connect();
    let h = control.accept(listener);
    (peer, h)
}

#[test]
fn closing_with_text_unread_is_a_reset_and_without_it_a_fin() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let (mut peer, h) = connected(&lab, &mut control, 80);
    control.act("close", h);
    assert!(peer.hear().has(TcpFlags::FIN));
    // Nobody reads any more: text is answered by a reset.
    peer.send(TcpFlags::ACK, b"too late");
    assert!(peer.hear().has(TcpFlags::RST));

    let (mut peer, h) = connected(&lab, &mut control, 81);
    peer.send(TcpFlags::ACK, b"unread");
    peer.hear();
    control.act("close", h);
    assert!(peer.hear().has(TcpFlags::RST));

    let (mut peer, h) = connected(&lab, &mut control, 82);
    control.act("abort", h);
    let heard = peer.hear();
    assert!(heard.has(TcpFlags::RST) && heard.tcp.seq == peer.ack);
}

#[test]
fn what_came_before_accept_is_read_after_it() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let mut peer = Peer::new(&lab, agent_addresses()[1], (5000, 80));
    peer.connect();
    peer.send(TcpFlags::ACK, b"early");
    peer.send(TcpFlags::FIN | TcpFlags::ACK, b"");
    while peer.hear().tcp.ack != peer.seq {}
    let answer = control.ok(&json!({"op": "accept", "h": listener, "timeout": 0}));
    assert_eq!(
        (&answer["ip"], &answer["port"]),
        (&json!("2001:db8:1::50"), &json!(5000))
    );
    let h = answer["h"].as_u64().unwrap();
    assert_eq!(control.value("state", h).as_deref(), Some("CLOSE-WAIT"));
    assert_eq!(control.recv(h, 100), (b"early".to_vec(), false));
    assert_eq!(control.recv(h, 100), (Vec::new(), true));
}

#[test]
fn two_who_open_at_once_meet() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, 6000));
    // A first segment tells where we live; it belongs to no connection.
    peer.send(TcpFlags::ACK, b"");
    assert!(peer.hear().has(TcpFlags::RST));
    let request = json!({"op": "connect", "ip": "192.0.2.50", "port": 5000, "lport": 6000});
    let answer = control.ok(&request);
    assert_eq!(answer["lport"], json!(6000));
    let h = answer["h"].as_u64().unwrap();
    assert_eq!(peer.hear().tcp.flags & TcpFlags::ACK, TcpFlags::empty());
    assert_eq!(control.value("state", h).as_deref(), Some("SYN-SENT"));
    peer.send(TcpFlags::SYN, b"");
    assert_eq!(peer.hear().tcp.flags, TcpFlags::SYN | TcpFlags::ACK);
    assert_eq!(control.value("state", h).as_deref(), Some("SYN-RECEIVED"));
    peer.send(TcpFlags::ACK, b"");
    control.ok(&json!({"op": "wait_connected", "h": h, "timeout": 30}));
    assert_eq!(control.value("state", h).as_deref(), Some("ESTABLISHED"));
}

#[test]
fn reading_opens_the_window_again_and_tells_so() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let (mut peer, h) = connected(&lab, &mut control, 80);
    let mut window = 8_000;
    while window > 0 {
        let text = vec![7; window.min(1_000)];
        peer.send(TcpFlags::ACK | TcpFlags::PSH, &text);
        let mut heard = peer.hear();
        while heard.tcp.ack != peer.seq {
            heard = peer.hear();
        }
        window = usize::from(heard.tcp.wnd);
    }
    // Nothing fits: a probe is answered, and its byte not taken.
    let seq = peer.seq;
    peer.send(TcpFlags::ACK, b"!");
    let answer = peer.hear();
    assert_eq!((answer.tcp.ack, answer.tcp.wnd), (seq, 0));
    peer.seq = seq;
    let (text, _) = control.recv(h, 100_000);
    assert_eq!(text.len(), 8_000);
    let told = peer.hear();
    assert_eq!((told.tcp.ack, told.tcp.wnd), (seq, 8_000));
}

#[test]
fn a_wrong_checksum_is_not_heard_and_ours_are_right() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let (mut peer, h) = connected(&lab, &mut control, 80);
    peer.damage = 1;
    let seq = peer.seq;
    peer.send(TcpFlags::ACK, b"wrong");
    peer.damage = 0;
    peer.seq = seq;
    peer.send(TcpFlags::ACK, b"right");
    assert_eq!(control.recv(h, 100).0, b"right");
    // What the peer hears at all had a right one.
    control.send_all(h, &[7; 5_000]);
    let mut heard = 0;
    while heard < 5_000 {
        let segment = peer.hear();
        assert!(segment.text.len() <= 1_460, "nothing is segmented later");
        heard += segment.text.len();
        peer.send(TcpFlags::ACK, b"");
    }
}
