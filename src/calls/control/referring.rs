//! Transfers that we ask the peer for: the REFER.

use super::Control;
use crate::calls::transfer::{Destination, TransferError};
use crate::sip::core::endpoint::{CommandError, DialogId};
use crate::sip::core::refer_to;
use crate::sip::core::uri::Uri;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

impl Control {
    /// Asks the peer of a call to call somebody else.
    pub(super) fn refer(
        &mut self,
        key: CallKey,
        to: &Destination,
        headers: &[(String, String)],
    ) -> Result<(), TransferError> {
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        let dialog = call.dialog.ok_or(TransferError::NotAnswered)?;
        if let Destination::Uri(to) | Destination::User(to) = to {
            self.judge(to, call.trunk.as_deref())?;
        }
        self.may_add(key, headers).map_err(TransferError::Headers)?;
        let refer_to = self.refer_to(key, dialog, to)?;
        let added = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let added: Vec<_> = added.collect();
        match self.endpoint.refer(now(), dialog, &refer_to, &added) {
            Ok(()) => Ok(()),
            Err(CommandError::Busy) => Err(TransferError::Busy),
            Err(CommandError::Build(_) | CommandError::Address) => Err(TransferError::Destination),
            Err(CommandError::NoSuchCall | CommandError::State) => Err(TransferError::NotAnswered),
            Err(_) => Err(TransferError::Full),
        }
    }

    /// The value of Refer-To.
    fn refer_to(
        &self,
        key: CallKey,
        dialog: DialogId,
        to: &Destination,
    ) -> Result<String, TransferError> {
        match to {
            Destination::Uri(uri) => Ok(format!("<{uri}>")),
            Destination::User(user) => {
                // Whoever has the call knows best where its numbers are.
                let target = self.endpoint.target(dialog).ok_or(TransferError::NotAnswered)?;
                let target = Uri::parse(target).map_err(|_| TransferError::Destination)?;
                let host = target.host.ok_or(TransferError::Destination)?;
                let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
                Ok(format!("<sip:{user}@{host}{port}>"))
            }
            Destination::Group(_)
            | Destination::Bridge(_)
            | Destination::Warm { .. }
            | Destination::Agent { .. } => Err(TransferError::Destination),
            Destination::Call(id) => {
                let ours = self.calls.get(&key).map(|call| call.agent.organisation);
                let other = self.by_id.get(id).filter(|other| **other != key);
                let other = other.and_then(|other| self.calls.get(other));
                // Another organisation's call is none: not even that it is there is told.
                let other = other.filter(|other| Some(other.agent.organisation) == ours);
                let other = other.ok_or(TransferError::CallId)?;
                let other = other.dialog.ok_or(TransferError::NotAnswered)?;
                let (target, replaces) =
                    self.endpoint.replacement(other).ok_or(TransferError::NotAnswered)?;
                Ok(format!("<{target}?Replaces={}>", refer_to::escape(&replaces)))
            }
        }
    }
}
