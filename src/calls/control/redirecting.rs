//! Calls that we place and that are sent elsewhere (3xx).

use super::Control;
use super::referred::may_refer;
use crate::directory::Caller;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::message::Message;
use crate::sip::core::uri::Uri;

impl Control {
    /// Puts the addresses that a redirection names in front of those that are tried next. It leads
    /// no further than a transfer by the same peer would: whoever is called could otherwise have us
    /// call anybody. True if it leads anywhere.
    pub(super) fn redirected(
        &mut self,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) -> bool {
        let response = response.filter(|_| (300..400).contains(&status));
        let key = self.by_dialog.get(&dialog).copied();
        let (Some(response), Some(key)) = (response, key) else { return false };
        let snapshot = self.directory.load();
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else {
            return false;
        };
        let placing = call.placing.as_ref();
        let Some(branch) = placing.and_then(|placing| placing.branch(dialog)) else { return false };
        let (from, own) = (branch.hop.peer().ip(), call.trunk.clone());
        // The offer has the keys of the audio in it: what began in secret stays so.
        let secret = branch.hop.is_secure();
        // Whoever names no trunk may have called the server of one all the same.
        let at = || snapshot.trunks.iter().find(|trunk| trunk.is_at(from)).map(Caller::Trunk);
        let party = self.party(&snapshot, own.as_ref(), call, None).or_else(at);
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let called = call.to.clone();
        let contacts = call.redirects.take(&called, response);
        let span = call.span.clone();
        let mut targets = Vec::new();
        for uri in contacts {
            let address = Uri::parse(&uri).ok().and_then(|uri| uri.host?.address());
            let allowed = address.is_some_and(|address| match &party {
                Some(party) => may_refer(&snapshot, party, from, address),
                None => address == from,
            });
            let target = if allowed { self.literal(&uri) } else { None };
            match target.filter(|target| !secret || target.transport.is_secure()) {
                Some(target) => targets.push((uri, target)),
                None => tracing::info!(parent: &span, "redirection to elsewhere not followed"),
            }
        }
        let somewhere = !targets.is_empty();
        if let Some(placing) = self.calls.get_mut(&key).and_then(|call| call.placing.as_mut()) {
            placing.redirect(dialog, targets, response);
        }
        somewhere
    }
}
