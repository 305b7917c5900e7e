//! Where registrars are: names are looked up (RFC 3263), and only what may be reached is asked.

use std::sync::Arc;

use media::time::MonoTime;

use super::Control;
use super::place::find;
use super::placing::Hop;
use crate::calls::request::Request;
use crate::outward::OutwardError;
use crate::sip::core::locate::Target;
use crate::sip::core::registration::State;
use crate::sip::endpoint::resolver::ResolveError;
use crate::workers::poller::now;

impl Control {
    /// Finds the servers of a registrar; comes back with a request if that takes time.
    pub(super) fn find_registrar(&mut self, at: MonoTime, index: usize) {
        let Some(entry) = self.registrations.get_mut(index) else { return };
        entry.finding = true;
        let ways = vec![Arc::clone(&entry.way)];
        let contact = entry.registration.settings().contact_user.clone();
        if let Some(found) = self.located(&ways) {
            return self.registrar_found(at, &contact, found);
        }
        let (able, handle, resolver) = (self.able(), self.handle.clone(), self.resolver());
        self.io.spawn(async move {
            let found = match resolver {
                Ok(resolver) => find(&resolver, &ways, &able).await,
                Err(error) => Err(error),
            };
            handle.send(Request::Registrar { contact, found }).await;
        });
    }

    /// The servers of the registrar that is told of this contact are known: the first is asked.
    pub(super) fn registrar_located(
        &mut self,
        contact: &str,
        found: Result<Vec<Hop>, ResolveError>,
    ) {
        self.registrar_found(now(), contact, found);
    }

    fn registrar_found(
        &mut self,
        at: MonoTime,
        contact: &str,
        found: Result<Vec<Hop>, ResolveError>,
    ) {
        let mut all = self.registrations.iter();
        let named = all.position(|entry| entry.registration.settings().contact_user == contact);
        // It may be gone since.
        let Some((index, entry)) = named.and_then(|at| Some((at, self.registrations.get(at)?)))
        else {
            return;
        };
        let trunk = Arc::clone(&entry.trunk);
        let outward = self.outward_of_leg(trunk.organisation, Some(&trunk));
        let reached = found.map_err(|error| error.to_string()).and_then(|hops| {
            let servers = hops.iter().filter_map(Hop::target);
            let servers = servers.filter(|to| self.reaches(&outward, trunk.organisation, to));
            let servers: Vec<Target> = servers.cloned().collect();
            let none = || OutwardError::Private.to_string();
            if servers.is_empty() { Err(none()) } else { Ok(servers) }
        });
        let Some(entry) = self.registrations.get_mut(index) else { return };
        entry.finding = false;
        if matches!(entry.registration.state(at), State::Left | State::Refused) {
            return;
        }
        match reached {
            Ok(servers) => {
                entry.others = servers.into();
                entry.server = entry.others.pop_front();
                self.send_register(at, index);
            }
            Err(error) => {
                entry.registration.handle_unsent(at);
                tracing::warn!(trunk = trunk.label, error, "no way to the registrar");
                self.metrics.sip.registration_failed(&trunk.label);
            }
        }
    }
}
