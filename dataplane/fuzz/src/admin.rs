//! Lines of the admin socket, as a client may write them and as a server may answer.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{from_str, to_string};
use tidegate::admin::{Answer, Request};

/// Reads each line as a request and as an answer.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        again::<Request>(line);
        again::<Answer>(line);
    }
}

/// A message that was understood is one line, and is read again as what it was.
fn again<T>(line: &str)
where
    T: Debug + PartialEq + Serialize + DeserializeOwned,
{
    let Ok(message) = from_str::<T>(line) else {
        return;
    };
    let written = to_string(&message).expect("a message is valid JSON");
    assert!(!written.contains('\n'), "{written}");
    let read: T = from_str(&written).expect("our own messages are understood");
    assert_eq!(read, message);
}
