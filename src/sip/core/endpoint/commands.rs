//! Commands that end a call or carry data in it.

use media::time::MonoTime;

use super::Endpoint;
use super::call::{OwnedHeaders, State};
use super::event::{CommandError, DialogId, End, Event, Header};
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::lex;
use crate::sip::core::method::Method;
use crate::sip::core::write::BuildError;

/// Headers that may have to wait: checked now, because later nobody could be told.
fn owned(headers: &[Header<'_>]) -> Result<OwnedHeaders, CommandError> {
    for (name, value) in headers {
        if !lex::is_token(name) {
            return Err(BuildError::HeaderName.into());
        }
        if !lex::is_line_safe(value) {
            return Err(BuildError::HeaderValue.into());
        }
    }
    Ok(headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

impl Endpoint {
    /// Ends a call. An answered one gets BYE, as soon as our answer is acknowledged, and ends in
    /// `Ended`; one that came in and is not answered gets 480 and no event follows; one that we
    /// place is cancelled.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn bye(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let call = self.calls.get_mut(dialog.0).ok_or(CommandError::NoSuchCall)?;
        match call.state {
            State::Incoming => self.reject(now, dialog, 480, "Temporarily Unavailable", headers),
            State::Calling => self.cancel(now, dialog, headers),
            State::Cancelling | State::Closing => Err(CommandError::State),
            State::Confirmed if call.parting.is_some() => Err(CommandError::State),
            State::Confirmed => {
                let headers = owned(headers)?;
                // The callee waits for the ACK of its first answer (RFC 3261 15).
                let unheard = call.unacked.as_ref().is_some_and(|unacked| unacked.first);
                // And who asked for a transfer learns its outcome first.
                if unheard || call.refers.delays_bye() {
                    call.parting = Some(headers);
                } else {
                    self.send_bye(now, dialog.0, &headers);
                }
                Ok(())
            }
        }
    }

    /// Gives up a call that we place: CANCEL, as soon as a provisional response allows it
    /// (RFC 3261 9.1). Ends in `Failed` with 487, also if the answer crosses the CANCEL.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn cancel(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let headers = owned(headers)?;
        let call = self.calls.get_mut(dialog.0).ok_or(CommandError::NoSuchCall)?;
        if call.state != State::Calling {
            return Err(CommandError::State);
        }
        call.state = State::Cancelling;
        call.parting = Some(headers);
        if call.proceeding {
            self.send_cancel(now, dialog.0);
        }
        Ok(())
    }

    /// Sends INFO within a call, for example digits as `application/dtmf-relay` (RFC 6086). Ends in
    /// `InfoAnswered`, unless the call does.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn info(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        content_type: &str,
        body: &[u8],
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        if call.state != State::Confirmed || call.parting.is_some() || call.ack_owed.is_some() {
            return Err(CommandError::State);
        }
        self.request_within(now, dialog.0, Method::Info, Purpose::Info, |request| {
            request.body(content_type, body)
        })?;
        Ok(())
    }

    /// Whether the peer of a call says that it takes INFO.
    pub fn allows_info(&self, dialog: DialogId) -> bool {
        self.calls.get(dialog.0).is_some_and(|call| call.info_allowed)
    }

    /// Whether the peer of a call says what it takes, and INFO is not among it: it may leave one
    /// unanswered, which would end the call.
    pub fn refuses_info(&self, dialog: DialogId) -> bool {
        self.calls.get(dialog.0).is_some_and(|call| call.info_refused)
    }

    /// Says BYE and waits for its end. Everything that is pending is settled first.
    pub(super) fn send_bye(
        &mut self,
        now: MonoTime,
        handle: Handle,
        headers: &[(Box<str>, Box<str>)],
    ) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.state = State::Closing;
        call.unacked = None;
        call.retry = None;
        call.limit_at = MonoTime::MAX;
        call.repeat_at = MonoTime::MAX;
        let (server, asked, owed) = (call.server.take(), call.asked.take(), call.ack_owed);
        call.asked_at = MonoTime::MAX;
        let refer = call.refers.forget_theirs();
        for server in [server, asked, refer].into_iter().flatten() {
            self.respond_with(now, server, 487, "Request Terminated", |_, response, _| response);
        }
        if let Some(cseq) = owed {
            let _ = self.send_ack(handle, cseq, None);
        }
        let sent = self.request_within(now, handle, Method::Bye, Purpose::Bye, |mut request| {
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request
        });
        if sent.is_err() {
            self.tell_end(handle, |dialog| Event::Ended { dialog, cause: End::Local });
            self.remove_call(now, handle);
        }
    }
}
