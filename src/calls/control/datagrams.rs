//! INVITEs that are too long for a datagram go by a stream (RFC 3261 18.1.1), and in a datagram all
//! the same where nobody takes that.

use std::sync::Arc;

use super::Control;
use super::forking::failure;
use super::placing::{Hop, Placing, Reach};
use crate::calls::takeover::Datagram;
use crate::sip::core::endpoint::{self, CommandError, DialogId, InviteParams, Transport};
use crate::sip::core::locate::Target;
use crate::sip::core::message::Message;
use crate::sip::core::targets::{FAILOVER_AFTER, Failure};
use crate::sip::core::uri::Uri;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// Why an INVITE was not sent.
pub(super) enum Unsent {
    /// It is too long for a datagram: this is how it may go instead.
    Long(Hop),
    /// For another reason.
    Refused(String),
}

impl Unsent {
    /// Why the endpoint did not take an INVITE that may also go to `stream`.
    pub(super) fn of(error: CommandError, stream: Option<Hop>) -> Self {
        match (error, stream) {
            (CommandError::Datagram, Some(stream)) => Self::Long(stream),
            (error, _) => Self::Refused(error.to_string()),
        }
    }
}

impl Placing {
    /// The hop that gets in a datagram what `hop` does not take from a stream.
    pub(super) fn datagram_of(&self, hop: &Hop) -> Option<&Hop> {
        let to = hop.target().filter(|to| to.transport == Transport::Tcp)?;
        let same = |own: &&Hop| own.peer() == to.peer && Arc::ptr_eq(&own.way, &hop.way);
        self.datagrams.iter().find(same)
    }
}

impl Control {
    /// The stream to a server that may take what is too long for a datagram: unless its URI says
    /// UDP, there is no TCP, or it was in vain before.
    pub(super) fn stream_instead(&self, placing: &Placing, hop: &Hop) -> Option<Hop> {
        let stream = self.stream_to(hop.target()?, &hop.way.next)?;
        let tried = placing.datagrams.contains(hop);
        (!tried).then(|| Hop::server(stream, &hop.way))
    }

    /// The same of the server `to` that `uri` has led to.
    fn stream_to(&self, to: &Target, uri: &str) -> Option<Target> {
        let open = Uri::parse(uri).is_ok_and(|uri| Transport::of_uri(&uri) == Ok(None));
        let v4 = to.peer.is_ipv4();
        let mut locals = self.sockets.locals().iter();
        let able = locals.any(|(how, own)| *how == Transport::Tcp && own.is_ipv4() == v4);
        let stream = Target { transport: Transport::Tcp, ..to.clone() };
        let may = to.transport == Transport::Udp && open && able;
        (may && !self.avoided.is_avoided(now(), &stream)).then_some(stream)
    }

    /// Sends the INVITE of a leg that is to take over to the server `to`, by a stream if it is too
    /// long for a datagram; then also how it goes in one.
    pub(super) fn invite_takeover(
        &mut self,
        to: &Target,
        params: InviteParams,
        how: endpoint::Placing,
    ) -> Result<(DialogId, Option<Box<Datagram>>), CommandError> {
        let stream = self.stream_to(to, &params.uri);
        let datagram_max = stream.as_ref().and(self.config.sip.udp_request_max);
        let once = endpoint::Placing { datagram_max, ..how.clone() };
        let placed = self.endpoint.invite_with(now(), params.clone(), once);
        let (Err(CommandError::Datagram), Some(stream)) = (&placed, stream) else {
            return placed.map(|dialog| (dialog, None));
        };
        let patience = Some(FAILOVER_AFTER);
        let once = endpoint::Placing { patience, ..how.clone() };
        let flow = self.path_to(&stream, &Reach::default()).ok();
        let by_stream = flow.map(|flow| InviteParams { flow, ..params.clone() });
        let by_stream = by_stream.map(|params| self.endpoint.invite_with(now(), params, once));
        match by_stream {
            Some(Ok(dialog)) => Ok((dialog, Some(Box::new(Datagram { stream, params, how })))),
            _ => self.endpoint.invite_with(now(), params, how).map(|dialog| (dialog, None)),
        }
    }

    /// Sends in a datagram what nobody took from a stream; false if that is not why a leg that was
    /// to take over has failed, or there is no way.
    pub(super) fn takeover_falls_back(
        &mut self,
        key: CallKey,
        status: u16,
        response: Option<&Message>,
    ) -> bool {
        let takeover = self.calls.get_mut(&key).and_then(|call| call.takeover.as_mut());
        let datagram = takeover.and_then(|takeover| takeover.datagram.take());
        let failure = failure(status, response);
        let Some(datagram) = datagram.filter(|_| failure == Failure::Unreachable) else {
            return false;
        };
        let Datagram { stream, params, how } = *datagram;
        self.avoided.failed(now(), &stream, failure);
        let Ok(dialog) = self.endpoint.invite_with(now(), params, how) else { return false };
        let takeover = self.calls.get_mut(&key).and_then(|call| call.takeover.as_mut());
        if let Some(takeover) = takeover {
            let before = std::mem::replace(&mut takeover.dialog, dialog);
            self.by_dialog.remove(&before);
            self.by_dialog.insert(dialog, key);
        }
        true
    }

    /// Sends an INVITE, by a stream if it is too long for a datagram: where it went.
    pub(super) fn invite_by_any(
        &mut self,
        placing: &mut Placing,
        hop: Hop,
    ) -> Result<(DialogId, Hop), String> {
        match self.invite(placing, &hop) {
            Ok(dialog) => Ok((dialog, hop)),
            Err(Unsent::Refused(why)) => Err(why),
            Err(Unsent::Long(stream)) => {
                placing.datagrams.push(hop.clone());
                if let Ok(dialog) = self.invite(placing, &stream) {
                    return Ok((dialog, stream));
                }
                match self.invite(placing, &hop) {
                    Ok(dialog) => Ok((dialog, hop)),
                    Err(Unsent::Refused(why)) => Err(why),
                    Err(Unsent::Long(_)) => Err(CommandError::Datagram.to_string()),
                }
            }
        }
    }

    /// Sends in a datagram what `hop` did not take from a stream; `None` if that is not why the
    /// branch failed, or there is no way.
    pub(super) fn fall_back(
        &mut self,
        placing: &mut Placing,
        hop: Option<&Hop>,
        failure: Failure,
    ) -> Option<(DialogId, Hop)> {
        let unreached = failure == Failure::Unreachable && !placing.attempts.is_settled();
        let datagram = placing.datagram_of(hop.filter(|_| unreached)?)?.clone();
        self.invite_by_any(placing, datagram).ok()
    }
}
