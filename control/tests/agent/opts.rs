//! What `opts` say is what is seen on the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tidegate_wire::TcpFlags;

use crate::lab::{Lab, agent_addresses, kernel_addresses};
use crate::peer::Peer;

#[test]
fn dscp_and_ttl_are_those_of_the_listener_until_the_connection_has_its_own() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({"dscp": 46, "ttl": 9}));
    for address in agent_addresses() {
        let mut peer = Peer::new(&lab, address, (5000, 80));
        let syn_ack = peer.connect();
        assert_eq!(
            (syn_ack.ip.traffic_class, syn_ack.ip.hop_limit),
            (46 << 2, 9)
        );
        let h = control.accept(listener);
        control.send_all(h, b"one");
        let first = peer.hear().ip;
        assert_eq!((first.traffic_class, first.hop_limit), (46 << 2, 9));
        peer.send(TcpFlags::ACK, b"");
        control.ok(&json!({"op": "setopt", "h": h, "opts": {"dscp": 8, "ttl": 200}}));
        control.send_all(h, b"two");
        let second = peer.hear();
        assert_eq!(second.text, b"two");
        assert_eq!(
            (second.ip.traffic_class, second.ip.hop_limit),
            (8 << 2, 200)
        );
        control.act("abort", h);
        assert!(peer.hear().has(TcpFlags::RST));
    }
    // On a listener they hold for those to come.
    control.ok(&json!({"op": "setopt", "h": listener, "opts": {"ttl": 33}}));
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5001, 80));
    let syn_ack = peer.connect().ip;
    assert_eq!((syn_ack.traffic_class, syn_ack.hop_limit), (46 << 2, 33));
}

#[test]
fn the_receive_buffer_is_what_is_offered() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    for (rcvbuf, port) in [(1_u32, 81), (4_096, 82), (20_000, 83), (60_000, 84)] {
        control.listen(port, &json!({"rcvbuf": rcvbuf}));
        let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, port));
        let offered = u32::from(peer.connect().tcp.wnd);
        assert!(
            (rcvbuf..=rcvbuf.max(4_096)).contains(&offered),
            "{rcvbuf}: {offered}"
        );
    }
    // What 16 bits cannot say is said by the scale.
    control.listen(85, &json!({"rcvbuf": 1_000_000}));
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, 85));
    peer.options.wnd_shift = Some(7);
    let shift = peer.connect().tcp.options.wnd_shift.unwrap();
    assert_eq!(shift, 4, "1,000,000 >> 4 fits");
}

#[test]
fn the_send_buffer_takes_what_it_has_room_for_and_no_more() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let request = json!({"op": "connect", "ip": "192.0.2.50", "port": 80,
        "opts": {"sndbuf": 10_000}});
    let h = control.ok(&request)["h"].as_u64().unwrap();
    let text = STANDARD.encode(vec![7; 20_000]);
    let send = json!({"op": "send", "h": h, "data": text});
    assert_eq!(control.ok(&send)["n"], json!(10_000));
    assert_eq!(control.ok(&send)["n"], json!(0), "full, which is no error");
    control.ok(&json!({"op": "setopt", "h": h, "opts": {"sndbuf": 12_000}}));
    assert_eq!(control.ok(&send)["n"], json!(2_000));
    control.act("shutdown", h);
    assert_eq!(control.error(&send), "EPIPE");
}

#[test]
fn small_segments_wait_for_an_ack_or_do_not() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    for (port, is_set) in [(5000, false), (5001, true)] {
        let mut peer = Peer::new(&lab, agent_addresses()[0], (port, 80));
        peer.connect();
        let h = control.accept(listener);
        control.ok(&json!({"op": "setopt", "h": h, "opts": {"nodelay": is_set}}));
        control.send_all(h, b"a");
        assert_eq!(peer.hear().text, b"a");
        control.send_all(h, b"b");
        if is_set {
            assert_eq!(peer.hear().text, b"b");
            continue;
        }
        control.send_all(h, b"c");
        // The ACK lets both go, together.
        peer.send(TcpFlags::ACK, b"");
        let mut next = peer.hear();
        while next.text == b"a" {
            // On a slow machine it has come again meanwhile.
            next = peer.hear();
        }
        assert_eq!(next.text, b"bc");
    }
}

#[test]
fn a_peer_that_is_silent_is_probed_and_given_up() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let opts = json!({"keepalive": {"idle": 0.1, "interval": 0.1, "count": 3}});
    let listener = control.listen(80, &opts);
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, 80));
    peer.connect();
    let h = control.accept(listener);
    let answer = control.ask(&json!({"op": "recv", "h": h, "n": 1, "timeout": 30}));
    // The connection has ended: nothing is pending.
    assert_eq!(answer, json!({"ok": false, "error": "ETIMEDOUT"}));
    let mut probes = 0;
    loop {
        let heard = peer.hear();
        if heard.has(TcpFlags::RST) {
            break;
        }
        assert!(
            heard.text.is_empty() && heard.tcp.seq == peer.ack,
            "{heard:?}"
        );
        peer.ack = peer.ack.wrapping_add(1);
        probes += 1;
    }
    assert_eq!(probes, 3);
    assert_eq!(control.recv(h, 1), (Vec::new(), true));

    // Switched off, it is left alone: there is no timer at all.
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5001, 80));
    peer.connect();
    let h = control.accept(listener);
    control.ok(&json!({"op": "setopt", "h": h, "opts": {"keepalive": false}}));
    let answer = control.ask(&json!({"op": "recv", "h": h, "n": 1, "timeout": 1}));
    assert_eq!(answer["pending"], json!(true));
}

#[test]
fn text_that_stays_unacknowledged_ends_at_the_user_timeout() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({"user_timeout_ms": 700}));
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, 80));
    peer.connect();
    let h = control.accept(listener);
    control.send_all(h, b"nobody answers");
    let start = std::time::Instant::now();
    let answer = control.ask(&json!({"op": "recv", "h": h, "n": 1, "timeout": 30}));
    assert_eq!(answer, json!({"ok": false, "error": "ETIMEDOUT"}));
    assert!(start.elapsed() >= std::time::Duration::from_millis(500));
    control.wait_for_state(h, None);
}

#[test]
fn options_hold_for_an_open_too() {
    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    let (kernel, at) = lab.listen_at(kernel_addresses()[1]);
    let opts = json!({
        "rcvbuf": 50_000, "sndbuf": 50_000, "nodelay": true, "dscp": 1, "ttl": 2,
        "keepalive": {"idle": 600}, "user_timeout_ms": 0,
    });
    let h = control.connect_to(at, &opts);
    control.send_all(h, b"x");
    kernel.accept().unwrap();
    control.act("close", h);
}
