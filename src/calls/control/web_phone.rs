//! Calls of people on web pages: begun by a request, heard over a socket that the page opens.

use std::sync::Arc;
use std::time::Duration;

use adapters::agent::{Direction, EndedBy, StreamFormat};
use adapters::phone;
use uuid::Uuid;

use super::Control;
use super::begin::{Beginning, Peer};
use super::incoming::plan;
use super::place::field;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::digits::DigitsBy;
use crate::calls::log::What;
use crate::calls::media_token::MediaToken;
use crate::calls::request::RequestError;
use crate::calls::web_phone::{NAME, PhoneCall, PhoneLine, SOCKET_WITHIN, WebPhone};
use crate::config::Secret;
use crate::directory::{Fallback, Snapshot, Treatment};
use crate::quota::{Permit, Way};
use crate::routing::{Called, Inquiry};
use crate::workers::command::CallKey;
use crate::workers::line::{LineEvent, LineLoss, LinePlan};
use crate::workers::poller::now;

/// Longest address of a caller or called party, in bytes.
const ADDRESS_BYTES_MAX: usize = 255;

/// How a person's call is treated, and what it counts for.
struct Admitted {
    treatment: Arc<Treatment>,
    /// What was called.
    to: String,
    permit: Permit,
    slot: Option<Permit>,
}

impl Control {
    /// A person begins a call; the page's socket is to follow.
    pub(super) fn web_call(&mut self, wanted: PhoneCall) -> Result<PhoneLine, RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        let rate_hz = wanted.rate_hz.unwrap_or(phone::RATE_HZ);
        let format = phone::format(rate_hz).ok_or_else(|| {
            let rates = phone::RATES_HZ.map(|rate_hz| rate_hz.to_string()).join(", ");
            field("rate_hz", format!("is none of {rates}"))
        })?;
        let from = match &wanted.from {
            Some(from) => address("from", from)?,
            None => wanted.caller.name.clone(),
        };
        let admitted = self.admit_web_call(&wanted, &from)?;
        let id = Uuid::now_v7();
        let token =
            MediaToken::new(now(), NAME, SOCKET_WITHIN, Duration::ZERO).map_err(|error| {
                tracing::error!(%error, "no media token");
                RequestError::Full
            })?;
        let url = Secret::new(token.url(&self.public_url, id));
        let key = self.begin_web_call(id, wanted, from, admitted, WebPhone::new(format, token));
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?.view(now());
        Ok(PhoneLine { call, url, format })
    }

    fn begin_web_call(
        &mut self,
        id: Uuid,
        wanted: PhoneCall,
        from: String,
        admitted: Admitted,
        phone: WebPhone,
    ) -> CallKey {
        let Admitted { treatment, to, permit, slot } = admitted;
        let mut plan = plan(&self.config, Direction::Inbound, &treatment);
        if let Some(seconds) = wanted.max_duration_s {
            plan.max_duration = plan.max_duration.min(Duration::from_secs(seconds));
        }
        let line = plan_of(phone.format());
        let key = self.begin(Beginning {
            id: Some(id),
            peer: Peer::Web { phone: Box::new(phone), plan: line },
            max_forwards: None,
            plan,
            from,
            to,
            trunk: None,
            headers: Vec::new(),
            variables: wanted.variables.into_iter().collect(),
            agent: Arc::clone(&treatment.agent),
            fallback: treatment.fallback.clone(),
            ambient: treatment.ambient.clone(),
            keep: treatment.keep.clone(),
            line: None,
            permit,
            slot,
        });
        self.log_fact(key, What::WebPhone { user: wanted.caller.user });
        self.reschedule(key);
        key
    }

    fn admit_web_call(&mut self, wanted: &PhoneCall, from: &str) -> Result<Admitted, RequestError> {
        let organisation = wanted.caller.organisation;
        let snapshot = self.directory.load();
        if snapshot.is_suspended(organisation) {
            return Err(RequestError::Suspended);
        }
        let by_line = wanted.trunk.is_some() || wanted.telephony_configuration_id.is_some();
        let (treatment, to) = match (&wanted.agent, &wanted.to) {
            (Some(name), None) if !by_line => {
                (self.treatment_by(&snapshot, organisation, name)?, name.clone())
            }
            (None, Some(to)) => {
                let to = address("to", to)?;
                (route(&snapshot, wanted, &to, from)?, to)
            }
            _ => {
                let why = "either `agent`, or `to` and perhaps what it came by, is needed";
                return Err(RequestError::Invalid(why.to_owned()));
            }
        };
        // The agent first: a place there costs no rate.
        let slot = match self.take_agent(&treatment.agent, Way::In) {
            Ok(slot) => Some(slot),
            Err(refusal) if treatment.fallback == Fallback::Hangup => return Err(refusal.into()),
            // The fallback is reached for when the agent would be.
            Err(_) => None,
        };
        // It counts for no line: it takes none.
        let permit = self.take_places(Way::In, &snapshot.bounds(organisation, None, None))?;
        Ok(Admitted { treatment, to, permit, slot })
    }

    /// How a call for an agent is treated that no route led to.
    fn treatment_by(
        &self,
        snapshot: &Snapshot,
        organisation: Uuid,
        name: &str,
    ) -> Result<Arc<Treatment>, RequestError> {
        let agent = snapshot.agent(organisation, name);
        let agent =
            agent.ok_or_else(|| field("agent", format!("no agent is called \"{name}\"")))?;
        Ok(Arc::new(Treatment {
            agent: Arc::clone(agent),
            fallback: Fallback::Hangup,
            agent_answers: false,
            early_media: false,
            max_duration: self.config.limits.max_duration,
            ambient: agent.ambient.clone(),
            keep: agent.keep.clone(),
        }))
    }

    /// Something happened on the line of a call from a page.
    pub(super) fn web_line(&mut self, key: CallKey, event: &LineEvent) {
        let call = self.calls.get(&key);
        let answered = call.is_some_and(|call| call.call.answered_at().is_some());
        let hung_up = if answered { Cause::Normal } else { Cause::Cancelled };
        let cause = match event {
            LineEvent::Started { .. } => return self.tell(key, Input::PeerCame),
            // A page that goes away closes with 1001, or without a code.
            LineEvent::Stopped(_) | LineEvent::Lost(LineLoss::Closed(1000 | 1001 | 1005)) => {
                hung_up
            }
            LineEvent::Lost(_) => Cause::NetworkFailure,
        };
        self.tell(key, Input::PeerEnded(cause));
    }

    /// A page may have taken too long to open its socket.
    pub(super) fn web_due(&mut self, key: CallKey) {
        let phone = self.calls.get(&key).and_then(|call| call.web.as_ref());
        if phone.is_some_and(|phone| phone.deadline() <= now()) {
            self.tell(key, Input::End(Cause::PeerAbsent, EndedBy::Caller));
        }
    }
}

/// What the worker is told of a page's line.
fn plan_of(format: StreamFormat) -> LinePlan {
    let (buffer_ms, digits) = (phone::BUFFER_MS, DigitsBy::Events);
    LinePlan { format, buffer_ms, digits, dtmf_inband: false }
}

/// How a call to `to` is treated, by the line that it names, or that has the number.
fn route(
    snapshot: &Snapshot,
    wanted: &PhoneCall,
    to: &str,
    from: &str,
) -> Result<Arc<Treatment>, RequestError> {
    let organisation = wanted.caller.organisation;
    let named = match (&wanted.trunk, wanted.telephony_configuration_id) {
        (Some(_), Some(_)) => {
            let why = "either `trunk` or `telephony_configuration_id`";
            return Err(RequestError::Invalid(why.to_owned()));
        }
        (Some(name), None) => {
            let trunk = snapshot
                .trunk(organisation, name)
                .ok_or_else(|| field("trunk", format!("no trunk is called \"{name}\"")))?;
            Some((trunk.id, trunk.country.as_deref()))
        }
        (None, Some(id)) => {
            let sip = snapshot.account(id).is_some_and(|own| own.organisation == organisation);
            let carrier = snapshot.carriers().get(id);
            if !sip && carrier.is_none_or(|own| own.organisation != organisation) {
                let why = "there is none with this id".to_owned();
                return Err(field("telephony_configuration_id", why));
            }
            Some((id, None))
        }
        (None, None) => None,
    };
    let called = Called::new(to, Some(to), named.and_then(|(_, country)| country));
    let line = named.map(|(line, _)| line).or_else(|| {
        let mut own = snapshot.table.numbers().iter().filter(|it| it.organisation == organisation);
        let is_called = |line| snapshot.table.number(line, &called).map(|number| number.id);
        own.find(|number| is_called(number.line) == Some(number.id)).map(|number| number.line)
    });
    let decision = snapshot.table.decide(&Inquiry {
        organisation,
        line,
        // Who talks from a web page comes by no trunk.
        trunk: None,
        called,
        caller: from,
        at: jiff::Timestamp::now(),
        lot: fastrand::u64(..),
    });
    let decision = decision.map_err(|error| field("to", error.to_string()))?;
    Ok(Arc::clone(decision.treatment))
}

/// An address that may stand in the log of calls.
fn address(name: &'static str, text: &str) -> Result<String, RequestError> {
    let fits = (1..=ADDRESS_BYTES_MAX).contains(&text.len());
    if !fits || text.chars().any(char::is_control) {
        let why = format!("has not 1 to {ADDRESS_BYTES_MAX} bytes of text");
        return Err(field(name, why));
    }
    Ok(text.to_owned())
}
