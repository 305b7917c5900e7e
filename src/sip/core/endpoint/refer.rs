//! REFER within a call, in both directions (RFC 3515): who asks whom to call somebody else.

use media::time::MonoTime;

use super::Endpoint;
use super::call::State;
use super::config::CHANGE_LIMIT;
use super::event::{CommandError, DialogId, End, Event, Header};
use super::flow::Flow;
use super::notify::News;
use super::reply::with_headers;
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::refer_to::ReferTo;
use crate::sip::core::validate::Refusal;

/// Whether a REFER is followed by NOTIFYs (RFC 4488 4).
const REFER_SUB: &str = "Refer-Sub";

/// The transfers of a call that are under way.
#[derive(Default)]
pub(super) struct Refers {
    /// Number of our REFER, until it is refused or its outcome is known.
    pub(super) ours: Option<u32>,
    /// The REFER of the peer, until it was told the outcome.
    pub(super) theirs: Option<Box<Theirs>>,
    /// The peer has sent one before: from the second on, NOTIFYs name theirs (RFC 3515 2.4.6).
    pub(super) several: bool,
}

/// A REFER of the peer.
pub(super) struct Theirs {
    /// Its number, which names its subscription.
    pub(super) cseq: u32,
    /// Its transaction, until we answer it.
    pub(super) server: Option<Handle>,
    /// When we must have answered.
    pub(super) answer_by: MonoTime,
    /// The peer wants to be told nothing (RFC 4488).
    quiet: bool,
    /// A NOTIFY of ours has no answer yet.
    pub(super) sending: bool,
    /// What the peer is told after that.
    pub(super) next: Option<News>,
    /// The last of it has been said, or waits to be sent.
    pub(super) over: bool,
}

impl Refers {
    /// When something must have happened.
    pub(super) fn deadline(&self) -> MonoTime {
        let theirs = self.theirs.as_ref().filter(|theirs| theirs.server.is_some());
        theirs.map_or(MonoTime::MAX, |theirs| theirs.answer_by)
    }

    /// The peer is being told the outcome, and a BYE would overtake that.
    pub(super) fn delays_bye(&self) -> bool {
        self.theirs.as_ref().is_some_and(|theirs| theirs.over && theirs.sending)
    }

    /// Forgets the peer's REFER; its transaction if it was not answered.
    pub(super) fn forget_theirs(&mut self) -> Option<Handle> {
        self.theirs.take().and_then(|theirs| theirs.server)
    }
}

impl Endpoint {
    /// Asks the peer of a call to call somebody else: `refer_to` is the value of Refer-To, such as
    /// `<sip:desk@192.0.2.9>`. Ends in `ReferAnswered`, and if that says so, in `ReferProgress`
    /// until one is the last. The call itself goes on.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent. `Busy` while the outcome of an earlier one is open.
    pub fn refer(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        refer_to: &str,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        if call.state != State::Confirmed || call.parting.is_some() || call.ack_owed.is_some() {
            return Err(CommandError::State);
        }
        if call.refers.ours.is_some() {
            return Err(CommandError::Busy);
        }
        let contact = self.contact(call.flow, &call.contact_user);
        let supported = self.tags.join(", ");
        // Who asks is whom the peer talks with (RFC 3892).
        let referrer = call.dialog.local_uri().map(|uri| format!("<{uri}>"));
        self.request_within(now, dialog.0, Method::Refer, Purpose::Refer, |request| {
            let mut request = request
                .header(HeaderName::Contact, &contact)
                .header(HeaderName::ReferTo, refer_to)
                .header(HeaderName::Supported, &supported);
            if let Some(referrer) = &referrer {
                request = request.header(HeaderName::ReferredBy, referrer);
            }
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request
        })?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.refers.ours = Some(call.dialog.local_cseq());
        }
        Ok(())
    }

    /// Forgets our REFER: NOTIFYs about it are refused from now on, which ends the subscription.
    pub fn forget_refer(&mut self, dialog: DialogId) {
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.refers.ours = None;
        }
    }

    /// The peer has answered our REFER number `cseq`, or did not.
    pub(super) fn refer_answered(
        &mut self,
        now: MonoTime,
        call: Option<Handle>,
        cseq: u32,
        status: u16,
        response: Option<&Message>,
    ) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get_mut(handle) else { return };
        if call.refers.ours != Some(cseq) || call.state != State::Confirmed {
            return;
        }
        let told = response.and_then(|response| response.header_named(REFER_SUB));
        let subscribed = (200..300).contains(&status) && !told.is_some_and(is_false);
        if !subscribed {
            call.refers.ours = None;
        }
        let dialog = DialogId(handle);
        self.events.push_back(Event::ReferAnswered { dialog, status, subscribed });
        if status == 481 {
            // The peer knows of no call (RFC 5057 5.1).
            self.lost(now, Some(handle), End::TransactionTimeout);
        }
    }

    /// The peer asks us to call somebody else.
    pub(super) fn handle_refer(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        request: Message,
    ) {
        let Some(call) = self.calls.get(handle) else { return };
        let tag = call.tag;
        let refusal = if call.state != State::Confirmed || call.parting.is_some() {
            Some(Refusal::new(403, "Call Not Answered"))
        } else if ReferTo::of(&request).is_err() {
            Some(Refusal::new(400, "Unusable Refer-To"))
        } else if call.refers.theirs.is_some() {
            Some(Refusal::new(491, "Another Transfer Is Pending"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.respond_once(now, flow, &request, tag, &refusal);
        }
        let Some(server) = self.begin_server(flow, &request, Some(handle), tag) else { return };
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.dialog.refresh_target(&request);
        call.refers.theirs = Some(Box::new(Theirs {
            cseq: request.cseq().map_or(0, |cseq| cseq.number),
            server: Some(server),
            answer_by: now + CHANGE_LIMIT,
            quiet: request.header_named(REFER_SUB).is_some_and(is_false),
            sending: false,
            next: None,
            over: false,
        }));
        self.arm_call(handle);
        self.events.push_back(Event::Refer { dialog: DialogId(handle), request });
    }

    /// Accepts the peer's REFER with 202 and tells it that we try, unless it wants to be told
    /// nothing. What follows is told by [`Endpoint::notify`].
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn accept_refer(&mut self, now: MonoTime, dialog: DialogId) -> Result<(), CommandError> {
        let (server, quiet) = self.unanswered_refer(dialog)?;
        let headers: &[Header<'_>] = if quiet { &[(REFER_SUB, "false")] } else { &[] };
        let bytes = self.opening(server, 202, "Accepted", None, headers)?;
        self.respond(now, server, 202, bytes);
        let Some(call) = self.calls.get_mut(dialog.0) else { return Ok(()) };
        if quiet {
            call.refers.theirs = None;
            return Ok(());
        }
        if let Some(theirs) = call.refers.theirs.as_mut() {
            theirs.server = None;
        }
        self.notify(now, dialog, 100, "Trying", false)
    }

    /// Refuses the peer's REFER, 300 to 699. The call goes on.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn reject_refer(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        status: u16,
        reason: &str,
    ) -> Result<(), CommandError> {
        let (server, _) = self.unanswered_refer(dialog)?;
        if !(300..700).contains(&status) {
            return Err(CommandError::State);
        }
        let bytes = self.built(server, status, reason, |_, r, _| with_headers(r, &[]))?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.refers.theirs = None;
        }
        self.respond(now, server, status, bytes);
        Ok(())
    }

    fn unanswered_refer(&self, dialog: DialogId) -> Result<(Handle, bool), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        let theirs = call.refers.theirs.as_ref().filter(|_| call.state == State::Confirmed);
        let found = theirs.and_then(|theirs| Some((theirs.server?, theirs.quiet)));
        found.ok_or(CommandError::State)
    }

    /// The user did not answer the peer's REFER.
    pub(super) fn abandon_refer(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        if let Some(server) = call.refers.forget_theirs() {
            self.respond_with(now, server, 500, "Server Internal Error", |_, r, _| r);
        }
    }
}

fn is_false(value: &str) -> bool {
    value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case("false"))
}
