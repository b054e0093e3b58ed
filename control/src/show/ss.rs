//! `tidegate ss`: the connections, as `ss -ant` of iproute2 prints those of the kernel.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::info;
use super::table::{Align, lay_out};
use crate::admin::{Client, Flow, Listener, Timer};

/// What to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SsOptions {
    /// The admin socket.
    pub socket: PathBuf,
    /// Show the timer of each connection.
    pub timers: bool,
    /// Show TCP's own figures of each connection.
    pub info: bool,
    /// Show counts by state only.
    pub summary: bool,
    /// Print JSON, one object a line.
    pub json: bool,
}

/// Asks a running Tidegate and returns what is to be printed.
///
/// # Errors
///
/// Nobody answers at the socket.
pub fn ss(options: &SsOptions) -> Result<String> {
    let mut client = Client::connect(&options.socket)?;
    if options.summary {
        let flows = client.counters()?.flows;
        return if options.json {
            json_line(&flows)
        } else {
            Ok(summary(&flows))
        };
    }
    let listeners = client.listeners()?;
    let flows = client.flows(options.info)?;
    if options.json {
        let listeners = listeners.iter().map(json_line);
        return listeners.chain(flows.iter().map(json_line)).collect();
    }
    Ok(table(&listeners, &flows, options.timers))
}

fn json_line(value: &impl serde::Serialize) -> Result<String> {
    let mut line = serde_json::to_string(value).context("an answer is valid JSON")?;
    line.push('\n');
    Ok(line)
}

/// `Total`, then each state that has connections.
fn summary(flows: &BTreeMap<String, u64>) -> String {
    let mut rows = vec![vec![
        "Total".to_owned(),
        flows.values().sum::<u64>().to_string(),
    ]];
    for (state, count) in flows.iter().filter(|(_, count)| **count > 0) {
        rows.push(vec![ss_name(state).to_owned(), count.to_string()]);
    }
    lay_out(&[Align::Left, Align::Right], &rows)
}

/// Listeners first, then connections in the order of their addresses.
fn table(listeners: &[Listener], flows: &[Flow], timers: bool) -> String {
    use Align::{Left, Right};
    let heading = [
        "State",
        "Recv-Q",
        "Send-Q",
        "Local Address:Port",
        "Peer Address:Port",
        "Process",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for listener in listeners {
        rows.push(vec![
            "LISTEN".to_owned(),
            listener.accept_queue.to_string(),
            listener.backlog.to_string(),
            listener.local.clone(),
            "*:*".to_owned(),
            listener.service.clone(),
        ]);
    }
    let mut flows: Vec<&Flow> = flows.iter().collect();
    flows.sort_by_key(|flow| (flow.local, flow.remote));
    for flow in &flows {
        let mut process = flow.service.clone();
        if let Some(backend) = &flow.backend {
            process += &format!(" -> {backend}");
        }
        if let Some(timer) = flow.timer.as_ref().filter(|_| timers) {
            process += &format!(" {}", ss_timer(timer, flow.retransmits));
        }
        rows.push(vec![
            ss_name(&flow.state).to_owned(),
            flow.rcv_queue.to_string(),
            flow.snd_queue.to_string(),
            flow.local.to_string(),
            flow.remote.to_string(),
            process,
        ]);
    }
    let text = lay_out(&[Left, Right, Right, Right, Right, Left], &rows);
    with_info(&text, 1 + listeners.len(), &flows)
}

/// The table with what TCP says of each flow on a line below it, where the flows have that. The
/// flows begin at line `first`.
fn with_info(table: &str, first: usize, flows: &[&Flow]) -> String {
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        text += line;
        text.push('\n');
        let flow = number.checked_sub(first).and_then(|at| flows.get(at));
        if let Some(tcp) = flow.and_then(|flow| flow.info.as_ref()) {
            text += &info::line(tcp);
            text.push('\n');
        }
    }
    text
}

/// The name that iproute2 prints for a state of RFC 9293 3.3.2.
fn ss_name(state: &str) -> &str {
    match state {
        "ESTABLISHED" => "ESTAB",
        "SYN_SENT" => "SYN-SENT",
        "SYN_RECV" => "SYN-RECV",
        "FIN_WAIT1" => "FIN-WAIT-1",
        "FIN_WAIT2" => "FIN-WAIT-2",
        "TIME_WAIT" => "TIME-WAIT",
        "CLOSE_WAIT" => "CLOSE-WAIT",
        "LAST_ACK" => "LAST-ACK",
        "CLOSED" => "UNCONN",
        other => other,
    }
}

/// `timer:(name,time left,retransmissions)`, as `ss -o` prints it.
fn ss_timer(timer: &Timer, retransmits: u32) -> String {
    let left = timer.remaining_ms;
    let left = match left {
        0..1_000 => format!("{left}ms"),
        1_000..60_000 => format!("{}.{:03}sec", left / 1_000, left % 1_000),
        _ => format!("{}min{}sec", left / 60_000, left / 1_000 % 60),
    };
    format!("timer:({},{left},{retransmits})", timer.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::TcpInfo;

    fn flow(state: &str, local: &str, remote: &str) -> Flow {
        Flow {
            state: state.to_owned(),
            rcv_queue: 0,
            snd_queue: 1448,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            service: "web".to_owned(),
            backend: None,
            timer: None,
            retransmits: 2,
            srtt_us: None,
            rto_us: 200_000,
            cwnd: 14_480,
            worker: 0,
            info: None,
        }
    }

    #[test]
    fn table_reads_as_that_of_iproute2() {
        let listener = Listener {
            local: "192.0.2.1:80".to_owned(),
            service: "web".to_owned(),
            accept_queue: 0,
            backlog: 4096,
            syn_queue: 0,
            syn_backlog: 1024,
        };
        let timer = Timer {
            name: "on".to_owned(),
            remaining_ms: 1_250,
        };
        let later = flow("ESTABLISHED", "192.0.2.1:80", "192.0.2.2:40001");
        let first = flow("FIN_WAIT1", "192.0.2.1:80", "192.0.2.2:40000");
        let first = Flow {
            timer: Some(timer),
            ..first
        };
        let flows = [later, first];
        let text = table(&[listener], &flows, true);
        let expected = "\
State       Recv-Q  Send-Q  Local Address:Port  Peer Address:Port  Process
LISTEN           0    4096        192.0.2.1:80                *:*  web
FIN-WAIT-1       0    1448        192.0.2.1:80    192.0.2.2:40000  web timer:(on,1.250sec,2)
ESTAB            0    1448        192.0.2.1:80    192.0.2.2:40001  web
";
        assert_eq!(text, expected);
        assert!(!table(&[], &flows, false).contains("timer"));
    }

    #[test]
    fn info_stands_below_its_connection() {
        let listener = Listener {
            local: "192.0.2.1:80".to_owned(),
            service: "web".to_owned(),
            accept_queue: 0,
            backlog: 4096,
            syn_queue: 0,
            syn_backlog: 1024,
        };
        let with = |congestion: &str, remote| Flow {
            info: Some(TcpInfo {
                congestion: congestion.to_owned(),
                ..TcpInfo::default()
            }),
            ..flow("ESTABLISHED", "192.0.2.1:80", remote)
        };
        let flows = [
            with("reno", "192.0.2.2:40001"),
            with("cubic", "192.0.2.2:40000"),
        ];
        let text = table(&[listener], &flows, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        assert!(lines[1].starts_with("LISTEN"), "{text}");
        assert!(lines[2].contains(":40000") && lines[3].starts_with("\t cubic "));
        assert!(lines[4].contains(":40001") && lines[5].starts_with("\t reno "));
    }

    #[test]
    fn times_are_short() {
        let shown = |remaining_ms| {
            ss_timer(
                &Timer {
                    name: "on".to_owned(),
                    remaining_ms,
                },
                0,
            )
        };
        assert_eq!(shown(999), "timer:(on,999ms,0)");
        assert_eq!(shown(59_999), "timer:(on,59.999sec,0)");
        assert_eq!(shown(7_265_000), "timer:(on,121min5sec,0)");
    }

    #[test]
    fn summary_hides_states_without_connections() {
        let flows = [("ESTABLISHED", 3), ("TIME_WAIT", 4), ("CLOSING", 0)];
        let flows = flows.map(|(state, count)| (state.to_owned(), count)).into();
        assert_eq!(
            summary(&flows),
            "Total      7\nESTAB      3\nTIME-WAIT  4\n"
        );
    }
}
