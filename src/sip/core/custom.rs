//! Header fields that somebody outside adds to messages of ours: an agent, or the API.
//!
//! Nothing of it may end its line, and nothing may steer transaction, dialog or session, prove who
//! somebody is, or describe the body: such names are refused, in full and in compact form.

use thiserror::Error;

use super::headers::HeaderName;
use super::lex;

/// Fields that may be added to one message.
pub const CUSTOM_MAX: usize = 16;
/// Bytes of a name.
pub const CUSTOM_NAME_BYTES_MAX: usize = 64;
/// Bytes of a value.
pub const CUSTOM_VALUE_BYTES_MAX: usize = 512;

/// Names that are known and may be added all the same.
const FREE: &[HeaderName] = &[
    HeaderName::AcceptContact,
    HeaderName::AlertInfo,
    HeaderName::CallInfo,
    HeaderName::Date,
    HeaderName::Diversion,
    HeaderName::ErrorInfo,
    HeaderName::HistoryInfo,
    HeaderName::Identity,
    HeaderName::InReplyTo,
    HeaderName::Organization,
    HeaderName::PAccessNetworkInfo,
    HeaderName::PChargingVector,
    HeaderName::PEarlyMedia,
    HeaderName::Priority,
    HeaderName::RejectContact,
    HeaderName::RemotePartyId,
    HeaderName::ReplyTo,
    HeaderName::RequestDisposition,
    HeaderName::SessionId,
    HeaderName::Subject,
];
/// Names that this stack does not read but peers would act on.
const STEERING: &[&str] = &[
    "Flow-Timer",
    "Info-Package",
    "Max-Breadth",
    "P-Asserted-Service",
    "Recv-Info",
    "Refer-Sub",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Suppress-If-Match",
    "Target-Dialog",
];

/// Why a field is refused. The message names it, as far as the name can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CustomError {
    /// The name is no token (RFC 3261 25.1), or too long.
    #[error("a name is no header name of 1 to {CUSTOM_NAME_BYTES_MAX} bytes")]
    Name,
    /// The name belongs to the stack.
    #[error("{0} is set by the server alone")]
    Reserved(String),
    /// The value has a line end or another control character, or is too long.
    #[error("the value of {0} has control characters, or over {CUSTOM_VALUE_BYTES_MAX} bytes")]
    Value(String),
    /// The same name twice.
    #[error("{0} is there twice")]
    Twice(String),
    /// Too many fields.
    #[error("there are more than {CUSTOM_MAX}")]
    TooMany,
    /// The trunk does not let it out.
    #[error("{0} is not among the headers_out of the trunk")]
    NotAllowed(String),
}

/// Checks the name of a field.
///
/// # Errors
/// Why it may not be added.
pub fn check_name(name: &str) -> Result<(), CustomError> {
    if name.len() > CUSTOM_NAME_BYTES_MAX || !lex::is_token(name) {
        return Err(CustomError::Name);
    }
    let known = HeaderName::from_name(name).is_some_and(|known| !FREE.contains(&known));
    if known || STEERING.iter().any(|steering| steering.eq_ignore_ascii_case(name)) {
        return Err(CustomError::Reserved(name.to_owned()));
    }
    Ok(())
}

/// Checks fields that are to be added to one message; through a trunk, `allowed` names those that
/// it lets out.
///
/// # Errors
/// What is wrong with the first that may not be added.
pub fn check<'h>(
    fields: impl IntoIterator<Item = (&'h str, &'h str)>,
    allowed: Option<&[String]>,
) -> Result<(), CustomError> {
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in fields {
        check_name(name)?;
        if value.len() > CUSTOM_VALUE_BYTES_MAX || value.contains(char::is_control) {
            return Err(CustomError::Value(name.to_owned()));
        }
        if seen.iter().any(|before| before.eq_ignore_ascii_case(name)) {
            return Err(CustomError::Twice(name.to_owned()));
        }
        if seen.len() >= CUSTOM_MAX {
            return Err(CustomError::TooMany);
        }
        let listed = |names: &[String]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if allowed.is_some_and(|allowed| !listed(allowed)) {
            return Err(CustomError::NotAllowed(name.to_owned()));
        }
        seen.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(name: &str, value: &str) -> Result<(), CustomError> {
        check([(name, value)], None)
    }

    /// What belongs to the stack is refused, in every case and in compact form; what peers agree on
    /// among themselves is not.
    #[test]
    fn names() {
        for name in ["X-Tenant", "x-a.b", "User-to-User", "Diversion", "Subject", "P-Whatever", "s"]
        {
            assert_eq!(one(name, "v"), Ok(()), "{name}");
        }
        for name in [
            "Via",
            "v",
            "VIA",
            "Contact",
            "m",
            "Route",
            "Record-Route",
            "From",
            "f",
            "To",
            "t",
            "Call-ID",
            "i",
            "CSeq",
            "Max-Forwards",
            "Content-Length",
            "l",
            "Content-Type",
            "c",
            "Authorization",
            "proxy-authorization",
            "Require",
            "Supported",
            "k",
            "Replaces",
            "Session-Expires",
            "x",
            "Refer-To",
            "r",
            "Referred-By",
            "b",
            "P-Asserted-Identity",
            "p-preferred-identity",
            "Privacy",
            "Reason",
            "User-Agent",
            "Allow",
            "Event",
            "o",
            "RAck",
            "RSeq",
            "Path",
            "Service-Route",
            "Refer-Sub",
            "target-dialog",
        ] {
            assert_eq!(one(name, "v"), Err(CustomError::Reserved(name.to_owned())));
        }
        for name in ["", "a b", "a:", "a\r\nVia", "ä", &"x".repeat(65)] {
            assert_eq!(one(name, "v"), Err(CustomError::Name), "{name:?}");
        }
    }

    /// No value ends its line; the limits hold; a trunk lets out what it names.
    #[test]
    fn values_and_limits() {
        for value in ["a\r\nVia: b", "a\nb", "a\rb", "a\0", "\u{85}", &"x".repeat(513)] {
            assert_eq!(one("X-A", value), Err(CustomError::Value("X-A".to_owned())), "{value:?}");
        }
        assert_eq!(one("X-A", "grün, \"<sip:a@b>\";x=%0d"), Ok(()));
        assert_eq!(
            check([("X-A", "1"), ("x-a", "2")], None),
            Err(CustomError::Twice("x-a".to_owned()))
        );
        let names: Vec<String> = (0..=CUSTOM_MAX).map(|n| format!("X-{n}")).collect();
        let fields = names.iter().map(|name| (name.as_str(), ""));
        assert_eq!(check(fields.clone(), None), Err(CustomError::TooMany));
        assert_eq!(check(fields.take(CUSTOM_MAX), None), Ok(()));
        let allowed = ["X-Tenant".to_owned()];
        assert_eq!(check([("x-tenant", "1")], Some(&allowed)), Ok(()));
        let refused = check([("X-Other", "1")], Some(&allowed));
        assert_eq!(refused, Err(CustomError::NotAllowed("X-Other".to_owned())));
    }

    proptest! {
        /// Whatever passes becomes one line of a message, and is read back as it was.
        #[test]
        fn what_passes_is_one_line(name in "[!-~]{1,12}", value in "\\PC{0,40}|.{0,40}") {
            use crate::sip::core::message::Message;
            use crate::sip::core::method::Method;
            use crate::sip::core::write::RequestBuilder;
            if one(&name, &value).is_ok() {
                let request = RequestBuilder::new(Method::Options, "sip:a@b").header(&name, &value);
                let read = Message::parse(request.build().unwrap()).unwrap();
                prop_assert_eq!(read.all_headers().count(), 2, "Content-Length is the other");
                let found = read.header_named(&name).map(str::trim);
                prop_assert_eq!(found, Some(value.trim_matches([' ', '\t'])));
            }
        }
    }
}
