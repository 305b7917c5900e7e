//! Which trunk a call that we place goes through, and what its INVITE says of where it goes.

use std::sync::Arc;

use uuid::Uuid;

use super::place::field;
use super::placing::Way;
use crate::calls::request::{PlaceCall, RequestError};
use crate::directory::{self, Snapshot, Trunk};
use crate::sip::core::uri::{Scheme, Uri};

/// What is told of something that is no SIP URI where nothing places calls to numbers.
const NO_WAY: &str = "numbers are called by a connection that places calls, and there is none; \
                      without one, SIP URIs such as sip:bob@example.com are";

/// The trunks that a call may go through, in the order to try them; none if it goes straight to
/// where its URI leads. Which one is named is not tried elsewhere. `from` tells the number that it
/// is placed from by a configuration, if that is another than its default.
pub(super) fn trunks(
    snapshot: &Snapshot,
    organisation: Uuid,
    call: &PlaceCall,
    from: impl Fn(Uuid) -> Option<String>,
) -> Result<Vec<Arc<Trunk>>, RequestError> {
    if let Some(name) = &call.trunk {
        let trunk = match call.telephony_configuration_id {
            Some(id) => trunk_within(snapshot, organisation, id, name),
            None => snapshot.trunk(organisation, name),
        };
        let none = || field("trunk", format!("no trunk is called \"{name}\""));
        let trunk = trunk.ok_or_else(none)?;
        if trunk.outbound.targets.is_empty() {
            return Err(field("trunk", "the trunk has no targets".to_owned()));
        }
        return Ok(vec![Arc::clone(trunk)]);
    }
    if let Some(id) = call.telephony_configuration_id {
        return by_configuration(snapshot, organisation, id, from(id).as_deref())
            .map_err(|why| field("telephony_configuration_id", why.to_owned()));
    }
    match Uri::parse(&call.to) {
        Ok(uri) if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) => Ok(Vec::new()),
        Ok(_) => Err(field("to", "only sip: and sips: URIs and numbers are called".to_owned())),
        Err(_) => match snapshot.outbound(organisation, from) {
            // A number, most likely: what is wrong with it as a URI is of no use.
            trunks if trunks.is_empty() => Err(field("to", NO_WAY.to_owned())),
            trunks => Ok(trunks),
        },
    }
}

/// The trunk of a configuration that is called `name`, or has it as its id.
fn trunk_within<'s>(
    snapshot: &'s Snapshot,
    organisation: Uuid,
    configuration: Uuid,
    name: &str,
) -> Option<&'s Arc<Trunk>> {
    let mut within = snapshot.trunks.iter().filter(|trunk| {
        trunk.organisation == organisation && trunk.line == configuration && trunk.is_within()
    });
    let id = Uuid::try_parse(name).ok();
    within.find(|trunk| trunk.name == name || id == Some(trunk.id))
}

/// The trunks that a call by a configuration may go through.
fn by_configuration(
    snapshot: &Snapshot,
    organisation: Uuid,
    id: Uuid,
    from: Option<&str>,
) -> Result<Vec<Arc<Trunk>>, &'static str> {
    let mut own = snapshot.trunks.iter().filter(|trunk| trunk.organisation == organisation);
    let by_itself = own.clone().find(|trunk| trunk.id == id && !trunk.is_within());
    let is_account = snapshot.account(id).is_some_and(|it| it.organisation == organisation);
    if !is_account {
        // A stored trunk that belongs to none may be named so too.
        let trunk = by_itself.ok_or("no active SIP configuration has this id")?;
        let reaches = !trunk.outbound.targets.is_empty();
        return if reaches { Ok(vec![Arc::clone(trunk)]) } else { Err("the trunk has no targets") };
    }
    let trunks = snapshot.trunks_of(id, from);
    let places = own.any(|trunk| trunk.line == id && !trunk.outbound.targets.is_empty());
    match trunks.is_empty() {
        false => Ok(trunks),
        true if places => Err("the trunk that the calling number is pinned to is not in service"),
        true if by_itself.is_some() => Err("the trunk has no targets"),
        true => Err("the configuration has no trunk in service"),
    }
}

/// Where the INVITE of a call to `to` through a trunk may go.
pub(super) fn through(trunk: &Trunk, to: &str) -> Result<Vec<Arc<Way>>, RequestError> {
    let to = directory::written(trunk, to);
    let ways = trunk.outbound.order().into_iter().map(|target| {
        let uri = called_uri(&to, target).ok_or_else(|| {
            field("to", "neither a SIP URI nor a number, such as +493012345".to_owned())
        })?;
        Ok(Arc::new(Way::new(uri, target, &trunk.outbound.route)))
    });
    ways.collect()
}

/// Where the INVITE of a call to `to` may go: through the trunk of that name, or, without one,
/// straight to where the URI leads.
pub(super) fn ways(
    snapshot: &Snapshot,
    organisation: Uuid,
    to: &str,
    trunk: Option<&str>,
) -> Result<(Option<Arc<Trunk>>, Vec<Arc<Way>>), RequestError> {
    let Some(name) = trunk else {
        let uri = Uri::parse(to).map_err(|error| field("to", error.to_string()))?;
        if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
            return Err(field("to", "only sip: and sips: URIs are called".to_owned()));
        }
        return Ok((None, vec![Arc::new(Way::direct(to))]));
    };
    let trunk = snapshot
        .trunk(organisation, name)
        .ok_or_else(|| field("trunk", format!("no trunk is called \"{name}\"")))?;
    if trunk.outbound.targets.is_empty() {
        return Err(field("trunk", "the trunk has no targets".to_owned()));
    }
    Ok((Some(Arc::clone(trunk)), through(trunk, to)?))
}

/// The Request-URI of a call to `to` at `target`: a SIP URI as it is, a number as the user of the
/// target.
fn called_uri(to: &str, target: &str) -> Option<String> {
    if let Ok(uri) = Uri::parse(to) {
        return matches!(uri.scheme, Scheme::Sip | Scheme::Sips).then(|| to.to_owned());
    }
    let number = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.*#".contains(&byte);
    if to.is_empty() || to.len() > USER_BYTES_MAX || !to.bytes().all(number) {
        return None;
    }
    let (scheme, rest) = target.split_once(':')?;
    // RFC 3261 25.1: a user has no bare `#`.
    Some(format!("{scheme}:{}@{rest}", to.replace('#', "%23")))
}

/// The longest number or user that is called.
const USER_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::called_uri;

    /// Numbers become users of the target; what could change the URI is refused.
    #[test]
    fn numbers_become_users() {
        let gateway = "sip:gw.example:5070;transport=tls";
        for (to, expected) in [
            ("+4930123", Some("sip:+4930123@gw.example:5070;transport=tls")),
            ("*21#", Some("sip:*21%23@gw.example:5070;transport=tls")),
            ("sip:bob@192.0.2.1", Some("sip:bob@192.0.2.1")),
            ("tel:+4930123", None),
            ("", None),
            ("a@b", None),
            ("1;x=y", None),
            ("1?h=v", None),
            ("1\r\nX: y", None),
        ] {
            assert_eq!(called_uri(to, gateway).as_deref(), expected, "{to}");
        }
    }
}
