//! Calls that a carrier controls over HTTP: offered and told of by its hooks, placed and ended by
//! requests, heard over its media socket.

mod asking;
mod elsewhere;
mod ending;
mod facts;
mod flows;
mod hearing;
mod offering;
mod placing;
mod pressing;
mod recent;
mod recording;
mod returning;
mod shunned;
mod sound;
mod stream;
mod transferring;

use std::time::Duration;

use adapters::agent::EndedBy;
use adapters::event::{CallEvent, CallFact, CarrierCallId, Meaning, TransferState};
use media::time::MonoTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use crate::calls::call::Input;
use crate::calls::carrier::CarrierLeg;
use crate::calls::cause::Cause;
use crate::calls::log::What;
use crate::calls::request::{Heard, Hooked};
use crate::carrier::Account;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

pub(super) use hearing::Hearing;
pub(super) use placing::accounts;
pub(in crate::calls) use recent::Past;
pub(super) use shunned::Shunned;
pub(super) use transferring::ByCarrier;

/// How long a carrier waits to hear whether its call is taken, in milliseconds: its patience is
/// limited. An agent that takes longer is waited for after the answer.
const REPLY_MS: u64 = 4_000;
/// How long the carrier's media socket may take after the answer, in milliseconds.
const SOCKET_MS: u64 = 15_000;
/// How long a call may take to show itself that was perhaps placed, in milliseconds.
const SHOWN_MS: u64 = 20_000;

impl Control {
    /// A carrier's request, proven and understood.
    pub(super) fn hook(&mut self, hook: Hooked, reply: oneshot::Sender<Heard>) {
        let Hooked { account, call, meaning, is_known } = hook;
        // The carrier may have given up, here and below.
        let _ = match meaning {
            Meaning::Events(events) => {
                let living = self.hear(&account, call, &events);
                reply.send(if living { Heard::Noted } else { Heard::Late })
            }
            Meaning::Offered(offered) => {
                return self.offered(&account, offered, is_known, reply);
            }
            Meaning::Asked { call: id, events } => {
                // A stream that is a call of its own has an id that is none of the call's.
                let of_stream = events.iter().any(|event| event.what.is_of_stream());
                let id = (call.is_none() || !of_stream).then_some(&id);
                self.hear(&account, call, &events);
                let came_back = events.iter().any(is_back);
                reply.send(self.asked(&account, call, id, came_back))
            }
        };
    }

    /// The living call of a configuration that a hook is about: by our id in its address, else by
    /// the carrier's.
    fn carried(
        &self,
        account: &Account,
        ours: Option<Uuid>,
        id: Option<&CarrierCallId>,
    ) -> Option<CallKey> {
        let key = match ours {
            Some(ours) => self.by_id.get(&ours),
            None => self.by_carrier.get(&(account.id, id?.clone())),
        };
        let call = self.calls.get(key?)?;
        let leg = call.carrier.as_ref()?;
        (leg.account.id == account.id).then_some(call.key)
    }

    /// The carrier has told its id of a call.
    fn learn(&mut self, key: CallKey, id: &CarrierCallId) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(leg) = call.carrier.as_mut().filter(|leg| leg.id.is_none()) else { return };
        leg.id = Some(id.clone());
        leg.shown_by = MonoTime::MAX;
        if let Some(line) = call.carried.as_mut() {
            line.carrier_call = Some(id.clone());
        }
        self.by_carrier.insert((leg.account.id, id.clone()), key);
        self.capture_known(key);
        self.await_news(key);
        self.log_at_carrier(key);
    }

    /// Somebody else is at the carrier's end of a call: what is said of the one before is no news
    /// any more, and what is asked of the carrier is about this one.
    fn peer_replaced(&mut self, key: CallKey, id: &CarrierCallId) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let span = &call.span;
        let Some(leg) = call.carrier.as_mut() else { return };
        tracing::info!(parent: span, "another peer takes over");
        let account = leg.account.id;
        if let Some(before) = leg.id.replace(id.clone()) {
            let before = (account, before);
            self.by_carrier.remove(&before);
            self.past.over.insert(before);
        }
        if let Some(line) = call.carried.as_mut() {
            line.carrier_call = Some(id.clone());
        }
        self.by_carrier.insert((account, id.clone()), key);
        self.capture_known(key);
        self.log_at_carrier(key);
        self.log_fact(key, What::Replaced);
    }

    /// A carrier asks where the audio of a call goes. Without its id it is about the one that the
    /// hook's address names. A caller that the carrier has taken away stays where it is, unless it
    /// `came_back`.
    fn asked(
        &mut self,
        account: &Account,
        ours: Option<Uuid>,
        id: Option<&CarrierCallId>,
        came_back: bool,
    ) -> Heard {
        if !came_back && ours.is_some_and(|ours| self.past.left.contains(&ours)) {
            return Heard::Noted;
        }
        let Some(key) = self.carried(account, ours, id) else { return Heard::Late };
        match came_back {
            true => self.caller_came_back(key),
            false if self.is_taken(key) => return Heard::Noted,
            false => {}
        }
        if let Some(id) = id {
            self.learn(key, id);
        }
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else {
            return Heard::Late;
        };
        let other = |leg: &CarrierLeg| id.is_some() && leg.id.as_ref() != id;
        if call.carrier.as_ref().is_none_or(|leg| leg.is_over || other(leg)) {
            return Heard::Late;
        }
        if call.call.answered_at().is_none() {
            self.tell(key, Input::PeerAnswered);
        }
        // Whoever asks has no socket any more, even if that has not been noticed here.
        if let Some(line) = self.calls.get_mut(&key).and_then(|call| call.carried.as_mut()) {
            line.token.closed(now());
        }
        self.take_again(key)
    }

    /// Where the audio of a call goes, told once more.
    fn take_again(&mut self, key: CallKey) -> Heard {
        self.await_socket(key);
        let leg = self.calls.get(&key).and_then(|call| Some((call.id, call.carrier.as_ref()?)));
        match leg {
            Some((call, leg)) => Heard::Take { call, stream_url: leg.stream_url.clone() },
            None => Heard::Late,
        }
    }

    /// From now on the carrier's socket has to come.
    fn await_socket(&mut self, key: CallKey) {
        let by = now() + Duration::from_millis(SOCKET_MS);
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        if let Some(leg) = leg.filter(|leg| !leg.is_streaming) {
            leg.socket_by = by;
        }
        self.reschedule(key);
    }

    /// Something of a carrier's call may be due.
    pub(super) fn carrier_due(&mut self, key: CallKey) {
        let at = now();
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut()) else {
            return self.flow_due(key, at);
        };
        let due = |by: &mut MonoTime| {
            let due = *by <= at;
            if due {
                *by = MonoTime::MAX;
            }
            due
        };
        let (reply, socket) = (due(&mut leg.reply_by), due(&mut leg.socket_by));
        let shown = due(&mut leg.shown_by);
        let (lost, ask) = (leg.lost, due(&mut leg.ask_at));
        if reply {
            self.take_unready(key);
        }
        if socket {
            // It was answered, and nobody can be heard, or not any more.
            let cause = if lost { Cause::NetworkFailure } else { Cause::MediaTimeout };
            self.end_unheard(key, cause);
        } else if ask {
            self.ask_how_it_stands(key);
        }
        if shown {
            self.tell(key, Input::End(Cause::NetworkFailure, EndedBy::Carrier));
        }
        self.flow_due(key, at);
        self.reschedule(key);
    }
}

/// Whether it says that a caller was not handed over.
fn is_back(event: &CallEvent) -> bool {
    matches!(event.what, CallFact::Transfer { state: TransferState::Failed, .. })
}
