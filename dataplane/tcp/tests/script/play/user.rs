//! The user of a TCB in a script: calls, and what it can see.

use std::time::Duration;

use tidegate_tcp::{Events, SendError, State, Tcb, TcbSnapshot};

use super::super::settings::{seconds, switch};
use super::{OUR_PATTERN, Play, fill};

impl Play {
    pub(super) fn call(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["listen"] => self.is_listening = true,
            ["unlisten"] => self.is_listening = false,
            ["open"] => self.open(),
            ["send", count] => self.send(count, count)?,
            ["send", count, "takes", taken] => self.send(count, taken)?,
            ["send", count, "fails", name] => self.send_fails(count, name)?,
            ["send_urgent", count] => {
                let mut text = vec![0; number(count)? as usize];
                fill(&mut text, OUR_PATTERN, self.written);
                let outcome = self
                    .with_tcb(|tcb, cx| tcb.send_urgent(&text, cx))
                    .ok_or("no TCB")?;
                let len = outcome.map_err(|error| error.to_string())?;
                self.written += u32::try_from(len).expect("a script is short");
            }
            ["shutdown"] => {
                let outcome = self.with_tcb(Tcb::shutdown).ok_or("there is no TCB")?;
                outcome.map_err(|error| error.to_string())?;
            }
            ["shutdown", "fails", name] => {
                let outcome = self.with_tcb(Tcb::shutdown).ok_or("there is no TCB")?;
                let error = outcome.err().ok_or("shutdown went well")?;
                compare(&format!("{error:?}"), name)?;
            }
            ["shutdown_read"] => self.with_tcb(Tcb::shutdown_read).ok_or("there is no TCB")?,
            ["close"] => self.with_tcb(Tcb::close).ok_or("there is no TCB")?,
            ["abort"] => self.with_tcb(Tcb::abort).ok_or("there is no TCB")?,
            ["pause"] => self.is_reading = false,
            ["resume"] => {
                self.is_reading = true;
                self.read(u32::MAX);
            }
            ["read", count] => self.read(number(count)?),
            ["nodelay", value] => {
                let nodelay = switch(value)?;
                self.with_tcb(|tcb, _| tcb.set_nodelay(nodelay))
                    .ok_or("there is no TCB")?;
            }
            ["keepalive", value] => {
                let keepalive = switch(value)?;
                self.with_tcb(|tcb, cx| tcb.set_keepalive(keepalive, cx))
                    .ok_or("no TCB")?;
            }
            ["user_timeout", value] => {
                let timeout = seconds(value)?;
                self.with_tcb(|tcb, _| tcb.set_user_timeout(Some(timeout)))
                    .ok_or("no TCB")?;
            }
            _ => return Err("no such call".into()),
        }
        Ok(())
    }

    fn open(&mut self) {
        let mut cx = tidegate_tcp::Context {
            now: self.now,
            settings: &self.settings,
            memory: &mut self.memory,
        };
        let iss = tidegate_tcp::SeqNum::new(self.stage.our_iss);
        let tcb = Tcb::open(self.tuple, iss, self.mtu, &mut cx);
        self.tcb = Some(tcb.with_ts_offset(self.ts_offset()));
    }

    fn send(&mut self, count: &str, taken: &str) -> Result<(), String> {
        let mut text = vec![0; number(count)? as usize];
        fill(&mut text, OUR_PATTERN, self.written);
        let outcome = self
            .with_tcb(|tcb, cx| tcb.send(&text, cx))
            .ok_or("there is no TCB")?;
        let len = outcome.map_err(|error| error.to_string())?;
        self.written += u32::try_from(len).expect("a script is short");
        compare(&len.to_string(), taken)
    }

    fn send_fails(&mut self, count: &str, name: &str) -> Result<(), String> {
        let text = vec![0; number(count)? as usize];
        let error = match self.with_tcb(|tcb, cx| tcb.send(&text, cx)) {
            Some(outcome) => outcome.err().ok_or("send went well")?,
            None => SendError::NoConnection,
        };
        compare(&format!("{error:?}"), name)
    }

    /// The user reads from the receive queue, block by block.
    pub(super) fn read(&mut self, count: u32) {
        let mut left = count as usize;
        while left > 0 {
            let Some(Some(chunk)) = self.with_tcb(Tcb::detach_text) else {
                break;
            };
            let len = left.min(chunk.as_slice().len());
            self.deliver(&chunk.as_slice()[..len]);
            self.with_tcb(|tcb, cx| tcb.attach_text(chunk, len, cx));
            left -= len;
        }
    }

    pub(super) fn expect(&mut self, words: &[&str]) -> Result<(), String> {
        match *words {
            ["state", name] => {
                let state = match (&self.tcb, self.time_wait) {
                    (Some(tcb), _) => tcb.state(),
                    (None, Some(_)) => State::TimeWait,
                    (None, None) => State::Closed,
                };
                compare(state.name(), name)
            }
            ["end", name] => {
                let end = self.tcb.as_ref().and_then(Tcb::end).or(self.end);
                compare(
                    &end.map_or_else(|| "none".into(), |end| format!("{end:?}")),
                    name,
                )
            }
            ["no", "end"] => {
                let end = self.tcb.as_ref().and_then(Tcb::end).or(self.end);
                compare(&format!("{end:?}"), "None")
            }
            ["events", names] => {
                let events = std::mem::take(&mut self.events);
                let wanted = if names == "none" {
                    Events::empty()
                } else {
                    parse_events(names)?
                };
                compare(&format!("{events:?}"), &format!("{wanted:?}"))
            }
            ["folded"] if self.folded > 0 => Ok(()),
            ["delivered", count] => compare(&self.delivered.to_string(), count),
            ["readable", count] => {
                let tcb = self.tcb.as_ref().ok_or("there is no TCB")?;
                compare(&tcb.readable().to_string(), count)
            }
            ["urgent", count] => {
                let tcb = self.tcb.as_ref().ok_or("there is no TCB")?;
                compare(&tcb.urgent().to_string(), count)
            }
            ["timer", "timewait", after] if self.tcb.is_none() => {
                let (_, until) = self.time_wait.ok_or("there is no TIME_WAIT")?;
                let left = until.saturating_since(self.now);
                compare_times(left, after)
            }
            ["no", "timer"] => {
                let timeout = self.tcb.as_ref().and_then(Tcb::next_timeout);
                compare(&format!("{timeout:?}"), "None")
            }
            _ => {
                let snapshot = self.with_tcb(|tcb, cx| tcb.snapshot(cx)).ok_or("no TCB")?;
                expect_of(&snapshot, words)
            }
        }
    }
}

fn expect_of(snapshot: &TcbSnapshot, words: &[&str]) -> Result<(), String> {
    match *words {
        ["timer", name, after] => {
            let Some((timer, left)) = snapshot.timer else {
                return Err("no timer runs".into());
            };
            compare(
                &format!("{timer} {left:?}"),
                &format!("{name} {:?}", seconds(after)?),
            )
        }
        ["rto", time] => compare_times(snapshot.rto, time),
        ["srtt", time] => compare_times(snapshot.srtt.unwrap_or_default(), time),
        ["cwnd", count] => compare(&snapshot.cwnd.to_string(), count),
        ["ssthresh", count] => compare(&snapshot.ssthresh.to_string(), count),
        ["ecn", value] => compare(if snapshot.has_ecn { "on" } else { "off" }, value),
        ["mss", count] => compare(&snapshot.mss.to_string(), count),
        ["snd_wnd", count] => compare(&snapshot.snd_wnd.to_string(), count),
        ["rcv_wnd", count] => compare(&snapshot.rcv_wnd.to_string(), count),
        ["snd_queue", count] => compare(&snapshot.snd_queue.to_string(), count),
        ["flight_size", count] => compare(&snapshot.flight_size.to_string(), count),
        ["retransmits", count] => compare(&snapshot.retransmits.to_string(), count),
        ["info", name, value] => compare(&info_of(snapshot, name)?, value),
        _ => Err("nothing of this kind is to be seen".into()),
    }
}

/// A figure of STATUS by the name of its field; those by reason as `fast/timer/tail_probe/syn`.
fn info_of(snapshot: &TcbSnapshot, name: &str) -> Result<String, String> {
    let again = &snapshot.again;
    Ok(match name {
        "again" => format!(
            "{}/{}/{}/{}",
            again.fast, again.timer, again.tail_probe, again.syn
        ),
        "again_in_flight" => snapshot.again_in_flight.to_string(),
        "backoffs" => snapshot.backoffs.to_string(),
        "bbr" => {
            let phase = snapshot.bbr.map(|bbr| bbr.phase.name());
            phase.unwrap_or("none").to_owned()
        }
        "bytes_acked" => snapshot.bytes_acked.to_string(),
        "bytes_delivered" => snapshot.bytes_delivered.to_string(),
        "bytes_received" => snapshot.bytes_received.to_string(),
        "congestion" => snapshot.congestion.name().to_owned(),
        "in_state" => snapshot.in_state.as_secs_f64().to_string(),
        "lost" => snapshot.lost.to_string(),
        "min_rtt" => snapshot
            .min_rtt
            .unwrap_or_default()
            .as_secs_f64()
            .to_string(),
        "mss_received" => snapshot.mss_received.to_string(),
        "probes" => snapshot.probes.to_string(),
        "repair" => snapshot.repair.name().to_owned(),
        "sacked" => snapshot.sacked.to_string(),
        "segments_sent" => snapshot.segments_sent.to_string(),
        "since_heard" => snapshot.since_heard.as_secs_f64().to_string(),
        "since_sent" => snapshot.since_sent.as_secs_f64().to_string(),
        "unsent" => snapshot.unsent.to_string(),
        _ => return Err(format!("{name} is no figure of STATUS")),
    })
}

fn compare(seen: &str, wanted: &str) -> Result<(), String> {
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("it is {seen}, expected {wanted}"))
    }
}

fn compare_times(seen: Duration, wanted: &str) -> Result<(), String> {
    compare(&format!("{seen:?}"), &format!("{:?}", seconds(wanted)?))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn parse_events(names: &str) -> Result<Events, String> {
    names.split('|').try_fold(Events::empty(), |events, name| {
        let event = Events::from_name(name).ok_or_else(|| format!("{name} is no event"))?;
        Ok(events | event)
    })
}
