//! Calls that a PBX brings by their media connections.

use std::sync::Arc;

use adapters::agent::{Direction, EndedBy};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use super::begin::{Beginning, Peer};
use super::incoming::plan;
use super::refusals::Refused;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::pbx::{PbxCall, PbxLine, PbxRefusal};
use crate::config::Masked;
use crate::directory::{Caller, Chance, Fallback, Snapshot, Treatment, Trunk};
use crate::quota::{Permit, Way};
use crate::routing::Unrouted;
use crate::workers::command::CallKey;
use crate::workers::line::{LineEvent, LineLoss};
use crate::workers::poller::now;

/// Who calls, where nothing says it.
const WITHHELD: &str = "anonymous";
/// Longest address of a caller or called party, in bytes.
const ADDRESS_BYTES_MAX: usize = 255;

/// How a call is treated, and what it counts for.
struct Admitted {
    treatment: Arc<Treatment>,
    trunk: Option<Arc<Trunk>>,
    from: String,
    to: String,
    permit: Permit,
    slot: Option<Permit>,
}

impl Control {
    /// A PBX brings a call. One that nobody waits for any more ends at once.
    pub(super) fn pbx_comes(
        &mut self,
        call: PbxCall,
        reply: oneshot::Sender<Result<Uuid, PbxRefusal>>,
    ) {
        let taken = self.pbx_call(call);
        let id = taken.as_ref().ok().copied();
        if reply.send(taken).is_err()
            && let Some(id) = id
        {
            self.line_open(id, None);
        }
    }

    /// A PBX brings a call: its id, if it is taken; its connection is to follow.
    fn pbx_call(&mut self, call: PbxCall) -> Result<Uuid, PbxRefusal> {
        // A carrier's call waits for its audio: what it says is all that lets it in.
        if let Some(waiting) = call.id.and_then(|id| self.connection_comes(id)) {
            return Ok(waiting?);
        }
        let admitted = self.admit_pbx_call(&call)?;
        let Admitted { treatment, trunk, from, to, permit, slot } = admitted;
        let line = PbxLine::new(now(), call.door);
        let id = Uuid::now_v7();
        let key = self.begin(Beginning {
            id: Some(id),
            peer: Peer::Pbx { line: Box::new(line), plan: call.door.plan() },
            max_forwards: None,
            plan: plan(&self.config, Direction::Inbound, &treatment),
            from,
            to,
            trunk,
            headers: Vec::new(),
            variables: call.variables,
            agent: Arc::clone(&treatment.agent),
            fallback: treatment.fallback.clone(),
            ambient: treatment.ambient.clone(),
            keep: treatment.keep.clone(),
            line: None,
            permit,
            slot,
        });
        self.reschedule(key);
        Ok(id)
    }

    fn admit_pbx_call(&mut self, call: &PbxCall) -> Result<Admitted, PbxRefusal> {
        let snapshot = self.directory.load();
        let usual = self.config.audiosocket.to.as_ref().filter(|_| call.id.is_some());
        let to = call.to.as_ref().or(usual).cloned();
        let from = call.from.clone().unwrap_or_else(|| WITHHELD.to_owned());
        // First, for strangers are told nothing else, and have no lines in the log.
        let caller = self.pbx_caller(&snapshot, call, &from, to.as_deref().unwrap_or_default());
        let caller = caller.ok_or(PbxRefusal::Stranger)?;
        if self.draining {
            return Err(PbxRefusal::Draining);
        }
        self.check_server(Way::In)?;
        let to = to.ok_or(PbxRefusal::Invalid("nothing says who is called"))?;
        for text in [&to, &from] {
            let fits = (1..=ADDRESS_BYTES_MAX).contains(&text.len());
            if !fits || text.chars().any(char::is_control) {
                return Err(PbxRefusal::Invalid("who calls or is called has no fit address"));
            }
        }
        let (trunk, from) = match caller {
            Caller::Trunk(trunk) => (Some(Arc::clone(trunk)), from),
            // Whatever it says, this is who it is.
            Caller::User(user) => (None, user.name.clone()),
            Caller::Local => (None, from),
        };
        self.route_pbx_call(&snapshot, trunk, (from, to))
    }

    /// Who takes the call, and its places with what it came by.
    fn route_pbx_call(
        &mut self,
        snapshot: &Snapshot,
        trunk: Option<Arc<Trunk>>,
        (from, to): (String, String),
    ) -> Result<Admitted, PbxRefusal> {
        let by = trunk.as_deref();
        let organisation = by.map_or(snapshot.organisation, |trunk| trunk.organisation);
        let chance = Chance { at: jiff::Timestamp::now(), lot: fastrand::u64(..) };
        let decision = snapshot.route(by, &to, None, &from, chance);
        let decision = match decision {
            Ok(decision) => decision,
            Err(error) => {
                let name = by.map(|trunk| trunk.name.as_str());
                tracing::info!(trunk = name, to = %Masked(&to), %error, "no route");
                let (cause, refusal) = match error {
                    Unrouted::Suspended => (Cause::Rejected, PbxRefusal::Suspended),
                    _ => (Cause::NotFound, PbxRefusal::NoRoute),
                };
                self.log_pbx_refusal(organisation, by, (from, to), cause);
                return Err(refusal);
            }
        };
        let number = decision.number.map(|number| number.id);
        let treatment = Arc::clone(decision.treatment);
        // The agent first: a place there costs no rate.
        let slot = match self.take_agent(&treatment.agent, Way::In) {
            Ok(slot) => Ok(Some(slot)),
            Err(refusal) if treatment.fallback == Fallback::Hangup => Err(refusal),
            // The fallback is reached for when the agent would be.
            Err(_) => Ok(None),
        };
        let places = slot.and_then(|slot| {
            let bounds = snapshot.bounds(organisation, by, number);
            Ok((slot, self.take_places(Way::In, &bounds)?))
        });
        let (slot, permit) = match places {
            Ok(places) => places,
            Err(refusal) => {
                tracing::info!(%refusal, "no room for a call");
                self.log_pbx_refusal(organisation, by, (from, to), Cause::Congestion);
                return Err(refusal.into());
            }
        };
        Ok(Admitted { treatment, trunk, from, to, permit, slot })
    }

    fn log_pbx_refusal(
        &mut self,
        organisation: Uuid,
        trunk: Option<&Trunk>,
        (from, to): (String, String),
        cause: Cause,
    ) {
        self.log_refusal(Refused {
            organisation,
            direction: Direction::Inbound,
            from,
            to,
            trunk,
            agent: String::new(),
            cause,
            sip_status: None,
            reason: None,
        });
    }

    /// Who brings a call: by a password, else by its address.
    fn pbx_caller<'s>(
        &mut self,
        snapshot: &'s Snapshot,
        call: &PbxCall,
        from: &str,
        to: &str,
    ) -> Option<Caller<'s>> {
        let proven = match &call.credentials {
            // Who guesses has to wait longer and longer, whether or not there is such a name.
            Some(_) if !self.refusals.guesses.wait(now(), call.address).is_zero() => return None,
            // Compared in constant time.
            Some((name, password)) if snapshot.password(name) == Some(password) => Some(&**name),
            Some(_) => {
                self.refusals.guesses.failed(now(), call.address);
                return None;
            }
            None => None,
        };
        let caller = snapshot.caller(call.address, from, proven, to)?;
        let local = caller == Caller::Local && !call.trusts_loopback;
        (!local).then_some(caller)
    }

    /// Something happened on the line of a call that a PBX brought.
    pub(super) fn pbx_line(&mut self, key: CallKey, event: &LineEvent) {
        let call = self.calls.get(&key);
        let answered = call.is_some_and(|call| call.call.answered_at().is_some());
        let hung_up = if answered { Cause::Normal } else { Cause::Cancelled };
        let cause = match event {
            LineEvent::Started { .. } => return self.reschedule(key),
            LineEvent::Stopped(Some(adapters::event::HangupCause::Failed)) => Cause::NetworkFailure,
            LineEvent::Stopped(_) | LineEvent::Lost(LineLoss::Closed(1000 | 1001 | 1005)) => {
                hung_up
            }
            LineEvent::Lost(_) => Cause::NetworkFailure,
        };
        self.tell(key, Input::PeerEnded(cause));
    }

    /// The connection of a PBX may have been lost before it was handed over.
    pub(super) fn pbx_due(&mut self, key: CallKey) {
        let line = self.calls.get(&key).and_then(|call| call.pbx.as_ref());
        if line.is_some_and(|line| line.deadline() <= now()) {
            self.tell(key, Input::End(Cause::MediaTimeout, EndedBy::Carrier));
        }
    }
}
