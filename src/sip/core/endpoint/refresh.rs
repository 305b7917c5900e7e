//! Session timers of calls (RFC 4028): what requests and responses say of them, and refreshing.

use media::time::MonoTime;

use super::Endpoint;
use super::call::{Change, Retry, State};
use super::event::{CommandError, End, Event};
use super::reply::refusal;
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::session_timer::{Due, EXPIRED_REASON, Grant, SessionTimer, Terms};
use crate::sip::core::validate::Refusal;
use crate::sip::core::write::RequestBuilder;

impl Endpoint {
    /// The fields of a request that opens, changes or refreshes a session.
    pub(super) fn timed(
        &self,
        timer: &SessionTimer,
        mut request: RequestBuilder,
    ) -> RequestBuilder {
        let Some(config) = &self.config.session_timer else { return request };
        for (name, value) in timer.request_headers(config).into_iter().flatten() {
            request = request.header(name, &value);
        }
        request
    }

    /// 422 for a session interval that is too short (RFC 4028 9).
    pub(super) fn too_short(&self, request: &Message) -> Option<Refusal> {
        let config = self.config.session_timer.as_ref()?;
        let fault = SessionTimer::default().grant(config, &Terms::read(request)).err()?;
        let min_s = fault.min_s.to_string();
        Some(refusal(422, "Session Interval Too Small", HeaderName::MinSe, min_s))
    }

    /// What a 2xx of this transaction says of the session timer.
    pub(super) fn grant(&self, server: Handle) -> Option<Grant> {
        let config = self.config.session_timer.as_ref()?;
        let txn = self.servers.get(server)?;
        let request = txn.request.as_ref()?;
        if !matches!(request.method(), Some(Method::Invite | Method::Update)) {
            return None;
        }
        let call = self.calls.get(txn.call?)?;
        call.timer.grant(config, &Terms::read(request)).ok().flatten()
    }

    /// A 2xx to the peer's INVITE or UPDATE is about to go out: the session counts from now.
    pub(super) fn start_timer(&mut self, now: MonoTime, handle: Handle, server: Handle) {
        let grant = self.grant(server);
        if let Some(call) = self.calls.get_mut(handle) {
            call.timer.granted(now, grant);
        }
    }

    /// A 2xx to an INVITE or UPDATE of ours came: the session counts from now.
    pub(super) fn timer_answered(&mut self, now: MonoTime, handle: Handle, response: &Message) {
        if self.config.session_timer.is_none() {
            return;
        }
        if let Some(call) = self.calls.get_mut(handle) {
            call.timer.answered(now, &Terms::read(response));
        }
        self.arm_call(handle);
    }

    /// The INVITE of a call that we place was refused for its session interval: it is sent again
    /// with the one that is accepted (RFC 4028 7.3). False if there is no point in it.
    pub(super) fn lengthen(&mut self, now: MonoTime, client: Handle, response: &Message) -> bool {
        let Some(config) = self.config.session_timer else { return false };
        let Some(handle) = self.clients.get(client).and_then(|txn| txn.call) else { return false };
        let Some(call) = self.calls.get_mut(handle) else { return false };
        if call.state != State::Calling || !call.timer.too_short(&Terms::read(response)) {
            return false;
        }
        let fields = call.timer.request_headers(&config);
        let fields: Vec<_> = fields.into_iter().flatten().collect();
        self.invite_again(now, handle, client, &fields)
    }

    /// Lets the session timer of an established call do what is due.
    pub(super) fn timer_due(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        if call.state != State::Confirmed {
            return;
        }
        match call.timer.handle_timeout(now) {
            Some(Due::Refresh) => self.refresh_session(now, handle),
            Some(Due::Expired) => {
                self.tell_end(handle, |dialog| Event::Ended { dialog, cause: End::SessionExpired });
                self.send_bye(now, handle, &[("Reason".into(), EXPIRED_REASON.into())]);
            }
            None => {}
        }
    }

    /// Refreshes the session: by UPDATE if the peer takes it, which touches nothing else, or by a
    /// re-INVITE with the description that holds (RFC 4028 7.4).
    fn refresh_session(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get(handle) else { return };
        let sent = if call.is_changing() || call.parting.is_some() {
            Err(CommandError::Busy)
        } else if call.update_allowed {
            self.send_update(now, handle, None, Purpose::Refresh)
        } else {
            self.refresh_by_invite(now, handle)
        };
        if sent.is_err()
            && let Some(call) = self.calls.get_mut(handle)
        {
            call.timer.refresh_failed(now);
        }
        self.arm_call(handle);
    }

    fn refresh_by_invite(&mut self, now: MonoTime, handle: Handle) -> Result<(), CommandError> {
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let sdp = call.local_sdp.clone().ok_or(CommandError::State)?;
        self.send_reinvite(now, handle, Some(&sdp))?;
        if let Some(call) = self.calls.get_mut(handle) {
            let sdp = Some(sdp.into_vec());
            let change = Change::Refresh;
            call.retry = Some(Box::new(Retry { at: MonoTime::MAX, sdp, tries: 0, change }));
        }
        Ok(())
    }

    /// Our UPDATE without an offer was answered.
    pub(super) fn refresh_answered(
        &mut self,
        now: MonoTime,
        handle: Handle,
        status: u16,
        response: &Message,
    ) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.asking = None;
        match status {
            200..300 => {
                call.dialog.refresh_target(response);
                call.heard(response);
                self.timer_answered(now, handle, response);
            }
            // RFC 4028 10.
            408 | 481 => self.lost(now, Some(handle), End::TransactionTimeout),
            422 if call.timer.too_short(&Terms::read(response)) => {
                self.refresh_session(now, handle);
            }
            405 | 501 => {
                call.update_allowed = false;
                self.refresh_session(now, handle);
            }
            _ => self.refresh_refused(now, handle),
        }
    }

    /// The peer does not want to be refreshed now.
    pub(super) fn refresh_refused(&mut self, now: MonoTime, handle: Handle) {
        if let Some(call) = self.calls.get_mut(handle) {
            call.timer.refresh_failed(now);
        }
        self.arm_call(handle);
    }
}
