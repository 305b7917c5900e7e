//! Who must prove who they are, as the directory says.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::incoming::{called, calling};
use crate::config::Config;
use crate::directory::{Directory, Snapshot, Trunk};
use crate::sip::core::auth::ServerConfig;
use crate::sip::core::endpoint::{Endpoint, Flow, Gate};
use crate::sip::core::message::Message;
use crate::sip::core::uri::Uri;
use crate::sip::endpoint::streams::Identities;
use crate::telemetry::few::Few;
use crate::workers::poller::now;

/// Users of our contacts, and the trunks that we registered them with.
pub(super) type Contacts = Arc<ArcSwap<Vec<(String, Uuid)>>>;

struct DirectoryGate {
    directory: Directory,
    identities: Identities,
    contacts: Contacts,
    /// Lines about strangers who call.
    strangers: Few,
}

impl DirectoryGate {
    /// The trunk that a request came by to our contact.
    fn by_contact<'s>(&self, snapshot: &'s Snapshot, request: &Message) -> Option<&'s Arc<Trunk>> {
        let uri = Uri::parse(request.uri()?).ok()?;
        let contacts = self.contacts.load();
        let found = contacts.iter().find(|(user, _)| uri.user == Some(user))?;
        snapshot.trunk_by_id(found.1)
    }
}

impl Gate for DirectoryGate {
    fn demands(&self, flow: Flow, request: &Message) -> bool {
        let snapshot = self.directory.load();
        // Who has shown a certificate is asked for no password.
        let (address, names) = (flow.peer.ip(), self.identities.names(flow));
        if snapshot.trunk_by_names(address, &names).is_some() {
            return false;
        }
        match self.by_contact(&snapshot, request) {
            Some(trunk) => trunk.digest,
            None => {
                let called = called(request).unwrap_or_default();
                snapshot.demands_proof(address, &calling(request), &called)
            }
        }
    }

    fn knows(&self, flow: Flow, request: &Message) -> bool {
        let snapshot = self.directory.load();
        let address = flow.peer.ip();
        let certified = snapshot.trunk_by_names(address, &self.identities.names(flow)).is_some();
        let known = certified
            || match self.by_contact(&snapshot, request) {
                Some(trunk) => trunk.takes(address),
                None => {
                    let called = called(request).unwrap_or_default();
                    snapshot.caller(address, &calling(request), None, &called).is_some()
                }
            };
        if !known && let Some(unlogged) = self.strangers.line(now()) {
            tracing::info!(status = 403, peer = %address, unlogged, "call refused");
        }
        known
    }

    fn password(&self, user: &str) -> Option<Zeroizing<String>> {
        let snapshot = self.directory.load();
        snapshot.password(user).map(|password| password.expose().to_owned().into())
    }
}

/// Lets the endpoint challenge whom the directory does not know by address alone.
///
/// # Errors
///
/// When the system has no random numbers: nonces could be forged.
pub(super) fn guard(
    endpoint: &mut Endpoint,
    config: &Config,
    directory: Directory,
    identities: Identities,
    contacts: Contacts,
) -> io::Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let settings = ServerConfig {
        realm: config.sip.realm.clone(),
        algorithms: config.sip.digest.clone(),
        key,
    };
    let gate = DirectoryGate { directory, identities, contacts, strangers: Few::default() };
    endpoint.guard(settings, Box::new(gate));
    Ok(())
}
