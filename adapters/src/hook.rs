//! A carrier's HTTP requests to us: recognised, verified, understood, answered. All pure functions
//! of the raw request.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;

use crate::config::RawConfig;
use crate::event::{InboundCall, Meaning};
use crate::exchange::escape;
use crate::explain::Explanation;
use crate::op::Refusal;
use crate::pairs::pairs;

/// Most bytes of a hook's body.
pub const HOOK_BODY_BYTES_MAX: usize = 64 * 1024;
/// Segment in the place of a hook's name, at which carriers open sockets of events; no hook has it.
pub const EVENT_SOCKET: &str = "event-socket";
/// Name in the query of a hook's address of the transfer that it is about.
pub(crate) const TRANSFER: &str = "transfer";

/// A place where a carrier's requests arrive:
/// `/api/v1/telephony/{provider}/{hook}/{config_token}[/{call_id}]`.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// Segment of the path: small letters, digits, hyphens.
    pub name: &'static str,
    /// Methods that the carrier uses.
    pub methods: &'static [Method],
    /// Proves that the carrier sent the request, over its raw bytes and in constant time.
    pub verify: Verify,
    /// Verifies, and tells each step of it: for people, not for the way of a call.
    pub explain: fn(&HookRequest<'_>, &RawConfig) -> Explanation,
    /// Understands a request that was verified.
    pub handle: fn(&HookRequest<'_>, &RawConfig) -> Result<Handled, HookError>,
}

/// Proves that a carrier sent a request.
pub type Verify = fn(&HookRequest<'_>, &RawConfig) -> Result<(), VerifyError>;

/// Proves that a carrier opens the socket of its media stream.
pub type VerifySocket = fn(&HookRequest<'_>, &RawConfig) -> Result<Certainty, VerifyError>;

/// How sure it is that the carrier opens a media socket that is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It is proven, as far as the configuration wants it to be.
    Proven,
    /// It is not, and the configuration lets it in all the same, by its token of one use: people
    /// are to be told.
    Doubtful {
        /// Why it is not proven.
        error: VerifyError,
        /// What would have been right, if that is known: a hint for people.
        hint: Option<&'static str>,
    },
}

/// What a provider does with calls that the carrier offers.
#[derive(Clone, Copy, Debug)]
pub struct Inbound {
    /// Providers are asked in this order at the shared entry, the lowest first: one whose requests
    /// carry what no other's do comes before one whose words others have copied.
    pub rank: u8,
    /// True if a request to the shared entry, where the provider is not part of the path, may come
    /// from this carrier. Proves nothing: [`Hook::verify`] of the hook called [`Inbound::hook`]
    /// does.
    pub recognise: fn(&HookRequest<'_>) -> bool,
    /// The hook that offered calls come to.
    pub hook: &'static str,
    /// The account that a request to the shared entry is for, as `account_field` of the provider
    /// holds it. Before verification, so only good to find the configuration.
    pub account: fn(&HookRequest<'_>) -> Option<String>,
    /// Understands an offered call.
    pub parse: fn(&HookRequest<'_>) -> Result<InboundCall, HookError>,
    /// Takes a call: the answer that sends its audio to us. Also the answer to [`Meaning::Asked`].
    pub answer: fn(&RawConfig, &Take) -> Result<HookReply, HookError>,
    /// Refuses a call, before it is answered if the carrier can do that.
    pub refuse: fn(&RawConfig, Refusal) -> HookReply,
}

/// How a call is taken.
#[derive(Clone)]
pub struct Take {
    /// Where the carrier sends audio: `wss://…` with a token of one use.
    pub stream_url: String,
    /// Where the carrier tells what happens.
    pub hooks: HookUrls,
}

/// A request as it came in. `Debug` shows the method and the length of the body.
#[derive(Clone, Copy)]
pub struct HookRequest<'a> {
    /// Method.
    pub method: &'a Method,
    /// The address as the carrier wrote it, query included: from our public address, not from
    /// headers that anybody can send.
    pub url: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Body, byte by byte as it came.
    pub body: &'a [u8],
    /// The time of arrival in seconds since 1970, for signatures that age.
    pub unix_s: u64,
    /// Who sent it: the far end of the connection, or whom a trusted proxy names. `None` if that is
    /// not known.
    pub from: Option<IpAddr>,
}

impl<'a> HookRequest<'a> {
    /// The value of a header, if it is there exactly once and is text: a signature that comes twice
    /// is none.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { value.to_str().ok() }
    }

    /// The query of the address, without the question mark.
    pub fn query(&self) -> Option<&'a str> {
        self.url.split_once('?').map(|(_, query)| query)
    }

    /// The transfer that the address names: see [`HookUrls::of_transfer`].
    pub fn transfer(&self) -> Option<String> {
        let (_, id) = pairs(self.query()?).find(|(name, _)| name == TRANSFER)?;
        (!id.is_empty()).then_some(id)
    }
}

impl fmt::Debug for HookRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookRequest")
            .field("method", self.method)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A request that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Handled {
    /// What it is about.
    pub meaning: Meaning,
    /// The answer, unless [`Inbound`] makes it. With [`Meaning::Asked`] it is the answer if the
    /// call is no longer wanted: it ends the call.
    pub reply: HookReply,
}

/// An answer to a carrier.
#[derive(Clone, PartialEq, Eq)]
pub struct HookReply {
    /// Status.
    pub status: StatusCode,
    /// Type of the body; empty if there is none.
    pub content_type: &'static str,
    /// Body.
    pub body: Bytes,
}

impl HookReply {
    /// An answer without body (RFC 9110 15.3.5).
    pub const NO_CONTENT: Self =
        Self { status: StatusCode::NO_CONTENT, content_type: "", body: Bytes::new() };

    /// A document.
    pub fn document(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type, body: body.into() }
    }
}

/// Why a request is not proven to be the carrier's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The configuration has no key to verify with; nothing is accepted then.
    #[error("the configuration has no key to verify requests with")]
    NoKey,
    /// A header is missing, or is there twice.
    #[error("header {0} is missing or there twice")]
    Missing(&'static str),
    /// It has no signature, which this carrier's own faults bring about: it is to send the request
    /// again.
    #[error("it is not signed; the carrier is asked to send it again")]
    Unsigned,
    /// A header is not in its form.
    #[error("header {0} is malformed")]
    Malformed(&'static str),
    /// The signature is not that of this request.
    #[error("the signature is not that of this request")]
    Signature,
    /// The credential is not the one that was agreed.
    #[error("the credential is not the one that was agreed")]
    Credential,
    /// It is not signed, and comes from an address that this is not accepted from.
    #[error("it is not signed, and not from an address that such are accepted from")]
    Sender,
    /// The request is of another account, or of none that it names.
    #[error("the request is not of this account")]
    Account,
    /// The signature is too old, or of the future.
    #[error("the signature is too old or of the future")]
    Stale,
    /// The body is not the one whose hash was signed, or no hash of it was.
    #[error("the body is not the one that was signed")]
    Body,
    /// It is signed in a way that is not accepted.
    #[error("signed by a method that is not accepted")]
    Method,
}

impl VerifyError {
    /// The status of the answer (RFC 9110 15.5.4, 15.6.4).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Unsigned => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        }
    }
}

/// Why a request of a carrier is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HookError {
    /// The body is not in the form that it should be in.
    #[error("the body is not {0}")]
    Body(&'static str),
    /// A field is missing or wrong.
    #[error("field {0} is missing or wrong")]
    Field(&'static str),
    /// The request is about something unknown.
    #[error("nothing is known of such a request")]
    Unknown,
}

/// Makes the addresses of a configuration's hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookUrls {
    base: String,
    provider: &'static str,
    token: crate::secret::Secret,
    call: Option<String>,
}

impl HookUrls {
    /// Addresses below our public address `base` (`https://host[/prefix]`) for the configuration
    /// that `token` names.
    pub fn new(base: &str, provider: &'static str, token: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { base, provider, token: crate::secret::Secret::new(token), call: None }
    }

    /// The same for one call of ours.
    pub fn of_call(&self, call: &str) -> Self {
        Self { call: Some(call.to_owned()), ..self.clone() }
    }

    /// Our id of the call, if the addresses are of one.
    pub fn call(&self) -> Option<&str> {
        self.call.as_deref()
    }

    /// Our public address (`https://host[/prefix]`).
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The host of our public address, without port.
    pub fn host(&self) -> &str {
        let rest = self.base.split_once("://").map_or(&*self.base, |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { authority }
    }

    /// The address of the hook with that name.
    pub fn url(&self, hook: &str) -> String {
        let Self { base, provider, token, call } = self;
        let token = escape(token.expose());
        let mut url = format!("{base}/api/v1/telephony/{provider}/{}/{token}", escape(hook));
        if let Some(call) = call {
            url.push('/');
            url.push_str(&escape(call));
        }
        url
    }

    /// The same where what comes is about the transfer with that id. It has a query.
    pub fn of_transfer(&self, hook: &str, id: &str) -> String {
        format!("{}?{TRANSFER}={}", self.url(hook), escape(id))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Addresses of hooks have the contract's form, whatever stands in their parts, and the token
    /// does not show in `Debug`.
    #[test]
    fn addresses_of_hooks() {
        let urls = HookUrls::new("https://t.example/pbx/", "acme", "zb/9x");
        assert_eq!(
            urls.url("status"),
            "https://t.example/pbx/api/v1/telephony/acme/status/zb%2F9x"
        );
        assert_eq!(
            urls.of_call("c 1").url("answer"),
            "https://t.example/pbx/api/v1/telephony/acme/answer/zb%2F9x/c%201"
        );
        assert!(!format!("{urls:?}").contains("9x"));
        for (base, host) in [
            ("https://t.example/pbx/", "t.example"),
            ("http://a_b.example:8080", "a_b.example"),
            ("http://[::1]:8080/x", "[::1]"),
            ("http://[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(HookUrls::new(base, "acme", "x").host(), host);
        }
        let url = urls.of_transfer("leg", "t&1");
        assert!(url.ends_with("/acme/leg/zb%2F9x?transfer=t%261"), "{url}");
        let (method, headers) = (&Method::POST, &HeaderMap::new());
        let request = |url| HookRequest { method, url, headers, body: b"", unix_s: 0, from: None };
        assert_eq!(request(&*url).transfer().as_deref(), Some("t&1"));
        for none in ["https://t.example/", "https://t.example/?transfer=", "/?x=transfer"] {
            assert_eq!(request(none).transfer(), None);
        }
    }

    /// A header that comes twice, or is no text, counts as absent.
    #[test]
    fn headers_come_once() {
        let mut headers = HeaderMap::new();
        headers.append("x-signature", HeaderValue::from_static("a"));
        let method = Method::POST;
        let request = |headers| HookRequest {
            method: &method,
            url: "https://t.example/a?b=c",
            headers,
            body: b"secret",
            unix_s: 0,
            from: None,
        };
        assert_eq!(request(&headers).header("X-Signature"), Some("a"));
        assert_eq!(request(&headers).query(), Some("b=c"));
        assert!(!format!("{:?}", request(&headers)).contains("secret"));
        let mut twice = headers.clone();
        twice.append("x-signature", HeaderValue::from_static("b"));
        assert_eq!(request(&twice).header("x-signature"), None);
        let mut binary = HeaderMap::new();
        binary.insert("x-signature", HeaderValue::from_bytes(&[0xff]).unwrap());
        assert_eq!(request(&binary).header("x-signature"), None);
    }
}
