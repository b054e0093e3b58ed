//! `echo`: every byte comes back, also after the client has closed its half.

use std::io::{Read, Write};

use tidegate::testbed::Bed;

use crate::client::{assert_same, connect, exchange, front, pattern};
use crate::{TIDEGATE, listener};

#[test]
fn all_text_comes_back_after_half_close() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    for address in front(7) {
        for length in [0, 1, 1448, 100_000, 3_000_000] {
            let sent = pattern(length);
            assert_same(&exchange(&connect(&bed, address), &sent), &sent);
        }
    }
}

#[test]
fn each_line_of_a_dialogue_is_answered_before_the_next() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = bed.run(&listener("echo", 7, "echo"));
    for address in front(7) {
        let mut stream = connect(&bed, address);
        for number in 0..200 {
            let line = format!("line {number}\n");
            stream.write_all(line.as_bytes()).unwrap();
            let mut answer = vec![0; line.len()];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer, line.as_bytes());
        }
    }
}
