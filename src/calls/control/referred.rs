//! The peer asks us to call somebody else (REFER): whether it may, and the call that follows.
//!
//! A REFER makes this server place a call that its operator may have to pay for, so it goes no
//! further than its sender can be trusted with: to the networks that the sender's own trunk or user
//! is configured with. See docs/decisions/0012-transfers.md.

use std::net::IpAddr;
use std::sync::Arc;

use adapters::agent::Direction;
use uuid::Uuid;

use super::Control;
use super::crediting::is_within;
use super::placing::Reach;
use super::sip::log_refused;
use crate::calls::live::LiveCall;
use crate::calls::request::RequestError;
use crate::calls::takeover::Takeover;
use crate::config::Cidr;
use crate::directory::{Caller, Snapshot, Trunk};
use crate::outward::Outward;
use crate::quota::Permit;
use crate::quota::credit::Hold;
use crate::quota::rates::Rate;
use crate::sip::core::endpoint::{self, DialogId, InviteParams, Reliability};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer::{self, SrtpPolicy};
use crate::sip::core::refer_to::ReferTo;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// Why a REFER is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

/// Hops that are left to a call of which nothing is said (RFC 3261 8.1.1.6).
pub(super) const HOPS_MAX: u8 = 70;

/// There is no room for another leg.
pub(super) const BUSY: Refusal = Refusal(503, "Service Unavailable");

/// The sender may not, or not there.
pub(super) const FORBIDDEN: Refusal = Refusal(403, "Forbidden");

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
        let (refer_to, address) = leads_to(request)?;
        let snapshot = self.directory.load();
        let proven = self.endpoint.proven(dialog);
        let own = call.trunk.clone();
        let caller = self.party(&snapshot, own.as_ref(), call, proven).ok_or(FORBIDDEN)?;
        if !may_refer(&snapshot, &caller, call.signalling, address) {
            return Err(FORBIDDEN);
        }
        // Servers of trunks that are named are known once they were asked.
        let user = matches!(caller, Caller::User(_));
        if user && address != call.signalling && self.is_at_trunk(address) {
            return Err(FORBIDDEN);
        }
        let through = match &caller {
            Caller::Trunk(trunk) => Some(&***trunk),
            _ => None,
        };
        let outward = self.outward_of_referred(&caller);
        if !outward.admits("", address) {
            return Err(FORBIDDEN);
        }
        self.judge(&refer_to.uri, through).map_err(|_| FORBIDDEN)?;
        if self.draining {
            return Err(BUSY);
        }
        let organisation = through.map_or(call.agent.organisation, |trunk| trunk.organisation);
        let (payer, rate) = (call.agent.organisation, call.permit.credit().map(Hold::rate));
        let bounds = self.leg_bounds(organisation, through, None);
        let mut place = self.take_leg(bounds).map_err(|_| BUSY)?;
        place.prepay(self.referred_credit(&snapshot, payer, (&refer_to, through), rate)?);
        let headers = invite_headers(&refer_to, request, &caller);
        let policy = srtp_policy(&caller);
        self.place_takeover(key, dialog, &refer_to.uri, (headers, policy), place)
    }

    /// What a leg holds that a peer asks for through this trunk: its first increment, as it costs
    /// what one costs that the agent asks for. Nothing in the place of one that is paid at `rate`:
    /// that goes on, and is to be no less. What joins a call that is there need have no price.
    pub(super) fn referred_credit(
        &mut self,
        snapshot: &Snapshot,
        organisation: Uuid,
        (to, through): (&ReferTo, Option<&Trunk>),
        rate: Option<Rate>,
    ) -> Result<Option<Hold>, Refusal> {
        let Some(trunk) = through else { return Ok(None) };
        let country = trunk.country.as_deref();
        let joins = to.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        if let Some(rate) = rate {
            let may = joins || is_within(snapshot, organisation, (to.uri.as_str(), country), &rate);
            return if may { Ok(None) } else { Err(FORBIDDEN) };
        }
        match self.hold_first(snapshot, organisation, &to.uri, country) {
            Ok(held) => Ok(held),
            Err(RequestError::Destination(_)) if joins => Ok(None),
            Err(RequestError::Full) => Err(BUSY),
            Err(_) => Err(FORBIDDEN),
        }
    }

    /// How far a leg reaches that `caller` asks for. Users are of the file; what they reach was
    /// judged before.
    pub(super) fn outward_of_referred(&self, caller: &Caller<'_>) -> Outward {
        match caller {
            Caller::Trunk(trunk) => self.outward_of_leg(trunk.organisation, Some(&***trunk)),
            Caller::User(_) | Caller::Local => Outward::Anywhere,
        }
    }

    /// Who the peer of a call is: its `own` trunk, which the call came or went by, our user who was
    /// called, else whoever the address or a password tells. Another peer that has taken over is
    /// known by the latter alone.
    pub(super) fn party<'c>(
        &self,
        snapshot: &'c Snapshot,
        own: Option<&'c Arc<Trunk>>,
        call: &LiveCall,
        proven: Option<&str>,
    ) -> Option<Caller<'c>> {
        if let Some(trunk) = own.filter(|_| !call.taken_over) {
            return Some(Caller::Trunk(trunk));
        }
        if call.direction == Direction::Outbound
            && !call.taken_over
            && let Some(called) = self.our_user(&call.to)
        {
            return snapshot.users.iter().find(|user| user.name == called.name).map(Caller::User);
        }
        snapshot.caller(call.signalling, &peer_user(call), proven, &call.to)
    }

    /// Calls the new party; the peer is told how that goes.
    fn place_takeover(
        &mut self,
        key: CallKey,
        referrer: DialogId,
        uri: &str,
        (headers, policy): (Vec<(String, String)>, Option<SrtpPolicy>),
        place: Permit,
    ) -> Result<(), Refusal> {
        let target = self.literal(uri).ok_or(FORBIDDEN)?;
        let flow = self.path_to(&target, &Reach::default()).map_err(|_| FORBIDDEN)?;
        let codecs = self.calls.get(&key).map(|call| call.media.codecs.clone());
        // Whom we are sent to is of the same network: what holds for the peer holds there.
        let secure = flow.transport.is_secure();
        let srtp = self.local_srtp(policy, secure).map_err(|_| FORBIDDEN)?;
        let (media, sockets) = self.local_media(codecs, flow.peer.ip(), srtp).map_err(|_| BUSY)?;
        let local = self.endpoint.local_uri(referrer).ok_or(FORBIDDEN)?.to_owned();
        let sdp = offer_answer::build_offer(&media);
        // A transfer that leads back to us, by way of others, ends like any other loop.
        let left = self.calls.get(&key).and_then(|call| call.max_forwards);
        let left = left.unwrap_or(HOPS_MAX).saturating_sub(1);
        if left == 0 {
            return Err(Refusal(483, "Too Many Hops"));
        }
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
        let placing = endpoint::Placing { max_forwards: Some(left), ..Default::default() };
        let placed = self.invite_takeover(&target, params, placing);
        let (dialog, stream) = placed.map_err(|_| Refusal(400, "Unusable Refer-To"))?;
        if let Some(call) = self.calls.get_mut(&key) {
            call.max_forwards = Some(left);
        }
        log_refused(self.endpoint.accept_refer(now(), referrer).err());
        if let Some(call) = self.calls.get(&key) {
            tracing::info!(parent: &call.span, "the peer asks for a transfer");
        }
        let takeover = Takeover {
            dialog,
            media,
            sdp,
            sockets,
            signalling: flow.peer.ip(),
            answer_by: now() + self.config.limits.ring,
            referrer: Some(referrer),
            place: Some(place),
            stream,
        };
        self.await_takeover(key, takeover);
        Ok(())
    }
}

/// What is demanded about SRTP with this caller.
pub(super) fn srtp_policy(caller: &Caller<'_>) -> Option<SrtpPolicy> {
    match caller {
        Caller::Trunk(trunk) => trunk.srtp,
        Caller::User(user) => user.srtp,
        Caller::Local => None,
    }
}

/// The user part of the peer's address.
fn peer_user(call: &LiveCall) -> String {
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
    snapshot: &Snapshot,
    caller: &Caller<'_>,
    from: IpAddr,
    address: IpAddr,
) -> bool {
    let within = |peers: &[Cidr]| peers.iter().any(|network| network.contains(address));
    match caller {
        Caller::Trunk(trunk) => trunk.refer && (address == from || within(&trunk.peers)),
        // Users reach each other, but no trunk: it trusts our address, and may well be in a network
        // of users.
        Caller::User(user) => {
            let users = || snapshot.users.iter().any(|user| within(&user.peers));
            let trunks = || snapshot.trunks.iter().any(|trunk| trunk.is_at(address));
            user.refer && (address == from || users() && !trunks())
        }
        Caller::Local => address.is_loopback(),
    }
}

/// Where a REFER leads, and the address there. A name could lead anywhere, and anywhere else the
/// next time.
pub(super) fn leads_to(request: &Message) -> Result<(ReferTo, IpAddr), Refusal> {
    let refer_to = ReferTo::of(request).map_err(|_| Refusal(400, "Unusable Refer-To"))?;
    let uri = Uri::parse(&refer_to.uri).map_err(|_| Refusal(400, "Unusable Refer-To"))?;
    if uri.scheme != Scheme::Sip {
        return Err(Refusal(416, "Unsupported URI Scheme"));
    }
    let address = uri.host.and_then(|host| host.address()).ok_or(FORBIDDEN)?;
    Ok((refer_to, address))
}

/// The headers of the new INVITE: of those in Refer-To the ones that join calls, and those that the
/// sender's trunk may show to agents anyway; and who asked (RFC 3892).
pub(super) fn invite_headers(
    refer_to: &ReferTo,
    request: &Message,
    caller: &Caller<'_>,
) -> Vec<(String, String)> {
    let allowed = match caller {
        Caller::Trunk(trunk) => trunk.headers.as_slice(),
        Caller::User(_) | Caller::Local => &[],
    };
    let wanted = |name: &str| {
        name.eq_ignore_ascii_case("Replaces")
            || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    };
    let named = refer_to.headers.iter().filter(|(name, _)| wanted(name) && !steers(name));
    let by = request.header(HeaderName::ReferredBy).map(str::to_owned);
    let by = by.or_else(|| request.from().ok().map(|from| format!("<{}>", from.uri.as_str())));
    named.cloned().chain(by.map(|by| ("Referred-By".to_owned(), by))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    const CONFIG: &str = r#"
[[trunks]]
name = "carrier"
peers = "192.0.2.8"
targets = ["sip:192.0.2.9:5070", "sip:gw.example"]
outbound_proxy = "sip:192.0.2.10;lr"
username = "us"
password = "only-for-the-carrier"
register = true
registrar = "sip:192.0.2.11"

[[trunks]]
name = "quiet"
peers = "198.51.100.0/24"
refer = "refuse"

[[users]]
name = "alice"
peers = ["192.0.2.0/24", "198.51.100.0/24"]

[[users]]
name = "bob"
peers = "203.0.113.0/24"

[[users]]
name = "carol"
password = "wonderland"
refer = "refuse"
"#;

    /// A user reaches users and where it calls from, and no server of a trunk, whichever key names
    /// it; a trunk reaches its own network; whoever may not transfer, nobody.
    #[test]
    fn transfers_lead_no_further_than_trust() {
        let path = std::path::Path::new("talkpath.toml");
        let sources = Sources {
            file: Some((path, CONFIG)),
            environment: &[],
            data_dir: None,
            dialects: &[],
            readable: &|_| Ok(()),
        };
        let config = Config::parse(&sources).unwrap();
        let snapshot = Snapshot::of_file(&config, Uuid::nil());
        let trunk = |name| snapshot.trunks.iter().find(|trunk| trunk.name == name).unwrap();
        let user = |name| snapshot.users.iter().find(|user| user.name == name).unwrap();
        let (alice, carol) = (Caller::User(user("alice")), Caller::User(user("carol")));
        let (carrier, quiet) = (Caller::Trunk(trunk("carrier")), Caller::Trunk(trunk("quiet")));
        for (caller, from, address, expected) in [
            (alice, "192.0.2.1", "192.0.2.1", true),
            (alice, "192.0.2.1", "192.0.2.2", true),
            (alice, "192.0.2.1", "203.0.113.1", true),
            (alice, "192.0.2.1", "192.0.2.8", false),
            (alice, "192.0.2.1", "::ffff:192.0.2.8", false),
            (alice, "192.0.2.1", "192.0.2.9", false),
            (alice, "192.0.2.1", "::ffff:192.0.2.9", false),
            (alice, "192.0.2.1", "192.0.2.10", false),
            (alice, "192.0.2.1", "192.0.2.11", false),
            (alice, "192.0.2.1", "198.51.100.1", false),
            (alice, "192.0.2.1", "100.64.0.1", false),
            (alice, "192.0.2.8", "192.0.2.8", true),
            (carol, "192.0.2.1", "192.0.2.1", false),
            (carrier, "192.0.2.11", "192.0.2.11", true),
            (carrier, "192.0.2.11", "192.0.2.8", true),
            (carrier, "192.0.2.8", "192.0.2.1", false),
            (quiet, "198.51.100.1", "198.51.100.1", false),
        ] {
            let (from, address) = (from.parse().unwrap(), address.parse().unwrap());
            assert_eq!(may_refer(&snapshot, &caller, from, address), expected, "{from} {address}");
        }
    }
}
