//! INVITEs that are too long for a datagram go by a stream (RFC 3261 18.1.1), and in a datagram all
//! the same where nobody takes that.

use std::sync::Arc;

use super::Control;
use super::placing::{Hop, Placing, Reach};
use crate::sip::core::endpoint::{self, CommandError, DialogId, InviteParams, Transport};
use crate::sip::core::locate::Target;
use crate::sip::core::targets::Failure;
use crate::sip::core::uri::Uri;
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

    /// A branch goes in a datagram from now on; the server that has not taken it from a stream.
    fn leave_stream(&mut self, dialog: DialogId) -> Option<Target> {
        let datagram = self.datagram_of(&self.branch(dialog)?.hop)?.clone();
        let stream = std::mem::replace(&mut self.branch_mut(dialog)?.hop, datagram);
        stream.target().cloned()
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
    /// long for a datagram; then also the server of that.
    pub(super) fn invite_takeover(
        &mut self,
        to: &Target,
        params: InviteParams,
        how: endpoint::Placing,
    ) -> Result<(DialogId, Option<Box<Target>>), CommandError> {
        let stream = self.stream_to(to, &params.uri);
        let datagram_max = stream.as_ref().and(self.config.sip.udp_request_max);
        let once = endpoint::Placing { datagram_max, ..how.clone() };
        let placed = self.endpoint.invite_with(now(), params.clone(), once);
        let (Err(CommandError::Datagram), Some(stream)) = (&placed, stream) else {
            return placed.map(|dialog| (dialog, None));
        };
        let once = endpoint::Placing { datagram: Some(params.flow), ..how.clone() };
        let flow = self.path_to(&stream, &Reach::default()).ok();
        let by_stream = flow.map(|flow| InviteParams { flow, ..params.clone() });
        let by_stream = by_stream.map(|params| self.endpoint.invite_with(now(), params, once));
        match by_stream {
            Some(Ok(dialog)) => Ok((dialog, Some(Box::new(stream)))),
            _ => self.endpoint.invite_with(now(), params, how).map(|dialog| (dialog, None)),
        }
    }

    /// An INVITE that nobody has taken from its stream goes in a datagram: the stream is not tried
    /// again for a while.
    pub(super) fn by_datagram(&mut self, dialog: DialogId) {
        let key = self.by_dialog.get(&dialog).copied();
        let Some(call) = key.and_then(|key| self.calls.get_mut(&key)) else { return };
        let takeover = call.takeover.as_mut().filter(|takeover| takeover.dialog == dialog);
        let stream = match takeover {
            Some(takeover) => takeover.stream.take().map(|stream| *stream),
            None => call.placings().find_map(|placing| placing.leave_stream(dialog)),
        };
        if let Some(stream) = stream {
            tracing::info!(parent: &call.span, peer = %stream.peer, "nobody takes it from a stream");
            self.avoided.failed(now(), &stream, Failure::Unreachable);
        }
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
}
