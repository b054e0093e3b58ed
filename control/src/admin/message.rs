//! The messages of the admin protocol, as types. The module above describes them in words.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::info::{TcpInfo, is_false};

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What is this process and how is it?
    Status {},
    /// Which connections are there?
    Flows {
        /// Where the page begins: `next` of the page before. Absent: at the first flow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Most flows in the page; the server takes at most 4096, and 1024 where this is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u32>,
        /// Whether each flow is to come with [`Flow::info`].
        #[serde(default, skip_serializing_if = "is_false")]
        info: bool,
    },
    /// Who listens?
    Listeners {},
    /// How much of everything was there since the start?
    Counters {},
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Flows`].
    Flows(FlowPage),
    /// To [`Request::Listeners`].
    Listeners {
        /// One entry an address that is listened on.
        listeners: Vec<Listener>,
    },
    /// To [`Request::Counters`].
    Counters(Counters),
    /// To a request that was not understood or cannot be answered.
    Error {
        /// What is wrong, as a sentence.
        message: String,
    },
}

/// The process and its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// Milliseconds since it was ready.
    pub uptime_ms: u64,
    /// What it is doing.
    pub phase: Phase,
    /// The ports in the order of the configuration.
    pub ports: Vec<PortStatus>,
}

/// Where in its life a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// In service.
    Running,
    /// No new connections; the existing ones may end.
    Draining,
}

/// What was found out and decided when a port was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Name of the interface.
    pub interface: String,
    /// The driver that was taken.
    pub driver: String,
    /// Hardware address.
    pub mac: String,
    /// Largest datagram in bytes.
    pub mtu: u32,
    /// Owned addresses with their prefix length.
    pub addresses: Vec<String>,
    /// How each queue is driven, for example `native, copy, need_wakeup`; the index is the queue.
    pub queues: Vec<String>,
    /// Why this driver and this mode, a sentence each.
    pub notes: Vec<String>,
}

/// Some of the connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowPage {
    /// The flows.
    pub flows: Vec<Flow>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// RFC 9293 3.3.2 name of the state, for example `ESTABLISHED`.
    pub state: String,
    /// Text received and not yet read by the service, in bytes.
    pub rcv_queue: u32,
    /// Text of the service not yet acknowledged by the peer, in bytes.
    pub snd_queue: u32,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Name of the listener it belongs to.
    pub service: String,
    /// `pool/backend`, of a connection from a proxy to a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The running timer that will fire first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// Consecutive retransmissions that were not answered yet.
    pub retransmits: u32,
    /// Smoothed round-trip time in microseconds; absent before the first measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srtt_us: Option<u64>,
    /// Retransmission timeout in microseconds.
    pub rto_us: u64,
    /// Congestion window in bytes.
    pub cwnd: u32,
    /// The worker that owns the flow.
    pub worker: u32,
    /// All that there is to know of it, where the client asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<TcpInfo>,
}

/// A running timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// What it is for, for example `retransmit`.
    pub name: String,
    /// Milliseconds until it fires.
    pub remaining_ms: u64,
}

/// One address that is listened on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Address and port; `*` for every owned address.
    pub local: String,
    /// Name of the listener.
    pub service: String,
    /// Established connections that wait to be accepted.
    pub accept_queue: u32,
    /// At most so many of them.
    pub backlog: u32,
    /// Connections whose handshake is not complete.
    pub syn_queue: u32,
    /// At most so many of them.
    pub syn_backlog: u32,
}

/// Totals, all workers together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections there are now, by the name of their state; states without any are in it as 0.
    pub flows: BTreeMap<String, u64>,
    /// What happened how often, and how much memory is free.
    pub counters: BTreeMap<String, u64>,
    /// What was received and dropped, and why, by name.
    pub discards: BTreeMap<String, Discarded>,
    /// What was to be sent and was dropped, and why, by name.
    pub tx_discards: BTreeMap<String, Discarded>,
    /// Each port's own figures, by interface.
    pub ports: BTreeMap<String, PortCounters>,
    /// Each proxy's backends, by `listener/pool/backend`.
    pub backends: BTreeMap<String, BackendCounters>,
}

/// One reason for which frames, datagrams or segments are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// How many.
    pub count: u64,
    /// `info`, `warning` (a peer broke a rule) or `error` (Tidegate lacked something).
    pub severity: String,
    /// What it means.
    pub sentence: String,
}

/// What went through a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCounters {
    /// Frames and bytes in each direction, and where the port's frames are now.
    #[serde(flatten)]
    pub counts: BTreeMap<String, u64>,
    /// Frames the port itself dropped, by name of the reason.
    pub drops: BTreeMap<String, u64>,
}

/// What a backend was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCounters {
    /// Connections opened to it, those still being opened included.
    pub opened: u64,
    /// Of these, how many it refused or did not accept in time.
    pub failed: u64,
    /// Connections that are open or being opened now.
    pub active: u64,
    /// Bytes of text sent to it.
    pub text_to: u64,
    /// Bytes of text received from it.
    pub text_from: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_documentation_says() {
        let parse = |line: &str| serde_json::from_str::<Request>(line);
        assert_eq!(parse(r#"{"ask":"status"}"#).unwrap(), Request::Status {});
        assert_eq!(
            parse(r#"{"ask":"flows"}"#).unwrap(),
            Request::Flows {
                from: None,
                max: None,
                info: false
            }
        );
        assert_eq!(
            parse(r#"{"ask":"flows","from":"0:4096","max":100}"#).unwrap(),
            Request::Flows {
                from: Some("0:4096".to_owned()),
                max: Some(100),
                info: false
            }
        );
        assert_eq!(
            parse(r#"{"ask":"flows","info":true}"#).unwrap(),
            Request::Flows {
                from: None,
                max: None,
                info: true
            }
        );
        assert_eq!(
            parse(r#"{"ask":"listeners"}"#).unwrap(),
            Request::Listeners {}
        );
        assert_eq!(
            parse(r#"{"ask":"counters"}"#).unwrap(),
            Request::Counters {}
        );
        assert!(parse(r#"{"ask":"the oracle"}"#).is_err());
        assert!(parse(r#"{"ask":"flows","form":"0:4096"}"#).is_err());
    }

    #[test]
    fn answer_of_a_flow_is_one_line_and_comes_back_equal() {
        let flow = Flow {
            state: "ESTABLISHED".to_owned(),
            rcv_queue: 1,
            snd_queue: 2,
            local: "192.0.2.1:80".parse().unwrap(),
            remote: "[2001:db8::2]:40000".parse().unwrap(),
            service: "web".to_owned(),
            backend: Some("pool/a".to_owned()),
            timer: Some(Timer {
                name: "retransmit".to_owned(),
                remaining_ms: 200,
            }),
            retransmits: 0,
            srtt_us: None,
            rto_us: 200_000,
            cwnd: 14_600,
            worker: 0,
            info: Some(TcpInfo {
                options: vec!["sack".to_owned()],
                rtt_us: Some(20_000),
                ..TcpInfo::default()
            }),
        };
        let answer = Answer::Flows(FlowPage {
            flows: vec![flow],
            next: None,
        });
        let line = serde_json::to_string(&answer).unwrap();
        assert!(
            line.starts_with(r#"{"answer":"flows","flows":[{"state":"ESTABLISHED""#),
            "{line}"
        );
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
    }
}
