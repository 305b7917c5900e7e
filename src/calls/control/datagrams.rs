//! INVITEs that are too long for a datagram go by a stream (RFC 3261 18.1.1), and in a datagram all
//! the same where nobody takes that.

use std::sync::Arc;

use super::Control;
use super::placing::{Hop, Placing};
use crate::sip::core::endpoint::{CommandError, DialogId, Transport};
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
}

impl Control {
    /// The stream to a server that may take what is too long for a datagram: unless its URI says
    /// UDP, there is no TCP, or it was in vain before.
    pub(super) fn stream_instead(&self, placing: &Placing, hop: &Hop) -> Option<Hop> {
        let to = hop.target().filter(|to| to.transport == Transport::Udp)?;
        let open = Uri::parse(&hop.way.next).is_ok_and(|uri| Transport::of_uri(&uri) == Ok(None));
        let v4 = to.peer.is_ipv4();
        let mut locals = self.sockets.locals().iter();
        let able = locals.any(|(how, own)| *how == Transport::Tcp && own.is_ipv4() == v4);
        let stream = Target { transport: Transport::Tcp, ..to.clone() };
        let tried = placing.datagrams.contains(hop) || self.avoided.is_avoided(now(), &stream);
        (open && able && !tried).then(|| Hop::server(stream, &hop.way))
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
