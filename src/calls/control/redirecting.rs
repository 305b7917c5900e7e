//! Calls that we place and that are sent elsewhere (3xx).

use super::Control;
use super::referred::{may_refer, peer_user};
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::message::Message;
use crate::sip::core::registrar::Target;
use crate::sip::core::uri::Uri;

impl Control {
    /// Puts the addresses that a redirection names in front of those that are tried next. It leads
    /// no further than a transfer by the same peer would: whoever is called could otherwise have us
    /// call anybody.
    pub(super) fn redirected(&mut self, dialog: DialogId, status: u16, response: Option<&Message>) {
        let Some(response) = response.filter(|_| (300..400).contains(&status)) else { return };
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return };
        let config = std::sync::Arc::clone(&self.config);
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let called = call.to.clone();
        let (from, user) = (call.signalling, peer_user(call));
        let contacts = call.redirects.take(&called, response);
        let span = call.span.clone();
        let mut targets = std::collections::VecDeque::new();
        for uri in contacts {
            let address = Uri::parse(&uri).ok().and_then(|uri| uri.host?.address());
            let allowed = address.is_some_and(|address| {
                let caller = config.caller(from, &user, None);
                let within = |caller| may_refer(&config, &caller, from, address);
                address == from || caller.is_some_and(within)
            });
            match self.target(&uri) {
                Ok((flow, _)) if allowed => {
                    targets.push_back(Target { uri, flow, routes: Vec::new() });
                }
                _ => tracing::info!(parent: &span, "redirection to elsewhere not followed"),
            }
        }
        if let Some(call) = self.calls.get_mut(&key) {
            targets.append(&mut call.targets);
            call.targets = targets;
        }
    }
}
