//! NOTIFY within a call: how a transfer goes (RFC 3515 2.4.4, RFC 6665).

use media::time::MonoTime;

use super::Endpoint;
use super::call::State;
use super::event::{CommandError, DialogId, Event};
use super::flow::Flow;
use super::reply::refusal;
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::headers::{HeaderName, Params};
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::sipfrag;
use crate::sip::core::validate::Refusal;

/// The event package of transfers.
const PACKAGE: &str = "refer";
/// How long a transfer may still take, as the peer is told with each piece of news, in seconds. We
/// end the subscription ourselves, so this bounds nothing but the peer's patience.
const EXPIRES_S: u32 = 300;

/// What the peer is told about its REFER.
pub(super) struct News {
    status: u16,
    reason: Box<str>,
    last: bool,
}

impl Endpoint {
    /// Tells the peer how the call it asked for goes: the status that it got. `last` ends it, and a
    /// BYE is held back until the peer has that.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent. `State` if the peer's REFER is over, or it wants to be
    /// told nothing.
    pub fn notify(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        status: u16,
        reason: &str,
        last: bool,
    ) -> Result<(), CommandError> {
        let call = self.calls.get_mut(dialog.0).ok_or(CommandError::NoSuchCall)?;
        let confirmed = call.state == State::Confirmed && call.parting.is_none();
        let theirs = call
            .refers
            .theirs
            .as_mut()
            .filter(|theirs| confirmed && theirs.server.is_none() && !theirs.over);
        let theirs = theirs.ok_or(CommandError::State)?;
        if !(100..700).contains(&status) || !crate::sip::core::lex::is_line_safe(reason) {
            return Err(CommandError::State);
        }
        theirs.over = last;
        let news = News { status, reason: reason.into(), last };
        if theirs.sending {
            // One at a time, so that none overtakes another (RFC 6665 4.2.2); only the latest
            // counts.
            theirs.next = Some(news);
            return Ok(());
        }
        self.send_news(now, dialog.0, &news)
    }

    fn send_news(
        &mut self,
        now: MonoTime,
        handle: Handle,
        news: &News,
    ) -> Result<(), CommandError> {
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let theirs = call.refers.theirs.as_ref().ok_or(CommandError::State)?;
        let contact = self.contact(call.flow, &call.contact_user);
        let event = match call.refers.several {
            true => format!("{PACKAGE};id={}", theirs.cseq),
            false => PACKAGE.to_owned(),
        };
        let state = match news.last {
            true => "terminated;reason=noresource".to_owned(),
            false => format!("active;expires={EXPIRES_S}"),
        };
        let body = sipfrag::line(news.status, &news.reason);
        let sent = self.request_within(now, handle, Method::Notify, Purpose::Notify, |request| {
            request
                .header(HeaderName::Contact, &contact)
                .header(HeaderName::Event, &event)
                .header(HeaderName::SubscriptionState, &state)
                .body(sipfrag::SIPFRAG, body.as_bytes())
        });
        if let Some(call) = self.calls.get_mut(handle) {
            match (&sent, call.refers.theirs.as_mut()) {
                (Ok(_), Some(theirs)) => theirs.sending = true,
                // Without room for it the peer has to wait for its own timer.
                _ => call.refers.theirs = None,
            }
        }
        sent.map(drop)
    }

    /// A NOTIFY of ours was answered, or not.
    pub(super) fn notify_answered(&mut self, now: MonoTime, call: Option<Handle>, taken: bool) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get_mut(handle) else { return };
        let Some(theirs) = call.refers.theirs.as_mut() else { return };
        theirs.sending = false;
        let next = theirs.next.take().filter(|_| taken && call.state == State::Confirmed);
        if let Some(news) = next
            && self.send_news(now, handle, &news).is_ok()
        {
            return;
        }
        let Some(call) = self.calls.get_mut(handle) else { return };
        let over = call.refers.theirs.as_ref().is_none_or(|theirs| theirs.over);
        if over || !taken {
            // A peer that takes no NOTIFY has no subscription any more (RFC 6665 4.2.2).
            call.refers.theirs = None;
            call.refers.several = true;
        }
        if call.state == State::Confirmed
            && call.refers.theirs.is_none()
            && !call.unacked.as_ref().is_some_and(|unacked| unacked.first)
            && let Some(headers) = call.parting.take()
        {
            self.send_bye(now, handle, &headers);
        }
    }

    /// The peer tells how the call that we asked it for goes.
    pub(super) fn handle_notify(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        request: &Message,
    ) {
        let Some(call) = self.calls.get(handle) else { return };
        let (tag, ours) = (call.tag, call.refers.ours.filter(|_| call.state == State::Confirmed));
        let answer = judge(request, ours);
        self.respond_once(now, flow, request, tag, &answer);
        if answer.status != 200 {
            return;
        }
        let state = request.header(HeaderName::SubscriptionState).unwrap_or_default();
        let last = first(state).eq_ignore_ascii_case("terminated");
        let kind = request.header(HeaderName::ContentType).unwrap_or_default();
        let is_fragment = first(kind).eq_ignore_ascii_case(first(sipfrag::SIPFRAG));
        let status = is_fragment.then(|| sipfrag::status(request.body())).flatten();
        if last && let Some(call) = self.calls.get_mut(handle) {
            call.refers.ours = None;
        }
        let dialog = DialogId(handle);
        self.events.push_back(Event::ReferProgress { dialog, status, last });
    }
}

/// What a NOTIFY is answered with, while our REFER `ours` is open.
fn judge(request: &Message, ours: Option<u32>) -> Refusal {
    let event = request.header(HeaderName::Event).unwrap_or_default();
    if !first(event).eq_ignore_ascii_case(PACKAGE) {
        return refusal(489, "Bad Event", HeaderName::AllowEvents, PACKAGE);
    }
    let params = event.find(';').and_then(|at| event.get(at..)).unwrap_or_default();
    let id = Params::parse(params).ok().and_then(|params| params.get("id"));
    let number = id.map(|id| id.parse().ok());
    // Without an id it is about the only one there is (RFC 3515 2.4.6).
    if ours.is_none() || number.is_some_and(|number| number != ours) {
        return super::receive::NO_DIALOG;
    }
    if request.header(HeaderName::SubscriptionState).is_none() {
        return Refusal::new(400, "Missing Subscription-State");
    }
    Refusal::new(200, "OK")
}

/// The value without its parameters.
fn first(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}
