//! The protocol of the control socket: one JSON object a line each way.
//!
//! A request is `{"op": NAME, ...}`; an answer is `{"ok": true, ...}`, or `{"ok": false, "error":
//! ERRNO}` with the name of an errno and, for people, a `message`. Here lines become typed requests
//! and typed answers become lines; what a request does is the application's business. Unknown
//! fields are ignored; unknown `opts` are refused, because a setting that is silently not made is
//! worse than none.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::errno::Errno;
use super::opts::Opts;
use crate::admin::TcpInfo;

/// The number of a listener or a connection.
pub(super) type Handle = u32;

/// Bytes of text in one `recv` at most, however many are asked for: what a control connection may
/// make the agent hold.
pub(super) const RECV_MAX: usize = 1 << 20;

/// Flows that wait for `accept`, if `listen` does not say.
const BACKLOG: u32 = 128;

/// Characters of an unknown name that are repeated.
pub(super) const NAME_MAX: usize = 40;

/// Standard base64; padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Listen {
        port: u16,
        backlog: u32,
        opts: Opts,
    },
    Accept {
        h: Handle,
    },
    Connect {
        to: (IpAddr, u16),
        lport: Option<u16>,
        opts: Opts,
    },
    WaitConnected {
        h: Handle,
    },
    Send {
        h: Handle,
        text: Vec<u8>,
    },
    Recv {
        h: Handle,
        n: usize,
    },
    Shutdown {
        h: Handle,
    },
    Close {
        h: Handle,
    },
    Abort {
        h: Handle,
    },
    SetOpt {
        h: Handle,
        opts: Opts,
    },
    Error {
        h: Handle,
    },
    State {
        h: Handle,
    },
    Info {
        h: Handle,
    },
}

/// How long an answer may take; only `accept`, `wait_connected` and `recv` can take any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Answer with what there is now.
    None,
    /// Wait for so long.
    Until(Duration),
    /// Wait without end.
    Endless,
}

/// What a request that was understood is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// A new listener.
    Listening(Handle),
    /// A connection that is being opened from this port of ours.
    Opening(Handle, u16),
    /// A connection that has come, and from where.
    Accepted(Handle, IpAddr, u16),
    /// So many bytes were taken.
    Taken(usize),
    /// Text, and whether it is the end of it.
    Text { text: Vec<u8>, eof: bool },
    /// A name, or nothing.
    Value(Option<&'static str>),
    /// What TCP knows of a connection; nothing after its end.
    Info(Option<Box<TcpInfo>>),
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    /// For people.
    pub(super) message: Option<String>,
    /// Nothing has gone wrong: what was waited for has not come in time.
    pub(super) pending: bool,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self {
            errno,
            message: None,
            pending: false,
        }
    }
}

impl Refusal {
    /// A refusal with a sentence for people.
    pub(super) fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..Self::from(errno)
        }
    }

    /// What was waited for has not come in time.
    pub(super) fn pending() -> Self {
        Self {
            pending: true,
            ..Self::from(Errno::TimedOut)
        }
    }
}

/// The answer to a request, or why there is none.
pub(super) type Reply = Result<Answer, Refusal>;

/// The fields of all operations; each takes those it knows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    h: Option<i64>,
    port: Option<u16>,
    backlog: Option<u32>,
    ip: Option<IpAddr>,
    lport: Option<u16>,
    data: Option<String>,
    n: Option<u64>,
    timeout: Option<f64>,
    opts: Option<Map<String, Value>>,
}

/// What a request must have.
fn need<T>(field: Option<T>, name: &str) -> Result<T, Refusal> {
    field.ok_or_else(|| invalid(format!("`{name}` is missing")))
}

/// What an error of the parser says.
fn shown(error: &serde_json::Error) -> String {
    shortened(&error.to_string(), 200)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(Errno::Invalid, message)
}

/// The request that a line makes, and how long its answer may take.
pub(super) fn parse(line: &[u8]) -> Result<(Request, Patience), Refusal> {
    let value: Value = serde_json::from_slice(line).map_err(|error| invalid(shown(&error)))?;
    let Value::Object(object) = &value else {
        return Err(invalid("a request is a JSON object"));
    };
    let op = object.get("op").and_then(Value::as_str);
    let op = op.ok_or_else(|| invalid("`op` is missing or no string"))?;
    let fields = Fields::deserialize(&value).map_err(|error| invalid(shown(&error)))?;
    let patience = patience(fields.timeout)?;
    Ok((request(op, fields)?, patience))
}

fn request(op: &str, fields: Fields) -> Result<Request, Refusal> {
    let handle = fields.h;
    let h = || {
        let number = need(handle, "h")?;
        Handle::try_from(number).map_err(|_| Refusal::from(Errno::BadHandle))
    };
    Ok(match op {
        "listen" => Request::Listen {
            port: need(fields.port, "port")?,
            backlog: fields.backlog.unwrap_or(BACKLOG),
            opts: Opts::parse(fields.opts)?,
        },
        "accept" => Request::Accept { h: h()? },
        "connect" => Request::Connect {
            to: (need(fields.ip, "ip")?, need(fields.port, "port")?),
            lport: fields.lport,
            opts: Opts::parse(fields.opts)?,
        },
        "wait_connected" => Request::WaitConnected { h: h()? },
        "send" => Request::Send {
            h: h()?,
            text: decode(&need(fields.data, "data")?)?,
        },
        "recv" => Request::Recv {
            h: h()?,
            n: usize::try_from(need(fields.n, "n")?).map_or(RECV_MAX, |n| n.min(RECV_MAX)),
        },
        "shutdown" => Request::Shutdown { h: h()? },
        "close" => Request::Close { h: h()? },
        "abort" => Request::Abort { h: h()? },
        "setopt" => Request::SetOpt {
            h: h()?,
            opts: Opts::parse(Some(need(fields.opts, "opts")?))?,
        },
        "error" => Request::Error { h: h()? },
        "state" => Request::State { h: h()? },
        "info" => Request::Info { h: h()? },
        _ => {
            let message = format!("there is no op {:?}", shortened(op, NAME_MAX));
            return Err(Refusal::new(Errno::Unsupported, message));
        }
    })
}

/// At most the first characters of what somebody made up.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

fn decode(data: &str) -> Result<Vec<u8>, Refusal> {
    BASE64
        .decode(data)
        .map_err(|error| invalid(format!("`data` is no base64: {error}")))
}

/// The field `timeout`, in seconds. Without it, waiting has no end.
fn patience(timeout: Option<f64>) -> Result<Patience, Refusal> {
    match timeout {
        None => Ok(Patience::Endless),
        Some(0.0) => Ok(Patience::None),
        // What no duration can hold is longer than anybody waits; not a number is no JSON.
        Some(seconds) if seconds > 0.0 => {
            Ok(Duration::try_from_secs_f64(seconds).map_or(Patience::Endless, Patience::Until))
        }
        Some(_) => Err(invalid("`timeout` is negative")),
    }
}

/// The line that a reply makes, without its end.
pub(super) fn render(reply: &Reply) -> String {
    let value = match reply {
        Ok(Answer::Done) => json!({"ok": true}),
        Ok(Answer::Listening(h)) => json!({"ok": true, "h": h}),
        Ok(Answer::Opening(h, lport)) => json!({"ok": true, "h": h, "lport": lport}),
        Ok(Answer::Accepted(h, ip, port)) => {
            json!({"ok": true, "h": h, "ip": ip, "port": port})
        }
        Ok(Answer::Taken(n)) => json!({"ok": true, "n": n}),
        Ok(Answer::Text { text, eof }) => {
            json!({"ok": true, "data": BASE64.encode(text), "eof": eof})
        }
        Ok(Answer::Value(name)) => json!({"ok": true, "value": name}),
        Ok(Answer::Info(info)) => json!({"ok": true, "value": info}),
        Err(refusal) => {
            let mut object = json!({"ok": false, "error": refusal.errno.name()});
            if let Some(message) = &refusal.message {
                object["message"] = json!(message);
            }
            if refusal.pending {
                object["pending"] = json!(true);
            }
            object
        }
    };
    value.to_string()
}
