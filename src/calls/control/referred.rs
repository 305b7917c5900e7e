//! The peer asks us to call somebody else (REFER): whether it may, and the call that follows.
//!
//! A REFER makes this server place a call that its operator may have to pay for, so it goes no
//! further than its sender can be trusted with: to the networks that the sender's own trunk or user
//! is configured with. See docs/decisions/0012-transfers.md.

use std::net::IpAddr;

use adapters::agent::Direction;

use super::Control;
use super::sip::log_refused;
use crate::calls::takeover::Takeover;
use crate::config::{Caller, Config};
use crate::sip::core::endpoint::{DialogId, InviteParams, Reliability};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer::{self, SrtpPolicy};
use crate::sip::core::refer_to::ReferTo;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// Why a REFER is refused.
#[derive(Clone, Copy, Debug)]
struct Refusal(u16, &'static str);

/// The sender may not, or not there.
const FORBIDDEN: Refusal = Refusal(403, "Forbidden");

impl Control {
    /// The peer of `dialog` asks for a transfer.
    pub(super) fn referred(&mut self, dialog: DialogId, request: &Message) {
        if let Err(Refusal(status, reason)) = self.try_refer(dialog, request) {
            tracing::info!(status, "transfer refused");
            log_refused(self.endpoint.reject_refer(now(), dialog, status, reason).err());
        }
    }

    fn try_refer(&mut self, dialog: DialogId, request: &Message) -> Result<(), Refusal> {
        let key = *self.by_dialog.get(&dialog).ok_or(FORBIDDEN)?;
        let call = self.calls.get(&key).ok_or(FORBIDDEN)?;
        if call.ended.is_some() || call.call.answered_at().is_none() {
            return Err(FORBIDDEN);
        }
        if call.transfer.is_some() || call.takeover.is_some() {
            return Err(Refusal(491, "Request Pending"));
        }
        let refer_to = ReferTo::of(request).map_err(|_| Refusal(400, "Unusable Refer-To"))?;
        let uri = Uri::parse(&refer_to.uri).map_err(|_| Refusal(400, "Unusable Refer-To"))?;
        if uri.scheme != Scheme::Sip {
            return Err(Refusal(416, "Unsupported URI Scheme"));
        }
        // A name could lead anywhere, and anywhere else the next time.
        let address = uri.host.and_then(|host| host.address()).ok_or(FORBIDDEN)?;
        let config = std::sync::Arc::clone(&self.config);
        let proven = self.endpoint.proven(dialog);
        let caller = config.caller(call.signalling, &peer_user(call), proven).ok_or(FORBIDDEN)?;
        if !may_refer(&config, &caller, call.signalling, address) {
            return Err(FORBIDDEN);
        }
        if self.draining || !self.rate.take(now()) {
            return Err(Refusal(503, "Service Unavailable"));
        }
        let allowed = match &caller {
            Caller::Trunk(trunk) => trunk.headers.as_slice(),
            _ => &[],
        };
        let mut headers = invite_headers(&refer_to, allowed);
        let by = request.header(HeaderName::ReferredBy);
        let by = by
            .map(str::to_owned)
            .or_else(|| request.from().ok().map(|from| format!("<{}>", from.uri.as_str())));
        headers.extend(by.map(|by| ("Referred-By".to_owned(), by)));
        let policy = srtp_policy(&caller);
        self.place_takeover(key, dialog, &refer_to.uri, headers, policy)
    }

    /// Calls the new party; the peer is told how that goes.
    fn place_takeover(
        &mut self,
        key: CallKey,
        referrer: DialogId,
        uri: &str,
        headers: Vec<(String, String)>,
        policy: Option<SrtpPolicy>,
    ) -> Result<(), Refusal> {
        let busy = Refusal(503, "Service Unavailable");
        let (flow, remote) = self.target(uri).map_err(|_| FORBIDDEN)?;
        let codecs = self.calls.get(&key).map(|call| call.media.codecs.clone());
        // Whom we are sent to is of the same network: what holds for the peer holds there.
        let secure = flow.transport.is_secure();
        let srtp = self.local_srtp(policy, secure).map_err(|_| FORBIDDEN)?;
        let (media, sockets) = self.local_media(codecs, srtp).map_err(|_| busy)?;
        let local = self.endpoint.local_uri(referrer).ok_or(FORBIDDEN)?.to_owned();
        let sdp = offer_answer::build_offer(&media);
        let params = InviteParams {
            uri: uri.to_owned(),
            flow,
            from: format!("<{local}>"),
            to: format!("<{uri}>"),
            contact_user: None,
            sdp: Some(sdp.clone()),
            reliability: Reliability::default(),
            headers,
        };
        let dialog =
            self.endpoint.invite(now(), params).map_err(|_| Refusal(400, "Unusable Refer-To"))?;
        log_refused(self.endpoint.accept_refer(now(), referrer).err());
        if let Some(call) = self.calls.get(&key) {
            tracing::info!(parent: &call.span, "the peer asks for a transfer");
        }
        let takeover = Takeover {
            dialog,
            media,
            sdp,
            sockets,
            signalling: remote.ip(),
            answer_by: now() + self.config.limits.ring,
            referrer: Some(referrer),
        };
        self.await_takeover(key, takeover);
        Ok(())
    }
}

/// What is demanded about SRTP with this caller.
pub(super) const fn srtp_policy(caller: &Caller<'_>) -> Option<SrtpPolicy> {
    match caller {
        Caller::Trunk(trunk) => trunk.srtp,
        Caller::User(user) => user.srtp,
        Caller::Local => None,
    }
}

/// The user part of the peer's address.
pub(super) fn peer_user(call: &crate::calls::live::LiveCall) -> String {
    match call.direction {
        Direction::Inbound => call.from.clone(),
        Direction::Outbound => {
            let uri = Uri::parse(&call.to).ok();
            uri.and_then(|uri| uri.user_decoded().map(String::from)).unwrap_or_default()
        }
    }
}

/// Whether a caller may have us call this address.
pub(super) fn may_refer(
    config: &Config,
    caller: &Caller<'_>,
    from: IpAddr,
    address: IpAddr,
) -> bool {
    let peers = match caller {
        Caller::Trunk(trunk) if trunk.refer => &trunk.peers,
        Caller::User(user) if user.refer => &user.peers,
        Caller::Local => return address.is_loopback(),
        Caller::Trunk(_) | Caller::User(_) => return false,
    };
    address == from
        || peers.iter().any(|network| network.contains(address))
        // Users reach each other.
        || matches!(caller, Caller::User(_))
            && config.users.iter().any(|user| {
                user.peers.iter().any(|network| network.contains(address))
            })
}

/// The headers of Refer-To that the new INVITE gets: those that join calls, and those that the
/// sender's trunk may show to agents anyway.
fn invite_headers(refer_to: &ReferTo, allowed: &[String]) -> Vec<(String, String)> {
    let wanted = |name: &str| {
        name.eq_ignore_ascii_case("Replaces")
            || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    };
    let named = refer_to.headers.iter().filter(|(name, _)| wanted(name) && !steers(name));
    named.cloned().collect()
}

/// Headers that belong to the dialog or steer it: never taken from anybody.
fn steers(name: &str) -> bool {
    const OURS: [HeaderName; 14] = [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::Contact,
        HeaderName::MaxForwards,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::Allow,
        HeaderName::Supported,
        HeaderName::Require,
        HeaderName::ContentType,
        HeaderName::ContentLength,
    ];
    HeaderName::from_name(name).is_some_and(|name| OURS.contains(&name))
}
