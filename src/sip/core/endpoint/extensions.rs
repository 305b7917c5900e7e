//! Extensions by their option tags (RFC 3261 19.2).

use super::Endpoint;
use super::config::EndpointConfig;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::session_timer::TIMER;
use crate::sip::core::write::{RequestBuilder, ResponseBuilder};

/// Reliable provisional responses (RFC 3262).
pub(super) const RELIABLE: &str = "100rel";

/// Calls that replace others (RFC 3891).
const REPLACES: &str = "replaces";
/// Transfers that nobody is told about (RFC 4488).
const QUIET_REFER: &str = "norefersub";

/// Tags of what an endpoint with these settings has.
pub(super) fn tags(config: &EndpointConfig) -> Vec<&'static str> {
    let mut tags = Vec::new();
    if config.allow.contains(&Method::Prack) {
        tags.push(RELIABLE);
    }
    if config.session_timer.is_some() {
        tags.push(TIMER);
    }
    tags.push(REPLACES);
    if config.allow.contains(&Method::Refer) {
        tags.push(QUIET_REFER);
    }
    tags
}

/// Whether a list of option tags names this one.
pub(super) fn lists(message: &Message, name: HeaderName, tag: &str) -> bool {
    message.values(name).any(|listed| listed.trim().eq_ignore_ascii_case(tag))
}

impl Endpoint {
    /// What a request requires that is not there.
    pub(super) fn missing<'a>(&self, request: &'a Message) -> Vec<&'a str> {
        let required = request.values(HeaderName::Require);
        required
            .filter(|tag| !self.tags.iter().any(|ours| ours.eq_ignore_ascii_case(tag)))
            .collect()
    }

    /// Says in a request what there is.
    pub(super) fn extended(&self, request: RequestBuilder) -> RequestBuilder {
        if self.tags.is_empty() {
            return request;
        }
        request.header(HeaderName::Supported, &self.tags.join(", "))
    }

    /// Says in a response what there is.
    pub(super) fn supporting<'a>(&self, response: ResponseBuilder<'a>) -> ResponseBuilder<'a> {
        if self.tags.is_empty() {
            return response;
        }
        response.header(HeaderName::Supported, &self.tags.join(", "))
    }
}
