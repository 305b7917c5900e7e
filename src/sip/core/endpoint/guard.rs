//! Who must prove who they are before a request of theirs is handled (RFC 3261 22).

use std::net::IpAddr;

use media::time::MonoTime;

use super::Endpoint;
use super::flow::Flow;
use super::reply::refusal;
use super::table::Handle;
use zeroize::Zeroizing;

use crate::sip::core::auth::{Server, ServerConfig, Verdict};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::validate::Refusal;

/// Says who must prove who they are, and with which password.
pub trait Gate: Send {
    /// Whether a request that opens something needs credentials.
    fn demands(&self, flow: Flow, request: &Message) -> bool;

    /// Whether a call that needs no credentials comes from anybody who is known. Strangers are
    /// refused without anything being kept of them: whoever forges his address neither fills the
    /// tables nor lets us say no to somebody else again and again.
    fn knows(&self, flow: Flow, request: &Message) -> bool;

    /// The password of a user.
    fn password(&self, user: &str) -> Option<Zeroizing<String>>;
}

/// The gate, and what judges credentials.
pub(super) struct Guard {
    server: Server,
    gate: Box<dyn Gate>,
}

/// Who opened a call, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) user: Box<str>,
    pub(super) address: IpAddr,
}

impl Endpoint {
    /// From now on, requests that `gate` names are challenged. A challenge keeps nothing
    /// (RFC 3261 8.2.7); ACK and CANCEL are never challenged (RFC 3261 22.1), and OPTIONS, with
    /// which peers ask whether we are there, is not either.
    pub fn guard(&mut self, config: ServerConfig, gate: Box<dyn Gate>) {
        self.guard = Some(Box::new(Guard { server: Server::new(config), gate }));
    }

    /// Who sends a request outside of dialogs, as far as that must be proven.
    pub(super) fn prove(
        &mut self,
        now: MonoTime,
        flow: Flow,
        request: &Message,
    ) -> Result<Option<Box<str>>, Refusal> {
        let demanded = self.guard.as_ref().is_some_and(|guard| guard.gate.demands(flow, request));
        if demanded {
            return self.judge_credentials(now, flow, request).map(Some);
        }
        let calls = request.method() == Some(&Method::Invite);
        let known = |guard: &Guard| guard.gate.knows(flow, request);
        if calls && !self.guard.as_deref().is_none_or(known) {
            return Err(Refusal::new(403, "Forbidden"));
        }
        Ok(None)
    }

    /// Judges a request within a call. Who knows the tags of a call that was opened with
    /// credentials has seen it being opened, so requests from where it was opened need no others;
    /// from elsewhere those that change or transfer it do, and move it; others move nothing.
    pub(super) fn prove_within(
        &mut self,
        now: MonoTime,
        flow: Flow,
        call: Handle,
        request: &Message,
    ) -> Result<(), Refusal> {
        let Some(proof) = self.calls.get(call).and_then(|call| call.proof.as_deref()) else {
            return Ok(());
        };
        let steers = matches!(
            request.method(),
            Some(Method::Invite | Method::Update | Method::Prack | Method::Refer | Method::Info)
        );
        if !steers || proof.address == flow.peer.ip() {
            return Ok(());
        }
        let expected = proof.user.clone();
        let user = self.judge_credentials(now, flow, request)?;
        if user != expected {
            return Err(Refusal::new(403, "Forbidden"));
        }
        let proof = Proof { user, address: flow.peer.ip() };
        if let Some(call) = self.calls.get_mut(call) {
            call.proof = Some(Box::new(proof));
        }
        Ok(())
    }

    /// The user whose password the sender knows, or what the request is refused with.
    pub(super) fn judge_credentials(
        &mut self,
        now: MonoTime,
        flow: Flow,
        request: &Message,
    ) -> Result<Box<str>, Refusal> {
        let Some(guard) = self.guard.as_mut() else { return Err(Refusal::new(403, "Forbidden")) };
        let peer = flow.peer.ip();
        let Guard { server, gate } = &mut **guard;
        match server.verify(now, peer, request, |user| gate.password(user)) {
            Verdict::Proven(user) => {
                self.counters.proven += 1;
                Ok(user)
            }
            Verdict::Unproven { stale, failed } => {
                self.counters.challenged += 1;
                self.counters.failed_proofs += u64::from(failed);
                let challenges = server.challenge(now, peer, stale);
                let field = |value| (HeaderName::WwwAuthenticate, value);
                Err(Refusal {
                    headers: challenges.into_iter().map(field).collect(),
                    ..Refusal::new(401, "Unauthorized")
                })
            }
            Verdict::Slowed { retry_after_s } => {
                self.counters.slowed += 1;
                let seconds = retry_after_s.to_string();
                Err(refusal(503, "Too Many Failed Attempts", HeaderName::RetryAfter, seconds))
            }
        }
    }
}
