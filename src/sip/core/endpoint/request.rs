//! Requests of ours outside of dialogs, such as REGISTER.

use std::fmt;

use media::time::MonoTime;

use super::Endpoint;
use super::event::{CommandError, RequestId};
use super::flow::Flow;
use super::ids::tag_text;
use super::transactions::Purpose;
use crate::sip::core::auth::DigestClient;
use crate::sip::core::dialog::MAX_FORWARDS;
use crate::sip::core::headers::{HeaderName, NameAddr};
use crate::sip::core::method::Method;
use crate::sip::core::write::RequestBuilder;

/// A request outside of dialogs (RFC 3261 8.1.1).
pub struct RequestParams {
    /// The method; not INVITE.
    pub method: Method,
    /// Request-URI.
    pub uri: String,
    /// Where it goes.
    pub flow: Flow,
    /// From without tag.
    pub from: String,
    /// To.
    pub to: String,
    /// Call-ID; a new one if none.
    pub call_id: Option<String>,
    /// Number.
    pub cseq: u32,
    /// User of our Contact; none without.
    pub contact_user: Option<String>,
    /// Parameters of our Contact, beginning with `;`.
    pub contact_params: String,
    /// Headers to add.
    pub headers: Vec<(HeaderName, String)>,
    /// Answers challenges, and remembers them.
    pub auth: Option<Box<DigestClient>>,
}

/// Without addresses: they are telephone numbers.
impl fmt::Debug for RequestParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestParams")
            .field("method", &self.method)
            .field("flow", &self.flow)
            .field("cseq", &self.cseq)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Sends a request. Ends in `Responded`; challenges are answered before.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn request(
        &mut self,
        now: MonoTime,
        params: RequestParams,
    ) -> Result<RequestId, CommandError> {
        if NameAddr::parse(&params.from).is_err() || NameAddr::parse(&params.to).is_err() {
            return Err(CommandError::Address);
        }
        if params.method == Method::Invite || self.clients_full() {
            return Err(CommandError::LimitReached);
        }
        let (branch, tag) = (self.ids.number(), self.ids.number());
        let call_id = params.call_id.unwrap_or_else(|| self.ids.call_id());
        let method = params.method;
        let mut request = RequestBuilder::new(method.clone(), &params.uri)
            .header(HeaderName::Via, &self.via(params.flow, branch))
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .header(HeaderName::From, &format!("{};tag={}", params.from, tag_text(tag)))
            .header(HeaderName::To, &params.to)
            .header(HeaderName::CallId, &call_id)
            .header(HeaderName::CSeq, &format!("{} {method}", params.cseq));
        if let Some(user) = &params.contact_user {
            let contact = self.contact(params.flow, user) + &params.contact_params;
            request = request.header(HeaderName::Contact, &contact);
        }
        for (name, value) in &params.headers {
            request = request.header(*name, value);
        }
        let mut auth = params.auth;
        if let Some(auth) = auth.as_mut() {
            for (name, value) in auth.headers(method.as_str(), &params.uri, b"") {
                request = request.header(name, &value);
            }
        }
        let request = self.signed(request).build()?;
        let id = RequestId(branch);
        let purpose = Purpose::Request(id);
        let mut txn = self.plain_txn(now, params.flow, branch, request, purpose);
        (txn.cseq, txn.auth) = (params.cseq, auth);
        self.insert_client(now, txn).ok_or(CommandError::LimitReached)?;
        Ok(id)
    }
}
