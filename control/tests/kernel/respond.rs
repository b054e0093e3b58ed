//! `respond`: the fixed HTTP answer, for a client of ours and for curl.

use std::io::{Read, Write};
use std::process::Command;

use tidegate::testbed::{Bed, skip};

use crate::client::{connect, front};
use crate::{TIDEGATE, listener};

const BODY: &str = "the tide is out";

fn tables() -> String {
    listener("web", 80, "respond") + &format!("[listener.respond]\nbody = \"{BODY}\"\n")
}

#[test]
fn requests_in_one_segment_get_an_answer_each() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&tables());
    for address in front(80) {
        let mut stream = connect(&bed, address);
        let keep = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream
            .write_all(format!("{keep}{keep}{last}").as_bytes())
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{text}");
        assert_eq!(text.matches(BODY).count(), 3, "{text}");
        assert!(text.ends_with(BODY), "{text}");
    }
}

#[test]
fn curl_gets_the_answer_over_both_families() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    if Command::new("curl").arg("-V").output().is_err() {
        return skip("curl is not installed");
    }
    let _tidegate = bed.run(&tables());
    for address in front(80) {
        let url = format!("http://{address}/");
        let mut curl = bed.client().command("curl");
        // Two transfers, so that the second goes over the connection of the first.
        curl.args([
            "-gsS",
            "--max-time",
            "60",
            "-w",
            "%{num_connects},",
            &url,
            &url,
        ]);
        let output = curl.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{url}: {said}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text, format!("{BODY}1,{BODY}0,"), "{url}");
    }
}
