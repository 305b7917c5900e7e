//! What an INVITE says of who calls, and what is added to it.

use super::place::field;
use crate::calls::presented::{Presented, is_display_name};
use crate::calls::request::{PlaceCall, RequestError};
use crate::directory::Trunk;
use crate::sip::core::custom;
use crate::sip::core::uri::is_user;

/// Who is said to call, by the request and by the trunk.
pub(super) fn presented(
    wanted: &PlaceCall,
    user: String,
    trunk: Option<&Trunk>,
) -> Result<Presented, RequestError> {
    if wanted.from_name.as_deref().is_some_and(|name| !is_display_name(name)) {
        let problem = "not of 1 to 128 bytes without control characters";
        return Err(field("from_name", problem.to_owned()));
    }
    // A From that is withheld is not written, so nobody else looks at it before it is asserted.
    if !is_user(&user) {
        return Err(field("from", "is not what the user of a URI may be".to_owned()));
    }
    let own = presented_as(user, trunk);
    let (name, privacy) = (wanted.from_name.clone(), wanted.privacy.unwrap_or(own.privacy));
    Ok(Presented { name, privacy, ..own })
}

/// Who is said to call, as the trunk wants to be told.
pub(super) fn presented_as(user: String, trunk: Option<&Trunk>) -> Presented {
    let outbound = trunk.map(|trunk| &trunk.outbound);
    Presented {
        user,
        name: None,
        privacy: outbound.map(|outbound| outbound.privacy).unwrap_or_default(),
        header: outbound.map(|outbound| outbound.caller_id_header).unwrap_or_default(),
        identity: outbound.and_then(|outbound| outbound.asserted_identity.clone()),
    }
}

/// The fields that the trunk and whoever places a call add, checked. What the call says takes the
/// place of what the trunk says; of that, whatever may not be added is left out, for the call is
/// not to blame.
pub(super) fn added(
    wanted: &PlaceCall,
    trunk: Option<&Trunk>,
) -> Result<Vec<(String, String)>, RequestError> {
    let fields = wanted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let allowed = trunk.map(|trunk| trunk.outbound.headers_out.as_slice());
    custom::check(fields, allowed).map_err(|error| field("headers", error.to_string()))?;
    let mut added: Vec<_> = wanted.headers.clone().into_iter().collect();
    for (name, value) in trunk.iter().flat_map(|trunk| &trunk.outbound.headers) {
        let known = added.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !known && custom::check([(name.as_str(), value.expose())], None).is_ok() {
            added.push((name.clone(), value.expose().to_owned()));
        }
    }
    Ok(added)
}
