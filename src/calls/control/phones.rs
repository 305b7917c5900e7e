//! Telephones that register with us.

use super::Control;
use super::placing::Hop;
use crate::config::{Masked, UserConfig};
use crate::sip::core::endpoint::{AskedId, Flow};
use crate::sip::core::message::Message;
use crate::sip::core::registrar::Target;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::poller::now;

impl Control {
    /// A telephone registers, or says that it leaves.
    pub(super) fn registering(
        &mut self,
        asked: AskedId,
        user: &str,
        flow: Flow,
        request: &Message,
    ) {
        let at = now();
        // Its own name is the only one that it can have proven: trunks register nowhere.
        let known = self.config.users.iter().any(|known| known.name == user);
        let answer = if known
            && self.directory.load().caller(flow.peer.ip(), user, Some(user), "").is_some()
        {
            self.registrar.register(at, user, flow, request)
        } else {
            crate::sip::core::Refusal::new(403, "Forbidden")
        };
        tracing::debug!(
            user = %Masked(user),
            status = answer.status,
            peer = %flow.peer,
            "telephone registers"
        );
        self.endpoint.reply(at, asked, &answer);
        self.count_bindings();
    }

    /// Shows in the metrics how many contacts are registered.
    pub(super) fn count_bindings(&self) {
        let bindings = i64::try_from(self.registrar.len()).unwrap_or(i64::MAX);
        self.metrics.sip.bindings.set(bindings);
    }

    /// Where the user is that `to` names: a bare name, or a URI of ours.
    fn phones(&self, to: &str) -> Option<Vec<Target>> {
        let user = self.our_user(to)?;
        Some(self.registrar.targets(now(), &user.name))
    }

    /// The same as rounds: telephones that are preferred alike ring at the same time.
    pub(super) fn phone_rounds(&self, to: &str) -> Option<Vec<Vec<Hop>>> {
        let phones = self.phones(to)?;
        let to = self.address_of(to);
        let hop = |phone: &Target| Hop::phone(phone.clone(), &to);
        let rounds = phones.chunk_by(|one, next| one.q_milli == next.q_milli);
        Some(rounds.map(|equals| equals.iter().map(hop).collect()).collect())
    }

    /// The user of ours that `to` names: a bare name, or a URI of ours.
    pub(super) fn our_user(&self, to: &str) -> Option<&UserConfig> {
        let user = match Uri::parse(to) {
            Ok(uri) if uri.scheme == Scheme::Sip => {
                let host = uri.host?.address()?;
                let port = uri.port.unwrap_or(5060);
                let mut locals = self.sockets.locals().iter();
                let ours = locals.any(|(_, local)| local.ip() == host && local.port() == port);
                if !ours {
                    return None;
                }
                uri.user_decoded()?.into_owned()
            }
            Ok(_) => return None,
            Err(_) => to.to_owned(),
        };
        self.config.users.iter().find(|known| known.name == user)
    }
}
