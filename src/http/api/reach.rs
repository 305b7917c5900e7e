//! Where agents and SIP peers of an organisation are: refused as they are written if this server
//! certainly does not go there for it. What names lead to is looked at when they are used.

use adapters::config::RawConfig;
use adapters::spec::ProviderSpec;

use crate::config::{AgentConfig, AgentKind, TrunkConfig};
use crate::directory::trunk_of_profile;
use crate::outward::{Outward, OutwardError};
use crate::sip::core::uri::Uri;

/// What is wrong with where an agent is: the field, and why.
pub(super) fn agent(agent: &AgentConfig, outward: &Outward) -> Option<(&'static str, String)> {
    let (field, found) = match &agent.kind {
        AgentKind::Builtin(_) => return None,
        AgentKind::WebSocket(agent) => ("url", outward.check(&agent.url.as_ref()?.host)),
        AgentKind::Rtp(agent) => ("url", outward.check(&agent.address.ip().to_string())),
        // Through a trunk it goes to the servers of that.
        AgentKind::Sip(agent) if agent.trunk.is_some() => return None,
        AgentKind::Sip(agent) => ("uri", uri(&agent.uri, outward)),
    };
    Some((field, found.err()?.to_string()))
}

/// What is wrong with the SIP peer that is described, if one is: the field, and why. One that would
/// not be used is none that is set up. A configuration may leave its calls to the trunks `within`
/// it, they cannot.
pub(super) fn peer(
    spec: &ProviderSpec,
    config: &RawConfig,
    within: bool,
    outward: &Outward,
) -> Option<(String, String)> {
    let profile = spec.sip?(config).ok()?;
    if profile.is_idle() {
        let why = "neither takes nor places calls";
        return within.then(|| ("inbound.enabled".to_owned(), why.to_owned()));
    }
    match trunk_of_profile(spec.name, &profile) {
        Err(unsupported) => {
            let told = unsupported.to_string();
            let (field, why) = told.split_once(": ").unwrap_or(("", told.as_str()));
            Some((field.to_owned(), why.to_owned()))
        }
        Ok((peer, _)) => trunk(&peer, outward).map(|(field, why)| (field.to_owned(), why)),
    }
}

/// What is wrong with where a SIP peer is.
fn trunk(trunk: &TrunkConfig, outward: &Outward) -> Option<(&'static str, String)> {
    let targets = trunk.outbound.targets.iter().map(|uri| ("outbound.targets", uri));
    let proxies = trunk.outbound.route.iter().map(|uri| ("outbound.proxy", uri));
    let registrar = trunk.registration.iter();
    let registrar = registrar.map(|wanted| ("registration.registrar", &wanted.registrar));
    let mut all = targets.chain(proxies).chain(registrar);
    all.find_map(|(field, text)| Some((field, uri(text, outward).err()?.to_string())))
}

/// Who is called by name is looked for elsewhere.
fn uri(text: &str, outward: &Outward) -> Result<(), OutwardError> {
    let host = Uri::parse(text).ok().and_then(|uri| uri.host.map(|host| host.to_string()));
    host.map_or(Ok(()), |host| outward.check(&host))
}

/// True if what is sent to one URL goes where the other leads, whatever their queries say: a secret
/// that is kept unread must not go anywhere else.
pub(super) fn is_same_place(one: &str, other: &str) -> bool {
    let place = |url: &str| url.split(['?', '#']).next().unwrap_or_default().to_owned();
    place(one) == place(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only the query may differ: another port, path or scheme may be somebody else's.
    #[test]
    fn places() {
        let place = "wss://a.example:9000/call?token=1";
        assert!(is_same_place(place, "wss://a.example:9000/call?token=2"));
        assert!(is_same_place(place, "wss://a.example:9000/call"));
        for other in [
            "ws://a.example:9000/call?token=1",
            "wss://b.example:9000/call?token=1",
            "wss://a.example:9001/call",
            "wss://a.example:9000/other",
            "wss://a.example:9000/call@b.example",
        ] {
            assert!(!is_same_place(place, other), "{other}");
        }
    }
}
