//! Who must prove who they are, as the configuration says.

use std::io;
use std::sync::Arc;

use super::incoming::calling;
use crate::config::{Config, Secret, TrunkConfig};
use crate::sip::core::auth::ServerConfig;
use crate::sip::core::endpoint::{Endpoint, Flow, Gate};
use crate::sip::core::message::Message;
use crate::sip::core::uri::Uri;

struct ConfigGate {
    config: Arc<Config>,
    /// Users of our contacts, and the places of the trunks that we registered them with.
    contacts: Vec<(String, usize)>,
}

impl ConfigGate {
    /// The trunk that a request came by to our contact.
    fn by_contact(&self, request: &Message) -> Option<&TrunkConfig> {
        let uri = Uri::parse(request.uri()?).ok()?;
        let found = self.contacts.iter().find(|(user, _)| uri.user == Some(user))?;
        self.config.trunks.get(found.1)
    }
}

impl Gate for ConfigGate {
    fn demands(&self, flow: Flow, request: &Message) -> bool {
        match self.by_contact(request) {
            Some(trunk) => trunk.digest,
            None => self.config.demands_proof(flow.peer.ip(), &calling(request)),
        }
    }

    fn password(&self, user: &str) -> Option<&str> {
        self.config.password(user).map(Secret::expose)
    }
}

/// Lets the endpoint challenge whom the configuration does not know by address alone.
///
/// # Errors
///
/// When the system has no random numbers: nonces could be forged.
pub(super) fn guard(
    endpoint: &mut Endpoint,
    config: &Arc<Config>,
    contacts: Vec<(String, usize)>,
) -> io::Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let settings = ServerConfig {
        realm: config.sip.realm.clone(),
        algorithms: config.sip.digest.clone(),
        key,
    };
    endpoint.guard(settings, Box::new(ConfigGate { config: Arc::clone(config), contacts }));
    Ok(())
}
