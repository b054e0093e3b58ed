//! Many connections, and long ones.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::control::Control;
use crate::digest::{Digest, Text, receive};
use crate::lab::{ECHO, Lab, kernel_addresses, patient};

#[test]
fn a_thousand_connections_each_have_their_own_text() {
    let Some(mut lab) = Lab::new(&[]) else { return };
    // The kernel's ends are descriptors of this process.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(4_096).min(hard), hard).unwrap();
    let mut control = lab.control();
    let listener = control.listen(80, &json!({}));
    let mut pairs = Vec::new();
    for number in 0..1_000_u32 {
        let mut stream = lab.dial(80);
        let h = control.accept(listener);
        stream.write_all(&number.to_be_bytes()).unwrap();
        pairs.push((stream, h));
    }
    for (number, (_, h)) in (0u32..).zip(&pairs) {
        let mut text = Vec::new();
        while text.len() < 4 {
            text.extend(control.recv(*h, 4 - text.len()).0);
        }
        assert_eq!(text, number.to_be_bytes());
        control.send_all(*h, &(!number).to_be_bytes());
        control.act("close", *h);
    }
    for (number, (mut stream, _)) in (0u32..).zip(pairs) {
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        assert_eq!(back, (!number).to_be_bytes());
    }
    lab.dial(ECHO);
    lab.assert_alive();
}

#[test]
fn long_texts_cross_on_one_connection() {
    const LENGTH: u64 = 20_000_000;

    let Some(lab) = Lab::new(&[]) else { return };
    let mut control = lab.control();
    for (address, seed) in kernel_addresses().into_iter().zip([1, 3]) {
        let (kernel, at) = lab.listen_at(address);
        let h = control.connect_to(at, &json!({}));
        let stream = patient(kernel.accept().unwrap().0);
        let to_kernel = Text::new(seed + 1, LENGTH);
        let (sent, received): (Digest, Digest) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let sent = Text::new(seed, LENGTH).send(&stream).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                sent
            });
            let receiving = scope.spawn(|| receive(&stream).unwrap());
            let heard = exchange(&mut control, h, &to_kernel.bytes());
            assert!(
                heard == Text::new(seed, LENGTH).bytes(),
                "{} bytes",
                heard.len()
            );
            (sending.join().unwrap(), receiving.join().unwrap())
        });
        assert_eq!(sent.length, LENGTH);
        let right = Text::new(seed + 1, LENGTH).send(std::io::sink()).unwrap();
        assert_eq!(received, right);
        control.act("close", h);
    }
}

/// Sends all of the text and a FIN, and takes what comes until there is no more.
fn exchange(control: &mut Control, h: u64, text: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut heard = Vec::new();
    loop {
        if !rest.is_empty() {
            let part = STANDARD.encode(&rest[..rest.len().min(256 << 10)]);
            let answer = control.ok(&json!({"op": "send", "h": h, "data": part}));
            rest = &rest[usize::try_from(answer["n"].as_u64().unwrap()).unwrap()..];
            if rest.is_empty() {
                control.act("shutdown", h);
            }
        }
        let answer = control.ask(&json!({"op": "recv", "h": h, "n": 1 << 20, "timeout": 0.001}));
        if let Some(data) = answer["data"].as_str() {
            heard.extend(STANDARD.decode(data).unwrap());
        }
        if rest.is_empty() && answer["eof"] == json!(true) {
            return heard;
        }
    }
}
