//! Who must prove who they are, as the configuration says.

use std::io;
use std::sync::Arc;

use super::incoming::calling;
use crate::config::{Config, Secret};
use crate::sip::core::auth::ServerConfig;
use crate::sip::core::endpoint::{Endpoint, Flow, Gate};
use crate::sip::core::message::Message;

struct ConfigGate(Arc<Config>);

impl Gate for ConfigGate {
    fn demands(&self, flow: Flow, request: &Message) -> bool {
        self.0.demands_proof(flow.peer.ip(), &calling(request))
    }

    fn password(&self, user: &str) -> Option<&str> {
        self.0.password(user).map(Secret::expose)
    }
}

/// Lets the endpoint challenge whom the configuration does not know by address alone.
///
/// # Errors
///
/// When the system has no random numbers: nonces could be forged.
pub(super) fn guard(endpoint: &mut Endpoint, config: &Arc<Config>) -> io::Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let settings = ServerConfig {
        realm: config.sip.realm.clone(),
        algorithms: config.sip.digest.clone(),
        key,
    };
    endpoint.guard(settings, Box::new(ConfigGate(Arc::clone(config))));
    Ok(())
}
