//! Active opens: a flow of our own (RFC 9293 section 3.10.1).

use core::net::IpAddr;

use tidegate_tcp::{Context, FourTuple, Tcb, TimeWait};
use tidegate_wire::Instant;

use crate::counters::Counter;
use crate::flow::{Flow, FlowId, Phase, SettingsId};
use crate::open::{Open, OpenError, is_one_station};
use crate::route::Way;
use crate::stack::Stack;

impl Stack {
    /// Opens a flow. [`on_connected`](crate::App::on_connected) comes when the peer has accepted,
    /// [`on_end`](crate::App::on_end) when it does not.
    ///
    /// # Errors
    /// See [`OpenError`]; then there is no flow, and nothing is told later.
    pub fn open(&mut self, open: Open) -> Result<FlowId, OpenError> {
        let opened = self.try_open(open);
        self.count(match opened {
            Ok(_) => Counter::Opened,
            Err(_) => Counter::OpensRefused,
        });
        opened
    }

    fn try_open(&mut self, open: Open) -> Result<FlowId, OpenError> {
        if self.settings_of(open.settings).is_none() {
            return Err(OpenError::NoSuchSettings);
        }
        let remote = open.remote.ip();
        // RFC 9293 3.9.1.1, MUST-46. Our own addresses are nobody else's either.
        let is_ours = self.routes.is_owned(remote);
        if !is_one_station(open.remote) || self.routes.is_broadcast(remote) || is_ours {
            return Err(OpenError::InvalidRemote);
        }
        let way = self.routes.way_to(remote).ok_or(OpenError::NoRoute)?;
        let local = self.local_for(&open, way)?;
        if self.flows.is_full() {
            return Err(OpenError::TableFull);
        }
        let tuple = self.free_tuple(&open, local)?;
        let mut tcb = self.new_tcb(tuple, open.settings, way);
        if open.fast_open && self.fast_open_peers.offer(remote, self.now).is_some() {
            tcb = tcb.with_fast_open();
        }
        self.take_over(&tuple);
        let mut flow = Flow::new(tcb, open.settings, Phase::Live);
        flow.tag = open.tag;
        let id = self.enter(flow).ok_or(OpenError::TableFull)?;
        self.owed_ends += 1;
        Ok(id)
    }

    /// Our address of the flow. RFC 9293 3.9.1.1, MUST-43 and MUST-44: the one that was asked for,
    /// else the one that the route suggests.
    fn local_for(&self, open: &Open, way: Way) -> Result<IpAddr, OpenError> {
        match open.local {
            Some(local) => {
                let is_right =
                    self.routes.is_owned(local) && local.is_ipv4() == open.remote.is_ipv4();
                is_right.then_some(local).ok_or(OpenError::InvalidLocal)
            }
            None => self.routes.source_for(way).ok_or(OpenError::NoRoute),
        }
    }

    /// A tuple for the flow that no other flow has. One in TIME_WAIT may do, by its timestamps.
    fn free_tuple(&mut self, open: &Open, local: IpAddr) -> Result<FourTuple, OpenError> {
        let tuple = FourTuple {
            local,
            local_port: open.local_port.unwrap_or(0),
            remote: open.remote.ip(),
            remote_port: open.remote.port(),
        };
        let (table, flows, half_opens) = (&self.table, &self.flows, &self.half_opens);
        let (time_waits, now) = (&self.time_waits, self.now);
        let settings = &self.settings[usize::from(open.settings.0)];
        let waited = |own: SettingsId, until: Instant| {
            let time_wait = self.settings[usize::from(own.0)].time_wait;
            time_wait.saturating_sub(until.saturating_since(now))
        };
        let is_free = |tuple: &FourTuple| {
            let may_take_over = |slot| {
                let (time_wait, own, until) = time_waits.at(slot, now);
                time_wait.is_reusable(waited(own, until), settings)
            };
            table.find(tuple, flows).is_none()
                && half_opens.find(tuple).is_none()
                && time_waits.find(tuple).is_none_or(may_take_over)
        };
        if open.local_port.is_some_and(|port| port != 0) {
            return is_free(&tuple).then_some(tuple).ok_or(OpenError::PortInUse);
        }
        self.local_ports
            .choose(tuple, is_free)
            .ok_or(OpenError::NoPortLeft)
    }

    fn new_tcb(&mut self, tuple: FourTuple, settings: SettingsId, way: Way) -> Tcb {
        let proposed = self.secrets.iss(&tuple, self.now);
        // RFC 6191: a new incarnation begins beyond the old one, and its timestamps go on.
        let old = self.time_waits.find(&tuple);
        let old = old.map(|slot| self.time_waits.at(slot, self.now).0);
        let iss = old.map_or(proposed, |old| old.iss_after(proposed));
        let ts_offset = old.map_or_else(|| self.secrets.ts_offset(&tuple), TimeWait::ts_offset);
        let mtu = self.routes.interface(way.port).mtu;
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(settings.0)],
            memory: &mut self.memory,
        };
        Tcb::open(tuple, iss, mtu, &mut cx).with_ts_offset(ts_offset)
    }

    /// The sockets are those of a new flow; what was in TIME_WAIT there is not needed any more.
    fn take_over(&mut self, tuple: &FourTuple) {
        if let Some(slot) = self.time_waits.find(tuple) {
            self.end_time_wait(slot);
            self.count(Counter::TimeWaitTakenOver);
        }
    }
}
