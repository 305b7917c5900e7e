//! The peer of a call that a carrier controls over HTTP.

use std::collections::VecDeque;
use std::sync::Arc;

use adapters::event::{CarrierCallId, HangupCause};
use adapters::exchange::CarrierError;
use adapters::flow::CallFlow;
use adapters::op::Refusal;
use adapters::secret::Pii;
use media::dtmf::DIGITS_MAX;
use media::time::MonoTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::cause::Cause;
use super::request::Heard;
use crate::carrier::Account;

/// Hooks of one call that may wait for its answer: a carrier that hears nothing asks again.
pub(super) const WAITING_MAX: usize = 4;

/// The carrier's side of a call.
pub(super) struct CarrierLeg {
    /// The configuration that it came or went by.
    pub(super) account: Arc<Account>,
    /// The carrier's id of it, once it has told.
    pub(super) id: Option<CarrierCallId>,
    /// Where the carrier sends its audio.
    pub(super) stream_url: String,
    /// What the bare connection says that brings its audio, if one does.
    pub(super) connection: Option<Uuid>,
    /// Hooks that wait to hear what becomes of the call.
    pub(super) waiting: Vec<oneshot::Sender<Heard>>,
    /// When they must hear.
    pub(super) reply_by: MonoTime,
    /// When the carrier's media socket must be there.
    pub(super) socket_by: MonoTime,
    /// When a call must have shown itself that the carrier may or may not have placed.
    pub(super) shown_by: MonoTime,
    /// When the carrier is asked how the call stands, of which nothing is heard.
    pub(super) ask_at: MonoTime,
    /// Why the call ends unless the carrier says otherwise, while it is asked.
    pub(super) verdict: Option<Cause>,
    /// Keys that are pressed by requests.
    pub(super) keys: Keys,
    /// The carrier may yet join its caller with nobody.
    pub(super) astray: Option<Astray>,
    /// Its stream is known to be gone, and another awaited: what the socket before tells is no
    /// news.
    pub(super) expects_stop: bool,
    /// Other configurations to place it by.
    pub(super) others: VecDeque<Arc<Account>>,
    /// Which attempt to place it this is; what comes of others is of no use any more.
    pub(super) attempt: u32,
    /// The carrier shall tell whether a machine answered.
    pub(super) detect_machine: bool,
    /// What is to be carried to the far end, by name.
    pub(super) extra: Vec<(String, Pii)>,
    /// The number that the called party was called from last, if that counts.
    pub(super) called_from: Option<String>,
    /// Its control, where that takes a conversation.
    pub(super) flow: Option<Box<dyn CallFlow>>,
    /// Audio flows.
    pub(super) is_streaming: bool,
    /// It did once, and stopped without a word.
    pub(super) lost: bool,
    /// It is over at the carrier, or none of our business any more: nothing is to be ended there.
    pub(super) is_over: bool,
}

impl CarrierLeg {
    /// Of a call by `account`.
    pub(super) fn new(account: Arc<Account>, id: Option<CarrierCallId>) -> Self {
        Self {
            account,
            id,
            stream_url: String::new(),
            connection: None,
            waiting: Vec::new(),
            reply_by: MonoTime::MAX,
            socket_by: MonoTime::MAX,
            shown_by: MonoTime::MAX,
            ask_at: MonoTime::MAX,
            verdict: None,
            keys: Keys::default(),
            astray: None,
            expects_stop: false,
            others: VecDeque::new(),
            attempt: 0,
            detect_machine: false,
            extra: Vec::new(),
            called_from: None,
            flow: None,
            is_streaming: false,
            lost: false,
            is_over: false,
        }
    }

    /// When something is due of it.
    pub(super) fn deadline(&self) -> MonoTime {
        let flow = self.flow.as_ref().and_then(|flow| flow.deadline()).unwrap_or(MonoTime::MAX);
        self.reply_by.min(self.socket_by).min(self.shown_by).min(self.ask_at).min(flow)
    }

    /// Tells the hooks that wait.
    pub(super) fn tell(&mut self, heard: &Heard) {
        self.reply_by = MonoTime::MAX;
        for waiting in self.waiting.drain(..) {
            // The carrier may have given up.
            let _ = waiting.send(heard.clone());
        }
    }
}

/// A carrier was asked to join a caller with somebody, and the transfer has been given up since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Astray {
    /// The transfer.
    pub(super) transfer: Uuid,
    /// Until when the end of the caller's stream means that it was.
    pub(super) until: MonoTime,
}

/// Keys that a carrier presses for us: a request at a time, so that none overtakes another; what
/// comes meanwhile goes with the next.
#[derive(Default)]
pub(super) struct Keys {
    waiting: String,
    asked: bool,
}

impl Keys {
    /// Puts keys behind those that wait; all of them, or none if that were too many.
    pub(super) fn queue(&mut self, digits: &str) -> bool {
        let fits = self.waiting.len() + digits.len() <= DIGITS_MAX;
        if fits {
            self.waiting.push_str(digits);
        }
        fits
    }

    /// Those to be pressed now.
    pub(super) fn next(&mut self) -> Option<Pii> {
        if self.asked || self.waiting.is_empty() {
            return None;
        }
        self.asked = true;
        Some(Pii::new(std::mem::take(&mut self.waiting)))
    }

    /// The request was answered. Keys behind some that were not pressed make no sense.
    pub(super) fn answered(&mut self, pressed: bool) {
        self.asked = false;
        if !pressed {
            self.waiting.clear();
        }
    }
}

/// Why a call ended, as its record names what a carrier says.
pub(super) const fn cause_of(cause: HangupCause) -> Cause {
    match cause {
        HangupCause::Normal | HangupCause::Unknown => Cause::Normal,
        HangupCause::Cancelled => Cause::Cancelled,
        HangupCause::Busy => Cause::Busy,
        HangupCause::NoAnswer => Cause::NoAnswer,
        HangupCause::Rejected => Cause::Rejected,
        HangupCause::NotFound => Cause::NotFound,
        HangupCause::Congestion => Cause::Congestion,
        HangupCause::Failed => Cause::NetworkFailure,
    }
}

/// Why a call could not be placed.
pub(super) const fn cause_of_error(error: &CarrierError) -> Cause {
    match error {
        CarrierError::Destination(_) => Cause::NotFound,
        CarrierError::TooMany { .. } => Cause::Congestion,
        _ => Cause::NetworkFailure,
    }
}

/// True if another configuration may succeed where one failed so: all but where it is the called
/// number that is refused.
pub(super) const fn may_succeed_elsewhere(error: &CarrierError) -> bool {
    !matches!(error, CarrierError::Destination(_) | CarrierError::CallOver)
}

/// Whether the next call would fare no better by the same configuration for a while.
pub(super) const fn is_out_of_order(error: &CarrierError) -> bool {
    use CarrierError as Error;
    matches!(error, Error::Credentials | Error::TooMany { .. } | Error::Unavailable)
}

/// How a carrier is told that its call is not taken.
pub(super) const fn refusal_of(cause: Cause) -> Refusal {
    match cause {
        Cause::Busy | Cause::Congestion | Cause::Draining => Refusal::Busy,
        Cause::NotFound => Refusal::NotFound,
        Cause::Rejected | Cause::Normal | Cause::Cancelled => Refusal::Rejected,
        _ => Refusal::Unavailable,
    }
}

/// The word for why a carrier did not hand a call over.
pub(super) const fn transfer_cause(error: &CarrierError) -> &'static str {
    match error {
        CarrierError::Config(_) => "not_supported",
        CarrierError::CallOver => "call_over",
        error => cause_of_error(error).as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request at a time; what comes meanwhile goes with the next, and not behind a failure.
    #[test]
    fn keys_are_pressed_in_turn() {
        let mut keys = Keys::default();
        assert_eq!(keys.next(), None);
        assert!(keys.queue("12"));
        assert_eq!(keys.next(), Some(Pii::new("12")));
        assert!(keys.queue("3") && keys.queue("#"));
        assert_eq!(keys.next(), None, "the one before is not answered");
        keys.answered(true);
        assert_eq!(keys.next(), Some(Pii::new("3#")));
        assert!(keys.queue("4"));
        keys.answered(false);
        assert_eq!(keys.next(), None);
        assert!(keys.queue(&"1".repeat(DIGITS_MAX)) && !keys.queue("1"));
    }
}
