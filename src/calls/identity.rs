//! Who calls, as far as a trusted peer says so in header fields.

use crate::sip::core::headers::{HeaderName, NameAddr};
use crate::sip::core::message::Message;

/// What an agent is told in the place of a caller that wants to be nobody.
pub const ANONYMOUS: &str = "anonymous";

/// What the headers of a call from a trusted peer say about its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The calling number or user, in the place of that of From.
    pub from: Option<String>,
    /// More for the agent: names and values.
    pub variables: Vec<(String, String)>,
}

/// Reads P-Asserted-Identity (RFC 3325), else Remote-Party-ID, with Privacy (RFC 3323): a caller
/// that wants its identity withheld is [`ANONYMOUS`], whatever the fields beside say. Diversion
/// (RFC 5806), else History-Info (RFC 7044), tells who was called first. Whether the network found
/// the calling number to be true (RFC 8224) is what `verstat` says (3GPP TS 24.229 7.2A.20).
pub fn of(invite: &Message) -> Identity {
    let Identity { mut from, mut variables } = Identity::default();
    let mut tell = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            variables.push((name.to_owned(), value));
        }
    };
    let asserted = addresses(invite, HeaderName::PAssertedIdentity).next();
    let remote = addresses(invite, HeaderName::RemotePartyId).find(|address| {
        address.params.get("party").is_none_or(|party| party.eq_ignore_ascii_case("calling"))
    });
    let withheld = |address: &NameAddr<'_>| {
        address.params.get("privacy").is_some_and(|p| !p.eq_ignore_ascii_case("off"))
    };
    if wants_privacy(invite) || (asserted.is_none() && remote.as_ref().is_some_and(withheld)) {
        tell("privacy", Some("id".to_owned()));
        from = Some(ANONYMOUS.to_owned());
    } else if let Some(caller) = asserted.or(remote) {
        tell("caller_name", name_of(&caller));
        tell("verstat", verdict_on(&caller).or_else(|| verdict_on(&invite.from().ok()?)));
        from = user_of(&caller);
    } else if let Ok(caller) = invite.from() {
        tell("caller_name", name_of(&caller));
        tell("verstat", verdict_on(&caller));
    }
    match addresses(invite, HeaderName::Diversion).next() {
        Some(diverted) => {
            tell("diverted_from", user_of(&diverted));
            tell("diversion_reason", diverted.params.get("reason").map(str::to_owned));
        }
        None => {
            // The first entry is where the call was meant to go, if it has gone elsewhere since.
            let mut history = addresses(invite, HeaderName::HistoryInfo);
            let first = history.next();
            if history.next().is_some() {
                tell("diverted_from", first.as_ref().and_then(user_of));
            }
        }
    }
    Identity { from, variables }
}

fn addresses(message: &Message, name: HeaderName) -> impl Iterator<Item = NameAddr<'_>> {
    message.values(name).filter_map(|value| NameAddr::parse(value).ok())
}

/// The display name, without its escapes.
fn name_of(address: &NameAddr<'_>) -> Option<String> {
    address.display.map(|name| name.replace('\\', ""))
}

/// The number or user of an address. Of a number what follows it is no part (RFC 3966 3).
fn user_of(address: &NameAddr<'_>) -> Option<String> {
    let user = address.uri.user_decoded()?;
    let is_number = user.starts_with(|first: char| first == '+' || first.is_ascii_digit());
    let user = if is_number { user.split(';').next()? } else { user.as_ref() };
    (!user.is_empty()).then(|| user.to_owned())
}

/// What the network says of the calling number: with the number, its URI or the field.
fn verdict_on(address: &NameAddr<'_>) -> Option<String> {
    let user = address.uri.user.unwrap_or_default();
    let with_number = user.split(';').filter_map(|part| part.split_once('='));
    let with_number = with_number.filter(|(name, _)| name.eq_ignore_ascii_case("verstat"));
    let with_number = with_number.map(|(_, verdict)| verdict).next();
    let beside = || address.uri.params.get("verstat").or_else(|| address.params.get("verstat"));
    with_number.or_else(beside).map(str::to_owned)
}

/// Whether the caller wants its identity withheld (RFC 3323 4.2, RFC 3325 9.3).
fn wants_privacy(message: &Message) -> bool {
    let mut wishes = message.values(HeaderName::Privacy).flat_map(|value| value.split(';'));
    wishes.any(|wish| {
        ["id", "user", "header"].iter().any(|kind| wish.trim().eq_ignore_ascii_case(kind))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(lines: &str) -> (Option<String>, String) {
        let text =
            format!("INVITE sip:a@b SIP/2.0\r\nFrom: \"Ann\" <sip:1@b>;tag=x\r\n{lines}\r\n");
        let identity = of(&Message::parse(Bytes::from(text)).unwrap());
        let told: Vec<_> = identity.variables.iter().map(|(n, v)| format!("{n}={v}")).collect();
        (identity.from, told.join(" "))
    }

    /// Each field alone, their precedence, privacy in each way, and what cannot be read.
    #[test]
    fn identities() {
        let anonymous = Some(ANONYMOUS);
        for (lines, from, told) in [
            ("", None, "caller_name=Ann"),
            ("P-Asserted-Identity: \"Bob\" <sip:+49301@c>\r\n", Some("+49301"), "caller_name=Bob"),
            ("P-Asserted-Identity: <tel:+49302>, <sip:x@c>\r\n", Some("+49302"), ""),
            (
                "P-Asserted-Identity: <sip:2@c>\r\nRemote-Party-ID: <sip:3@c>;party=calling\r\n",
                Some("2"),
                "",
            ),
            ("Remote-Party-ID: \"C\" <sip:3@c>;party=calling\r\n", Some("3"), "caller_name=C"),
            ("Remote-Party-ID: <sip:3@c>;party=called\r\n", None, "caller_name=Ann"),
            ("Remote-Party-ID: <sip:3@c>;privacy=full\r\n", anonymous, "privacy=id"),
            ("Remote-Party-ID: <sip:3@c>;privacy=off\r\n", Some("3"), ""),
            ("P-Asserted-Identity: <sip:2@c>\r\nPrivacy: id\r\n", anonymous, "privacy=id"),
            (
                "P-Asserted-Identity: <sip:+4930;verstat=TN-Validation-Passed@c;user=phone>\r\n",
                Some("+4930"),
                "verstat=TN-Validation-Passed",
            ),
            (
                "P-Asserted-Identity: <tel:+4930;verstat=No-TN-Validation>\r\n",
                Some("+4930"),
                "verstat=No-TN-Validation",
            ),
            (
                "Remote-Party-ID: <sip:a;b@c;verstat=TN-Validation-Failed>\r\n",
                Some("a;b"),
                "verstat=TN-Validation-Failed",
            ),
            ("Privacy: session;User\r\n", anonymous, "privacy=id"),
            ("Privacy: none\r\n", None, "caller_name=Ann"),
            ("P-Asserted-Identity: <<>>\r\n", None, "caller_name=Ann"),
            (
                "Diversion: <sip:9@d>;reason=no-answer, <sip:8@d>\r\n",
                None,
                "caller_name=Ann diverted_from=9 diversion_reason=no-answer",
            ),
            (
                "History-Info: <sip:7@d>;index=1, <sip:a@b>;index=1.1\r\n",
                None,
                "caller_name=Ann diverted_from=7",
            ),
            ("History-Info: <sip:a@b>;index=1\r\n", None, "caller_name=Ann"),
        ] {
            assert_eq!(read(lines), (from.map(str::to_owned), told.to_owned()), "{lines}");
        }
    }
}
