//! Dialogs (RFC 3261 12): what two user agents remember of each other between requests.

use thiserror::Error;

use super::headers::{HeaderName, NameAddr};
use super::message::Message;
use super::method::Method;
use super::uri::Uri;
use super::write::RequestBuilder;

/// Most text a dialog keeps: addresses, target and routes together, in bytes.
pub const DIALOG_TEXT_MAX_BYTES: usize = 4096;
/// Hops that a request may take (RFC 3261 8.1.1.6).
pub const MAX_FORWARDS: &str = "70";

/// Why a message cannot open or change a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialogError {
    /// A header that a dialog needs is missing or malformed.
    #[error("a header that a dialog needs is missing or malformed")]
    Header,
    /// Contact (or From, without one) has no SIP URI.
    #[error("no SIP URI to send requests to")]
    Contact,
    /// More text than [`DIALOG_TEXT_MAX_BYTES`].
    #[error("addresses and routes are too long")]
    TooLong,
}

/// The state of a dialog (RFC 3261 12), from the local view.
///
/// Before the first response of a call we place, the remote tag and the target are not known yet:
/// [`Dialog::calling`] makes such a dialog, [`Dialog::confirm`] completes it.
#[derive(Clone)]
pub struct Dialog {
    call_id: Box<str>,
    /// Our From (or To), with our tag.
    local: Box<str>,
    /// The peer's From (or To), with its tag.
    remote: Box<str>,
    remote_tag: Option<Box<str>>,
    target: Box<str>,
    routes: Box<[Box<str>]>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The dialog that an INVITE opens on the side that receives it (RFC 3261 12.1.1).
    ///
    /// # Errors
    /// [`DialogError`] if the request lacks what a dialog needs.
    pub fn called(invite: &Message, local_tag: &str) -> Result<Self, DialogError> {
        let header = |name| invite.header(name).ok_or(DialogError::Header);
        let from = invite.from().map_err(|_| DialogError::Header)?;
        let cseq = invite.cseq().map_err(|_| DialogError::Header)?;
        // RFC 2543 knew INVITEs without Contact: their sender is reached as From says.
        let sender = || from.uri.is_sip().then(|| without_headers(from.uri).into());
        let dialog = Self {
            call_id: invite.call_id().map_err(|_| DialogError::Header)?.into(),
            local: format!("{};tag={local_tag}", header(HeaderName::To)?).into(),
            remote: header(HeaderName::From)?.into(),
            remote_tag: from.tag().map(Into::into),
            target: target_of(invite)?.or_else(sender).ok_or(DialogError::Contact)?,
            routes: invite.values(HeaderName::RecordRoute).map(Into::into).collect(),
            local_cseq: 0,
            remote_cseq: Some(cseq.number),
        };
        dialog.check_length()
    }

    /// The beginning of a dialog on the side that sends the INVITE: `local` is its From with our
    /// tag, `remote` its To, `cseq` its number.
    pub fn calling(call_id: &str, local: &str, remote: &str, uri: &str, cseq: u32) -> Self {
        Self {
            call_id: call_id.into(),
            local: local.into(),
            remote: remote.into(),
            remote_tag: None,
            target: uri.into(),
            routes: Box::default(),
            local_cseq: cseq,
            remote_cseq: None,
        }
    }

    /// The dialog that a response to our `invite` opens.
    ///
    /// # Errors
    /// [`DialogError`] if the messages lack what a dialog needs.
    pub fn answered(invite: &Message, response: &Message) -> Result<Self, DialogError> {
        let header = |name| invite.header(name).ok_or(DialogError::Header);
        let mut dialog = Self::calling(
            invite.call_id().map_err(|_| DialogError::Header)?,
            header(HeaderName::From)?,
            header(HeaderName::To)?,
            invite.uri().ok_or(DialogError::Header)?,
            invite.cseq().map_err(|_| DialogError::Header)?.number,
        );
        dialog.confirm(response)?;
        Ok(dialog)
    }

    /// Takes tag, target and routes from the response that opens the dialog (RFC 3261 12.1.2).
    ///
    /// # Errors
    /// [`DialogError`] if the response lacks what a dialog needs; nothing has changed then.
    pub fn confirm(&mut self, response: &Message) -> Result<(), DialogError> {
        let to = response.header(HeaderName::To).ok_or(DialogError::Header)?;
        let tag = response.to().map_err(|_| DialogError::Header)?.tag();
        let mut routes: Vec<Box<str>> =
            response.values(HeaderName::RecordRoute).map(Into::into).collect();
        routes.reverse();
        let mut confirmed = self.clone();
        confirmed.remote = to.into();
        confirmed.remote_tag = tag.map(Into::into);
        confirmed.routes = routes.into();
        // Some gateways answer without a usable Contact; the Request-URI has reached them before.
        if let Ok(Some(target)) = target_of(response) {
            confirmed.target = target;
        }
        *self = confirmed.check_length()?;
        Ok(())
    }

    fn check_length(self) -> Result<Self, DialogError> {
        let routes: usize = self.routes.iter().map(|r| r.len()).sum();
        let length = self.call_id.len()
            + self.local.len()
            + self.remote.len()
            + self.remote_tag.as_ref().map_or(0, |tag| tag.len())
            + self.target.len()
            + routes;
        if length > DIALOG_TEXT_MAX_BYTES { Err(DialogError::TooLong) } else { Ok(self) }
    }

    /// Whether a message with this Call-ID and peer's tag belongs to the dialog (RFC 3261 12.2.2).
    pub fn matches(&self, call_id: &str, remote_tag: Option<&str>) -> bool {
        *self.call_id == *call_id && self.remote_tag.as_deref() == remote_tag
    }

    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// The peer's tag; none before the dialog is confirmed, or if the peer is of RFC 2543.
    pub fn remote_tag(&self) -> Option<&str> {
        self.remote_tag.as_deref()
    }

    /// Our address, without tag.
    pub fn local_uri(&self) -> Option<&str> {
        NameAddr::parse(&self.local).ok().map(|local| local.uri.as_str())
    }

    /// The peer's Contact.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Takes the number of a request of the peer. False if it is not higher than the last one:
    /// then the request is out of order and owed a 500 (RFC 3261 12.2.2).
    pub fn accept_cseq(&mut self, number: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| number > last);
        if in_order {
            self.remote_cseq = Some(number);
        }
        in_order
    }

    /// Takes a new remote target from a re-INVITE, an UPDATE, or a 2xx to one of ours. A message
    /// without a usable Contact changes nothing.
    pub fn refresh_target(&mut self, message: &Message) {
        if let Ok(Some(target)) = target_of(message)
            && target.len() <= DIALOG_TEXT_MAX_BYTES / 2
        {
            self.target = target;
        }
    }

    /// The number of our next request; it counts as used.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    /// The number of our latest request.
    pub const fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// The URI that says where requests go: the first route or the target (RFC 3261 8.1.2).
    pub fn next_hop(&self) -> Option<Uri<'_>> {
        match self.routes.first() {
            Some(route) => NameAddr::parse(route).ok().map(|r| r.uri),
            None => Uri::parse(&self.target).ok(),
        }
    }

    /// Begins a request within the dialog (RFC 3261 12.2.1.1): request line, `via`, routes, and
    /// what identifies the dialog. A first route without `lr` is a strict router: it becomes the
    /// Request-URI, and the target the last route.
    pub fn request(&self, method: Method, cseq: u32, via: &str) -> RequestBuilder {
        let cseq = format!("{cseq} {method}");
        let strict = self.routes.first().and_then(|route| {
            let uri = NameAddr::parse(route).ok()?.uri;
            (!uri.params.has("lr")).then_some(uri)
        });
        let uri = strict.map_or(&*self.target, |uri| without_headers(uri));
        let mut request = RequestBuilder::new(method, uri).header(HeaderName::Via, via);
        for route in self.routes.iter().skip(usize::from(strict.is_some())) {
            request = request.header(HeaderName::Route, route);
        }
        if strict.is_some() {
            request = request.header(HeaderName::Route, &format!("<{}>", self.target));
        }
        request
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .header(HeaderName::From, &self.local)
            .header(HeaderName::To, &self.remote)
            .header(HeaderName::CallId, &self.call_id)
            .header(HeaderName::CSeq, &cseq)
    }
}

/// The Contact of a message as a Request-URI; `None` if it has none.
fn target_of(message: &Message) -> Result<Option<Box<str>>, DialogError> {
    match message.contact() {
        Ok(Some(contact)) if contact.uri.is_sip() => Ok(Some(without_headers(contact.uri).into())),
        Ok(None) => Ok(None),
        Ok(Some(_)) | Err(_) => Err(DialogError::Contact),
    }
}

/// The URI without `?headers`, which a Request-URI may not have (RFC 3261 19.1.1).
fn without_headers(uri: Uri<'_>) -> &str {
    let text = uri.as_str();
    let headers_at = uri.headers.map_or(text.len(), |h| text.len().saturating_sub(h.len() + 1));
    text.get(..headers_at).unwrap_or(text)
}

#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod tests;
