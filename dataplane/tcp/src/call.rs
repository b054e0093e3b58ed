//! User calls, RFC 9293 sections 3.10.2 to 3.10.6: SEND, RECEIVE, CLOSE, ABORT, STATUS. OPEN makes
//! a TCB and stands there; STATUS is `snapshot`.
//!
//! A call changes the TCB and sends nothing; afterwards the TCB may want to transmit.

use core::time::Duration;
use core::{error, fmt};

use crate::Context;
use crate::events::End;
use crate::memory::{Chunk, Memory};
use crate::settings::Settings;
use crate::state::{Event, State};
use crate::tcb::{Flags, Owes, Tcb, millis};
use crate::timers::Timer;

/// Why SEND took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no connection, or it has ended.
    NoConnection,
    /// The connection is being closed by this side.
    Closing,
    /// No text block is free, and none of this connection's will become free. Nobody will call
    /// back; try again after a while.
    NoMemory,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConnection => "connection does not exist",
            Self::Closing => "connection closing",
            Self::NoMemory => "insufficient resources",
        })
    }
}

impl error::Error for SendError {}

/// Why CLOSE of the sending side did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownError {
    /// There is no connection, or it has ended.
    NoConnection,
    /// This side was closed before.
    Closing,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConnection => "connection does not exist",
            Self::Closing => "connection closing",
        })
    }
}

impl error::Error for ShutdownError {}

impl Tcb {
    /// SEND (RFC 9293 3.10.2): queues as much of `text` as there is space for and says how much
    /// that is. After less than all, `WRITABLE` is told when there is space again.
    ///
    /// # Errors
    ///
    /// Where the text cannot be taken at all; it is not queued.
    pub fn send(&mut self, text: &[u8], cx: &mut Context<'_>) -> Result<usize, SendError> {
        if !self.can_send() {
            let is_open = !matches!(self.state, State::Closed | State::Listen);
            return Err(if is_open {
                SendError::Closing
            } else {
                SendError::NoConnection
            });
        }
        self.check_app_limited(cx);
        let fitting = text.len().min(self.send_space(cx) as usize);
        let taken = self.snd.queue.push(cx.memory, &text[..fitting]);
        if taken < text.len() {
            if self.snd.queue.is_empty() {
                return Err(SendError::NoMemory);
            }
            self.flags.insert(Flags::SEND_WAS_SHORT);
        }
        if taken > 0 {
            self.start_user_timer(cx.now);
            self.settle_timers(cx);
        }
        Ok(taken)
    }

    /// SEND with the URGENT flag (RFC 9293 3.8.5, MUST-30, MUST-31): the same, and the urgent
    /// pointer names the end of what was taken. SHLD-13: new applications should not use it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_urgent(&mut self, text: &[u8], cx: &mut Context<'_>) -> Result<usize, SendError> {
        let taken = self.send(text, cx)?;
        if taken > 0 {
            self.flags.insert(Flags::URGENT_SENT);
            self.snd.up = self.text_end();
        }
        Ok(taken)
    }

    /// Whether SEND takes text: the connection is open or opening, and this side is not closed.
    #[must_use]
    pub const fn can_send(&self) -> bool {
        self.state.can_queue_text() && !self.has(Flags::CLOSE_QUEUED)
    }

    /// Bytes that SEND takes now, as far as the settings go.
    #[must_use]
    pub fn send_space(&self, cx: &Context<'_>) -> u32 {
        self.snd_queue_max(cx).saturating_sub(self.snd.queue.len())
    }

    /// Bytes of text that wait in the receive queue.
    #[must_use]
    pub const fn readable(&self) -> u32 {
        self.rcv.queue.len()
    }

    /// RECEIVE (RFC 9293 3.10.3): takes the first part of the receive queue out without a copy. It
    /// must come back by [`attach_text`](Self::attach_text), before the next segment is processed.
    pub fn detach_text(&mut self, cx: &mut Context<'_>) -> Option<Chunk> {
        let chunk = self.rcv.queue.detach_front(cx.memory);
        self.flags.set(Flags::TEXT_DETACHED, chunk.is_some());
        chunk
    }

    /// The user has taken the first `consumed` bytes of the chunk; the window opens by as much.
    pub fn attach_text(&mut self, chunk: Chunk, consumed: usize, cx: &mut Context<'_>) {
        self.flags.remove(Flags::TEXT_DETACHED);
        self.rcv.queue.attach_front(cx.memory, chunk, consumed);
        self.throw_text_away(cx.memory);
        if self.has(Flags::ORPHAN) && !self.rcv.queue.is_empty() {
            // The user closed with the text in hand and has left some of it: SHLD-3.
            self.abort(cx);
        }
        self.check_window_update(cx);
    }

    /// Octets of urgent text that have not come in order yet (RFC 9293 3.8.5, MUST-33).
    #[must_use]
    pub const fn urgent(&self) -> u32 {
        if self.has(Flags::URGENT) {
            self.rcv.up.since(self.rcv.nxt)
        } else {
            0
        }
    }

    /// CLOSE of the sending side alone (RFC 9293 3.10.4): our FIN follows the queued text; text of
    /// the peer is received on.
    ///
    /// # Errors
    ///
    /// Where this side is closed already or there is no connection.
    pub fn shutdown(&mut self, cx: &mut Context<'_>) -> Result<(), ShutdownError> {
        match self.state {
            State::Closed | State::Listen => return Err(ShutdownError::NoConnection),
            State::SynSent | State::SynReceived => {
                if self.has(Flags::CLOSE_QUEUED) {
                    return Err(ShutdownError::Closing);
                }
                self.flags.insert(Flags::CLOSE_QUEUED);
            }
            State::Established | State::CloseWait => {
                self.change(Event::Close);
                self.start_user_timer(cx.now);
                self.settle_timers(cx);
            }
            State::FinWait1
            | State::FinWait2
            | State::Closing
            | State::LastAck
            | State::TimeWait => return Err(ShutdownError::Closing),
        }
        Ok(())
    }

    /// Closes the receiving side alone, `shutdown(SHUT_RD)` of the sockets: what waits and what
    /// comes is acknowledged and thrown away. The peer is not told; its FIN still counts.
    pub fn shutdown_read(&mut self, cx: &mut Context<'_>) {
        self.flags.insert(Flags::READ_CLOSED);
        self.throw_text_away(cx.memory);
        self.check_window_update(cx);
    }

    /// Drops what waits for a user who reads no more; what is ahead of its turn stays.
    pub(crate) fn throw_text_away(&mut self, memory: &mut Memory) {
        if self.has(Flags::READ_CLOSED) && !self.has(Flags::TEXT_DETACHED) {
            self.rcv.queue.drop_front(memory, self.rcv.queue.len());
        }
    }

    /// CLOSE of both directions (RFC 9293 3.10.4, and 3.6.1, MAY-1): the user reads and writes no
    /// more. Queued text and a FIN are still sent, in the background, or as `linger` has it. Where
    /// text was left unread, or more comes, the peer gets a RST (SHLD-3).
    pub fn close(&mut self, cx: &mut Context<'_>) {
        if self.has(Flags::ORPHAN) {
            return;
        }
        // Of text in hand the user has yet to say how much it takes; `attach_text` asks.
        let is_text_unread = !self.rcv.queue.is_empty() && !self.has(Flags::TEXT_DETACHED);
        let is_text_lost = is_text_unread || !self.rcv.reassembly.is_empty();
        self.flags.insert(Flags::ORPHAN);
        match self.state {
            State::Closed | State::Listen | State::TimeWait => self.rcv.queue.clear(cx.memory),
            State::SynSent => self.finish(Event::Close, End::Aborted, cx.memory),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => {
                if is_text_lost || cx.settings.linger == Some(Duration::ZERO) {
                    self.abort(cx);
                } else {
                    self.close_in_background(cx);
                }
            }
        }
    }

    fn close_in_background(&mut self, cx: &mut Context<'_>) {
        // Fails where shutdown came before, and then there is nothing to do.
        let _ = self.shutdown(cx);
        if let Some(linger) = cx.settings.linger {
            self.timers.arm(Timer::Closing, cx.now + linger);
        }
        self.start_orphan_timer(cx.now, cx.settings);
    }

    /// ABORT (RFC 9293 3.10.5): the connection ends at once; the peer is told by a RST where it
    /// could not know otherwise. Text that outlived its connection is given up.
    pub fn abort(&mut self, cx: &mut Context<'_>) {
        if self.state == State::Closed {
            self.rcv.queue.clear(cx.memory);
            return;
        }
        self.reset_with(Event::Abort, End::Aborted, cx.memory);
    }

    /// Ends the connection and owes the peer a RST, where it has anything to learn from one.
    pub(crate) fn reset_with(&mut self, event: Event, end: End, memory: &mut Memory) {
        let is_told = match self.state {
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait => true,
            // Both sides are closed; only text that now is never sent would be missed.
            State::Closing | State::LastAck => self.unsent() > 0,
            State::Closed | State::Listen | State::SynSent | State::TimeWait => false,
        };
        self.owes.set(Owes::RESET, is_told);
        self.finish(event, end, memory);
    }

    /// Turns Nagle's algorithm off or on for this connection (RFC 9293 3.7.4, MUST-17).
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.flags.set(Flags::NODELAY, nodelay);
    }

    /// Turns keep-alive on or off for this connection (RFC 9293 3.8.4, MUST-24), with the times of
    /// the settings, where they have any.
    pub fn set_keepalive(&mut self, keepalive: bool, cx: &Context<'_>) {
        self.flags.set(Flags::KEEPALIVE, keepalive);
        if self.state.is_synchronized() && self.state != State::TimeWait {
            self.start_keepalive_timer(cx.now, cx.settings);
        }
    }

    /// The settings that the context brings are others than `before` (RFC 9293 3.9.1.9, SHLD-21).
    /// Where the receive queue has become so much larger that it matters, the peer hears of it now:
    /// it may be waiting for a window.
    pub fn on_new_settings(&mut self, before: &Settings, cx: &mut Context<'_>) {
        let is_larger =
            cx.settings.rmem > before.rmem || cx.settings.rcv_queue_max() > before.rcv_queue_max();
        if is_larger {
            self.check_window_update(cx);
        }
        self.settle_timers(cx);
    }

    /// Sets the user timeout of this connection (RFC 9293 3.8.3, MUST-21; RFC 5482), in whole
    /// milliseconds; it holds from the next progress on.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) {
        self.user_timeout_ms = timeout.map_or(0, millis);
        if timeout.is_none() {
            self.timers.disarm(Timer::User);
        }
    }
}
