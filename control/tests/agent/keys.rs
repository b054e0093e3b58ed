//! `--tcp key=value`: what is said is what the stack does, and what is wrong is said.

use serde_json::json;
use tidegate::testbed::Bed;
use tidegate_wire::{TcpFlags, Timestamps};

use crate::TIDEGATE;
use crate::lab::{ECHO, Lab, agent_addresses};
use crate::peer::Peer;

#[test]
fn options_that_are_off_are_not_offered() {
    for is_on in [true, false] {
        let switch = |key: &str| format!("{key}={}", if is_on { "on" } else { "off" });
        let keys = ["sack", "timestamps", "window_scaling"].map(switch);
        let arguments: Vec<&str> = keys.iter().flat_map(|key| ["--tcp", key]).collect();
        let Some(lab) = Lab::new(&arguments) else {
            return;
        };
        let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, ECHO));
        peer.options.sack_permitted = true;
        peer.options.wnd_shift = Some(3);
        peer.options.timestamps = Some(Timestamps { value: 1, echo: 0 });
        let offered = peer.connect().tcp.options;
        assert_eq!(offered.sack_permitted, is_on);
        assert_eq!(offered.wnd_shift.is_some(), is_on);
        assert_eq!(offered.timestamps.is_some(), is_on);
    }
}

#[test]
fn the_initial_window_and_the_segment_size_are_as_said() {
    let arguments = [
        "--tcp",
        "initial_window=3",
        "--tcp",
        "mss_max=500",
        "--tcp",
        "congestion=reno",
    ];
    let Some(lab) = Lab::new(&arguments) else {
        return;
    };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, 80));
    assert_eq!(peer.connect().tcp.options.mss, Some(500));
    let h = control.accept(listener);
    control.send_all(h, &[7; 10_000]);
    let first = peer.ack;
    for number in 0..3 {
        let heard = peer.hear();
        assert_eq!(
            (heard.tcp.seq, heard.text.len()),
            (first + number * 500, 500)
        );
    }
    // Without an ACK only what was sent already comes again, later.
    let again = peer.hear();
    assert!(again.tcp.seq < first + 1_500, "{again:?}");
}

#[test]
fn an_ack_is_not_delayed_where_that_is_off() {
    let Some(lab) = Lab::new(&["--tcp", "delayed_ack=off"]) else {
        return;
    };
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, 80));
    peer.connect();
    control.accept(listener);
    for _ in 0..3 {
        peer.send(TcpFlags::ACK | TcpFlags::PSH, b"text");
        assert_eq!(peer.hear().tcp.ack, peer.seq);
    }
}

#[test]
fn the_last_of_two_values_counts() {
    let Some(lab) = Lab::new(&["--tcp", "ttl=7", "--tcp", "ttl=8"]) else {
        return;
    };
    let mut peer = Peer::new(&lab, agent_addresses()[1], (5000, ECHO));
    assert_eq!(peer.connect().ip.hop_limit, 8);
}

#[test]
fn a_hardware_address_of_its_own_is_answered_for() {
    let Some(lab) = Lab::new(&["--mac", "02:00:5e:10:00:01"]) else {
        return;
    };
    assert!(
        lab.ready.contains(" mac=02:00:5e:10:00:01 "),
        "{}",
        lab.ready
    );
    let mut peer = Peer::new(&lab, agent_addresses()[0], (5000, ECHO));
    peer.connect();
    // The kernel finds it by ARP.
    lab.dial(ECHO);
}

#[test]
fn what_is_wrong_is_said_with_the_key_and_what_would_be_right() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let wrong: [(&[&str], &str); 6] = [
        (&["--tcp", "time_wiat=2s"], "did you mean `time_wait`?"),
        (&["--tcp", "rto_min=1"], "write \"1s\" or \"1ms\""),
        (&["--tcp", "sack"], "expected KEY=VALUE"),
        (&["--gateway", "10.0.0.1"], "10.0.0.1"),
        (&["--mac", "here"], "six pairs of hexadecimal digits"),
        (&["--driver", "magic"], "\"magic\" is not known here"),
    ];
    let control = bed.folder().path().join("control.sock");
    for (arguments, said) in wrong {
        let mut command = bed.tidegate().command(TIDEGATE);
        command
            .args([
                "agent",
                "--interface",
                "front",
                "--address",
                "192.0.2.1/24",
                "--control",
            ])
            .arg(&control)
            .args(arguments);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(!control.exists(), "nothing was begun");
    }
}
