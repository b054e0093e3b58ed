//! A client of the control socket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::PATIENCE;

/// A control connection.
pub(crate) struct Control {
    pub(crate) stream: BufReader<UnixStream>,
}

impl Control {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.stream.get_ref().write_all(bytes).unwrap();
    }

    /// The next answer; none where the agent has closed.
    pub(crate) fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Sends a request without waiting for its answer.
    pub(crate) fn post(&self, request: &Value) {
        self.write(format!("{request}\n").as_bytes());
    }

    /// The answer to a request.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.post(request);
        self.read().expect("each request is answered")
    }

    /// The answer to a request that must be granted.
    #[track_caller]
    pub(crate) fn ok(&mut self, request: &Value) -> Value {
        let answer = self.ask(request);
        assert_eq!(answer["ok"], json!(true), "{request} is answered {answer}");
        answer
    }

    /// The error by which a request is refused.
    #[track_caller]
    pub(crate) fn error(&mut self, request: &Value) -> String {
        let answer = self.ask(request);
        assert_eq!(answer["ok"], json!(false), "{request} is answered {answer}");
        answer["error"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn listen(&mut self, port: u16, opts: &Value) -> u64 {
        handle(&self.ok(&json!({"op": "listen", "port": port, "backlog": 8, "opts": opts})))
    }

    #[track_caller]
    pub(crate) fn accept(&mut self, listener: u64) -> u64 {
        handle(&self.ok(&json!({"op": "accept", "h": listener, "timeout": 30})))
    }

    /// Opens a connection and waits until it is there.
    #[track_caller]
    pub(crate) fn connect_to(&mut self, to: SocketAddr, opts: &Value) -> u64 {
        let (ip, port) = (to.ip(), to.port());
        let h = handle(&self.ok(&json!({"op": "connect", "ip": ip, "port": port, "opts": opts})));
        self.ok(&json!({"op": "wait_connected", "h": h, "timeout": 30}));
        h
    }

    /// Sends all of the text, however often it takes.
    #[track_caller]
    pub(crate) fn send_all(&mut self, h: u64, mut text: &[u8]) {
        while !text.is_empty() {
            let part = &text[..text.len().min(1 << 20)];
            let request = json!({"op": "send", "h": h, "data": STANDARD.encode(part)});
            let taken = self.ok(&request)["n"].as_u64().unwrap();
            text = &text[usize::try_from(taken).unwrap()..];
            if taken == 0 {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }

    /// Text of at most `n` bytes, and whether it was the end.
    #[track_caller]
    pub(crate) fn recv(&mut self, h: u64, n: usize) -> (Vec<u8>, bool) {
        let answer = self.ok(&json!({"op": "recv", "h": h, "n": n, "timeout": 30}));
        let text = STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        (text, answer["eof"].as_bool().unwrap())
    }

    /// Everything until the peer's FIN.
    #[track_caller]
    pub(crate) fn recv_to_end(&mut self, h: u64) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (text, is_end) = self.recv(h, 1 << 20);
            all.extend(text);
            if is_end {
                return all;
            }
        }
    }

    /// One of the operations that take a handle and nothing else.
    #[track_caller]
    pub(crate) fn act(&mut self, op: &str, h: u64) {
        self.ok(&json!({"op": op, "h": h}));
    }

    /// `error` or `state`.
    #[track_caller]
    pub(crate) fn value(&mut self, op: &str, h: u64) -> Option<String> {
        let answer = self.ok(&json!({"op": op, "h": h}));
        answer["value"].as_str().map(str::to_owned)
    }

    /// Waits until a connection is in this state, which somebody else brings about.
    #[track_caller]
    pub(crate) fn wait_for_state(&mut self, h: u64, wanted: Option<&str>) {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let state = self.value("state", h);
            if state.as_deref() == wanted {
                return;
            }
            assert!(
                std::time::Instant::now() < end,
                "{state:?} is not {wanted:?}"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn handle(answer: &Value) -> u64 {
    answer["h"].as_u64().expect("a handle")
}
