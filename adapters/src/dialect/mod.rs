//! Protocols that agents speak besides the native one, as entries of a static table.
//!
//! A dialect lets an agent that was written for somebody else's media stream take calls unchanged.
//! Some such agents also make HTTP requests about their call; [`AGENT_REST`] says which are
//! understood.

mod fuzz;
mod twilio;

use http::StatusCode;

use crate::agent::DialectSpec;

#[doc(hidden)]
pub use fuzz::dialect_text;

/// Every dialect but the native one, sorted by name.
pub static DIALECTS: &[DialectSpec] = &[twilio::SPEC];

/// Every HTTP request that agents of these dialects make about their call.
pub static AGENT_REST: &[AgentRest] = &[twilio::REST];

/// The dialect of that name.
pub fn find(name: &str) -> Option<&'static DialectSpec> {
    DIALECTS.iter().find(|spec| spec.name == name)
}

/// A request by which an agent ends its call over HTTP, in the form some carrier gave it.
///
/// The server routes `method` and `path` here, authenticates HTTP Basic credentials
/// (RFC 7617: the password is one of our API keys; the user name says nothing), calls
/// [`read`](Self::read), ends the call, and sends what [`answer`](Self::answer) made.
#[derive(Clone, Copy, Debug)]
pub struct AgentRest {
    /// HTTP method.
    pub method: &'static str,
    /// Path with one `{parameter}` a segment.
    pub path: &'static str,
    /// Understands a request from its path (as sent, without query) and its body.
    ///
    /// # Errors
    ///
    /// The answer to a request that asks for nothing we do.
    pub read: fn(path: &str, body: &[u8]) -> Result<RestHangup, RestAnswer>,
    /// The answer to a request that was understood.
    pub answer: fn(request: &RestHangup, outcome: RestOutcome) -> RestAnswer,
    /// The answer to a request whose credentials are missing or wrong.
    pub unauthorized: fn() -> RestAnswer,
}

/// An agent wants its call to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestHangup {
    /// Our id of the call, in the hyphenated form of RFC 9562.
    pub call_id: String,
    /// The account, as the agent wrote it.
    account: String,
    /// The call, as the agent wrote it.
    call: String,
}

/// What became of a [`RestHangup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestOutcome {
    /// The call is ending.
    Ended,
    /// There is no such call, or it has ended before.
    NoSuchCall,
}

/// An HTTP answer in the form that the agent's library expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestAnswer {
    /// Status.
    pub status: StatusCode,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::{AGENT_REST, DIALECTS, find};

    /// Names are sorted, unique and found; paths have whole segments as parameters, as the server's
    /// router wants them.
    #[test]
    fn tables_are_in_order() {
        assert!(DIALECTS.is_sorted_by(|a, b| a.name < b.name));
        for spec in DIALECTS {
            assert!(find(spec.name).is_some_and(|found| std::ptr::eq(found, spec)));
        }
        assert!(find("no such dialect").is_none());
        for rest in AGENT_REST {
            let whole = |part: &str| part.starts_with('{') && part.ends_with('}');
            assert!(rest.path.split('/').all(|part| whole(part) || !part.contains(['{', '}'])));
        }
    }
}
