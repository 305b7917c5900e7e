//! Calls that a carrier offers.

use std::sync::Arc;
use std::time::Duration;

use adapters::agent::Direction;
use adapters::event::InboundCall;
use adapters::op::Refusal;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Control, REPLY_MS, SOCKET_MS};
use crate::calls::call::{Input, Plan};
use crate::calls::carrier::{CarrierLeg, WAITING_MAX};
use crate::calls::control::begin::{Beginning, Peer};
use crate::calls::control::incoming::plan;
use crate::calls::request::Heard;
use crate::carrier::Account;
use crate::config::Masked;
use crate::directory::{self, Chance, Treatment};
use crate::quota::{Permit, Way};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// What is known of an offered call that is taken.
struct Admitted {
    treatment: Arc<Treatment>,
    permit: Permit,
    slot: Option<Permit>,
}

/// Who calls, where the carrier does not say.
const WITHHELD: &str = "anonymous";

impl Control {
    /// A carrier offers a call. What it hears may have to wait for the agent. One that the log
    /// knows and that does not live here was taken before, by whichever server.
    pub(super) fn offered(
        &mut self,
        account: &Arc<Account>,
        offered: InboundCall,
        is_known: bool,
        reply: oneshot::Sender<Heard>,
    ) {
        let known = (account.id, offered.call.clone());
        if let Some(key) = self.by_carrier.get(&known).copied() {
            return self.offered_again(key, reply);
        }
        let admitted = if is_known || self.past.over.contains(&known) {
            tracing::info!(configuration = %account.id, "a call that was taken is offered again");
            Err(Refusal::Rejected)
        } else {
            self.admit_offered(account, &offered)
        };
        match admitted {
            Ok(admitted) => self.take_offered(account, offered, admitted, reply),
            Err(refusal) => {
                if account.spec.events.is_some() {
                    // Whoever looks for callers that were not heard may see it until it is gone.
                    self.past.over.insert(known);
                }
                self.refuse_by_flow(account, &offered, refusal);
                // The carrier may have given up.
                let _ = reply.send(Heard::Refuse(refusal));
            }
        }
    }

    /// A carrier that heard nothing asks again, or somebody repeats what it said.
    fn offered_again(&mut self, key: CallKey, reply: oneshot::Sender<Heard>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let answered = call.call.answered_at().is_some();
        let Some(leg) = call.carrier.as_mut() else { return };
        if leg.account.offers_by_socket() {
            // A socket is a call, and the call has its socket.
            drop(reply.send(Heard::Refuse(Refusal::Rejected)));
            return;
        }
        let heard = match (call.ended, answered) {
            (Some(_), _) => Heard::Refuse(Refusal::Rejected),
            (None, true) if leg.is_streaming => Heard::Noted,
            (None, true) => Heard::Take { call: call.id, stream_url: leg.stream_url.clone() },
            (None, false) if leg.waiting.len() < WAITING_MAX => return leg.waiting.push(reply),
            (None, false) => Heard::Refuse(Refusal::Busy),
        };
        let _ = reply.send(heard);
    }

    fn admit_offered(
        &mut self,
        account: &Account,
        offered: &InboundCall,
    ) -> Result<Admitted, Refusal> {
        let full = |refusal: crate::quota::Refusal| {
            tracing::info!(%refusal, "no room for a call");
            Refusal::Busy
        };
        if self.draining {
            return Err(Refusal::Busy);
        }
        self.check_server(Way::In).map_err(full)?;
        let snapshot = self.directory.load();
        let (to, from) = (offered.to.expose(), calling(offered));
        let chance = Chance { at: jiff::Timestamp::now(), lot: fastrand::u64(..) };
        let decision = snapshot.route_offered(account, to, from, chance).map_err(|error| {
            tracing::info!(configuration = %account.id, to = %Masked(to), %error, "no route");
            Refusal::NotFound
        })?;
        let number = decision.number.map(|number| number.id);
        let mut bounds = snapshot.bounds(account.organisation, None, None);
        bounds.extend(snapshot.carrier_bounds(account.id, account.limits, number));
        let treatment = Arc::clone(decision.treatment);
        // The agent first: a place there costs no rate.
        let slot = match self.take_agent(&treatment.agent, Way::In) {
            Ok(slot) => Some(slot),
            Err(refusal) if treatment.fallback == directory::Fallback::Hangup => {
                return Err(full(refusal));
            }
            // The fallback is reached for when the agent would be.
            Err(_) => None,
        };
        let permit = self.take_places(Way::In, &bounds).map_err(full)?;
        Ok(Admitted { treatment, permit, slot })
    }

    fn take_offered(
        &mut self,
        account: &Arc<Account>,
        offered: InboundCall,
        admitted: Admitted,
        reply: oneshot::Sender<Heard>,
    ) {
        let Admitted { treatment, permit, slot } = admitted;
        let id = Uuid::now_v7();
        // A carrier may keep the call elsewhere than the configuration says.
        let found = self.as_found(account);
        let config = found.config.of_call(&offered);
        let here = Arc::new(Account { config, ..Account::clone(&found) });
        let mut leg = CarrierLeg::new(here, Some(offered.call.clone()));
        let within = Duration::from_millis(REPLY_MS + SOCKET_MS);
        let Some(media) = self.media_of(&mut leg, id, within) else {
            self.refuse_by_flow(account, &offered, Refusal::Unavailable);
            let _ = reply.send(Heard::Refuse(Refusal::Unavailable));
            return;
        };
        let mut noted = None;
        let by_socket = account.offers_by_socket();
        if self.open_flow(&mut leg, id, Direction::Inbound, &offered.to, offered.from.as_ref()) {
            noted = Some(reply);
        } else {
            leg.reply_by = now() + Duration::from_millis(REPLY_MS);
            leg.waiting.push(reply);
        }
        let from = calling(&offered).to_owned();
        let headers = offered.extra.iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let known = (account.id, offered.call.clone());
        let key = self.begin(Beginning {
            id: Some(id),
            peer: Peer::Carrier { leg: Box::new(leg), media },
            max_forwards: None,
            // Nothing is heard of a call whose audio comes with its answer.
            plan: Plan { early_media: false, ..plan(&self.config, Direction::Inbound, &treatment) },
            from,
            to: offered.to.expose().to_owned(),
            trunk: None,
            headers: headers.collect(),
            variables: Vec::new(),
            agent: Arc::clone(&treatment.agent),
            fallback: treatment.fallback.clone(),
            ambient: treatment.ambient.clone(),
            keep: treatment.keep.clone(),
            line: None,
            permit,
            slot,
        });
        self.by_carrier.insert(known, key);
        self.capture_known(key);
        // What becomes of the call is told by requests. By now it can be found for its messages.
        let _ = noted.map(|reply| reply.send(Heard::Noted));
        self.log_at_carrier(key);
        if by_socket {
            // The caller is on the line, and the agent is waited for behind the answer.
            self.take_call(key);
        }
        self.reschedule(key);
    }

    /// A carrier has waited for as long as it will. The call is taken, though nobody talks yet: the
    /// caller hears that the line is alive.
    pub(super) fn take_unready(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { return };
        if call.call.answered_at().is_some() {
            return;
        }
        self.tell(key, Input::PeerAnswered);
        self.take_call(key);
        self.comfort(key);
    }

    /// Tells the carrier that its call is taken, and waits for its socket.
    pub(super) fn take_call(&mut self, key: CallKey) {
        self.await_socket(key);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(leg) = call.carrier.as_mut() else { return };
        let stream_url = leg.stream_url.clone();
        leg.tell(&Heard::Take { call: call.id, stream_url });
    }
}

fn calling(offered: &InboundCall) -> &str {
    offered.from.as_ref().map_or(WITHHELD, |from| from.expose())
}
