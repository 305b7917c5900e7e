//! The four transaction state machines of RFC 3261 17 as corrected by RFC 6026.
//!
//! Each machine is data: a state, the time of its next retransmission, the time it expires. It sees
//! no message, only that one came ([`Class`] of a response, request, ACK), and answers with
//! [`Effects`]: what the owner of the message must do. Time is handed in; `deadline` says when
//! `handle_timeout` wants to be called.
//!
//! | machine | RFC 3261 | RFC 6026 |
//! |---|---|---|
//! | [`client_invite::ClientInvite`] | 17.1.1 | `Accepted` state, timer M |
//! | [`client::Client`] | 17.1.2 | – |
//! | [`server_invite::ServerInvite`] | 17.2.1 | `Accepted` state, timer L |
//! | [`server::Server`] | 17.2.2 | – |

pub mod client;
pub mod client_invite;
#[doc(hidden)]
pub mod fuzz;
pub mod server;
pub mod server_invite;
pub mod timers;

use media::time::MonoTime;
use std::time::Duration;

/// What a status code means to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 100 to 199.
    Provisional,
    /// 200 to 299.
    Success,
    /// 300 to 699.
    Failure,
}

impl Class {
    /// The class of a status code; what is outside 100 to 699 counts as failure.
    pub const fn of(status: u16) -> Self {
        match status {
            100..200 => Self::Provisional,
            200..300 => Self::Success,
            _ => Self::Failure,
        }
    }
}

/// How a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer in time (timers B, F), or no ACK (timer H).
    Timeout,
    /// The transport could not carry a message.
    Transport,
}

/// What the owner of a transaction must do after an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Send the transaction's own message: a client's request, a server's latest response.
    pub transmit: bool,
    /// Send the ACK of a final response other than 2xx (client INVITE only).
    pub ack: bool,
    /// Hand the message that came in to the transaction user.
    pub deliver: bool,
    /// Tell the transaction user that the transaction failed.
    pub fault: Option<Fault>,
}

impl Effects {
    const NONE: Self = Self { transmit: false, ack: false, deliver: false, fault: None };
    const TRANSMIT: Self = Self { transmit: true, ..Self::NONE };
    const ACK: Self = Self { ack: true, ..Self::NONE };
    const DELIVER: Self = Self { deliver: true, ..Self::NONE };
    const TIMEOUT: Self = Self { fault: Some(Fault::Timeout), ..Self::NONE };
    const TRANSPORT: Self = Self { fault: Some(Fault::Transport), ..Self::NONE };
}

/// Shortest interval between retransmissions, whatever the timers are set to.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The two deadlines a transaction can have: its next retransmission and its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) resend_at: MonoTime,
    pub(super) interval: Duration,
    pub(super) expire_at: MonoTime,
}

impl Clock {
    pub(super) const IDLE: Self =
        Self { resend_at: MonoTime::MAX, interval: Duration::ZERO, expire_at: MonoTime::MAX };

    /// Retransmits after `interval` unless the transport is reliable.
    pub(super) fn resend_after(&mut self, now: MonoTime, interval: Duration, reliable: bool) {
        self.interval = interval;
        self.resend_at = if reliable { MonoTime::MAX } else { now + interval };
    }

    /// Sets the next retransmission to `interval` after the one that is due, or after `now` if the
    /// caller is so late that several would follow each other at once.
    pub(super) fn resend_again(&mut self, now: MonoTime, interval: Duration) {
        let interval = interval.max(INTERVAL_MIN);
        self.interval = interval;
        let next = self.resend_at + interval;
        self.resend_at = if next > now { next } else { now + interval };
    }

    pub(super) fn deadline(&self) -> MonoTime {
        self.resend_at.min(self.expire_at)
    }
}
