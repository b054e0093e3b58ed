//! Settings that change while the worker runs: new ones for listeners and opens to come, and others
//! for a flow that exists (RFC 9293 3.9.1.9, SHLD-21).
//!
//! Settings are rows of a table that only grows: flows name their row by number, so a row stays as
//! it is for ever, and whoever wants something else moves to another one. The same settings are
//! never entered twice. This is for control: entering a row may allocate.

use tidegate_tcp::Settings;

use crate::flow::{FlowId, SettingsId};
use crate::listener::ListenerId;
use crate::stack::Stack;

impl Stack {
    /// The number of these settings, which are entered if they are new; `None` where 65,535
    /// different ones are there already.
    pub fn add_settings(&mut self, settings: Settings) -> Option<SettingsId> {
        let known = self.settings.iter().position(|known| *known == settings);
        let number = known.unwrap_or(self.settings.len());
        let id = u16::try_from(number).ok().filter(|id| *id < u16::MAX)?;
        if known.is_none() {
            self.settings.push(settings);
            self.time_waits.add_settings();
        }
        Some(SettingsId(id))
    }

    /// Lets a flow follow other settings from now on: sizes of its queues, hop limit, Diffserv,
    /// limits of its timers. What was agreed on in the handshake stays, and so does what is the
    /// flow's own once it is there: see [`set_nodelay`](Self::set_nodelay),
    /// [`set_keepalive`](Self::set_keepalive) and [`set_user_timeout`](Self::set_user_timeout).
    ///
    /// A window that was offered is not taken back where the new receive queue is smaller.
    /// Settings that do not exist change nothing.
    pub fn set_settings(&mut self, flow: FlowId, settings: SettingsId) {
        if self.settings_of(settings).is_none() {
            return;
        }
        let Some(number) = self
            .flows
            .of(flow)
            .filter(|flow| flow.is_live())
            .map(|flow| flow.settings)
        else {
            return;
        };
        let before = self.settings_of(number).copied().unwrap_or_default();
        self.step(flow, |flow, _| flow.settings = settings);
        self.with_flow(flow, |flow, cx| flow.tcb.on_new_settings(&before, cx));
    }

    /// Lets flows to come of a listener follow other settings. Settings that do not exist change
    /// nothing.
    pub fn set_listener_settings(&mut self, listener: ListenerId, settings: SettingsId) {
        if self.settings_of(settings).is_none() {
            return;
        }
        if let Some(listener) = self.listeners.of_mut(listener) {
            listener.listen.settings = settings;
        }
    }
}
