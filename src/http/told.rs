//! What this server tells of itself.

use std::net::{IpAddr, SocketAddr};

use uuid::Uuid;

use crate::agent::wire::codecs;
use crate::config::{Config, PortRange};
use crate::sip::core::endpoint::Transport;

/// What this server tells of itself.
#[derive(Clone, Debug)]
pub struct Told {
    /// Which node it is.
    pub node: Uuid,
    /// Where SIP is taken, as peers are told.
    pub sip: Vec<(Transport, SocketAddr)>,
    /// Where audio is taken, as peers are told.
    pub rtp: Vec<IpAddr>,
    /// On which ports.
    pub ports: PortRange,
    /// Codecs, best first.
    pub codecs: Vec<&'static str>,
}

impl Told {
    /// Of a server that is configured so, and takes SIP there.
    pub fn new(node: Uuid, config: &Config, sip: &[(Transport, SocketAddr)]) -> Self {
        let rtp = &config.rtp;
        let codecs = config.sip.codecs.iter().filter_map(|audio| codecs::entry(*audio));
        Self {
            node,
            sip: sip.to_vec(),
            rtp: rtp.addresses.iter().map(|address| rtp.advertised_for(*address)).collect(),
            ports: rtp.ports,
            codecs: codecs.map(|codec| codec.name).collect(),
        }
    }
}
