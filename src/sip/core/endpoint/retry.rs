//! Requests of ours that are challenged: sent again with credentials (RFC 3261 22.2, 22.3).

use std::sync::Arc;

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::call::State;
use super::event::{CommandError, DialogId};
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::auth::{Account, DigestClient};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::write::{BuildError, RequestBuilder};

/// Header fields with credentials.
pub(super) type Fields = Vec<(HeaderName, String)>;

/// Who we are in a call, and which challenges were answered.
pub(super) struct CallAuth {
    client: DigestClient,
    /// Credentials of the latest INVITE, which its ACK repeats (RFC 3261 13.2.2.4).
    pub(super) invite: Fields,
}

impl CallAuth {
    pub(super) fn new(account: Arc<Account>) -> Box<Self> {
        Box::new(Self { client: DigestClient::new(account), invite: Fields::new() })
    }

    /// The credentials of a request.
    fn fields(&mut self, request: &Message) -> Fields {
        let fields = fields(&mut self.client, request);
        if request.method() == Some(&Method::Invite) {
            self.invite.clone_from(&fields);
        }
        fields
    }
}

fn fields(client: &mut DigestClient, request: &Message) -> Fields {
    let method = request.method().map_or("", |method| method.as_str());
    client.headers(method, request.uri().unwrap_or_default(), request.body())
}

/// A request of ours once more: with other credentials and, if it is sent a second time, another
/// Via and number.
fn rewritten(
    request: &Message,
    fields: &Fields,
    again: Option<(&str, u32)>,
) -> Result<Bytes, BuildError> {
    let method = request.method().cloned().unwrap_or(Method::Options);
    let mut builder = RequestBuilder::new(method.clone(), request.uri().unwrap_or_default());
    for (name, value) in request.all_headers() {
        builder = match (HeaderName::from_name(name), again) {
            (
                Some(
                    HeaderName::Authorization
                    | HeaderName::ProxyAuthorization
                    | HeaderName::ContentLength
                    | HeaderName::ContentType,
                ),
                _,
            ) => builder,
            (Some(HeaderName::Via), Some((via, _))) => builder.header(name, via),
            (Some(HeaderName::CSeq), Some((_, cseq))) => {
                builder.header(name, &format!("{cseq} {method}"))
            }
            _ => builder.header(name, value),
        };
    }
    for (name, value) in fields {
        builder = builder.header(*name, value);
    }
    match request.header(HeaderName::ContentType) {
        Some(kind) => builder.body(kind, request.body()),
        None => builder,
    }
    .build()
}

impl Endpoint {
    /// Answers challenges within a call with this account: for calls that came in, as those that
    /// we place bring theirs ([`Placing`](super::Placing)).
    ///
    /// # Errors
    /// [`CommandError`] if there is no such call.
    pub fn use_account(
        &mut self,
        dialog: DialogId,
        account: Arc<Account>,
    ) -> Result<(), CommandError> {
        let call = self.calls.get_mut(dialog.0).ok_or(CommandError::NoSuchCall)?;
        call.auth = Some(CallAuth::new(account));
        Ok(())
    }

    /// Adds credentials to a request within a call whose challenges are known already.
    pub(super) fn with_credentials(
        &mut self,
        call: Handle,
        request: Bytes,
    ) -> Result<Bytes, BuildError> {
        let Some(auth) = self.calls.get_mut(call).and_then(|call| call.auth.as_mut()) else {
            return Ok(request);
        };
        if !auth.client.is_active() {
            return Ok(request);
        }
        let Ok(message) = Message::parse(request.clone()) else { return Ok(request) };
        let fields = auth.fields(&message);
        rewritten(&message, &fields, None)
    }

    /// Notes that credentials were good: the answer is no challenge.
    pub(super) fn credentials_accepted(&mut self, client: Handle) {
        let Some(txn) = self.clients.get_mut(client) else { return };
        if let Some(auth) = txn.auth.as_mut() {
            auth.accepted();
        }
        let call = txn.call.and_then(|call| self.calls.get_mut(call));
        if let Some(auth) = call.and_then(|call| call.auth.as_mut()) {
            auth.client.accepted();
        }
    }

    /// Sends a request again that was answered with 401 or 407, in a transaction of its own: same
    /// Call-ID, next number. False if there is no account, or it was refused.
    pub(super) fn answer_challenge(
        &mut self,
        now: MonoTime,
        client: Handle,
        response: &Message,
    ) -> bool {
        let cnonce = self.ids.number();
        let Some(txn) = self.clients.get_mut(client) else { return false };
        let (purpose, flow, handle) = (txn.purpose, txn.flow, txn.call);
        let Ok(request) = Message::parse(txn.request.clone()) else { return false };
        let mut own = txn.auth.take();
        let mut call = handle.and_then(|handle| self.calls.get_mut(handle));
        if purpose == Purpose::Cancel
            || (purpose == Purpose::Invite
                && call.as_ref().is_none_or(|call| call.state != State::Calling))
        {
            return false;
        }
        let challenged = match (own.as_mut(), call.as_mut().and_then(|call| call.auth.as_mut())) {
            (Some(auth), _) => auth.challenged(response, cnonce).map(|()| fields(auth, &request)),
            (None, Some(auth)) => {
                auth.client.challenged(response, cnonce).map(|()| auth.fields(&request))
            }
            (None, None) => return false,
        };
        let Ok(fields) = challenged else {
            self.counters.refused_proofs += 1;
            if let Some(txn) = self.clients.get_mut(client) {
                txn.auth = own;
            }
            return false;
        };
        let last = request.cseq().map_or(0, |cseq| cseq.number);
        let cseq = match call {
            Some(call) => {
                let to = request.to().ok();
                call.dialog_with(to.as_ref().and_then(|to| to.tag())).next_cseq()
            }
            None => last.saturating_add(1),
        };
        let branch = self.ids.number();
        let via = self.via(flow, branch);
        let Ok(bytes) = rewritten(&request, &fields, Some((&via, cseq))) else { return false };
        let mut again = match (request.method(), handle) {
            (Some(Method::Invite), Some(call)) => {
                self.invite_txn(now, flow, branch, bytes, cseq, call)
            }
            _ => self.plain_txn(now, flow, branch, bytes, purpose),
        };
        (again.purpose, again.cseq, again.call, again.auth) = (purpose, cseq, handle, own);
        let Some(again) = self.insert_client(now, again) else { return false };
        self.replace_client(client, again);
        true
    }

    /// Lets what waited for one transaction wait for another.
    fn replace_client(&mut self, old: Handle, new: Handle) {
        let Some(txn) = self.clients.get_mut(old) else { return };
        let Some(call) = txn.call.take().and_then(|call| self.calls.get_mut(call)) else { return };
        if call.client == Some(old) {
            call.client = Some(new);
            call.proceeding = false;
            call.early.clear();
        }
        if call.asking == Some(old) {
            call.asking = Some(new);
        }
    }
}
