//! Sending the INVITE of a call that we place once more (RFC 3261 8.1.3.5).

use media::time::MonoTime;

use super::Endpoint;
use super::table::Handle;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::write::RequestBuilder;

impl Endpoint {
    /// Sends the INVITE of transaction `client` again, with the next number and with `fields` in
    /// the place of those of the same names. False if that is not possible; nothing was sent then.
    pub(super) fn invite_again(
        &mut self,
        now: MonoTime,
        handle: Handle,
        client: Handle,
        fields: &[(HeaderName, String)],
    ) -> bool {
        if self.clients_full() {
            return false;
        }
        let Some(txn) = self.clients.get(client) else { return false };
        let (flow, before) = (txn.flow, Message::parse(txn.request.clone()));
        let Ok(before) = before else { return false };
        let Some(call) = self.calls.get_mut(handle) else { return false };
        let cseq = call.dialog.next_cseq();
        let branch = self.ids.number();
        let number = format!("{cseq} {}", Method::Invite);
        let mut request = RequestBuilder::new(Method::Invite, before.uri().unwrap_or_default())
            .header(HeaderName::Via, &self.via(flow, branch));
        for (name, value) in before.all_headers() {
            let known = HeaderName::from_name(name);
            let replaced = known.is_some_and(|known| fields.iter().any(|(name, _)| *name == known));
            if replaced || known.is_some_and(|known| OWN.contains(&known)) {
                continue;
            }
            request = request.header(name, value);
        }
        request = request.header(HeaderName::CSeq, &number);
        for (name, value) in fields {
            request = request.header(name, value);
        }
        if !before.body().is_empty() {
            let kind = before.header(HeaderName::ContentType).unwrap_or_default();
            request = request.body(kind, before.body());
        }
        let Ok(request) = request.build() else { return false };
        let Ok(request) = self.with_credentials(handle, request) else { return false };
        let txn = self.invite_txn(now, flow, branch, request, cseq, handle);
        let client = self.insert_client(now, txn);
        let Some(call) = self.calls.get_mut(handle) else { return false };
        call.client = client;
        call.proceeding = false;
        call.early.clear();
        client.is_some()
    }
}

/// What every request has of its own.
const OWN: [HeaderName; 4] =
    [HeaderName::Via, HeaderName::CSeq, HeaderName::ContentLength, HeaderName::ContentType];
